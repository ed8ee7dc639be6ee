import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError
from nbhelpers import onnxgraph

FIXED = {
    "a view": """
        g (float[1, 3, 2, 2] x) => (float[1, 12] y) <int64[2] t = {1, -1}> { y = Reshape(x, t) }
    """,
    "channels shuffled": """
        g (float[1, 6, 2, 2] x) => (float[1, 6, 2, 2] y)
        <int64[5] t = {1, 2, 3, 2, 2}, int64[4] back = {1, 6, 2, 2}> {
            a = Reshape(x, t)
            b = Transpose<perm = [0, 2, 1, 3, 4]>(a)
            y = Reshape(b, back)
        }
    """,
    "rows merged and split": """
        g (float[1, 3, 4] x) => (float[1, 3, 2] y)
        <int64[2] t = {3, 4}, float[4, 2] w = {1., 2., 3., 4., 5., 6., 7., 8.},
         int64[3] back = {1, 3, 2}> {
            a = Reshape(x, t)
            b = MatMul(a, w)
            y = Reshape(b, back)
        }
    """,
    "time first": """
        g (float[1, 3, 4] x) => (float[1, 3, 4] y)
        <int64[2] t = {3, 4}, float[4, 4] w = {1., 2., 3., 4., 5., 6., 7., 8., 1., 2., 3., 4., 5.,
         6., 7., 9.}, int64[3] back = {3, 1, 4}, int64[3] heads = {3, 2, 2}> {
            a = Transpose<perm = [1, 0, 2]>(x)
            h = Reshape(a, heads)
            n = Relu(h)
            b = Reshape(n, t)
            c = MatMul(b, w)
            d = Reshape(c, back)
            y = Transpose<perm = [1, 0, 2]>(d)
        }
    """,
    "zeros before": """
        g (float[1, 2, 3] x) => (float[1, 4, 3] y)
        <float[1, 2, 3] z = {0., 0., 0., 0., 0., 0.}> { y = Concat<axis = 1>(z, x) }
    """,
    "zeros around two": """
        g (float[1, 1, 2] x) => (float[1, 4, 2] y) <float[1, 1, 2] z = {0., 0.}> {
            a = Relu(x)
            y = Concat<axis = -2>(z, x, a, z)
        }
    """,
    "a class token": """
        g (float[1, 2, 3] x) => (float[1, 3, 3] y)
        <float[1, 1, 3] token = {1., 2., 3.}> { y = Concat<axis = 1>(token, x) }
    """,
    "sizes of a resize": """
        g (float[1, 1, 2, 2] x) => (float[1, 1, 4, 6] y)
        <float[0] none = {}, int64[4] sizes = {1, 1, 4, 6}> {
            y = Resize<mode = "linear">(x, none, none, sizes)
        }
    """,
    "odd sizes of a resize": """
        g (float[1, 1, 3, 3] x) => (float[1, 1, 5, 7] y)
        <float[0] none = {}, int64[4] sizes = {1, 1, 5, 7}> {
            y = Resize<mode = "nearest">(x, none, none, sizes)
        }
    """,
    "the whole batch sliced": """
        g (float[1, 3] x) => (float[1, 3] y)
        <int64[1] begin = {0}, int64[1] end = {1}> { y = Slice(x, begin, end, begin) }
    """,
    "the whole batch gathered": """
        g (float[1, 3] x) => (float[1, 3] y) <int64[1] i = {0}> { y = Gather<axis = 0>(x, i) }
    """,
    "picked from values laid flat": """
        g (float[1, 3, 2] x) => (float[1, 2, 2] y)
        <int64[1] flat = {-1}, int64[1, 2, 2] i = {5, 0, 3, 3}> {
            a = Reshape(x, flat)
            y = Gather<axis = 0>(a, i)
        }
    """,
    "picked by row number": """
        g (float[1, 3, 2] x) => (float[1, 2] y)
        <int64[1, 1] row = {0}, float one = {1.0}, int64[2] column = {1, 1}> {
            a = ReduceMax<axes = [1, 2], keepdims = 0>(x)
            b = Greater(a, one)
            c = Cast<to = 7>(b)
            d = Reshape(c, column)
            e = Concat<axis = 1>(row, d)
            y = GatherND(x, e)
        }
    """,
    "a constant tiled, numbers counted, ones of a shape": """
        g (float[1, 4] x) => (float[1, 11] y)
        <float[1, 1] c = {2.0}, int64[2] twice = {1, 2}, int64 zero = {0}, int64 three = {3},
         int64 one = {1}, int64[2] row = {1, -1}, int64[2] ones = {1, 2}> {
            a = Tile(c, twice)
            b = Range(zero, three, one)
            d = Cast<to = 1>(b)
            e = Reshape(d, row)
            f = ConstantOfShape<value = float[1] {1.0}>(ones)
            y = Concat<axis = 1>(a, x, e, f)
        }
    """,
    "a target computed from constants": """
        g (float[1, 2, 3] x) => (float[1, 3, 3] y)
        <float[1, 1, 3] token = {1., 2., 3.}, int64[3] as = {1, -1, -1}, int64[1] n = {3},
         int64 minus = {-1}> {
            ones = ConstantOfShape<value = int64[1] {1}>(n)
            low = Mul(ones, minus)
            keep = Equal(as, low)
            target = Where(keep, ones, as)
            wide = Expand(token, target)
            y = Concat<axis = 1>(wide, x)
        }
    """,
    "a mask over windows": """
        g (float[1, 4, 2] x) => (float[1, 2, 2, 2] y)
        <int64[3] windows = {2, 2, 2}, float[2, 2, 1] mask = {1., 2., 3., 4.},
         int64[4] back = {1, 2, 2, 2}> {
            a = Reshape(x, windows)
            b = Add(a, mask)
            y = Reshape(b, back)
        }
    """,
    "elements chosen": """
        g (float[1, 3] x) => (float[1, 2] y)
        <int64[1, 2] i = {2, 0}> { y = GatherElements<axis = 1>(x, i) }
    """,
    "all in one row": """
        g (float[1, 3, 2] x) => (float[1, 6] y) { y = Flatten<axis = 0>(x) }
    """,
    "a branch": """
        g (float[1, 3] x) => (float[1, 3] y) <bool c = {1}> {
            y = If(c)<then_branch = t () => (float[1, 3] a) { a = Relu(x) },
                      else_branch = e () => (float[1, 3] b) { b = Neg(x) }>
        }
    """,
    "a loop": """
        g (float[1, 3] x) => (float[1, 3] y) <int64 n = {2}, bool c = {1}> {
            y = Loop(n, c, x)<body = b (int64 i, bool go, float[1, 3] s) =>
                (bool on, float[1, 3] t) { on = Identity(go) t = Add(s, s) }>
        }
    """,
    "a constant target of an expand": """
        g (float[1, 1, 3] x) => (float[1, 2, 3] y) <int64[3] t = {1, 2, 3}> { y = Expand(x, t) }
    """,
}


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("opset", [11, 13])
def test_each_row_is_what_the_original_gives_for_it(graph, values, name, opset):
    model = graph(FIXED[name], opset=opset)
    before = model.SerializeToString()
    result = onnxgraph.make_batch_dynamic(model, symbol="N")
    assert model.SerializeToString() == before
    shapes = [
        spec.shape for spec in (*onnxgraph.inputs(result.model), *onnxgraph.outputs(result.model))
    ]
    assert all(shape[0] == "N" for shape in shapes)
    assert all(isinstance(dim, int) for shape in shapes for dim in shape[1:])
    x = values(7, *onnxgraph.inputs(model)[0].shape[1:])
    seen = onnxgraph.run_onnx(result.model, {"x": x})["y"]
    alone = [onnxgraph.run_onnx(model, {"x": row[None]})["y"] for row in x]
    np.testing.assert_allclose(seen, np.concatenate(alone), rtol=1e-6)


