"""BatchNormalization by the batch itself, as in standardised convolutions, at every opset."""

import numpy as np
import pytest

from graphcore.errors import ConversionError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse, seeded

TRAINS = {
    7: ("y, a, b1, c, d", "epsilon = 0.01"),
    9: ("y, a, b1, c, d", "epsilon = 0.01, momentum = 1.0"),
    14: ("y, a, b1", "epsilon = 0.01, training_mode = 1"),
    15: ("y, a, b1", "epsilon = 0.01, training_mode = 1, momentum = 0.3"),
}
WEIGHTS = {name: np.abs(seeded(3, seed=i)) + 0.1 for i, name in enumerate("sbmv")}


def normalised(x):
    axes = (0, *range(2, x.ndim))
    shape = [1, 3, *[1] * (x.ndim - 2)]
    scale, bias = (WEIGHTS[name].reshape(shape) for name in "sb")
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt(x.var(axes, keepdims=True) + 0.01) * scale + bias


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize("opset", TRAINS)
@pytest.mark.parametrize("dims", ["", ", L", ", H, W", ", 3, 2, 5"])
def test_the_statistics_of_the_batch_are_taken(dims, opset, target):
    outputs, options = TRAINS[opset]
    model = parse(
        f"g (float[N, 3{dims}] x) => (float[N, 3{dims}] y) "
        f"{{ {outputs} = BatchNormalization<{options}>(x, s, b, m, v) }}",
        opset=opset,
        **WEIGHTS,
    )
    made = convert.onnx2tf(model, None, target=target)
    assert made.proven
    for batch in (2, 5):
        x = seeded(batch, 3, *(3, 2, 5)[: dims.count(",")], seed=batch)
        seen = convert.run_conversion(made, {"x": x})
        compare({"y": normalised(x).astype("f")}, seen, tolerance=1e-5).check()


@pytest.mark.parametrize("opset", TRAINS)
def test_statistics_that_are_read_are_those_of_onnxruntime(opset):
    outputs, options = TRAINS[opset]
    names = outputs.split(", ")
    given = ", ".join(f"float[3] {name}" for name in names[1:])
    model = parse(
        f"g (float[N, 3, 4, 5] x) => (float[N, 3, 4, 5] y, {given}) "
        f"{{ {outputs} = BatchNormalization<{options}>(x, s, b, m, v) }}",
        opset=opset,
        **WEIGHTS,
    )
    made = convert.onnx2tf(model, None)
    fed = {"x": seeded(3, 3, 4, 5)}
    seen = convert.run_conversion(made, fed)
    compare(onnxgraph.run_onnx(model, fed), seen, tolerance=1e-5).check()


@pytest.mark.parametrize("opset", [9, 14])
def test_a_standardised_convolution_is_a_convolution_by_a_constant(opset):
    """The weights are the batch: nothing of the normalisation is left."""
    outputs, options = TRAINS[opset]
    model = parse(
        f"""g (float[N, 2, 6, 7] x) => (float[N, 3, P, Q] y) {{
            rows = Reshape(w, flat)
            {outputs.replace("y", "r")} = BatchNormalization<{options}>(rows, s, b, m, v)
            filters = Reshape(r, back)
            y = Conv(x, filters)
        }}""",
        opset=opset,
        w=seeded(3, 2, 3, 3),
        flat=np.array([1, 3, 18]),
        back=np.array([3, 2, 3, 3]),
        **WEIGHTS,
    )
    made = convert.onnx2tf(model, None, target="tf1.4")
    assert made.proven
    assert {node.op for node in made.graph_def.node} <= {
        *("Placeholder", "Const", "Transpose", "Conv2D", "Identity")
    }


def test_an_old_node_that_says_both_is_refused():
    model = parse(
        "g (float[N, 3, 4, 5] x) => (float[N, 3, 4, 5] y) "
        "{ y = BatchNormalization<is_test = 0>(x, s, b, m, v) }",
        opset=6,
        **WEIGHTS,
    )
    with pytest.raises(ConversionError, match=r"has is_test = 0.*set is_test to 1"):
        convert.onnx2tf(model, None)
    model.graph.node[0].attribute[0].i = 1  # as it says
    assert convert.onnx2tf(model, None).proven
