"""onnx-tf as a second engine: what it makes is right, or it is refused in a sentence."""

import sys

import onnx
import pytest

from graphcore.errors import ConversionError, ParityError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from nbhelpers.convert import onnxtf
from tests.convert.everywhere import run_there
from tests.convert.models import parse, seeded


@pytest.fixture(scope="module")
def network():
    return parse(
        "g (float[N, 3, 9, 11] images) => (float[N, 4] scores, float[N, 5] active) {"
        "  hidden = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(images, w1, b1)"
        "  relu = Relu(hidden)"
        "  pooled = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(relu)"
        "  mean = GlobalAveragePool(pooled)"
        "  flat = Flatten(mean)"
        "  active = Sigmoid(flat)"
        "  scores = Gemm<transB = 1>(flat, w2, b2)"
        "}",
        w1=seeded(5, 3, 3, 3) / 5,
        b1=seeded(5, seed=1),
        w2=seeded(4, 5, seed=2),
        b2=seeded(4, seed=3),
    )


@pytest.fixture(scope="module")
def converted(network):
    """Return the conversion for TensorFlow 1.15, which is compared before it is given."""
    return onnxtf.convert(network, None, target="tf1.15")


def test_a_plain_network_is_right(network, converted):
    assert converted.proven
    assert list(converted.inputs) == ["images"]
    assert list(converted.outputs) == ["scores", "active"]  # onnx-tf sorts them by name
    feeds = {"images": seeded(2, 3, 9, 11, seed=5)}
    expected = onnxgraph.run_onnx(network, feeds)
    compare(expected, convert.run_conversion(converted, feeds), tolerance=1e-5).check()


def test_the_target_runs_the_graph(network, converted, legacy, tmp_path):
    feeds = {"images": seeded(3, 3, 9, 11, seed=6)}
    (seen,) = run_there("tf1.15", converted, [feeds], tmp_path)
    compare(onnxgraph.run_onnx(network, feeds), seen, tolerance=1e-5).check()


def test_a_file_becomes_a_file(network, tmp_path):
    source = onnxgraph.save(network, tmp_path / "a model.onnx")
    made = onnxtf.convert(source, tmp_path / "frozen.pb")
    feeds = {"images": seeded(2, 3, 9, 11, seed=7)}
    fed = {made.inputs["images"]: feeds["images"]}
    results = convert.run_tf(tmp_path / "frozen.pb", fed, fetch=made.outputs.values())
    seen = {name: results[tensor] for name, tensor in made.outputs.items()}
    compare(onnxgraph.run_onnx(network, feeds), seen, tolerance=1e-5).check()


def test_a_graph_that_computes_something_else_is_refused(tmp_path):
    """onnx-tf takes the padding for TensorFlow's SAME: it looks at the channels for the height."""
    model = parse(
        "g (float[1, 3, 7, 8] x) => (float[1, 3, 4, 4] y) "
        "{ y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x) }"
    )
    with pytest.raises(ParityError, match=r"^The graph that onnx-tf 1\.10\.0 made is refused\. "):
        onnxtf.convert(model, tmp_path / "frozen.pb")
    assert not list(tmp_path.iterdir())


def test_what_onnx_tf_cannot_convert_is_a_sentence():
    model = parse(
        "g (float[N, 4] x) => (float[N, 4] y) { a = Relu(x) [smooth] y = Gelu(a) }", opset=20
    )
    with pytest.raises(ConversionError) as seen:
        onnxtf.convert(model, None)
    assert str(seen.value) == (
        "onnx-tf 1.10.0 cannot convert the model at the ONNX node 'smooth' (Gelu): "
        "BackendIsNotSupposedToImplementIt: Gelu is not implemented. Convert the model with "
        "nbhelpers.convert.onnx2tf."
    )
    assert convert.onnx2tf(model, None, verify=False).outputs == {"y": "y:0"}  # as it says


def test_what_the_target_does_not_know_is_refused():
    model = parse("g (float[N, 4] x) => (uint32[N, 4] y) { y = Cast<to = 12>(x) }")
    with pytest.raises(ConversionError, match=r"onnx-tf 1\.10\.0 made is refused\. .*DT_UINT32"):
        onnxtf.convert(model, None, target="tf1.4")


def test_nothing_of_it_is_left_in_this_process(converted):
    """The stand-ins for packages that are gone are in the other process alone."""
    names = {"onnx_tf", "tensorflow_addons", "tensorflow_probability", "onnx.mapping"}
    assert converted.proven
    assert not names & set(sys.modules)
    assert not hasattr(onnx, "mapping")
