"""The part of the receiver's page about what a handoff does not promise.

The same limits, with more words, are in `notebooks/RECEIVING.md`, which is not in the folder.
"""

import html

LIMITS = {
    "Inference only.": "The weights are constants, and what is for training is gone.",
    "The input is laid out as PyTorch had it": (
        "(channels first for pictures) and prepared as in training; the graph turns axes itself."
    ),
    "Sizes.": "Dims that the interface above names by a word may vary, all others are fixed.",
    "Downwards, nothing is promised.": (
        "Each artefact loads in its target and in every later TensorFlow; an older may refuse it."
    ),
    "What was proven where": (
        "stands above. Elsewhere run verify.py before you rely on it: with the TensorFlow that "
        "will serve, on the machine that will serve."
    ),
    "Proven on CPUs.": (
        "A GPU may use TF32, and OpenVINO bfloat16, unless told not to: differences of about 1e-3."
    ),
    "Damage, not forgery.": (
        "sha256sum -c SHA256SUMS shows whether a file was damaged. The sums travel with the files: "
        "if forgery matters, have the sender tell you theirs by another way."
    ),
    "golden.npz holds data:": "recorded inputs, and labelled samples if there were some.",
}
"""What the receiver must know, as title → sentence."""


def limits_section() -> str:
    """Return the limits as an HTML list."""
    items = "".join(
        f"<li><strong>{html.escape(title)}</strong> {html.escape(text)}</li>\n"
        for title, text in LIMITS.items()
    )
    return f"<ul>\n{items}</ul>\n"
