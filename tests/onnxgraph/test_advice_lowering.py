"""What stands in the way of an older opset, and what is advised against it, done to the letter."""

import re

import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from nbhelpers.onnxgraph import lower_opset, run_onnx

COMPUTED = """g (float[n, k] x) => (float[n, k] y) <int64[1] two = {2}, int64[1] i = {1}> {
    s = Shape(x) w = Gather(s, i) h = Div(w, two) r = Sub(w, h) t = Concat<axis = 0>(h, r)
    p, q = Split<axis = 1>(x, t) y = Concat<axis = 1>(q, p) }"""

SYMBOLIC = """g (float[n, k] x) => (float[n, k] y) {
    p, q = Split<axis = 1, num_outputs = 2>(x) y = Concat<axis = 1>(q, p) }"""


def refused(model, opset, words):
    with pytest.raises(GraphError, match=words) as no:
        lower_opset(model, opset)
    return str(no.value)


def check(model, opset, like, x, cast=None):
    low = lower_opset(model, opset).model
    assert onnxgraph.opset(low) == opset
    seen, wanted = (run_onnx(each, {"x": x})["y"] for each in (low, like))
    np.testing.assert_allclose(seen.astype(cast or wanted.dtype), wanted, rtol=1e-6)


def test_sizes_are_given_and_folded(graph, values):
    pytest.importorskip("onnxsim")
    model = graph(COMPUTED)
    refused(model, 11, r"must be constant.* onnxgraph\.simplify .* onnxgraph\.fix_dims before")
    fixed = onnxgraph.simplify(onnxgraph.fix_dims(model, {"k": 5}).model).model
    check(fixed, 11, model, values(3, 5))


def test_a_size_is_given(graph, values):
    model = graph(SYMBOLIC, opset=18)
    refused(model, 13, r"axis 1 of 'x' must be fixed.* with onnxgraph\.fix_dims")
    check(onnxgraph.fix_dims(model, {"k": 5}).model, 13, model, values(2, 5))


def test_an_einsum_is_written_out(graph, values):
    model = graph("""g (float[n, 2, 3] x) => (float[n, 2, 2] y) {
        y = Einsum<equation = "...ij,...kj->...ik">(x, x) }""")
    refused(model, 11, "ellipsis; write a letter for each dim")
    written = onnxgraph.set_attributes(model, "y", equation="nij,nkj->nik").model
    check(written, 11, model, values(2, 2, 3))


def test_a_diagonal_is_a_product_with_an_identity(graph, values):
    model = graph('g (float[n, 3, 3] x) => (float[n, 3] y) { y = Einsum<equation = "nii->ni">(x) }')
    refused(model, 11, "two letters, and an identity matrix as one more operand")
    inputs, equation = ["x", np.eye(3, dtype=np.float32)], {"equation": "nij,ij->ni"}
    written = onnxgraph.replace(model, "y", "Einsum", inputs=inputs, attributes=equation).model
    check(written, 11, model, values(2, 3, 3))


def test_pads_are_written_out(graph, values):
    model = graph(
        """g (float[n, 1, 5, 5] x) => (float[n, 1, 10, 10] y)
        <float[1, 1, 3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}> {
            y = ConvTranspose<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, w) }""",
        opset=11,
    )
    refused(model, 10, "auto_pad=SAME.*write its pads out")
    pads = {"auto_pad": None, "pads": [0, 0, 1, 1]}
    check(onnxgraph.set_attributes(model, "y", **pads).model, 10, model, values(2, 1, 5, 5))


CASTS = {
    "power": ("y = Pow(x, w)", "int64", 13, 11, "cast it to float32"),
    "sorting": ("y, i = TopK(x, k)", "int64", 13, 10, "cast to float32"),
    "infinity": ("y = IsInf(x)", "double", 13, 9, "cast it first"),
}


@pytest.mark.parametrize("kind", CASTS)
def test_a_cast_before_it_helps(graph, kind):
    body, dtype, opset, target, words = CASTS[kind]
    more = ", int64[n, 3] i" if kind == "sorting" else ""
    kept = "bool" if kind == "infinity" else dtype
    model = graph(
        f"""g ({dtype}[n, 3] x) => ({kept}[n, 3] y{more})
        <int64 w = {{2}}, int64[1] k = {{3}}> {{ {body} }}""",
        opset=opset,
    )
    refused(model, target, words)
    x = np.array([[3, -1, 2], [0, 5, 4]], dtype)
    attributes = {"to": onnx.TensorProto.FLOAT}
    cast = onnxgraph.insert_before(model, "y", "Cast", attributes=attributes).model
    check(cast, target, model, x, cast=kept)


