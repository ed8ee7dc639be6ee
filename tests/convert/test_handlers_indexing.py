"""Shapes, slices, gathers, scatters and reductions against onnxruntime, at unknown sizes."""

import numpy as np
import onnx
import pytest

from graphcore.errors import ConversionError, GraphError
from nbhelpers import convert, onnxgraph
from tests.convert.agreement import agree
from tests.convert.models import parse

INTS = np.random.default_rng(7).integers


def numbers(*shape, dtype="float32", seed=0):
    """Return whole numbers without duplicates, in any order."""
    values = np.random.default_rng(seed).permutation(int(np.prod(shape))) - 3
    return values.reshape(shape).astype(dtype)


def vector(*values, dtype=np.int64):
    return np.array(values, dtype)


IMAGES = [{"x": numbers(*shape, seed=n)} for n, shape in enumerate([(1, 4, 6, 5), (3, 4, 7, 8)])]

ONE_INPUT = {
    "transpose": ("y = Transpose<perm = [0, 2, 3, 1]>(x)", {}),
    "transpose, all axes": ("y = Transpose(x)", {}),
    "concat": ("y = Concat<axis = -2>(x, x)", {}),
    "slice": (
        "y = Slice(x, b, e, a, s)",
        {"b": vector(-1, 1), "e": vector(-100, 2**62), "a": vector(-1, 2), "s": vector(-2, 1)},
    ),
    "slice, clamped": (
        "y = Slice(x, b, e, a, s)",
        {"b": vector(100, -100), "e": vector(0, 3), "a": vector(3, 2), "s": vector(-1, 2)},
    ),
    "slice, empty": ("y = Slice(x, b, e)", {"b": vector(0, 3), "e": vector(9, 2)}),
    "split, given": ("a, y = Split<axis = 1>(x, s)", {"s": vector(1, 3)}),
    "split, equal": ("y, b = Split<axis = 1>(x)", {}),
    "pad, axes cropped": ("y = Pad(x, p)", {"p": vector(0, 0, -1, 2, 0, 0, 1, -2)}),
    "pad, reflected twice": (
        'y = Pad<mode = "reflect">(x, p)',
        {"p": vector(0, 1, 0, 0, 0, 3, 2, 0)},
    ),
    "depth to space": ("y = DepthToSpace<blocksize = 2>(x)", {}),
    "depth to space, columns": ('y = DepthToSpace<blocksize = 2, mode = "CRD">(x)', {}),
    "tile": ("y = Tile(x, r)", {"r": vector(2, 1, 1, 3)}),
    "expand": ("u = Unsqueeze(x, a) y = Expand(u, s)", {"a": vector(1), "s": vector(2, 1, 1, 1)}),
    "squeeze": ("u = Unsqueeze(x, a) y = Squeeze(u, b)", {"a": vector(0, -1), "b": vector(-1, 0)}),
    "gather": ("y = Gather<axis = -1>(x, i)", {"i": vector(0, -1, 2, -5)}),
    "gather, one": ("y = Gather<axis = 2>(x, i)", {"i": np.array(-1)}),
    "gather, table": ("y = Gather<axis = 1>(x, i)", {"i": vector(1, -2, 0, 3).reshape(2, 2)}),
    "gather nd": ("y = GatherND(x, i)", {"i": vector(0, -1, 0, 2).reshape(2, 2)}),
    "gather elements": (
        "y = GatherElements<axis = 3>(x, i)",
        {"i": INTS(-5, 5, (1, 4, 6, 2))},
    ),
    "non-zero": ("y = NonZero(x)", {}),
    "compress": ("y = Compress<axis = -1>(x, c)", {"c": vector(0, 1, 1, 0, 1, dtype=bool)}),
    "compress, flat": ("y = Compress(x, c)", {"c": vector(0, 1, 1, 0, 1, dtype=bool)}),
    "arg max": ("y = ArgMax<axis = -2, keepdims = 0>(x)", {}),
    "arg min, last": ("z = Sign(x) y = ArgMin<axis = 3, select_last_index = 1>(z)", {}),
    "top k": ("y, i = TopK<axis = 2>(x, k)", {"k": vector(3)}),
    "top k, smallest": ("v, y = TopK<axis = 1, largest = 0>(x, k)", {"k": vector(2)}),
    "unique": ("z = Sign(x) v, f, y, c = Unique<sorted = 0>(z)", {}),
    "unique slices": ("z = Sign(x) y = Unique<axis = 3>(z)", {}),
    "einsum": ('y = Einsum<equation = "nchw,nchv->nwv">(x, x)', {}),
    "einsum, dots": ('y = Einsum<equation = "...ij,...ij->...j">(x, x)', {}),
    "einsum, sum": ('y = Einsum<equation = "nchw->c">(x)', {}),
    "product": ("t = Transpose<perm = [0, 1, 3, 2]>(x) y = MatMul(x, t)", {}),
    "product with a matrix": (
        "t = Transpose<perm = [0, 2, 3, 1]>(x) y = MatMul(t, w)",
        {"w": numbers(4, 3)},
    ),
    "product with a vector": (
        "t = Transpose<perm = [0, 2, 3, 1]>(x) y = MatMul(t, w)",
        {"w": numbers(4)},
    ),
    "shape, part": ("y = Shape<start = 1, end = -1>(x)", {}),
    "size": ("y = Size(x)", {}),
    "flatten": ("y = Flatten<axis = 2>(x)", {}),
    "trilu": ("y = Trilu(x, k)", {"k": np.array(-1)}),
    "trilu, lower": ("y = Trilu<upper = 0>(x, k)", {"k": np.array(-2)}),
    "crop or pad": ("y = CenterCropPad<axes = [2, 3]>(x, s)", {"s": vector(9, 4)}),
}

