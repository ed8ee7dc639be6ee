"""What is advised about files, runs and costs is done to the letter, and gets through."""

import re

import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from nbhelpers.onnxgraph import run_onnx

X = np.array([[1, -2, 3]], np.float32)


@pytest.fixture
def model(graph):
    return graph("g (float[n, k] x) => (float[n, k] y) { y = Relu(x) }")


def refused(do, words):
    with pytest.raises(GraphError, match=words) as no:
        do()
    return str(no.value)


def test_a_folder_is_no_file(model, tmp_path):
    refused(lambda: onnxgraph.save(model, tmp_path), r"Give the path of the \.onnx file to write")
    onnxgraph.save(model, tmp_path / "m.onnx")
    refused(lambda: onnxgraph.load(tmp_path), r"Give the path of the \.onnx file itself")
    assert onnxgraph.load(tmp_path / "m.onnx") == model


def test_an_array_gets_the_dtype(model):
    said = refused(lambda: run_onnx(model, {"x": X.astype(float)}), "Convert it with")
    call = re.search(r"\.astype\('\w+'\)", said).group()
    x = eval(f"X{call}", {"X": X.astype(float)})
    np.testing.assert_array_equal(run_onnx(model, {"x": x})["y"], [[1, 0, 3]])


def test_sizes_and_batches_are_given_to_cost(graph):
    model = graph("""g (float[n, k, 4] x) => (float[n, k, 2] y)
        <float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}> { y = MatMul(x, w) }""")
    said = refused(lambda: onnxgraph.cost(model), "has unknown sizes. Give them")
    sizes = eval(re.search(r"sizes=(\{.*\})", said).group(1).replace("…", "5"))
    assert onnxgraph.cost(model, sizes=sizes).macs == 5 * 4 * 2
    fixed = onnxgraph.fix_dims(model, {"n": 1, "k": 5}).model
    refused(lambda: onnxgraph.cost(fixed, batch=3), "Use make_batch_dynamic first")
    dynamic = onnxgraph.make_batch_dynamic(fixed).model
    assert onnxgraph.cost(dynamic, batch=3).macs == 3 * 5 * 4 * 2


def test_an_invalid_file_is_mended(model, tmp_path):
    def saved(change):
        other = onnx.ModelProto.FromString(model.SerializeToString())
        change(other)
        (tmp_path / "m.onnx").write_bytes(other.SerializeToString())
        return onnxgraph.load(tmp_path / "m.onnx")

    def sized(size, **named):
        def change(other):
            dim = other.graph.input[0].type.tensor_type.shape.dim[0]
            dim.CopyFrom(onnx.TensorShapeProto.Dimension(dim_value=size, **named))

        return change

    def unshaped(other):
        other.graph.input[0].type.tensor_type.ClearField("shape")

    refused(lambda: saved(sized(-1)), 'a name, such as "batch", instead of a negative size')

    def named(other):
        other.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"

    np.testing.assert_array_equal(run_onnx(saved(named), {"x": X})["y"], [[1, 0, 3]])
    refused(lambda: saved(unshaped), "has no shape. Give it one, with names for unknown sizes")
    refused(
        lambda: saved(lambda other: setattr(other.opset_import[0], "version", 999)),
        "Export it with one of those",
    )
    newest = onnx.defs.onnx_opset_version()
    assert saved(lambda other: setattr(other.opset_import[0], "version", newest))
