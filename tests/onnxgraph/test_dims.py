import ml_dtypes
import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError, ParityError, UnknownName
from nbhelpers import onnxgraph

NETWORK = """
    g (float[batch, 4, height, width] x) => (float[n, 2, h, w] y)
    <int64[5] split = {0, 2, 2, -1, 6}, int64[1] first = {0}, int64[1] minus = {-1}> {
        s = Shape(x)
        n = Gather<axis = 0>(s, first)
        t = Concat<axis = 0>(n, minus)
        flat = Reshape(x, t)
        back = Reshape(flat, s)
        m = ReduceMax<axes = [1], keepdims = 1>(back)
        y = Concat<axis = 1>(m, m)
    }
"""


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ({"batch": 2, "height": 5, "width": 7}, (2, 4, 5, 7)),
        ({"height": 5, "width": 7}, ("batch", 4, 5, 7)),
        ({"batch": 3}, (3, 4, "height", "width")),
    ],
    ids=str,
)
def test_symbols_become_sizes(graph, values, sizes, shape):
    model = graph(NETWORK)
    before = model.SerializeToString()
    result = onnxgraph.fix_dims(model, sizes)
    assert model.SerializeToString() == before
    assert onnxgraph.inputs(result.model)[0].shape == shape
    x = values(*[dim if isinstance(dim, int) else 6 for dim in shape])
    expected = onnxgraph.run_onnx(model, {"x": x})["y"]
    np.testing.assert_array_equal(onnxgraph.run_onnx(result.model, {"x": x})["y"], expected)
    assert all(report.ok for report in result.reports)
    assert len(result.changes) == len(sizes)
    if len(sizes) == 3:
        assert onnxgraph.outputs(result.model)[0].shape == (2, 2, 5, 7)
        with pytest.raises(GraphError, match=r"must have the shape \(2, 4, 5, 7\)"):
            onnxgraph.run_onnx(result.model, {"x": values(1, 4, 5, 7)})


def test_a_batch_made_dynamic_and_fixed_again_is_what_it_was(graph, values):
    model = graph(
        """g (float[2, 3, 4] x) => (float[2, 12] y) <int64[2] t = {2, 12}> { y = Reshape(x, t) }"""
    )
    there = onnxgraph.make_batch_dynamic(model, symbol="N").model
    back = onnxgraph.fix_dims(there, {"N": 2})
    assert onnxgraph.outputs(back.model) == onnxgraph.outputs(model)
    assert onnxgraph.inputs(back.model) == onnxgraph.inputs(model)
    onnxgraph.same(model, back.model)


def test_symbols_that_are_not_there_and_sizes_that_are_none(graph):
    model = graph(NETWORK)
    with pytest.raises(UnknownName, match=r"no symbolic dim named 'heights'.* 'height'"):
        onnxgraph.fix_dims(model, {"heights": 5})
    with pytest.raises(GraphError, match="'width' must be 1 or more, but 0"):
        onnxgraph.fix_dims(model, {"width": 0})


def test_sizes_that_the_model_cannot_have_are_refused(graph):
    model = graph("g (float[batch, w] x, float[batch, 3] z) => (float[batch, 3] y) {y = Add(x, z)}")
    with pytest.raises(GraphError, match="do not fit together"):
        onnxgraph.fix_dims(model, {"w": 5})


FIXED = {  # what a network of an 8 × 6 picture says, and how it reads at any size
    "heads of a detector": (
        """g (float[1, 6, 8, 6] x) => (float[1, 96, 3] y)
        <int64[5] split = {1, 2, 3, 8, 6}, int64[3] flat = {1, 96, 3}> {
            a = Reshape(x, split)
            b = Transpose<perm = [0, 1, 3, 4, 2]>(a)
            y = Reshape(b, flat)
        }""",
        lambda x: (
            x.reshape(len(x), 2, 3, *x.shape[2:])
            .transpose(0, 1, 3, 4, 2)
            .reshape(len(x), x.shape[2] * x.shape[3] * 2, 3)
        ),
    ),
    "channels behind": (
        """g (float[1, 8, 6, 4] x) => (float[1, 96, 2] y) <int64[3] flat = {1, 96, 2}> {
            y = Reshape(x, flat)
        }""",
        lambda x: x.reshape(len(x), -1, 2),
    ),
    "shuffled": (
        """g (float[batch, 4, 8, 6] x) => (float[batch, 4, 8, 6] y)
        <int64[5] split = {-1, 2, 2, 8, 6}, int64[4] back = {-1, 4, 8, 6}> {
            a = Reshape(x, split)
            b = Transpose<perm = [0, 2, 1, 3, 4]>(a)
            y = Reshape(b, back)
        }""",
        lambda x: (
            x.reshape(len(x), 2, 2, *x.shape[2:])
            .transpose(0, 2, 1, 3, 4)
            .reshape(len(x), 4, *x.shape[2:])
        ),
    ),
}