@pytest.mark.parametrize("name", ["a view", "zeros before", "sizes of a resize", "time first"])
def test_no_shape_op_is_left_where_none_is_needed(graph, name):
    result = onnxgraph.make_batch_dynamic(graph(FIXED[name]))
    assert "Shape" not in onnxgraph.op_histogram(result.model)


def test_zeros_become_a_pad(graph):
    result = onnxgraph.make_batch_dynamic(graph(FIXED["zeros around two"]))
    assert onnxgraph.op_histogram(result.model) == {"Concat": 1, "Pad": 1, "Relu": 1}
    assert "zeros on axis 1 → Pad by 1 and 1" in repr(result)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("zero", [True, False])
def test_large_constants_that_are_nodes(graph, values, batch, zero):
    model = graph(
        f"""g (float[{batch}, 1, 70, 70] x) => (float[{batch}, 2, 70, 70] y)
        {{ c = Constant<value = float[1] {{0.0}}>() y = Concat<axis = 1>(x, c) }}"""
    )
    row = np.zeros((1, 1, 70, 70), np.float32) if zero else values(1, 1, 70, 70, seed=1)
    whole = onnx.numpy_helper.from_array(np.concatenate([row] * batch))
    model.graph.node[0].attribute[0].t.CopyFrom(whole)
    result = onnxgraph.make_batch_dynamic(model)
    assert ("Pad" in onnxgraph.op_histogram(result.model)) == zero
    x = values(3, 1, 70, 70)
    expected = np.concatenate([x, np.concatenate([row] * 3)], axis=1)
    np.testing.assert_array_equal(onnxgraph.run_onnx(result.model, {"x": x})["y"], expected)