RANKS = {"expand": 5, "gather, one": 3, "gather, table": 5, "gather nd": 3, "non-zero": 2}
RANKS |= {"compress, flat": 1, "arg max": 3, "unique": 1, "einsum": 3, "einsum, dots": 3}
RANKS |= {"einsum, sum": 1, "product with a vector": 3, "shape, part": 1, "size": 0, "flatten": 2}
INT_OUTPUTS = {"non-zero", "arg max", "arg min, last", "top k, smallest", "unique"}
INT_OUTPUTS |= {"shape, part", "size"}
NEWER = {"shape, part": 15, "trilu": 14, "trilu, lower": 14, "crop or pad": 18}


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize("name", ONE_INPUT)
def test_one_input_of_unknown_size(name, target):
    """For TensorFlow 1.4 too: its graphs run here as well, so the rules are proven at any size."""
    text, weights = ONE_INPUT[name]
    dims = ", ".join("abcde"[: RANKS.get(name, 4)])
    dtype = "int64" if name in INT_OUTPUTS else "float"
    model = parse(
        f"g (float[N, 4, H, W] x) => ({dtype}[{dims}] y) {{ {text} }}".replace("[]", ""),
        opset=NEWER.get(name, 13),
        **weights,
    )
    agree(model, *IMAGES, target=target)


REDUCTIONS = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"]


@pytest.mark.parametrize("form", ["attribute", "input", "all", "nothing"])
@pytest.mark.parametrize("kind", REDUCTIONS)
def test_reductions_take_axes_in_every_form(kind, form):
    old = kind != "Sum"
    opset = {"attribute": 9 if old else 11, "all": 9}.get(form, 18)
    inputs = {"input": "(x, a)", "nothing": "(x, e)"}.get(form, "(x)")
    options = {
        "attribute": "<axes = [-1, 1], keepdims = 0>",
        "nothing": "<noop_with_empty_axes = 1>",
    }
    dims = "a, b" if form == "attribute" else "a, b, c, d"
    model = parse(
        f"g (float[N, 4, H, W] x) => (float[{dims}] y) "
        f"{{ y = Reduce{kind}{options.get(form, '')}{inputs} }}",
        opset=opset,
        a=vector(2, -1),
        e=vector(),
    )
    for weight in list(model.graph.initializer):
        if weight.name not in model.graph.node[0].input:
            model.graph.initializer.remove(weight)
    agree(model, *({"x": np.abs(each["x"]) / 8 + 0.5} for each in IMAGES))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "int8"])