@pytest.mark.parametrize("name", FIXED)
def test_sizes_become_symbols(graph, values, name):
    text, wanted = FIXED[name]
    model = graph(text)
    spatial = {1: "height", 2: "width"} if "behind" in name else {2: "height", 3: "width"}
    result = onnxgraph.free_dims(model, {"x": spatial})
    (spec,) = onnxgraph.inputs(result.model)
    assert [spec.shape[axis] for axis in spatial] == ["height", "width"]
    assert "nothing to compare with" in repr(result)
    for size in ((8, 6), (5, 7), (1, 9)):
        shape = [1 if isinstance(dim, str) else dim for dim in spec.shape]
        for axis, each in zip(spatial, size, strict=True):
            shape[axis] = each
        x = values(*shape)
        seen = onnxgraph.run_onnx(result.model, {"x": x})["y"]
        np.testing.assert_array_equal(seen, wanted(x))


def test_every_node_that_holds_a_size_is_named(graph):
    model = graph(
        """
        g (float[1, 2, 8, 8] x) => (float[1, 4, 4] a, float[1, 2, 1, 1] b, float[1, 2, 4, 8] c,
                                    float[1, 2, 16, 16] d, float[1, 5] e, float[1, 2, 8, 8] f)
        <int64[3] split = {1, 4, 32}, int64[1] zero = {0}, int64[1] four = {4}, int64[1] two = {2},
         float[0] none = {}, int64[4] sizes = {1, 2, 16, 16}, float[128, 5] w, int64[8] rows =
         {7, 6, 5, 4, 3, 2, 1, 0}, float[8] row = {1., 2., 3., 4., 5., 6., 7., 8.}> {
            [windows] a = Reshape(x, split)
            [whole] b = AveragePool<kernel_shape = [8, 8]>(x)
            [crop] c = Slice(x, zero, four, two)
            [larger] d = Resize<mode = "nearest">(x, none, none, sizes)
            flat = Flatten(x)
            [head] e = Gemm(flat, w)
            [turned] g = Gather<axis = 2>(x, rows)
            [weighted] f = Add(x, row)
        }
        """.replace(
            "float[128, 5] w", "float[128, 5] w = {" + ", ".join(["1."] * 640) + "}"
        ).replace("float[1, 4, 4] a", "float[1, 4, 32] a")
    )
    with pytest.raises(GraphError, match="because of 7 nodes") as refusal:
        onnxgraph.free_dims(model, {"x": {2: "h", 3: "w"}})
    for words in (
        "Reshape 'windows' splits 2 × 8 × 8 into 4 × 32",
        "AveragePool 'whole' has a window of 8 × 8, all that there is",
        "Slice 'crop' ends at 4 on axis 2",
        "Resize 'larger' resizes to the fixed sizes [1, 2, 16, 16]",
        "Gemm 'head' takes the size of the file only",
        "Gather 'turned' picks fixed places of axis 2",
        "Add 'weighted' takes the size of the file only",
    ):
        assert words in str(refusal.value)


def halves(graph, size):
    half = size // 2
    return graph(
        f"""g (float[1, 1, {size}, 8] x) => (float[1, 1, {half}, 8] a, float[1, 1, {half}, 8] b,
                                             float[1, 1, 2, 8] c)
        <int64[1] half = {{{half}}}, int64[1] minus = {{-{half}}}, int64[1] zero = {{0}},
         int64[1] far = {{9223372036854775807}}, int64[1] two = {{2}}> {{
            [lower] a = Slice(x, half, far, two)
            [upper] b = Slice(x, zero, minus, two)
            [adaptive] c = AveragePool<kernel_shape = [{half}, 1], strides = [{half}, 1]>(x)
        }}"""
    )


