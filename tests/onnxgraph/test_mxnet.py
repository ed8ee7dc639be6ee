"""Files that MXNet's own exporters wrote: wrong or refused first, then what MXNet computes."""

from pathlib import Path

import numpy as np
import pytest

from graphcore.errors import GraphError
from graphcore.golden import Case
from nbhelpers import onnxgraph
from onnxgraph import repairs

DATA = Path(__file__).parent / "data" / "mxnet"
IN_THE_FILE = (
    repairs.repair_missing_flatten,
    repairs.repair_spatial,
    repairs.remove_dropout,
    repairs.fold_reshapes,
    repairs.remove_shape_casts,
)
RANK = "First input does not have rank 2"
SPATIAL = "Invalid input scale: NumDimensions"
FILES = {
    "resnet18_v2_mxnet191": (
        "",
        ["gamma set to ones, largest change 0.215", "batch 1 → 'batch'"],
    ),
    "densenet_mxnet191": ("", ["batch 1 → 'batch'"]),
    "resnet18_v2_mxnet141": (
        SPATIAL,
        ["spatial=0 removed", "gamma set to ones, largest change 0.215", "batch 1 → 'batch'"],
    ),
    "vgg11_bn_mxnet141": (
        RANK,
        [
            "Flatten inserted before it, its input is 1 × 8 × 2 × 2",
            "another fault remains and needs another repair",
            "spatial=0 removed",
            "Dropout 'vgg0_dropout1_fwd' removed",
            "batch 1 → 'batch'",
        ],
    ),
}


def recorded(name, output):
    """Return what MXNet computed, at batches 1, 2 and 5."""
    with np.load(DATA / f"{name}.npz") as arrays:
        return [
            Case(
                f"batch {n}",
                {"data": arrays[f"input_{n}"].astype(np.float32) / 32},
                {output: arrays[f"output_{n}"]},
            )
            for n in (1, 2, 5)
        ]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_mxnet_is_repaired_to_what_mxnet_computes(name):
    model = onnxgraph.load(DATA / f"{name}.onnx")
    one, *more = cases = recorded(name, model.graph.output[0].name)
    refusal, wanted = FILES[name]
    if refusal:
        with pytest.raises(GraphError, match=refusal):
            onnxgraph.run_case(model, one)
    else:
        (before,) = onnxgraph.check_cases(model, [one])
        assert before.ok is name.startswith("densenet")
        assert before.worst > 0.08 or before.ok
    said = []
    for repair in IN_THE_FILE:
        result = repair(model)
        model, said = result.model, [*said, *result.changes]
    result = repairs.repair_fix_gamma(model, [one])
    said += result.changes
    # The file takes one image; what MXNet makes of two and of five is the proof of the new batch.
    result = onnxgraph.make_batch_dynamic(result.model)
    said += result.changes
    done = [each for each in said if "nothing repaired" not in each]
    for words in wanted:
        assert any(words in each for each in done), said
    gammas = [each for each in done if "gamma set to ones" in each]
    assert len(gammas) == sum("gamma" in words for words in wanted)  # one of eighteen
    if name.startswith("densenet"):
        assert len(done) == 1
    for report in onnxgraph.check_cases(result.model, cases, tolerance=1e-6):
        assert report.ok, report
    assert len(more) == 2


def test_a_gamma_is_not_guessed_from_the_file():
    model = onnxgraph.load(DATA / "resnet18_v2_mxnet191.onnx")
    result = repairs.repair_fix_gamma(model)
    assert result.model is model
    assert "only golden outputs can decide" in repr(result)
    assert repr(result).count("gamma set to ones") == 18
