"""Weights of more than 2 GB: refused as a frozen graph, variables in a SavedModel."""

import pytest

from nbhelpers import convert, onnxgraph
from nbhelpers.convert import conversion
from nbhelpers.convert.graphs import frozen
from nbhelpers.convert.savedmodels import variables
from nbhelpers.errors import ConversionError, GraphError
from nbhelpers.parity import compare
from tests.convert.models import parse, seeded


@pytest.fixture
def large(monkeypatch):
    """A model that is too large, the limit being lowered for once."""
    monkeypatch.setattr(frozen, "LIMIT", 50_000)
    monkeypatch.setattr(conversion, "LIMIT", 50_000)
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
    files = {p.name: p.read_bytes() for p in (tmp_path / "1").rglob("*") if p.is_file()}
    assert "variables.index" in files
    assert sum(name.startswith("variables.data-") for name in files) == 1 + (len(files) > 3)
    assert files == {p.name: p.read_bytes() for p in (tmp_path / "2").rglob("*") if p.is_file()}
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
