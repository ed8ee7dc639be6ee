"""Reductions, searches along an axis, softmaxes and sorting."""

import numpy as np
from hypothesis import strategies as st

from steps.step import FLOATS, Unfit, axis_of, pick, step

REDUCE = ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")

for _name in REDUCE:

    @step(f"Reduce{_name}")
    def reduce(draw, sketch, name=_name):
        """Add a reduction over drawn axes.

        The axes are an input from opset 18 on (for ReduceSum from 13 on).
        """
        dtypes = ("float32", "float64", "int32", "int64")
        x = pick(draw, sketch, dtypes[: 4 if name in ("Sum", "Max", "Min") else 2], least=1)
        if name in ("LogSum", "L2") and not x.exact:
            raise Unfit
        count = draw(st.integers(1, x.rank))
        axes = sorted(draw(st.permutations(range(x.rank)))[:count])
        keep = draw(st.sampled_from((1, 0)))
        shape = tuple(
            1 if number in axes else dim
            for number, dim in enumerate(x.shape)
            if keep or number not in axes
        )
        if draw(st.booleans()):
            axes = [axis - x.rank for axis in axes] if sketch.opset >= 11 else axes
        inputs, attributes = [x], {"keepdims": keep}
        if sketch.opset >= (13 if name == "Sum" else 18):
            inputs.append(sketch.ints(*axes))
        else:
            attributes["axes"] = axes
        exact = x.exact and (name in ("Max", "Min") or x.dtype[0] == "i")
        sketch.node(f"Reduce{name}", inputs, (x.dtype, shape, exact), **attributes)


@step("ArgMax", 12)
@step("ArgMin", 12)
def arg(draw, sketch):
    """Add an ArgMax or ArgMin that selects the first or the last of equal values."""
    x = pick(draw, sketch, ("float32", "int32"), least=1, exact=True)
    axis, written = axis_of(draw, x)
    keep, last = draw(st.sampled_from((1, 0))), draw(st.sampled_from((0, 1)))
    shape = x.shape[:axis] + (1,) * keep + x.shape[axis + 1 :]
    op = draw(st.sampled_from(("ArgMax", "ArgMin")))
    sketch.node(op, [x], ("int64", shape, True), axis=written, keepdims=keep,
                select_last_index=last)  # fmt: skip


@step("Softmax", 13)
@step("LogSoftmax", 13)
def softmax(draw, sketch):
    """Add a softmax along any axis."""
    x = pick(draw, sketch, FLOATS, least=1)
    _, written = axis_of(draw, x)
    op = draw(st.sampled_from(("Softmax", "LogSoftmax")))
    sketch.node(op, [x], (x.dtype, x.shape, False), axis=written)


@step("Softmax", 1, 12)
@step("Hardmax", 1, 12)
def old_softmax(draw, sketch):
    """Add a softmax over all axes from one on, as before opset 13."""
    x = pick(draw, sketch, ("float32",), least=1)
    axis, _ = axis_of(draw, x)
    op = draw(st.sampled_from(("Softmax", "Hardmax") if x.exact else ("Softmax",)))
    sketch.node(op, [x], (x.dtype, x.shape, op == "Hardmax"), axis=axis)


@step("Hardmax", 13)
def hardmax(draw, sketch):
    """Add a Hardmax, which gives 1 for the first of the largest values."""
    x = pick(draw, sketch, ("float32",), least=1, exact=True)
    _, written = axis_of(draw, x)
    sketch.node("Hardmax", [x], (x.dtype, x.shape, True), axis=written)


@step("TopK", 11)
def top_k(draw, sketch):
    """Add a TopK of the largest or the smallest.

    Of equal values, the one with the lowest index comes first.
    """
    x = pick(draw, sketch, ("float32", "int64", "int32"), least=1, exact=True)
    axis, written = axis_of(draw, x, fixed=True)
    k = draw(st.integers(1, x.shape[axis]))
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    sketch.node(
        "TopK",
        [x, sketch.ints(k)],
        (x.dtype, shape, True),
        ("int64", shape, True),
        axis=written,
        largest=draw(st.sampled_from((1, 0))),
    )


@step("CumSum", 11)
def cum_sum(draw, sketch):
    """Add a CumSum, forward or backward, with or without the element itself."""
    x = pick(draw, sketch, ("float32", "int32", "int64"), least=1)
    _, written = axis_of(draw, x)
    axis = sketch.weight(np.array(written, np.int64))
    flags = {n: draw(st.sampled_from((0, 1))) for n in ("exclusive", "reverse")}
    exact = x.exact and x.dtype[0] == "i"
    sketch.node("CumSum", [x, axis], (x.dtype, x.shape, exact), **flags)