@pytest.mark.parametrize("kind", ["Max", "Min"])
def test_reductions_of_integers(kind, dtype):
    model = parse(
        f"g ({dtype}[N, 4] x) => ({dtype}[N] y) {{ y = Reduce{kind}<keepdims = 0>(x, a) }}",
        opset=18,
        a=vector(-1),
    )
    agree(model, {"x": INTS(0, 99, (2, 4)).astype(dtype)}, target="tf1.4")


def test_runtime_axes_of_a_reduction():
    model = parse(
        "g (float[N, 4, H] x, int64[2] a) => (float[b] y) { y = ReduceSum<keepdims = 0>(x, a) }"
    )
    x = numbers(2, 4, 3)
    agree(model, {"x": x, "a": vector(0, -1)}, {"x": x, "a": vector(1, 0)})


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
def test_scatters_of_unknown_size(reduction, target):
    option = "" if reduction == "none" else f'<reduction = "{reduction}">'
    both = f', reduction = "{reduction}"' if option else ""
    model = parse(
        "g (float[N, 4, H] x, int64[M, 2] i, float[M, H] u, int64[N, K, H] j, float[N, K, H] v) "
        f"=> (float[N, 4, H] y, float[N, 4, H] z) "
        f"{{ y = ScatterND{option}(x, i, u) z = ScatterElements<axis = 1{both}>(x, j, v) }}",
        opset=18,
    )
    runs = []
    for batch, high in ((1, 3), (2, 5)):
        places = np.array([[batch - 1, -1], [0, 0], [-1, 2]])
        along = np.tile(np.array([-2, 1])[None, :, None], (batch, 1, high))
        if reduction not in ("none", "mul"):
            places[1], along[:, 1] = places[0], along[:, 0]
        feeds = {"x": numbers(batch, 4, high), "i": places, "u": numbers(3, high, seed=1)}
        runs.append({**feeds, "j": along, "v": numbers(batch, 2, high, seed=2)})
    agree(model, *runs, target=target)


def test_gather_with_indices_that_are_computed():
    model = parse(
        "g (float[N, 4, H] x, int64[M] i, int64[N, M, H] j, int64[N, 1] k) => "
        "(float[N, M, H] y, float[N, M, H] z, float[N, H] t) "
        "{ y = Gather<axis = 1>(x, i) z = GatherElements<axis = 1>(x, j) "
        "t = GatherND<batch_dims = 1>(x, k) }"
    )
    agree(
        model,
        *(
            {
                "x": numbers(batch, 4, 3),
                "i": vector(-1, 0, -4),
                "j": INTS(-4, 4, (batch, 3, 3)),
                "k": INTS(-4, 4, (batch, 1)),
            }
            for batch in (1, 3)
        ),
    )


def test_gathers_and_slices_of_nothing():
    model = parse(
        "g (float[N, 4] x, int64[M] i) => (float[N, M] y, float[a, b] z, int64[2, c] n) "
        "{ y = Gather<axis = 1>(x, i) z = Concat<axis = 0>(x, x) n = NonZero(x) }"
    )
    agree(
        model,
        {"x": numbers(0, 4), "i": vector()},
        {"x": numbers(2, 4), "i": vector()},
        {"x": numbers(0, 4), "i": vector(1, -1)},
    )


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(axis):
    model = parse(
        f"g (int64[N, 2] x) => (float[a, b, c] y) {{ y = OneHot<axis = {axis}>(x, d, v) }}",
        d=vector(5),
        v=vector(1.5, -2, dtype=np.float32),
    )
    agree(model, {"x": vector(0, -1, 4, -5).reshape(2, 2)}, {"x": vector(7, -9).reshape(1, 2)})


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_padding_that_is_computed(mode):
    model = parse(
        f'g (float[N, 4, H] x, int64[4] p) => (float[a, b, c] y) {{ y = Pad<mode = "{mode}">'
        "(x, p, , axes) }",
        opset=19,
        axes=vector(-1, 1),
    )
    x = numbers(2, 4, 5)
    agree(model, {"x": x, "p": vector(1, 2, 0, 3)}, {"x": x[:1], "p": vector(0, 1, 4, 0)})


