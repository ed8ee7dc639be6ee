"""The additions to the names of a source's nodes, which are removed again at the end."""

import re

PREFIX = "source"
"""The scope of the source's nodes during a conversion, so that no other node has their names."""

NUMBERS = re.compile(r"__\d+")
"""The number that tf2onnx appends to the names that it makes up."""


def plain(name: str) -> str:
    """Return the name of a node of the source, without the scope that was added here."""
    return name.removeprefix(f"{PREFIX}/")
