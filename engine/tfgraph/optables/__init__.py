"""What each TensorFlow supports: its ops, their attributes, and the values of the attributes.

Each release writes its own JSON files: `make optables` runs `dump.py` and `dump_kernels.py` in each
legacy runtime, and `dump_forms.py` in all runtimes. The ops of the current TensorFlow are read from
it directly.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from graphcore.targets import NAMES as TARGETS
from graphcore.targets import NEWEST, Target, chosen
from tfgraph import framework
from tfgraph.optables.dump import attributes

__all__ = ["TARGETS", "OpTable", "chosen", "first_with", "table"]

_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
"""Ops that call Python functions of one process. No file holds these, so no target knows them."""


@dataclass(frozen=True)
class OpTable:
    """The ops of one release.

    `ops` maps an op to its attributes, and each attribute to its allowed values, where None allows
    any. `no_kernel` maps an op and an attribute to the types for which the op is registered but
    cannot be run on the CPU. `forms` maps ops with their features and followers ("Conv2D with
    groups, BiasAdd") to the types for which this or a newer release cannot compute them together.
    `producer` is the release's GraphDef version.
    """

    target: Target
    version: str
    producer: int
    ops: Mapping[str, Mapping[str, list[str] | None]]
    no_kernel: Mapping[str, Mapping[str, list[str]]]
    forms: Mapping[str, list[str]]


@functools.cache
def table(target: str) -> OpTable:
    """Return the table of a target.

    Raises:
        UnknownName: the target does not exist.
    """
    wanted = Target.named(target)
    if wanted == NEWEST:
        return _current()
    known, kernels = _read(f"{target}.json"), _read(f"{target}.kernels.json")
    return OpTable(target=wanted, no_kernel=kernels, forms=_forms(wanted), **known)


def first_with(op: str) -> str | None:
    """Return the oldest target that knows `op`, or None."""
    return next((target for target in TARGETS if op in table(target).ops), None)


def _current() -> OpTable:
    tf = framework.tensorflow()
    producer = tf.compat.v1.GRAPH_DEF_VERSION
    return OpTable(NEWEST, tf.__version__, producer, _Registered(), {}, _forms(NEWEST))


def _forms(target: Target) -> dict[str, list[str]]:
    """Return the forms that a target or a newer one cannot compute, because all load its graphs."""
    found: dict[str, set[str]] = {}
    for each in target.and_newer():
        for form, types in _read(f"{each}.forms.json").items():
            found.setdefault(form, set()).update(types)
    return {form: sorted(types) for form, types in found.items()}


def _read(name: str) -> dict[str, Any]:
    return json.loads(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))


class _Registered(Mapping[str, Mapping[str, list[str] | None]]):
    """The ops of this TensorFlow. Each one is looked up when it is first needed."""

    def __getitem__(self, op: str) -> Mapping[str, list[str] | None]:
        return _registered(op)

    def __iter__(self) -> Iterator[str]:
        from tensorflow.core.framework import op_def_pb2
        from tensorflow.python.client import pywrap_tf_session as c_api

        ops = op_def_pb2.OpList.FromString(c_api.TF_GetBuffer(c_api.TF_GetAllOpList()))
        return (op.name for op in ops.op if op.name not in _PYTHON)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@functools.cache
def _registered(op: str) -> Mapping[str, list[str] | None]:
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    if definition is None or op.startswith("_") or op in _PYTHON:  # "_": internal to TensorFlow
        raise KeyError(op)
    return attributes(definition)