def test_slices_that_are_computed():
    model = parse(
        "g (float[N, 4, H] x, int64[2] b, int64[2] e, int64[2] a, int64[2] s) => "
        "(float[n, c, h] y, float[m, d, i] z) { y = Slice(x, b, e, a, s) z = Slice(x, b, e) }"
    )
    x = numbers(3, 4, 6)
    far = 2**63 - 1
    agree(
        model,
        *(
            {"x": x, "b": vector(*b), "e": vector(*e), "a": vector(*a), "s": vector(*s)}
            for b, e, a, s in [
                ((1, 0), (3, 4), (0, 2), (1, 2)),
                ((-1, 1), (-far, far), (2, 1), (-1, 1)),
                ((0, 3), (far, 1), (1, 2), (2, -1)),
            ]
        ),
    )


def test_detections_of_every_image_and_class():
    model = parse(
        "g (float[N, M, 4] b, float[N, C, M] s) => (int64[k, 3] y) "
        "{ y = NonMaxSuppression(b, s, n, iou, low) }",
        n=vector(3),
        iou=vector(0.4, dtype=np.float32),
        low=vector(0.2, dtype=np.float32),
    )
    random = np.random.default_rng(1)
    runs = [
        {
            "b": random.random((batch, 12, 4), np.float32),
            "s": (random.integers(0, 6, (batch, kinds, 12)) / 5).astype(np.float32),
        }
        for batch, kinds in ((1, 1), (2, 3))
    ]
    agree(model, *runs, target="tf1.4")


@pytest.mark.parametrize("width", ["H", "12"])
def test_unique_rows_of_many_columns(width):
    """Each column is sorted by one round of a loop, which TensorFlow 1.4 can run too."""
    model = parse(
        f"g (int64[N, {width}] x) => (int64[a, b] y, int64[c] f, int64[N] i, int64[c] n) "
        "{ y, f, i, n = Unique<axis = 0>(x) }"
    )
    rows = INTS(0, 3, (4, 12))
    agree(model, {"x": rows[[2, 0, 1, 1, 0]]}, {"x": rows[:1]}, {"x": rows}, target="tf1.4")


def test_ranges_and_fills_of_computed_sizes():
    model = parse(
        "g (float[N, 4] x, float lo, float hi, float by) => "
        "(float[a] r, float[b, c] f, int64[d] i, float[N, 4] e) "
        "{ s = Shape(x) r = Range(lo, hi, by) f = ConstantOfShape(s) g = Gather<axis = 0>(s, z) "
        "i = Range(z, g, o) e = EyeLike<k = 1>(x) }",
        z=np.array(0),
        o=np.array(1),
    )
    agree(
        model,
        *(
            {"x": numbers(n, 4), "lo": np.float32(1), "hi": np.float32(n), "by": np.float32(0.3)}
            for n in (1, 3)
        ),
    )


OLD = {
    7: "a = Slice<starts = [0, -2], ends = [9, 9], axes = [1, 2]>(x) b = Squeeze<axes = [0]>(one) "
    "c = TopK<axis = 1, k = 2>(a) d = Add(c, b) y = Pad<pads = [0, 0, 1, 0, 0, 0], value = 2.5>(d)",
    9: "a = Unsqueeze<axes = [0, 2]>(x) b = Squeeze<axes = [0, 2]>(a) c, y = Split<axis = 1>(b)",
    11: "a = Squeeze<axes = [-1]>(one) b = Add(x, a) y, c = Split<axis = 1, split = [1, 3]>(b)",
    17: "a, b = Split<axis = 1>(x) y = Concat<axis = 2>(b, a)",
    18: "a, b, y = Split<axis = 2, num_outputs = 3>(x)",
}


