"""Lists in messages: the first items, and how many more there are."""

from collections.abc import Iterable


def listed(items: Iterable[object], *, most: int, separator: str = ", ") -> str:
    """Return items in words, such as "a, b and 3 more" or "a; b; and 3 more".

    Args:
        items: what is listed, as text or by its own `str`.
        most: how many are named.
        separator: what stands between two.
    """
    words = [str(item) for item in items]
    joint = separator if separator == "; " else " "
    more = f"{joint}and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + more
