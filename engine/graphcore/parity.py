"""Compare two sets of named arrays, and report how far apart they are.

Names come first, then shapes, dtypes, NaN and infinity, then values. Every row is reported, worst
first. Only numpy is needed, so both kernels compare in the same way.
"""

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphcore.enumeration import listed
from graphcore.errors import ParityError
from graphcore.texts import as_bytes, is_text

TOLERANCE = 1e-4
"""The largest difference allowed, relative to the largest reference value."""

COARSE = {"float16": 8 * 2.0**-10, "bfloat16": 8 * 2.0**-7}
"""The tolerance is at least eight units in the last place of the dtype."""

_SEVERITY = ("missing", "unexpected", "shape", "dtype", "nan", "mismatch", "ok")


@dataclass(frozen=True)
class Row:
    """One compared tensor. `largest_difference` is absolute, `scale` is the largest |reference|."""

    name: str
    status: str
    largest_difference: float
    scale: float
    labels_agree: bool | None
    note: str = ""
    shows: bool = True
    """Whether anything was compared.

    Nothing was if the reference is empty or has no finite value.
    """
    tolerance: float = 0.0
    """The largest difference allowed, relative to the scale. It is larger for half floats."""

    @property
    def relative(self) -> float:
        """The largest difference, relative to the largest reference value."""
        if math.isnan(self.largest_difference):
            return math.nan
        return self.largest_difference / self.scale if self.scale else self.largest_difference


@dataclass(frozen=True)
class Report:
    """The result of a comparison: rows, worst first."""

    rows: tuple[Row, ...]
    tolerance: float
    title: str = ""

    @property
    def ok(self) -> bool:
        """True if every row agrees and there is at least one."""
        return bool(self.rows) and all(row.status == "ok" for row in self.rows)

    @property
    def shows(self) -> bool:
        """True if some row compared a value that is neither NaN nor infinite."""
        return any(row.shows for row in self.rows)

    @property
    def worst(self) -> float:
        """The largest relative difference, or NaN if something could not be compared."""
        return max((row.relative for row in self.rows), default=math.nan, key=_nan_last)

    def check(self) -> "Report":
        """Return self if everything agrees.

        Raises:
            ParityError: something differs. The message holds the worst rows.
        """
        if self.ok:
            return self
        if not self.rows:
            raise ParityError(
                f"{self.title or 'The outputs'}: nothing was compared, because there are no "
                "tensors."
            )
        bad = [row for row in self.rows if row.status != "ok"]
        lines = (f"{row.name}: {row.status} {row.note}".strip() for row in bad)
        worst = listed(lines, most=3, separator=". ")
        allowed = min((row.tolerance for row in bad if row.tolerance), default=self.tolerance)
        raise ParityError(
            f"{self.title or 'The outputs'}: {len(bad)} of {len(self.rows)} tensors differ from "
            f"the reference by more than {allowed:g} of its largest value. {worst}."
        )

    def to_json(self) -> dict:
        """Return the report as plain JSON data (NaN becomes null)."""
        rows = [
            {
                "name": row.name,
                "status": row.status,
                "largest_difference": _finite(row.largest_difference),
                "relative": _finite(row.relative),
                "tolerance": row.tolerance,
                "labels_agree": row.labels_agree,
                "note": row.note,
            }
            for row in self.rows
        ]
        return {"title": self.title, "tolerance": self.tolerance, "ok": self.ok, "rows": rows}

    def __repr__(self) -> str:
        """Return a fixed-width table."""
        width = max([len(row.name) for row in self.rows] + [6])
        lines = [f"{self.title or 'parity'}: {'ok' if self.ok else 'DIFFERS'}"]
        for row in self.rows:
            labels = {True: "labels identical", False: "LABELS DIFFER", None: ""}
            line = f"  {row.name:<{width}}  {row.status:<10} {row.largest_difference:9.2e}"
            line += f" ({row.relative:8.1e} of largest)  {labels[row.labels_agree]} {row.note}"
            lines.append(line.rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td style='text-align:left'>{html.escape(row.name)}</td><td>{row.status}</td>"
            f"<td>{row.largest_difference:.2e}</td><td>{row.relative:.1e}</td>"
            f"<td>{ {True: 'identical', False: 'DIFFER', None: '–'}[row.labels_agree] }</td>"
            f"<td style='text-align:left'>{html.escape(row.note)}</td></tr>"
            for row in self.rows
        )
        return (
            f"<table><caption>{html.escape(self.title)}</caption><thead><tr><th>tensor</th>"
            "<th>status</th><th>largest difference</th><th>of largest value</th><th>labels</th>"
            f"<th></th></tr></thead><tbody>{cells}</tbody></table>"
        )


def compare(
    expected: Mapping[str, np.ndarray],
    actual: Mapping[str, np.ndarray],
    *,
    tolerance: float = TOLERANCE,
    title: str = "",
    precisions: Mapping[str, str] | None = None,
) -> Report:
    """Compare arrays by name.

    Args:
        expected: the reference, name to array.
        actual: the arrays to judge, name to array.
        tolerance: the largest |difference| allowed, relative to the largest |reference| value. For
            float16 and bfloat16 it is at least the value in `COARSE`.
        title: what is compared, for the message and the table.
        precisions: name to the coarsest dtype that its values went through, such as "float16". The
            tolerance is then that of this dtype.
    """
    coarse = {name: COARSE.get(dtype, 0.0) for name, dtype in (precisions or {}).items()}
    rows = [
        _compare_one(name, expected[name], actual.get(name), tolerance, coarse.get(name, 0.0))
        for name in expected
    ]
    rows += [
        Row(name, "unexpected", math.nan, math.nan, None, "not in the reference")
        for name in actual
        if name not in expected
    ]
    rows.sort(key=lambda row: (_SEVERITY.index(row.status), -_nan_last(row.relative)))
    return Report(tuple(rows), tolerance, title)


