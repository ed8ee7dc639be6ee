import hashlib

import onnx
import pytest

from graphcore.errors import GraphError
from nbhelpers import onnxgraph


def test_what_is_saved_reads_back_and_has_the_same_bytes_twice(chain, tmp_path):
    files = [onnxgraph.save(chain, tmp_path / name) for name in ("a.onnx", "b.onnx")]
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert len(digests) == 1
    assert onnxgraph.load(files[0]).graph == chain.graph
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


def test_a_folder_is_no_file_to_write(chain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (".", tmp_path, ""):
        with pytest.raises(GraphError, match=r"is a folder\. Give the path of the \.onnx file to"):
            onnxgraph.save(chain, path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("opset", "ir_version"), [(9, 4), (11, 6), (13, 7), (15, 8), (18, 8)])
def test_the_lowest_ir_version_of_the_opset_is_written(graph, tmp_path, opset, ir_version):
    model = graph("g (float[2] x) => (float[2] y) { y = Relu(x) }", opset=opset)
    model.ir_version = 13
    saved = onnx.load(onnxgraph.save(model, tmp_path / "g.onnx"))
    assert saved.ir_version == ir_version
    assert model.ir_version == 13


def test_initializers_that_are_no_inputs_need_ir_version_4(graph, tmp_path):
    model = graph(
        "g (float[2] x) => (float[2] y) <float[2] w = {1.0, 2.0}> { y = Add(x, w) }", opset=8
    )
    assert onnx.load(onnxgraph.save(model, tmp_path / "g.onnx")).ir_version == 4


def test_a_file_cut_short_is_named(chain, tmp_path):
    path = onnxgraph.save(chain, tmp_path / "whole.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(GraphError, match=r"cut\.onnx is not an ONNX file, or it was cut short"):
        onnxgraph.load(cut)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 some archive", b"<html></html>"])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"foreign\.onnx"):
        onnxgraph.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GraphError, match=r"there is no file none\.onnx"):
        onnxgraph.load(tmp_path / "none.onnx")


def test_an_invalid_graph_is_neither_read_nor_written(chain, tmp_path):
    good = onnxgraph.save(chain, tmp_path / "model.onnx").read_bytes()
    chain.graph.node[0].input[0] = "nowhere"
    (tmp_path / "bad.onnx").write_bytes(chain.SerializeToString())
    with pytest.raises(GraphError, match=r"bad\.onnx is not a valid ONNX model"):
        onnxgraph.load(tmp_path / "bad.onnx")
    with pytest.raises(GraphError, match="not a valid ONNX model"):
        onnxgraph.save(chain, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == good