def test_zeros_become_a_pad_in_an_old_opset_too(graph, values):
    model = graph(FIXED["zeros before"], opset=9)
    result = onnxgraph.make_batch_dynamic(model)
    x = values(4, 2, 3)
    expected = np.concatenate([np.zeros_like(x), x], axis=1)
    np.testing.assert_array_equal(onnxgraph.run_onnx(result.model, {"x": x})["y"], expected)


def test_an_output_of_constants_is_there_for_each_row(graph, values):
    model = graph(
        """g (float[1, 2] x) => (float[1, 2] y, float[1, 2, 2] anchors)
        <float[1, 2, 2] c = {1., 2., 3., 4.}> { y = Relu(x) anchors = Identity(c) }"""
    )
    result = onnxgraph.make_batch_dynamic(model)
    assert [spec.shape for spec in onnxgraph.outputs(result.model)] == [
        ("batch", 2),
        ("batch", 2, 2),
    ]
    anchors = onnxgraph.run_onnx(result.model, {"x": values(3, 2)})["anchors"]
    np.testing.assert_array_equal(anchors, [[[1, 2], [3, 4]]] * 3)


def test_a_batch_that_was_squeezed_away_comes_back(graph, values):
    model = graph("g (float[1, 4, 1] x) => (float[4] y) { y = Squeeze(x) }")
    result = onnxgraph.make_batch_dynamic(model)
    assert onnxgraph.outputs(result.model)[0].shape == ("batch", 4)
    x = values(3, 4, 1)
    np.testing.assert_array_equal(onnxgraph.run_onnx(result.model, {"x": x})["y"], x[:, :, 0])


LATER = {
    "the only part of a split": (
        "g (float[1, 4] x) => (float[1, 4] y) <int64[1] n = {1}> { y = Split<axis = 0>(x, n) }",
        13,
    ),
    "a grid": (
        """g (float[1, 1, 3, 3] x) => (float[1, 1, 1, 2] y)
        <float[1, 1, 2, 2] grid = {0.1, 0.2, -0.3, 0.4}> { y = GridSample(x, grid) }""",
        16,
    ),
    "sizes of an affine grid": (
        """g (float[1, 2, 3] x) => (float[1, 2, 3, 2] y) <int64[4] size = {1, 1, 2, 3}> {
            y = AffineGrid(x, size)
        }""",
        20,
    ),
}


@pytest.mark.parametrize("name", LATER)
def test_operators_of_later_opsets(graph, values, name):
    text, opset = LATER[name]
    model = graph(text, opset=opset)
    result = onnxgraph.make_batch_dynamic(model)
    x = values(4, *onnxgraph.inputs(model)[0].shape[1:])
    alone = [onnxgraph.run_onnx(model, {"x": row[None]})["y"] for row in x]
    seen = onnxgraph.run_onnx(result.model, {"x": x})["y"]
    np.testing.assert_allclose(seen, np.concatenate(alone), rtol=1e-6)