def test_a_share_of_a_size_is_named_and_small_numbers_are_not(graph, values):
    axes = {"x": {2: "h"}}
    with pytest.raises(GraphError, match="because of 3 nodes") as refusal:
        onnxgraph.free_dims(halves(graph, 32), axes)
    for words in (
        "Slice 'lower' starts at 16 on axis 2, which has 32",
        "Slice 'upper' ends at -16 on axis 2, which has 32",
        "AveragePool 'adaptive' has a window of 16 × 1 at strides [16, 1], a large share of 32",
    ):
        assert words in str(refusal.value)
    with pytest.raises(ParityError, match="differ"):
        onnxgraph.free_dims(halves(graph, 32), axes, references=[halves(graph, 64)])
    ordinary = graph(
        """g (float[1, 1, 32, 8] x) => (float[1, 1, h, 8] y)
        <int64[1] one = {1}, int64[1] minus = {-1}, int64[1] two = {2}> {
            a = Slice(x, one, minus, two)
            b = MaxPool<kernel_shape = [2, 1], strides = [2, 1]>(a)
            y = MaxPool<kernel_shape = [7, 1], pads = [3, 0, 3, 0]>(b)
        }"""
    )
    result = onnxgraph.free_dims(ordinary, axes)
    for height in (32, 17):
        x = values(1, 1, height, 8)
        rows = x[:, :, 1:-1][:, :, : (height - 2) // 2 * 2]
        pairs = rows.reshape(1, 1, -1, 2, 8).max(axis=3)
        wide = np.pad(pairs, [(0, 0), (0, 0), (3, 3), (0, 0)], constant_values=-np.inf)
        expected = np.lib.stride_tricks.sliding_window_view(wide, 7, axis=2).max(axis=-1)
        np.testing.assert_array_equal(onnxgraph.run_onnx(result.model, {"x": x})["y"], expected)
    old = graph(
        "g (float[1, 8] x) => (float[1, 4] y) { y = Slice<starts = [4], ends = [99999999999], "
        "axes = [1]>(x) }",
        opset=9,
    )
    with pytest.raises(GraphError, match="starts at 4 on axis 1, which has 8"):
        onnxgraph.free_dims(old, {"x": {1: "w"}})


def test_a_resize_is_believed_if_another_export_agrees(graph, values):
    def export(size, to):
        return graph(
            f"""g (float[1, 1, {size}, 4] x) => (float[1, 1, {to}, 8] y)
            <float[0] none = {{}}, int64[4] sizes = {{1, 1, {to}, 8}}> {{
                y = Resize<mode = "nearest">(x, none, none, sizes)
            }}"""
        )

    axes = {"x": {2: "h"}}
    with pytest.raises(GraphError, match="resizes to the fixed sizes"):
        onnxgraph.free_dims(export(4, 8), axes)
    result = onnxgraph.free_dims(export(4, 8), axes, references=[export(5, 10)])
    assert "sizes [1, 1, 8, 8] → scales [1.0, 1.0, 2.0, 2.0]" in repr(result)
    x = values(1, 1, 7, 4)
    seen = onnxgraph.run_onnx(result.model, {"x": x})["y"]
    np.testing.assert_array_equal(seen, x.repeat(2, axis=2).repeat(2, axis=3))
    with pytest.raises(ParityError, match=r"expected \(1, 1, 8, 8\), got \(1, 1, 12, 8\)"):
        onnxgraph.free_dims(export(4, 8), axes, references=[export(6, 8)])


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"x": {0: "n"}}, "make_batch_dynamic is for axis 0"),
        ({"x": {2: "h"}}, "must be between 1 and 1"),
        ({"x": {1: "h"}}, "is symbolic already"),
    ],
)
def test_axes_that_cannot_be_freed(graph, axes, words):
    model = graph("g (float[1, w] x) => (float[1, w] y) { y = Relu(x) }")
    with pytest.raises(GraphError, match=words):
        onnxgraph.free_dims(model, axes)
    with pytest.raises(UnknownName, match="no input named 'X'"):
        onnxgraph.free_dims(model, {"X": {1: "w"}})


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.float16])
def test_weights_that_numpy_has_no_type_for_are_followed(values, dtype):
    weight = onnx.numpy_helper.from_array(np.full((1, 1), 1.5, dtype), "w")
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 20]>
        g (float[1, 4] x) => (float[1, 4] y) { c = Cast<to = 1>(w) y = Add(x, c) }"""
    )
    model.graph.initializer.append(weight)
    onnx.checker.check_model(model)
    assert onnxgraph.cost(model).parameters == 1
    wide = onnxgraph.free_dims(model, {"x": {1: "w"}}).model
    for result, shape in ((onnxgraph.make_batch_dynamic(model).model, (3, 4)), (wide, (1, 7))):
        x = values(*shape)
        np.testing.assert_array_equal(onnxgraph.run_onnx(result, {"x": x})["y"], x + 1.5)


def test_text_beside_the_numbers_is_left_alone(graph, values):
    model = graph(
        """g (float[1, 4] x) => (float[1, 4] y, string[1] z) {
            text = Constant<value_strings = ["said"]>()
            z = Identity(text)
            y = Relu(x)
        }"""
    )
    assert onnxgraph.cost(model).parameters == 0
    for batch in (1, 3):
        seen = onnxgraph.run_onnx(
            onnxgraph.make_batch_dynamic(model).model, {"x": values(batch, 4)}
        )
        assert seen["y"].shape == (batch, 4)
        assert list(seen["z"].ravel()) == ["said"] * len(seen["z"])
