"""ONNX to PyTorch: exact, named, trainable, or refused in one sentence."""

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from onnx import numpy_helper

from graphcore import parity
from graphcore.errors import (
    ConversionError,
    GraphError,
    ModelError,
    ParityError,
    UnknownName,
)
from graphcore.spec import TensorSpec
from nbhelpers import onnxgraph
from nbhelpers.train import export_onnx, import_onnx, load_imported, preflight_import, save_imported
from nbhelpers.train.digits import Recipe, load_digits
from torchgraph.importing import functions

HEAD = '<ir_version: 8, opset_import: ["" : {opset}]> g {inputs} => {outputs} {{ {body} }}'


def graph(body, inputs="(float[N, 3, h, w] x)", outputs="(float[] y)", opset=13, **weights):
    text = HEAD.format(opset=opset, inputs=inputs, outputs=outputs, body=body)
    model = onnx.parser.parse_model(text)
    for name, value in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    for node in model.graph.node:  # the text has no dots in names
        node.input[:] = [name.replace("__", ".") for name in node.input]
    for weight in model.graph.initializer:
        weight.name = weight.name.replace("__", ".")
    return onnxgraph.infer_shapes(model)


def random(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


RESIZES = [
    f'mode = "{mode}", coordinate_transformation_mode = "{place}"{more}'
    for place in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    for mode, more in (
        ("nearest", ""),
        ("nearest", ', nearest_mode = "floor"'),
        ("nearest", ', nearest_mode = "round_prefer_ceil"'),
        ("linear", ""),
        ("cubic", ", cubic_coeff_a = -0.5"),
    )
]

TRAPS = {
    "padding": "y = Conv<strides = [2, 2], pads = [0, 1, 2, 0]>(x, w)",
    "same": 'y = Conv<strides = [2, 2], auto_pad = "SAME_UPPER">(x, w)',
    "same lower": 'y = Conv<strides = [2, 2], auto_pad = "SAME_LOWER">(x, w)',
    "average": "y = AveragePool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x)",
    "average counted": "y = AveragePool<kernel_shape = [3, 3], pads = [0, 0, 2, 2],"
    " count_include_pad = 1>(x)",
    "average one side": "y = AveragePool<kernel_shape = [3, 3], pads = [0, 0, 2, 2]>(x)",
    "ceil": "y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(x)",
    "max one side": "y = MaxPool<kernel_shape = [3, 3], pads = [0, 1, 1, 0]>(x)",
    "lrn": "y = LRN<size = 3, alpha = 0.5, beta = 0.75, bias = 2.0>(x)",
    "flatten": "y = Flatten<axis = 2>(x)",
    "flatten all": "y = Flatten<axis = 0>(x)",
    "flatten rows": "y = Flatten<axis = 4>(x)",
    "flatten from the end": "y = Flatten<axis = -1>(x)",
    "transposed": "y = ConvTranspose<strides = [2, 2], pads = [0, 1, 1, 0]>(x, w)",
    "norm": "y = BatchNormalization(x, s, b, m, v)",
    "left matrix": "y = MatMul(l, x)",
    "shapes": "i = Shape(x) n = Gather(i, zero) u = Unsqueeze(n, ax) t = Concat<axis = 0>(u, rest)"
    " y = Reshape(x, t)",
    "backwards": "y = Slice(x, from, to, where, step)",
    "reflect": 'y = Pad<mode = "reflect">(x, pads)',
    "fill": "y = Pad(x, pads, two)",
    **dict(enumerate(f"y = Resize<{each}>(x, , , size)" for each in RESIZES)),
    "scaled": 'y = Resize<mode = "linear">(x, , scales)',
}

WEIGHTS = {
    "w": random(3, 3, 3, 3),
    "l": random(5, 8),
    "zero": np.int64(0),
    "ax": np.array([0]),
    "rest": np.array([3, -1]),
    "from": np.array([-1, 6]),
    "to": np.array([-9, 1]),
    "where": np.array([3, -2]),
    "step": np.array([-2, -1]),
    "pads": np.array([0, 0, 1, 2, 0, 0, 2, 0]),
    "two": np.float32(2),
    "size": np.array([2, 3, 13, 5]),
    "scales": np.array([1, 1, 1.5, 2], np.float32),
    **{name: np.array([0.5, 1.5, 2.0], np.float32) for name in "sbmv"},
}


@pytest.mark.parametrize("body", TRAPS.values(), ids=map(str, TRAPS))
def test_one_node_is_exact(body):
    used = {name: value for name, value in WEIGHTS.items() if name in body.replace(",", " , ")}
    used = {name: v for name, v in used.items() if any(s + name in body for s in ("(", " "))}
    outputs = "(float[p, q, r] y)" if "Shape" in body else "(float[] y)"
    model = graph(body, "(float[2, 3, 8, 8] x)", outputs, **used)
    imported = import_onnx(model, simplify=False, tolerance=1e-5)
    assert imported.squared_error < 1e-10


@pytest.mark.parametrize("trans", [0, 1])
def test_gemm_with_and_without_constant_factors(trans):
    linear = graph(
        f"y = Gemm<transB = {trans}>(x, b, c)", "(float[N, 6] x)", b=random(6, 6), c=random(6)
    )
    imported = import_onnx(linear, simplify=False)
    assert type(next(iter(imported.module.children()))) is torch.nn.Linear
    assert list(imported.weights.values()) == ["b", "c"]
    moving = graph(f"y = Gemm<transA = 1, transB = {trans}, alpha = 0.5>(x, z)",
                   "(float[6, 6] x, float[6, 6] z)")  # fmt: skip
    assert import_onnx(moving, simplify=False).squared_error < 1e-10


BLOCK = """
    a = Conv<pads = [1, 1, 1, 1]>(x, block__conv__weight, block__conv__bias)
    b = Relu(a)
    m, m_where = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(b)
    i = Shape(m)
    n = Gather(i, zero)
    u = Unsqueeze(n, zeros)
    t = Concat<axis = 0>(u, rest)
    f = Reshape(m, t)
    head = MatMul(f, fc__weight)
    scored = Add(head, shift)
    left, right = Split<axis = 1>(scored, parts)
"""

BLOCK_WEIGHTS = {
    "block__conv__weight": random(4, 3, 3, 3),
    "block__conv__bias": random(4),
    "fc__weight": random(64, 5),
    "shift": random(5),
    "zero": np.int64(0),
    "zeros": np.array([0]),
    "rest": np.array([-1]),
    "parts": np.array([2, 3]),
}


def block():
    outputs = "(float[N, 3] right, float[N, 2] left)"
    return graph(BLOCK, "(float[N, 3, 8, 8] x)", outputs, **BLOCK_WEIGHTS)


def test_names_order_and_parameters_are_those_of_the_file():
    model = block()
    imported = import_onnx(model)
    assert [spec.name for spec in imported.inputs] == ["x"]
    assert imported.output_names == ["right", "left"]
    assert [report.title for report in imported.reports] == [
        "batch 1 (sizes 8)",
        "batch 3 (sizes 8)",
    ]
    assert imported.weights["block.conv.weight"] == "block.conv.weight"
    assert {"fc.weight", "shift"} <= set(imported.weights.values())
    parameters = dict(imported.module.named_parameters())
    assert set(parameters) == set(imported.weights)
    x = random(4, 3, 8, 8)
    seen, expected = imported.run({"x": x}), onnxgraph.run_onnx(model, {"x": x})
    assert parity.compare(expected, seen, tolerance=1e-5).ok
    right, left = imported.module(torch.from_numpy(x))
    (right.square().mean() + left.square().mean()).backward()
    assert all(value.grad.abs().sum() > 0 for value in parameters.values())


def test_what_is_saved_is_read_back_and_the_program_runs_alone(tmp_path):
    imported = import_onnx(block(), simplify=False)
    with torch.no_grad():
        imported.module.get_parameter("block.conv.bias").add_(1)  # trained further
    folder = save_imported(imported, tmp_path / "model")
    save_imported(imported, folder)  # twice in a row
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model"]
    feeds = {"x": random(5, 3, 8, 8)}
    again = load_imported(folder)
    assert parity.compare(imported.run(feeds), again.run(feeds), tolerance=1e-6).ok
    program = torch.export.load(folder / "program.pt2").module()
    for batch in (1, 2, 7):
        assert program(torch.from_numpy(random(batch, 3, 8, 8)))[0].shape == (batch, 3)
    (folder / "weights.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match=r"weights\.safetensors has 3 bytes and had \d+"):
        load_imported(folder)
    with pytest.raises(ModelError, match="holds other files than an imported model"):
        save_imported(imported, tmp_path)
    with pytest.raises(ModelError, match="is not the folder of an imported model"):
        load_imported(tmp_path)
    for content in ("[1]", '{"files": [], "versions": {}}'):
        (folder / "imported.json").write_text(content, encoding="utf-8")
        with pytest.raises(ModelError, match=r"imported\.json cannot be read"):
            load_imported(folder)
    with pytest.raises(ModelError, match=r"prepared\.onnx is a file\. Give the path of a folder"):
        save_imported(imported, folder / "prepared.onnx")


def test_training_goes_on(tmp_path):
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ReLU(), torch.nn.Flatten()]
    module = torch.nn.Sequential(*layers, torch.nn.Linear(512, 10))
    path = tmp_path / "m.onnx"
    export_onnx(module, [TensorSpec("images", "float32", ("batch", 3, 16, 16))], path)
    module = import_onnx(path, simplify=False).module.train()
    training, _ = load_digits(Recipe(size=16))
    images, digits = (
        torch.from_numpy(training.images[:256]),
        torch.from_numpy(training.digits[:256]),
    )
    optimiser, losses = torch.optim.Adam(module.parameters(), 2e-3), []
    for _ in range(15):
        loss = torch.nn.functional.cross_entropy(module(images), digits)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_free_sizes_are_tried_even_and_odd_and_stay_free(tmp_path):
    body = 'a = Conv<pads = [1, 1, 1, 1]>(x, w) y = Resize<mode = "linear">(a, , scales)'
    used = {name: WEIGHTS[name] for name in ("w", "scales")}
    imported = import_onnx(graph(body, "(float[N, 3, h, w_] x)", **used), simplify=False)
    assert [report.title for report in imported.reports] == [
        "batch 1 (sizes 32)",
        "batch 3 (sizes 33×35)",
    ]
    folder = save_imported(imported, tmp_path / "free")
    program = torch.export.load(folder / "program.pt2").module()
    assert program(torch.zeros(2, 3, 10, 7)).shape == (2, 3, 15, 14)


def test_a_file_of_tf2onnx_with_channels_last():
    body = """
        chw = Transpose<perm = [0, 3, 1, 2]>(x)
        wide = Conv<strides = [2, 2], auto_pad = "SAME_UPPER">(chw, w)
        back = Transpose<perm = [0, 2, 3, 1]>(wide)
        y = ReduceMean<axes = [1, 2], keepdims = 0>(back)
    """
    for opset in (13, 15, 17):
        model = graph(body, "(float[unk__6, 9, 9, 3] x)", opset=opset, w=WEIGHTS["w"])
        imported = import_onnx(model, simplify=False)
        assert imported.inputs[0].shape == ("unk__6", 9, 9, 3)
        assert imported.squared_error < 1e-10


HARD = """
<ir_version: 8, opset_import: ["" : 13, "com.microsoft" : 1]>
hard (float[N, 4] x, bool flag) => (float[N, 4] y) {
    [whole] whole = QuantizeLinear(x, scale, zero)
    [back] back = DequantizeLinear(whole, scale, zero)
    [branch] either = If(flag) <
        then_branch = one () => (float[N, 4] a) { a = Relu(back) },
        else_branch = two () => (float[N, 4] b) { b = Neg(back) }
    >
    [gelu] y = com.microsoft.QuickGelu(either)
}
"""


def test_everything_that_is_missing_is_named_at_once():
    model = onnx.parser.parse_model(HARD)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "scale"))
    model.graph.initializer.append(numpy_helper.from_array(np.uint8(0), "zero"))
    found = preflight_import(model)
    assert not found.ok
    assert [each.op for each in found.obstacles] == [
        "QuantizeLinear",
        "DequantizeLinear",
        "If",
        "QuickGelu",
    ]
    assert "'branch' (If) is control flow" in repr(found)
    assert ">branch</td>" in found._repr_html_()
    with pytest.raises(ConversionError) as said:
        import_onnx(model)
    for words in (
        "4 ONNX nodes cannot become PyTorch",
        "'whole' (QuantizeLinear) computes with quantised numbers; give the model from before",
        "belongs to the operator set 'com.microsoft'",
    ):
        assert words in str(said.value)