def test_integers_are_padded_as_int32(graph):
    model = graph(
        "g (int64[n, 3] x) => (int64[n, 5] y) <int64[4] p = {0, 1, 0, 1}> { y = Pad(x, p) }"
    )
    refused(model, 10, "pad it as int32")
    cast = onnxgraph.insert_before(model, "y", "Cast", attributes={"to": 6}).model
    back = onnxgraph.insert_after(cast, "y", "Cast", attributes={"to": 7}).model
    check(back, 10, model, np.array([[1, 2, 2**31 - 1]]))


def test_the_opset_to_stop_at_is_reached(graph, values):
    model = graph(
        """g (float[n, 1, 4, 4] x) => (float[n, 1, 2, 2] y) <float[4] k = {1, 1, 0.5, 0.5}> {
            y = Resize<mode = "nearest">(x, k) }""",
        opset=10,
    )
    said = refused(model, 9, "makes smaller, which Upsample cannot; stop at opset 10")
    check(model, int(re.search(r"stop at opset (\d+)", said).group(1)), model, values(2, 1, 4, 4))
    model = graph(
        "g (float[n, 4] x) => (float[n, 4] y) <float e = {1}> { y = Mod<fmod = 1>(x, e) }"
    )
    said = refused(model, 9, "Down to opset 10 nothing stands in the way")
    check(model, int(re.search(r"Down to opset (\d+)", said).group(1)), model, values(2, 4))


def test_a_dropout_in_training_is_taken_out(graph, values):
    model = graph("""g (float[n, 3] x) => (float[n, 3] y) <float r = {0.5}, bool t = {1}> {
        a = Dropout(x, r, t) y = Neg(a) }""")
    refused(model, 11, r"training_mode is on.* take the node out with onnxgraph\.remove")
    calm = onnxgraph.remove(model, "a").model
    check(calm, 11, calm, values(2, 3))


def test_a_mask_is_cut_off(graph, values):
    model = graph(
        "g (float[n, 3] x) => (float[n, 3] y, bool[n, 3] m) { y, m = Dropout(x) }", opset=10
    )
    refused(model, 9, r"its mask is read.* cut off what needs it with onnxgraph\.cut")
    check(onnxgraph.cut(model, outputs="y").model, 9, model, values(2, 3))


def test_a_reduction_over_nothing_is_replaced(graph, values):
    model = graph(
        """g (float[n, 3] x) => (float[n, 3] y) <int64[0] a = {}> {
            y = ReduceL1<noop_with_empty_axes = 1>(x, a) }""",
        opset=18,
    )
    refused(model, 13, r"with onnxgraph\.replace, as Abs for ReduceL1")
    plain = onnxgraph.replace(model, "y", "Abs", inputs=["x"]).model
    x = values(2, 3)
    np.testing.assert_array_equal(run_onnx(lower_opset(plain, 13).model, {"x": x})["y"], np.abs(x))


def test_a_squeeze_of_nothing_is_removed(graph, values):
    model = graph("g (float[n, 3] x) => (float[n, 3] y) <int64[0] a = {}> { y = Squeeze(x, a) }")
    refused(model, 11, "axes are empty; remove the node")
    plain = onnxgraph.remove(model, "y").model
    check(plain, 11, plain, values(2, 3))


def test_a_range_is_made_of_integers(graph):
    model = graph("""g (float x) => (float[k] y) <float a = {0}, float d = {1}> {
        y = Range(a, x, d) }""")
    refused(model, 9, "make it of int64, with a Cast behind it")
    inputs = [np.int64(0), "x_whole", np.int64(1)]
    whole = onnxgraph.insert_before(
        model, "y", "Cast", tensor="x", attributes={"to": 7}, name="x_whole"
    )
    made = onnxgraph.replace(whole.model, "y", "Range", inputs=inputs).model
    cast = onnxgraph.insert_after(made, "y", "Cast", attributes={"to": 1}).model
    check(cast, 9, model, np.float32(4))


def test_what_only_newer_opsets_take_is_exported_in_float32(graph, values):
    model = graph("g (bfloat16[n, 3] x) => (bfloat16[n, 3] y) { y = Add(x, x) }")
    refused(model, 12, r"bfloat16.* export it in float32, as after module\.float\(\)")


@pytest.mark.parametrize(
    ("body", "target", "words"),
    [("Softmax<axis = 0>(a)", 11, "the rank of 'a'"), ("CastLike(x, a)", 14, "the type of 'a'")],
)
def test_what_a_foreign_node_gives_is_noted(values, body, target, words):
    opsets = '"" : 15, "com.microsoft" : 1'
    model = onnx.parser.parse_model(
        f"""<ir_version: 7, opset_import: [{opsets}]> g (float[n, 3] x) => (float[n, 3] y) {{
        a = com.microsoft.QuickGelu(x) y = {body} }}"""
    )
    said = refused(model, target, f"{words} is not known; note it with")
    call = re.search(r"model\.graph\.value_info\.append\(.*\)", said).group()
    eval(call, {"model": model, "onnx": onnx, "dtype": onnx.TensorProto.FLOAT, "shape": ["n", 3]})
    check(model, target, model, values(2, 3))