@pytest.mark.parametrize("opset", OLD)
def test_older_forms(opset):
    text = OLD[opset].replace("c = TopK", "c, k = TopK")
    model = parse(
        f"g (float[N, 4, H] x) => (float[a, b, c] y) {{ {text} }}",
        opset=opset,
        **(
            {"one": np.ones([1, 1] if opset == 7 else [1, 1, 1], np.float32)}
            if "one" in text
            else {}
        ),
    )
    agree(model, {"x": numbers(1, 4, 5)}, {"x": numbers(3, 4, 3)})


def test_a_chain_over_sizes_leaves_one_reshape():
    """What PyTorch writes for `x.view(x.size(0), 2, -1)` with an unknown batch."""
    model = parse(
        "g (float[N, 4, 6] x) => (float[N, 2, 12] y) { s = Shape(x) n = Gather<axis = 0>(s, zero) "
        "u = Unsqueeze(n, axes) t = Concat<axis = 0>(u, two, twelve) y = Reshape(x, t) }",
        zero=np.array(0),
        axes=vector(0),
        two=vector(2),
        twelve=vector(12),
    )
    converted = agree(model, {"x": numbers(1, 4, 6)}, {"x": numbers(5, 4, 6)})
    ops = {node.op for node in converted.graph_def.node} - {"Const", "Placeholder", "Identity"}
    assert ops == {"Reshape"}


def test_attention_is_two_products_of_matrices():
    model = parse(
        "g (float[N, 2, T, 4] q, float[N, 2, S, 4] k, float[N, 2, S, 4] v) => (float[N, T, 2, 4] y)"
        '{ w = Einsum<equation = "bhid,bhjd->bhij">(q, k) '
        'y = Einsum<equation = "bhij,bhjd->bihd">(w, v) }'
    )
    feeds = [{n: numbers(b, 2, 3, 4, seed=i) for i, n in enumerate("qkv")} for b in (1, 2)]
    converted = agree(model, *feeds, target="tf1.4")
    ops = [node.op for node in converted.graph_def.node]
    assert ops.count("BatchMatMul") == 2
    assert ops.count("Transpose") == 1
    assert "Reshape" not in ops


