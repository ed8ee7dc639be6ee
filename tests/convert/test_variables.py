"""Weights of more than 2 GB are refused as a frozen graph; what SavedModels have as variables."""

import shutil

import numpy as np
import pytest

from graphcore.errors import ConversionError, GraphError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse, seeded
from tfgraph import framework, pipeline
from tfgraph.graphs import frozen
from tfgraph.savedmodels import variables


@pytest.fixture
def large(monkeypatch):
    """A model that is too large, the limit being lowered for once."""
    monkeypatch.setattr(frozen, "LIMIT", 50_000)
    monkeypatch.setattr(pipeline, "LIMIT", 50_000)
    monkeypatch.setattr(variables, "SHARD", 30_000)
    return parse(
        """g (float[N, 3, 9, 11] x) => (float[N, 64] y, float[N, 64, 9, 11] c) {
            c = Conv<pads = [1, 1, 1, 1]>(x, kernel, bias)
            m = GlobalAveragePool(c)
            f = Flatten(m)
            d = MatMul(f, dense)
            y = Add(d, bias)
        }""",
        kernel=seeded(64, 3, 3, 3),
        bias=seeded(64),
        dense=seeded(64, 192)[:, :64].copy(),
        more=seeded(64, 200),
    )


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_frozen_graph_is_refused_and_nothing_is_written(large, tmp_path):
    with pytest.raises(ConversionError, match=r"holds less than 2\. .* build_saved_model: .*tf2"):
        convert.onnx2tf(large, tmp_path / "net.pb")
    assert list(tmp_path.iterdir()) == []


def test_the_saved_model_has_variables_and_computes_the_same(large, tmp_path, monkeypatch):
    made = convert.onnx2tf(large, None)
    monkeypatch.setattr(frozen, "LIMIT", 5_000)
    assert made.proven
    for version in "12":
        convert.build_saved_model(made, tmp_path / version)
    files = contents(tmp_path / "1")
    names = [path.name for path in files]
    assert "variables.index" in names
    assert sum(name.startswith("variables.data-") for name in names) == 1 + (len(names) > 3)
    assert files == contents(tmp_path / "2")
    call = convert.load_saved_model(tmp_path / "1")
    for batch in (1, 3):
        feeds = {"x": seeded(batch, 3, 9, 11, seed=batch)}
        compare(onnxgraph.run_onnx(large, feeds), call(feeds)).check()


def test_an_old_target_is_refused(large, tmp_path, monkeypatch):
    made = convert.onnx2tf(large, None, target="tf1.15")
    monkeypatch.setattr(frozen, "LIMIT", 5_000)
    with pytest.raises(GraphError, match=r"only a SavedModel for tf2 .* instead of tf1\.15"):
        convert.build_saved_model(made, tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def wide(monkeypatch):
    """A model with a filter, a table and two matrices, which are large, the limit being lowered."""
    monkeypatch.setattr(variables, "LEAST", 90_000)
    return parse(
        """g (float[N, 3, 9, 11] x, int64[N, 5] ids) => (float[N, 64] y, float[N, 300] tied) {
            c = Conv<pads = [1, 1, 1, 1]>(x, kernel, bias)
            p = GlobalAveragePool(c)
            m = Flatten(p)
            words = Gather(table, ids)
            w = ReduceMean<axes = [1], keepdims = 0>(words)
            f = Add(m, w)
            d = Gemm<transB = 1>(f, dense)
            r = Relu(d)
            y = MatMul(r, last)
            tied = Gemm<transB = 1>(f, table)
        }""",
        kernel=seeded(64, 3, 3, 3),
        bias=seeded(64),
        table=seeded(300, 64, seed=1),
        dense=seeded(96, 64, seed=2),
        last=seeded(96, 64, seed=3),
    )


def asked(batch):
    ids = np.random.default_rng(batch).integers(0, 300, (batch, 5))
    return {"x": seeded(batch, 3, 9, 11, seed=batch), "ids": ids}


def stored(folder):
    found = framework.tensorflow().train.list_variables(str(folder / "variables" / "variables"))
    return {name: tuple(shape) for name, shape in found}


def test_tables_and_matrices_are_variables_and_filters_stay_constants(wide, tmp_path):
    made = convert.onnx2tf(wide, tmp_path / "net.pb")
    convert.build_saved_model(tmp_path / "net.pb", tmp_path / "1")
    convert.build_saved_model(made, tmp_path / "2")
    matrices = {"dense/transposed": (64, 96), "last": (96, 64)}
    assert stored(tmp_path / "1") == {"table": (300, 64), **matrices}
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    call = convert.load_saved_model(tmp_path / "1")
    for batch in (1, 3):
        compare(onnxgraph.run_onnx(wide, asked(batch)), call(asked(batch))).check()
    report = convert.compare_layers(wide, tmp_path / "1", asked(2))
    assert report.ok and {"c", "words", "f", "y"} <= {layer.name for layer in report.layers}
    back = convert.tf2onnx(tmp_path / "1", tmp_path / "back.onnx")
    assert back.proven


def test_what_is_small_or_for_older_releases_keeps_its_constants(wide, tmp_path, monkeypatch):
    convert.onnx2tf(wide, tmp_path / "old.pb", target="tf1.15")
    convert.build_saved_model(tmp_path / "old.pb", tmp_path / "old")
    monkeypatch.setattr(variables, "LEAST", 200_000)
    convert.build_saved_model(convert.onnx2tf(wide, None), tmp_path / "small")
    for folder in ("old", "small"):
        assert [p.name for p in (tmp_path / folder).iterdir()] == ["saved_model.pb"]


def test_a_weight_that_is_served_itself_stays_a_constant(wide, tmp_path):
    made = convert.onnx2tf(wide, tmp_path / "net.pb")
    outputs = {"y": "y:0", "embedding": "table:0"}
    convert.build_saved_model(made, tmp_path / "1", outputs=outputs)
    assert not (tmp_path / "1" / "variables").exists()
    answer = convert.call_saved_model(tmp_path / "1", asked(2))
    assert np.array_equal(answer["embedding"], seeded(300, 64, seed=1))


def test_a_weight_below_whose_name_others_stand_stays_a_constant(wide, tmp_path):
    model = onnxgraph.rename(wide, {"d": "dense/Read/ReadVariableOp"}).model
    convert.build_saved_model(convert.onnx2tf(model, None), tmp_path / "1")
    assert stored(tmp_path / "1") == {"table": (300, 64), "last": (96, 64)}
    answer = convert.call_saved_model(tmp_path / "1", asked(2))
    compare(onnxgraph.run_onnx(wide, asked(2)), answer).check()


def test_a_copy_without_its_variables_is_refused(wide, tmp_path):
    convert.build_saved_model(convert.onnx2tf(wide, None), tmp_path / "1")
    shutil.rmtree(tmp_path / "1" / "variables")
    with pytest.raises(GraphError, match=r"1 has weights in variables/, .* Copy the whole folder"):
        convert.load_saved_model(tmp_path / "1")


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
def test_what_is_written_weight_by_weight_is_what_protobuf_writes(target, tmp_path):
    model = parse(
        "g (float[N, 3, 9, 11] x) => (float[N, 64, 9, 11] y) "
        "{ c = Conv<pads = [1, 1, 1, 1]>(x, kernel) y = Conv(c, wide) }",
        kernel=seeded(64, 3, 3, 3),
        wide=seeded(64, 64, 1, 1),
    )
    made = convert.onnx2tf(model, tmp_path / "net.pb", target=target)
    assert len(made.graph.weights) == 2
    assert made.pb_path.read_bytes() == made.graph_def.SerializeToString(deterministic=True)