@pytest.mark.parametrize(
    ("body", "inputs", "words"),
    [
        ("y = NonMaxSuppression(x, z)", "(float[1, 6, 4] x, float[1, 1, 6] z)", "torchvision"),
        (
            "y = Conv(x, z)",
            "(float[1, 3, 8, 8] x, float[3, 3, 3, 3] z)",
            r"'y' \(Conv\) is refused",
        ),
        ("y = Conv(x, w, z)", "(float[1, 3, 8, 8] x, float[3] z)", r"computed \('z'\) beside"),
    ],
)
def test_a_use_that_is_not_known_is_a_sentence(body, inputs, words):
    used = {"w": WEIGHTS["w"]} if "w" in body else {}
    outputs = "(int64[n, 3] y)" if "NonMax" in body else "(float[] y)"
    with pytest.raises(ConversionError, match=words):
        import_onnx(graph(body, inputs, outputs, **used), simplify=False)


def test_files_that_are_none(tmp_path):
    with pytest.raises(GraphError, match="there is no file"):
        import_onnx(tmp_path / "no.onnx")
    whole = block().SerializeToString()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GraphError, match="cut"):
        import_onnx(tmp_path / "cut.onnx")
    with pytest.raises(GraphError, match="holds text"):
        import_onnx(graph("y = Identity(x)", "(string[N] x)", "(string[N] y)"))