REFUSED = {
    "axes of unknown number": (
        "g (float[N, 4, 1] x, int64[K] a) => (float[b, c] y) { y = Squeeze(x, a) }",
        "computes its axes while it runs",
    ),
    "rank that is not known": (
        "g (float[N, 4] x, int64[K] a) => (float[b] y) { y = ReduceSum<keepdims = 0>(x, a) }",
        "the rank of the result is not known",
    ),
    "shape of unknown length": (
        "g (float[N, 4] x, int64[K] s) => (float[b, c] y) { y = Expand(x, s) }",
        "a shape of unknown length",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name):
    text, words = REFUSED[name]
    with pytest.raises(ConversionError, match=words):
        convert.onnx2tf(parse(text), None)


def test_sparse_and_listed_constants():
    values = onnx.numpy_helper.from_array(vector(1.5, -2, dtype=np.float32), "values")
    places = onnx.numpy_helper.from_array(vector(1, 5), "places")
    model = parse(
        "g (float[2, 3] x) => (float[2, 3] y, float[2] z) { y = Add(x, s) z = Add(f, f) }"
    )
    sparse = onnx.helper.make_sparse_tensor(values, places, [2, 3])
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["s"], sparse_value=sparse))
    listed = onnx.helper.make_node("Constant", [], ["f"], value_floats=[1.0, 2.5])
    model.graph.node.insert(0, listed)
    converted = convert.onnx2tf(model, None, verify=False)
    seen = convert.run_conversion(converted, {"x": np.zeros((2, 3), np.float32)})
    assert seen["y"].tolist() == [[0, 1.5, 0], [0, 0, -2]]
    assert seen["z"].tolist() == [2, 5]


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize(
    ("op", "inside", "outside"),
    [
        ("y = Gather<axis = 1>(x, i)", ([1, -4], [3, 0]), ([1, 4], [3, -5])),
        ("y = GatherElements<axis = 1>(x, i)", ([1, -4], [3, 0]), ([1, 4], [3, 0])),
        ("y = GatherElements<axis = 1>(x, i)", ([1, -4], [3, 0]), ([1, 0], [-5, 0])),
        ("y = GatherND(x, i)", ([1, -4], [-2, 0]), ([1, 4], [0, 0])),
        ("y = ScatterElements<axis = 1>(x, i, u)", ([1, -4], [3, 0]), ([1, 4], [3, 0])),
    ],
)
def test_positions_that_are_not_there_are_an_error_as_in_onnxruntime(op, inside, outside, target):
    wants = ", float[k, 2] u" if "u)" in op else ""
    model = parse(f"g (float[N, 4] x, int64[k, 2] i{wants}) => (float y) {{ {op} }}", opset=17)
    feeds = {"x": numbers(3, 4)} | ({"u": numbers(2, 2)} if wants else {})
    converted = agree(model, feeds | {"i": vector(*inside)}, target=target)
    with pytest.raises(GraphError, match="could not run the model"):
        onnxgraph.run_onnx(model, feeds | {"i": vector(*outside)})
    said = r"failed to run: .*(is not in|does not index|out of|reshape)"
    with pytest.raises(GraphError, match=said):
        convert.run_conversion(converted, feeds | {"i": vector(*outside)})


def test_a_range_that_ends_before_it_begins_is_empty():
    model = parse("g (int64 a, int64 b, int64 c) => (int64[n] y) { y = Range(a, b, c) }")
    runs = [(5, 3, 1), (2, 9, 3), (5, -4, -2), (-4, 5, -2)]
    agree(model, *(dict(zip("abc", map(np.int64, run), strict=True)) for run in runs))
    stepped = parse(
        "g (float[N] x) => (int64[n] y) { s = Shape(x) z = Squeeze(s) y = Range(a, z, d) }",
        a=np.int64(4),
        d=np.int64(1),
    )
    agree(stepped, *({"x": numbers(size)} for size in (2, 4, 7)))


def test_a_reduction_to_one_number_keeps_the_rank_that_is_asked_for():
    for shape, sizes in (([4, 5], [1]), ([1, 4, 5], [])):
        axes = [len(shape) - 2, len(shape) - 1]
        model = parse(
            f"g (float{shape} x) => (float y) "
            f"{{ m = ReduceMean<axes = {axes}, keepdims = 1>(x) y = Reshape(m, s) }}",
            s=np.array(sizes, np.int64),
        )
        agree(model, {"x": numbers(*shape)})


def test_what_has_no_known_rank_is_named_with_what_made_it():
    model = parse("g (float[N, 1, 4] x) => (float y) { z = Squeeze(x) y = Softmax(z) }")
    with pytest.raises(
        ConversionError, match=r"takes 'z', whose number of axes is known only .*If"
    ):
        convert.onnx2tf(model, None)


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
def test_negative_pads_crop_before_the_rest_is_mirrored_or_repeated(mode):
    body = f'y = Pad<mode = "{mode}">(x, p)'
    amounts = vector(1, -2, 0, 3)
    runs = [{"x": numbers(3, 7)}, {"x": numbers(4, 9, seed=1)}]
    agree(parse(f"g (float[N, M] x) => (float y) {{ {body} }}", opset=19, p=amounts), *runs)
    computed = parse(f"g (float[N, M] x, int64[4] p) => (float y) {{ {body} }}", opset=19)
    for pads in (amounts, vector(0, 2, 1, -3), vector(1, 1, -1, 0)):
        agree(computed, *(run | {"p": pads} for run in runs))
