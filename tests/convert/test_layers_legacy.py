"""Faults found on the old TensorFlows themselves, each of which computes in its own process."""

import numpy as np
import pytest

from graphcore.errors import GraphError
from nbhelpers import convert, onnxgraph
from tests.convert import test_layers as layers
from tests.convert.models import seeded

pytestmark = pytest.mark.legacy

deep = layers.deep


@pytest.mark.parametrize(
    ("runtime", "node"), [("tf1.4", "body"), ("tf1.13", "pool"), ("tf1.15", "norm")]
)
def test_a_fault_is_found_and_shown_again_there(deep, legacy, runtime, node, tmp_path):
    feeds = {"images": seeded(2, 3, 19, 19)}
    graph = convert.onnx2tf(deep, tmp_path / "frozen.pb", target=runtime).pb_path
    if runtime == "tf1.13":
        graph = tmp_path / "saved"
        convert.build_saved_model(tmp_path / "frozen.pb", graph)
    source = convert.traced(graph, deep, runtime=runtime)
    report = convert.compare_layers(deep, source, feeds)
    title = f"TensorFlow {runtime.removeprefix('tf')}."
    assert report.ok and report.title.startswith(f"{graph.parent.name}/{graph.name} on {title}")
    assert {"active", "pooled", "joined", "scores", "best"} <= {each.name for each in report.layers}
    with pytest.raises(GraphError, match=rf"{title}\d cannot compute the graph"):
        source.tensors(["scores"], {"images": seeded(1, 4, 16, 16)})
    again = source.tensors(["best"], {"images": seeded(1, 3, 17, 17)})
    assert again["best"].dtype == np.int64, "a refusal does not end the runtime"

    wrong = layers.broken(deep, layers.FAULTS[node])
    folder = tmp_path / "cut"
    found = convert.first_difference(deep, wrong, feeds, runtime=runtime, folder=folder)
    assert node in found.nodes and set(found.nodes) <= {node, "stem", "stem_relu"}
    assert found.confirmed and found.healed and report.title.endswith(f" on {found.title}")
    (python,) = (each.python for each in legacy if each.name == runtime)
    done = layers.shown_again(folder, python)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"piece.pb (judged) on {title}" in done.stdout


def test_three_tensorflows_are_compared_with_each_other(deep, legacy, tmp_path):
    feeds = {"images": seeded(3, 3, 17, 19)}
    right = convert.onnx2tf(deep, None, target="tf1.4")
    oldest = convert.traced(right, deep, runtime="tf1.4")
    report = convert.compare_layers(right, oldest, feeds, model=deep)
    assert report.ok and report.title.startswith("TensorFlow 1.4.1 against TensorFlow 2.")
    moved = onnxgraph.set_attributes(deep, "pool", pads=[0, 0, 2, 2]).model
    wrong = convert.traced(convert.onnx2tf(moved, None, target="tf1.4"), deep, runtime="tf1.15")
    found = convert.first_difference(oldest, wrong, feeds, model=deep)
    assert found.title == "TensorFlow 1.15.5 against TensorFlow 1.4.1"
    assert found.nodes == ("pool",) and found.confirmed and found.healed
