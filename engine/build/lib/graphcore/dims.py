"""Symbolic dims that depend on each other: `past + length`, `2*n`, `h/2`, `batch_size x heads`.

A dim is read as a sum, a difference, a product or a quotient of sizes and symbols where it can be
meant as one; any other text is one symbol. A symbol that is no identifier stands in backticks in a
computed dim.
"""

import ast
import functools
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from graphcore.errors import GraphError

Dim = int | str

_OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: Fraction(a) / b,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_QUOTED = "_quoted_"
"""Begins the identifiers that are read for symbols in backticks."""

_LONGEST = 500
"""Characters of a computed dim; Python's parser takes its memory for a longer one."""

_FUNCTIONS = {"floor": 1, "ceil": 1, "ceiling": 1, "max": 2, "min": 2}
"""Functions that exporters write, and how many sizes each takes."""


@functools.lru_cache(maxsize=4096)
def names(dim: Dim) -> tuple[str, ...]:
    """Return the symbols in a dim, in order: none of a size, the dim itself if it is one symbol."""
    if isinstance(dim, int):
        return ()
    tree = _parsed(dim)
    if tree is None:
        return (dim,)
    found = (node.id for node in _leaves(tree) if isinstance(node, ast.Name))
    return tuple(dict.fromkeys(map(_plain, found)))


def quoted(name: str) -> str:
    """Return a symbol as it is written in a computed dim: in backticks if it is no identifier."""
    return name if name.isidentifier() else f"`{name}`"


def is_expression(dim: Dim) -> bool:
    """Whether a dim is computed from others."""
    return isinstance(dim, str) and names(dim) != (dim,)


def size(dim: Dim, sizes: Mapping[str, int]) -> int:
    """Return the size of a dim, rounded down.

    Raises:
        KeyError: a symbol is not among the sizes.
        GraphError: it is none (negative, or divided by zero).
    """
    if isinstance(dim, int):
        return dim
    tree = _parsed(dim)
    try:
        found = sizes[dim] if tree is None else int(_value(tree, sizes) // 1)
    except ZeroDivisionError:
        found = -1
    if found < 0:
        raise GraphError(f"The dim {dim!r} is no size where {_listed(sizes, names(dim))}.")
    return found


def solved(relations: Mapping[str, Dim], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes with those that relations give ("total" to "past + length").

    Raises:
        GraphError: a relation goes in a circle, or gives no size.
    """
    known = {name: sizes[name] for name in sizes if name not in relations}
    waiting = dict(relations)
    while waiting:
        ready = [name for name, dim in waiting.items() if known.keys() >= set(names(dim))]
        if not ready:
            first = next(iter(waiting))
            raise GraphError(
                f"The size {first} = {waiting[first]} cannot be computed: a symbol in it is "
                "unknown, or depends on it."
            )
        for name in ready:
            known[name] = size(waiting.pop(name), known)
    return known


@functools.lru_cache(maxsize=4096)
def _parsed(dim: str) -> ast.expr | None:
    """Return the tree of a computed dim, None for one symbol."""
    text = re.sub(r"(?<=\w) x (?=\w)", " * ", dim.strip())
    text = re.sub("`([^`]+)`", lambda found: _QUOTED + found[1].encode().hex(), text)
    if (text.isidentifier() and not text.startswith(_QUOTED)) or not re.search(
        r"[-+*/%(]|^_", text
    ):
        return None
    if len(text) > _LONGEST:
        return None
    try:
        tree = ast.parse(text, mode="eval").body
        one = _value(tree, _Ones())
    except (SyntaxError, TypeError, KeyError, ZeroDivisionError, RecursionError, ValueError):
        return None
    symbols = {node.id for node in _leaves(tree) if isinstance(node, ast.Name)}
    # "batch-size" is a name, and so is "x/y"; "h/2" and "past - 1" are not.
    named = re.fullmatch(r"\w+(-\w+)+", text) or (
        re.fullmatch(r"\w+/\w+", text) and len(symbols) > 1
    )
    return None if named or not symbols or one is None else tree


def _leaves(tree: ast.expr) -> list[ast.Name | ast.Constant]:
    """Return the symbols and numbers in a tree, in order, without the names of functions."""
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Constant))
    return sorted(
        (node for node in found if id(node) not in functions), key=lambda node: node.col_offset
    )


def _plain(identifier: str) -> str:
    """Return the symbol that an identifier in a tree is for."""
    if not identifier.startswith(_QUOTED):
        return identifier
    return bytes.fromhex(identifier.removeprefix(_QUOTED)).decode()


class _Ones(dict):
    """Every symbol is one."""

    def __missing__(self, key: str) -> int:
        return 1


def _value(tree: ast.AST, sizes: Mapping[str, int]) -> Fraction | int:
    """Return what a tree computes.

    Raises:
        TypeError: it holds something else than sums, products and quotients.
    """
    if isinstance(tree, ast.Name):
        return sizes[_plain(tree.id)]  # KeyError: it has none
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return tree.value
    if isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATORS:
        return _OPERATORS[type(tree.op)](_value(tree.left, sizes), _value(tree.right, sizes))
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return -_value(tree.operand, sizes)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
        name, given = tree.func.id.lower(), [_value(each, sizes) for each in tree.args]
        if _FUNCTIONS.get(name) == len(given):
            if len(given) == 2:
                return max(given) if name == "max" else min(given)
            return given[0] // 1 if name == "floor" else -(-given[0] // 1)
    raise TypeError("not arithmetic")


def _listed(sizes: Mapping[str, int], wanted: Iterable[str]) -> str:
    return ", ".join(f"{name} is {sizes[name]}" for name in wanted if name in sizes)
