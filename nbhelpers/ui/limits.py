"""The section of the receiver's page about what a handoff does not promise.

`notebooks/RECEIVING.md`, which is not in the folder, explains the same limits in more detail.
"""

import html

LIMITS = {
    "Inference only.": "The weights are constants, and the parts for training are removed.",
    "The input is laid out as PyTorch had it": (
        "(channels first for pictures) and prepared as in training. The graph transposes it itself."
    ),
    "Sizes.": "Dims that the interface above names by a word may vary. All others are fixed.",
    "Downwards, nothing is promised.": (
        "Each artefact loads in its target and in every later TensorFlow. An older one may "
        "refuse it."
    ),
    "What was proven where": (
        "is listed above. For anything else run verify.py before you rely on it, with the "
        "TensorFlow that will serve, on the machine that will serve."
    ),
    "Proven on CPUs.": (
        "A GPU may use TF32 and OpenVINO bfloat16, unless configured otherwise. The results then "
        "differ by about 1e-3."
    ),
    "Damage, not forgery.": (
        "sha256sum -c SHA256SUMS shows whether a file was damaged. The sums travel with the "
        "files, so if forgery matters, have the sender tell you theirs in another way."
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
