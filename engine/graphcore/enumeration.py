"""Lists in messages: the first items, and how many more there are."""

from collections.abc import Iterable


def listed(items: Iterable[object], *, most: int, separator: str = ", ") -> str:
    """Return items in words, such as "a, b and 3 more" or "a; b; and 3 more".

    Args:
        items: texts, or objects that are shown by their `str`.
        most: the largest number of items to name.
        separator: the text between two items.
    """
    words = [str(item) for item in items]
    joint = separator if separator == "; " else " "
    more = f"{joint}and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + more