TWO = {
    "constants of equal rows": """
        g (float[2, 2, 3] x) => (float[2, 3, 3] y)
        <float[1, 1, 3] c = {1., 2., 3.}, int64[3] t = {2, 1, 3}, float[2, 3, 1] w =
         {1., 2., 3., 1., 2., 3.}> {
            a = Expand(c, t)
            b = Concat<axis = 1>(a, x)
            y = Mul(b, w)
        }""",
    "a mask over windows": """
        g (float[2, 4, 2] x) => (float[2, 4, 2] y)
        <int64[3] windows = {4, 2, 2}, float[4, 2, 1] mask = {1., 2., 3., 4., 1., 2., 3., 4.},
         int64[3] back = {2, 4, 2}> {
            a = Reshape(x, windows)
            b = Add(a, mask)
            y = Reshape(b, back)
        }""",
    "an expand to the batch": """
        g (float[2, 1, 3] x) => (float[2, 4, 3] y) <int64[3] t = {2, 4, 3}> { y = Expand(x, t) }""",
    "a slice of all": """
        g (float[2, 3] x) => (float[2, 3] y)
        <int64[1] begin = {0}, int64[1] end = {2}> { y = Slice(x, begin, end, begin) }""",
}


@pytest.mark.parametrize("name", TWO)
def test_what_was_written_for_two_rows(graph, values, name):
    model = graph(TWO[name])
    result = onnxgraph.make_batch_dynamic(model)
    x = values(6, *onnxgraph.inputs(model)[0].shape[1:])
    pairs = [onnxgraph.run_onnx(model, {"x": x[i : i + 2]})["y"] for i in (0, 2, 4)]
    np.testing.assert_array_equal(
        onnxgraph.run_onnx(result.model, {"x": x})["y"], np.concatenate(pairs)
    )
    one = onnxgraph.run_onnx(result.model, {"x": x[:1]})["y"]
    np.testing.assert_array_equal(one, pairs[0][:1])


@pytest.mark.parametrize("batch", [2, 4])
def test_a_fixed_batch_above_one_is_opened(graph, values, batch):
    model = graph(
        f"""g (float[{batch}, 2, 3] x) => (float[{batch}, 6] y)
        <int64[2] t = {{{batch}, 6}}> {{ a = Relu(x) y = Reshape(a, t) }}"""
    )
    result = onnxgraph.make_batch_dynamic(model)
    x = values(5, 2, 3)
    seen = onnxgraph.run_onnx(result.model, {"x": x})["y"]
    np.testing.assert_array_equal(seen, np.maximum(x, 0).reshape(5, 6))


