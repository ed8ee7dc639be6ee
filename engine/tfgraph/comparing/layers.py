"""Find where two runs of one model begin to differ, with `compare_layers` and `first_difference`.

Each side is a path or a model: of PyTorch (recorded), onnxruntime or a TensorFlow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx

from graphcore import parity
from graphcore.errors import GraphError
from graphcore.progress import stage
from onnxgraph.comparing import bisection, layers
from onnxgraph.comparing.activations import load_activations
from onnxgraph.comparing.bisection import Difference
from onnxgraph.comparing.layers import BUDGET, LayerReport
from onnxgraph.comparing.sources import OnnxSource, Recorded, Source
from tfgraph.comparing.cutout import write_cutout
from tfgraph.comparing.tracing import Graph, GraphSource, traced

Opened: TypeAlias = OnnxSource | Recorded | GraphSource
Side: TypeAlias = "Opened | onnx.ModelProto | Graph"
"""A source, or something to open as one.

That is an `.onnx`, a `.pb`, a SavedModel's folder, an `.npz` that PyTorch recorded, or a model, a
GraphDef or a Conversion in memory.
"""


def compare_layers(
    reference: Side,
    judged: Side,
    feeds: Mapping[str, np.ndarray] | None = None,
    *,
    model: onnx.ModelProto | str | Path | None = None,
    runtime: str = "tf2",
    tolerance: float = parity.TOLERANCE,
    budget: int = BUDGET,
) -> LayerReport:
    """Compare every ONNX tensor that both sides have, in graph order.

        compare_layers("prepared.onnx", "graph/tf1.4/frozen.pb", feeds, runtime="tf1.4")

    Args:
        reference: the side that counts as right.
        judged: the side that is compared with it.
        feeds: the model's inputs by ONNX name. If left out, those that PyTorch recorded.
        model: the ONNX model, if neither side is one.
        runtime: what runs a frozen graph: "tf2" (this kernel), "tf1.4", "tf1.13" or "tf1.15".
        tolerance: largest difference allowed, relative to the largest value of each tensor.
        budget: bytes of tensors fetched per run. A smaller one needs less memory and more runs.

    Raises:
        GraphError: there is nothing to compare, a side cannot be run, or the feeds do not fit.
    """
    left, right, order = _opened(reference, judged, model, runtime)
    return layers.compare_layers(
        left,
        right,
        _feeds(feeds, left, right),
        model=order,
        tolerance=tolerance,
        budget=budget,
    )


@stage("looking for the first difference")
def first_difference(
    reference: Side,
    judged: Side,
    feeds: Mapping[str, np.ndarray] | None = None,
    *,
    folder: str | Path | None = None,
    model: onnx.ModelProto | str | Path | None = None,
    runtime: str = "tf2",
    tolerance: float = parity.TOLERANCE,
    budget: int = BUDGET,
) -> Difference | None:
    """Find the first op whose inputs agree and whose output does not. None if all outputs agree.

    Args:
        reference: the side that counts as right.
        judged: the side that is compared with it.
        feeds: the model's inputs by ONNX name. If left out, those that PyTorch recorded.
        folder: where to write the smallest graph that shows the difference, with its inputs.
            `python reproduce.py` in it shows the difference again. An older one there is replaced.
        model: the ONNX model, if neither side is one.
        runtime: what runs a frozen graph: "tf2" (this kernel), "tf1.4", "tf1.13" or "tf1.15".
        tolerance: largest difference allowed, relative to the largest value of each tensor.
        budget: bytes of tensors fetched per run. A smaller one needs less memory and more runs.

    Raises:
        GraphError: there is nothing to compare, a side cannot be run, the feeds do not fit, or
            `folder` contains something else.
    """
    left, right, order = _opened(reference, judged, model, runtime)
    given = _feeds(feeds, left, right)
    found = bisection.first_difference(
        left, right, given, model=order, tolerance=tolerance, budget=budget
    )
    if found is not None and folder is not None:
        write_cutout(found, (left, right), order, folder, tolerance=tolerance)
    return found


def _opened(
    reference: Side, judged: Side, model: onnx.ModelProto | str | Path | None, runtime: str
) -> tuple[Source, Source, OnnxSource]:
    """Return both sides as sources, and the ONNX source that sets the order."""
    plain = [_plain(each) for each in (model, reference, judged)]
    order = next((each for each in plain if isinstance(each, OnnxSource)), None)
    if order is None:
        raise GraphError(
            "Neither side is an ONNX model, so the names and the order of the tensors are not "
            "known; give the ONNX model as model=."
        )
    left, right = (
        each or traced(side, order, runtime=runtime)
        for each, side in zip(plain[1:], (reference, judged), strict=True)
    )
    return left, right, order


def _plain(side: Any) -> Opened | None:
    """Return a side as a source, or None for a graph, which needs the ONNX model first."""
    if isinstance(side, OnnxSource | Recorded | GraphSource):
        return side
    ending = Path(side).suffix if isinstance(side, str | Path) else ""
    if isinstance(side, onnx.ModelProto) or ending == ".onnx":
        return OnnxSource(side)
    return load_activations(side) if ending == ".npz" else None


def _feeds(feeds: Mapping[str, np.ndarray] | None, *sides: Source) -> Mapping[str, np.ndarray]:
    recorded = next((each.feeds for each in sides if isinstance(each, Recorded)), None)
    given = feeds if feeds is not None else recorded
    if given is None:
        raise GraphError("No inputs were given; pass feeds=, ONNX input name to array.")
    return given
