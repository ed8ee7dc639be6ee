"""What is put around the names of a source's nodes on the way, and goes again."""

import re

PREFIX = "source"
"""Stands before the names of the source's nodes here, so that they meet no others."""

NUMBERS = re.compile(r"__\d+")
"""What tf2onnx puts behind the names that it makes up."""


def plain(name: str) -> str:
    """Return the name of a node of the source, without what was put before it here."""
    return name.removeprefix(f"{PREFIX}/")
