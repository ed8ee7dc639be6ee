"""Which inputs carry the batch, and along which axis: the caller states it, or the proof shows it.

An input carries the batch if the model can take a separate value for each row. So every way to
carry the batch is a hypothesis for the proof. Ways with first axes and with the most inputs come
first. If two ways are proven, the code does not guess: it raises an error that names both.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx

from graphcore.errors import GraphError, unknown_name
from onnxgraph.examples.reference import batch_inputs
from onnxgraph.model import interface
from onnxgraph.sizing.batch_shapes import Axes

MOST = 24
"""At most this many ways are tried for one size of the batch."""


@dataclass(frozen=True)
class Way:
    """The inputs that carry the batch, with its axis in each, and its fixed size (0: symbolic).

    `undecided` lists the inputs that could carry the batch but do not, so all rows would share
    them.
    """

    axes: Axes
    batch: int
    undecided: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the way in the form in which a caller states it."""
        return "axes=" + repr(dict(self.axes))


def stated(model: onnx.ModelProto, axes: Mapping[str, int]) -> Way:
    """Return the way that a caller states, with every input whose batch is symbolic added to it.

    Raises:
        UnknownName: the model has no such input.
        GraphError: an input has no such axis, or the sizes on these axes differ.
    """
    specs = {spec.name: spec for spec in interface.inputs(model)}
    for name, axis in axes.items():
        if name not in specs:
            raise unknown_name("input", name, specs)
        if not 0 <= axis < len(specs[name].shape):
            raise GraphError(
                f"The input {specs[name]} has no axis {axis}; its axes are 0 to "
                f"{len(specs[name].shape) - 1}."
            )
    if not axes:
        raise GraphError("axes must name one input at least, as in axes={'images': 0}.")
    every = dict.fromkeys(batch_inputs(model), 0) | dict(axes)
    sizes = {name: specs[name].shape[axis] for name, axis in every.items()}
    fixed = {name: size for name, size in sizes.items() if isinstance(size, int)}
    if len(set(fixed.values())) > 1:
        listed = ", ".join(
            f"{name!r} has {size} at axis {every[name]}" for name, size in fixed.items()
        )
        raise GraphError(f"The batch must be one size in all inputs, but {listed}; correct axes.")
    return Way(every, int(next(iter(fixed.values()), 0)))


def sizes(model: onnx.ModelProto) -> list[int]:
    """Return the fixed sizes of first axes, in order. Any of them may be the batch."""
    firsts = (spec.shape[0] for spec in interface.inputs(model) if spec.shape)
    return list(dict.fromkeys(dim for dim in firsts if isinstance(dim, int)))


def ways(model: onnx.ModelProto, batch: int) -> Iterator[list[Way]]:
    """Yield the ways in which inputs can carry a batch of that size, the most likely ones first.

    All ways in one list have the same number of inputs. Inputs of one shape and dtype are treated
    alike.
    """
    groups: dict[tuple, list[str]] = {}
    for spec in interface.inputs(model):
        groups.setdefault((spec.dtype, spec.shape), []).append(spec.name)
    open_ = {key: names for key, names in groups.items() if batch in key[1]}
    choices = [[*_axes(shape, batch), None] for _, shape in open_]
    found = []
    for chosen in itertools.islice(itertools.product(*choices), 4096):
        pairs = list(zip(open_.values(), chosen, strict=True))
        axes = {name: axis for names, axis in pairs if axis is not None for name in names}
        rest = tuple(name for names, axis in pairs if axis is None for name in names)
        if 0 in axes.values():  # the batch is the first axis of at least one input
            found.append(Way(axes, batch, rest))
    found.sort(key=lambda way: (-len(way.axes), sum(way.axes.values())))
    for _, tier in itertools.groupby(found[:MOST], key=lambda way: len(way.axes)):
        yield list(tier)


def question(model: onnx.ModelProto, found: Sequence[Way]) -> GraphError:
    """Return the refusal that asks the caller to choose one of several ways."""
    listed = " or ".join(str(way) for way in found)
    shown = ", ".join(str(spec) for spec in interface.inputs(model))
    return GraphError(
        f"It is not certain which inputs carry the batch ({shown}): the model can be given one in "
        f"{len(found)} ways. Say which is meant: {listed}."
    )


def _axes(shape: tuple, batch: int) -> list[int]:
    return [axis for axis, dim in enumerate(shape) if dim == batch]