def test_a_module_that_is_wrong_is_not_handed_out(monkeypatch):
    monkeypatch.setitem(functions._REDUCED, "ReduceMean", torch.amax)
    model = graph(
        "[act] a = Relu(x) [gap] b = ReduceMean<axes = [2, 3]>(a) [last] y = Neg(b)",
        "(float[N, 3, 8, 8] x)",
    )
    with pytest.raises(ParityError, match="first tensor that differs is 'b', which ReduceMean"):
        import_onnx(model, simplify=False)


def test_names_that_python_cannot_have_are_kept():
    """Files of PyTorch's first exporters number their tensors."""
    text = """
        <ir_version: 14, opset_import: ["" : 9]>
        g (float[N, 2] a, float[N, 2] a_, float[N, 2] lambda) => (float[N, 2] y, float[2] w) {
            s = Add(a, a_)
            d = Sub(s, lambda)
            y = Mul(d, w)
        }
    """
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(numpy_helper.from_array(random(2), "w"))
    names = {"a": "0", "a_": "x.0", "lambda": "self", "s": "input.1", "w": "class.in"}
    imported = import_onnx(onnxgraph.rename(model, names).model, simplify=False)
    assert [spec.name for spec in imported.inputs] == ["0", "x.0", "self"]
    assert imported.output_names == ["y", "class.in"]
    assert list(imported.weights.values()) == ["class.in"]
    a, b, c = (random(5, 2) + n for n in range(3))
    seen = imported.run({"0": a, "x.0": b, "self": c})
    np.testing.assert_allclose(seen["y"], (a + b - c) * random(2), rtol=1e-6)