def worst_sample(expected: np.ndarray, actual: np.ndarray) -> int:
    """Return the index on the first axis where two arrays of the same shape differ most."""
    if expected.ndim == 0 or expected.size == 0:
        return 0
    with np.errstate(invalid="ignore"):
        difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    worst = np.nan_to_num(difference, nan=np.inf).reshape(len(expected), -1).max(axis=1)
    return int(worst.argmax())


def label_agreement(expected: np.ndarray, actual: np.ndarray) -> tuple[int, int] | None:
    """Return (rows with the same largest class, rows), or None where there are no classes."""
    if _labels_agree(expected, actual) is None:
        return None
    return int((expected.argmax(axis=1) == actual.argmax(axis=1)).sum()), len(expected)


def _compare_one(name: str, expected: Any, actual: Any, tolerance: float, coarse: float) -> Row:
    if actual is None:
        return Row(name, "missing", math.nan, math.nan, None, "no such output")
    if is_text(expected) and is_text(actual):
        expected, actual = as_bytes(expected), as_bytes(actual)
    expected, actual = np.asarray(expected), np.asarray(actual)
    if expected.shape != actual.shape:
        note = f"expected {expected.shape}, got {actual.shape}"
        return Row(name, "shape", math.nan, math.nan, None, note)
    if expected.dtype != actual.dtype:
        note = f"expected {expected.dtype}, got {actual.dtype}"
        return Row(name, "dtype", math.nan, math.nan, None, note)
    if expected.size == 0:
        return Row(name, "ok", 0.0, 0.0, None, "empty", shows=False)
    coarse = max(coarse, COARSE.get(expected.dtype.name, 0.0))
    tolerance = max(tolerance, coarse)
    if expected.dtype.kind not in "fc" and expected.dtype.name not in COARSE:
        return _compare_exactly(name, expected, actual)
    exact = expected.astype(np.complex128 if np.iscomplexobj(expected) else np.float64)
    seen = actual.astype(exact.dtype)
    # Equal infinities, and NaNs in the same places, agree. Their difference would be NaN.
    same = (exact == seen) | (np.isnan(exact) & np.isnan(seen))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(seen - exact))
    finite = np.abs(exact[np.isfinite(exact)])
    scale = float(finite.max()) if finite.size else 0.0
    if not np.isfinite(difference).all():
        count = int((~np.isfinite(difference)).sum())
        note = f"{count} values are NaN or infinite"
        return Row(name, "nan", math.nan, scale, None, note, tolerance=tolerance)
    largest = float(difference.max())
    # A reference of zeros has no scale, so single precision noise is judged absolutely.
    good = largest <= tolerance * scale if scale else largest <= 1e-6
    labels = _labels_agree(exact, seen, slack=coarse * scale)
    where = np.unravel_index(int(difference.argmax()), difference.shape) if difference.ndim else ()
    note = "" if good else f"off by {largest:.3g} at {tuple(map(int, where))}"
    if labels is False:
        good, note = False, ", ".join(filter(None, [note, "labels differ"]))
    note = note or ("" if finite.size else "all values are NaN or infinite")
    status = "ok" if good else "mismatch"
    shows = bool(finite.size)
    return Row(name, status, largest, scale, labels, note, shows, tolerance)


def _compare_exactly(name: str, expected: np.ndarray, actual: np.ndarray) -> Row:
    """Compare integers, booleans or texts exactly.

    A label that is nearly right is wrong.
    """
    differs = np.asarray(expected != actual)
    if expected.dtype.kind in "iub":
        # Python's integers have neither unsigned wrap-around nor the 53 bits of a float.
        pairs = zip(expected[differs].tolist(), actual[differs].tolist(), strict=True)
        largest = float(max((abs(int(a) - int(b)) for a, b in pairs), default=0))
        scale = float(max(abs(int(expected.max())), abs(int(expected.min()))))
    else:
        largest, scale = float(differs.any()), 1.0
    if not differs.any():
        return Row(name, "ok", 0.0, scale, None)
    first = tuple(map(int, np.argwhere(differs)[0]))
    note = f"{int(differs.sum())} of {differs.size} values differ, the first at {first}"
    return Row(name, "mismatch", largest, scale, None, note)


def _labels_agree(expected: np.ndarray, actual: np.ndarray, *, slack: float = 0.0) -> bool | None:
    """Whether the largest class is the same in every row, or None where there are no classes.

    Two classes count as the same if their reference values differ by at most `slack`.
    """
    if expected.ndim != 2 or expected.shape[1] < 2 or np.iscomplexobj(expected):
        return None
    first, second = (each.argmax(axis=1) for each in (expected, actual))
    rows = np.arange(len(expected))
    with np.errstate(invalid="ignore"):
        near = expected[rows, first] - expected[rows, second] <= slack
    return bool(((first == second) | (near & (slack > 0))).all())


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
