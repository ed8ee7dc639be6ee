"""Strings: look them up in hash tables, and make them from numbers.

LabelEncoder finds the index of a key in a table, and Gather takes the value at that index.
"""

import numpy as np

from tfgraph.toonnx.handlers.writer import FLOAT, INT32, INT64, ML, SMALL, STRING, Writer, handler

_KINDS: dict[int, str] = {STRING: "strings", INT64: "int64s", FLOAT: "floats"}
"""ONNX dtype → LabelEncoder's name for keys of that dtype."""


@handler("LookupTableFindV2", "LookupTableFind")
def find(write: Writer) -> str:
    """Return the value of each key, or the default, which is appended to the values."""
    _, keys, default = write.inputs[:3]
    table = write.table()
    held = INT64 if write.dtype(1) in {INT32, *SMALL} else write.dtype(1)
    if held not in _KINDS:
        raise ValueError("ONNX looks up texts, integers and float32")
    places = write.add(
        "LabelEncoder",
        write.cast(keys, held),
        domain=ML,
        **{f"keys_{_KINDS[held]}": _plain(table.keys)},
        values_int64s=list(range(len(table.keys))),
        default_int64=len(table.keys),
    )
    dtype = write.output_dtype()
    last = write.add("Reshape", default, write.constant([1], INT64))
    values = write.add("Concat", write.constant(_texts(table.values), dtype), last, axis=0)
    return write.add("Gather", values, places, axis=0)


@handler("LookupTableSizeV2", "LookupTableSize")
def size(write: Writer) -> str:
    """Return the number of keys."""
    return write.constant(len(write.table().keys), INT64)


@handler("AsString")
def as_text(write: Writer) -> str:
    """Write integers as strings. Refuse other numbers, because ONNX formats them differently."""
    plain = write.attribute("width", -1) <= 0 and not write.attribute("fill", "")
    if write.dtype() not in {INT32, INT64, *SMALL} or not plain:
        raise ValueError("ONNX writes numbers as text in other ways, except plain integers")
    return write.add("Cast", write.inputs[0], to=STRING)


def _texts(values: np.ndarray) -> np.ndarray:
    """Return bytes as strings, and numbers unchanged."""
    if values.dtype.kind not in "OSU":
        return values
    return np.array([_text(each) for each in values.ravel()], object).reshape(values.shape)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError("the table holds texts that are not UTF-8") from None
    return str(value)


def _plain(values: np.ndarray) -> list:
    return _texts(values).ravel().tolist()