def test_a_norm_of_zero_divides_nothing():
    model = graph("y = LpNormalization<axis = 0>(x)", "(float[2, 3] x)")
    imported = import_onnx(model, simplify=False)
    x = np.array([[3, 0, 1], [4, 0, 0]], np.float32)
    expected = np.array([[0.6, 0, 1], [0.8, 0, 0]], np.float32)
    np.testing.assert_allclose(imported.run({"x": x})["y"], expected, rtol=1e-6)


def test_nan_is_told_from_numbers():
    body = "s = Sign(x) t = ThresholdedRelu(x) two = Constant<value_float = 2.0>() "
    model = graph(body + "m = Mod<fmod = 1>(x, two) y = Concat<axis = 0>(s, t, m)", "(float[N] x)")
    x = np.array([np.nan, -3, 0.5, 1e30], np.float32)
    expected = [[np.nan, -1, 1, 1], [0, 0, 0, 1e30], [np.nan, -1, 0.5, 0]]
    seen = import_onnx(model, simplify=False).run({"x": x})["y"]
    np.testing.assert_array_equal(seen, np.float32(np.concatenate(expected)))


def test_examples_stand_in_where_seeded_inputs_do_not_fit(tmp_path):
    body = "t = Reshape(x, shape) y = MatMul(t, m)"
    model = graph(body, "(float[N, 6] x, int64[2] shape)", "(float[p, 4] y)", m=random(3, 4))
    with pytest.raises(
        GraphError, match=r"No example input .* examples=\{'x': array, 'shape': array\}\."
    ):
        import_onnx(model, simplify=False)
    given = [{"shape": np.array([2 * n, 3]), "x": random(n, 6)} for n in (2, 3)]
    assert import_onnx(model, simplify=False, examples=given).squared_error < 1e-10
    assert import_onnx(model, simplify=False, examples=given[0]).squared_error < 1e-10
    with pytest.raises(UnknownName, match="no input named 'y'"):
        import_onnx(model, simplify=False, examples=[{"y": given[0]["x"]}])
    model = graph("y = Gather(m, i)", "(int64[N] i)", "(float[N, 4] y)", m=random(3, 4))
    given = [{"i": np.array(each)} for each in ([0, 2], [1, 2, -1])]
    imported = import_onnx(model, simplify=False, examples=given)
    assert [report.title for report in imported.reports] == ["batch 2", "batch 3"]
    again = load_imported(save_imported(imported, tmp_path / "m"))
    assert again.examples[1]["i"].tolist() == [1, 2, -1]
    save_imported(again, tmp_path / "m")