def test_the_initial_state_of_an_lstm_follows(values):
    weights = {
        "w": values(1, 16, 3, seed=1),
        "r": values(1, 16, 4, seed=2),
        "h": values(1, 1, 4, seed=3),
        "c": np.zeros((1, 1, 4), np.float32),
    }
    helper = onnx.helper
    lstm = helper.make_node(
        "LSTM", ["t", "w", "r", "", "", "h", "c"], ["s"], hidden_size=4, name="lstm"
    )
    turn = helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2])
    back = helper.make_node("Transpose", ["s"], ["y"], perm=[2, 0, 1, 3])
    model = helper.make_model(
        helper.make_graph(
            [turn, lstm, back],
            "g",
            [helper.make_tensor_value_info("x", 1, [1, 5, 3])],
            [helper.make_tensor_value_info("y", 1, [1, 5, 1, 4])],
            [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=7,
    )
    result = onnxgraph.make_batch_dynamic(model)
    assert "initial state of zeros → none" in repr(result)
    assert "'h' of batch 1 → repeated for each row of the batch" in repr(result)
    x = values(3, 5, 3)
    seen = onnxgraph.run_onnx(result.model, {"x": x})["y"]
    alone = [onnxgraph.run_onnx(model, {"x": row[None]})["y"] for row in x]
    np.testing.assert_allclose(seen, np.concatenate(alone), rtol=1e-5, atol=1e-6)


def test_a_computed_target_becomes_a_constant(graph, values):
    model = graph(
        """
        g (float[batch, 2, 3] x) => (float[batch, k] y)
        <int64[1] first = {0}, int64[1] rest = {-1}> {
            s = Shape(x)
            n = Gather<axis = 0>(s, first)
            t = Concat<axis = 0>(n, rest)
            y = Reshape(x, t)
        }
        """
    )
    result = onnxgraph.make_batch_dynamic(model, symbol="other")
    assert onnxgraph.op_histogram(result.model) == {"Reshape": 1}
    assert onnxgraph.outputs(result.model)[0].shape == ("batch", 6)
    assert onnxgraph.run_onnx(result.model, {"x": values(4, 2, 3)})["y"].shape == (4, 6)


def test_zeros_made_at_run_time_become_a_pad(graph, values):
    model = graph(
        """
        g (float[batch, 2] x) => (float[batch, 5] y) <int64[1] first = {0}, int64[1] three = {3}> {
            s = Shape(x)
            n = Gather<axis = 0>(s, first)
            t = Concat<axis = 0>(n, three)
            z = ConstantOfShape(t)
            y = Concat<axis = 1>(x, z)
        }
        """
    )
    result = onnxgraph.make_batch_dynamic(model)
    assert onnxgraph.op_histogram(result.model) == {"Pad": 1}
    x = values(4, 2)
    expected = np.pad(x, ((0, 0), (0, 3)))
    np.testing.assert_array_equal(onnxgraph.run_onnx(result.model, {"x": x})["y"], expected)


def test_what_needs_nothing_is_left_alone(chain):
    once = onnxgraph.make_batch_dynamic(chain)
    assert once.changes == ("Reshape 'flat': target [0, 6] → [-1, 6]",)
    twice = onnxgraph.make_batch_dynamic(once.model)
    assert twice.changes == ()
    assert twice.model.graph.node == once.model.graph.node


def test_other_symbols_stay(graph, values):
    model = graph("g (float[1, 3, h, w] x) => (float[1, 3, h, w] y) { y = Relu(x) }")
    result = onnxgraph.make_batch_dynamic(model)
    assert onnxgraph.inputs(result.model)[0].shape == ("batch", 3, "h", "w")
    x = values(2, 3, 5, 9)
    assert onnxgraph.run_onnx(result.model, {"x": x})["y"].shape == x.shape


MIXED = {
    "softmax": "g (float[1, 3] x) => (float[1, 3] y) { [mix] y = Softmax<axis = 0>(x) }",
    "mean": """
        g (float[1, 3] x) => (float[1, 3] y) {
            [ok] a = Relu(x)
            [mix] m = ReduceMean<axes = [0]>(a)
            [after] y = Sub(a, m)
        }""",
    "a sum that loses the rows": """
        g (float[1, 3] x) => (float[1, 3] y) { [mix] y = ReduceMax<axes = [0]>(x) }""",
    "one row taken": """
        g (float[1, 3] x) => (float[3] y) <int64 i = {0}> { [mix] y = Gather<axis = 0>(x, i) }""",
}


@pytest.mark.parametrize("name", MIXED)
def test_rows_that_influence_each_other_are_refused_by_name(graph, name):
    with pytest.raises(GraphError, match=r"cannot be made dynamic: .* 'mix' stands in the way"):
        onnxgraph.make_batch_dynamic(graph(MIXED[name]))


def test_every_node_that_stands_in_the_way_is_named_with_its_reason(graph):
    model = graph(
        """
        g (float[2, 3] x) => (float[2, 3] y, float[1, 3] z, float[1, 3] w)
        <float[2, 2] m = {1., 2., 3., 4.}> {
            [mix] a = MatMul(m, x)
            [fine] b = Relu(a)
            [behind] y = Softmax<axis = 0>(b)
            [beside] z = ReduceMax<axes = [0]>(x)
            [parts] v, w = Split<axis = 0>(x)
        }
        """
    )
    with pytest.raises(GraphError, match="4 nodes stand in the way: ") as refusal:
        onnxgraph.make_batch_dynamic(model)
    said = str(refusal.value)
    assert "'fine'" not in said
    for words in (
        "MatMul 'mix' (MatMul dimension mismatch)",
        "Softmax 'behind' (at batch 3 its rows differ from those of each row alone, off by",
        "ReduceMax 'beside' (it keeps the shape (1, 3) at batch 3)",
        "Split 'parts' (",
        "change what is named so that every row is computed on its own",
    ):
        assert words in said


def test_a_constant_of_two_rows_is_refused_by_name(graph):
    model = graph(
        """g (float[2, 3] x) => (float[2, 3] y) <float[2, 1] w = {1.0, 2.0}> {
            [fine] a = Relu(x)
            [rows] y = Mul(a, w)
        }"""
    )
    with pytest.raises(GraphError, match="'rows' stands in the way"):
        onnxgraph.make_batch_dynamic(model)


def test_a_model_of_scalars_has_no_batch(graph):
    with pytest.raises(GraphError, match="no input with a batch"):
        onnxgraph.make_batch_dynamic(graph("g (float x) => (float y) { y = Relu(x) }"))
