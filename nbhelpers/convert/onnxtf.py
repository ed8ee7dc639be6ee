"""onnx-tf as a second engine: its `prepare` and `export_graph`, held to the contract of `onnx2tf`.

    from nbhelpers.convert import onnxtf

    onnxtf.convert("model.onnx", "frozen.pb", target="tf1.15")

What onnx-tf makes is frozen, retargeted by our rules, and compared with onnxruntime: it is right or
refused. onnx-tf runs in a process of its own (`onnxtf_worker`), because it needs stand-ins for
packages that are gone.
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import onnx

import onnxgraph
from graphcore import packages, processes
from graphcore.errors import ConversionError, GraphError, ParityError
from graphcore.parity import TOLERANCE
from graphcore.progress import stage
from onnxgraph.examples.given import Examples, Symbols, use_examples
from onnxgraph.examples.reference import check_examples_fit
from onnxgraph.model.entry_check import checked
from onnxgraph.model.precision import precisions
from tfgraph import Conversion, optables, pipeline, retarget, tensorflow
from tfgraph.conversion import Step
from tfgraph.graphs.frozen import FrozenGraph, split_weights

WORKER = Path(__file__).with_name("onnxtf_worker.py")

TIMEOUT = 900
"""Seconds that onnx-tf may take for a model."""


@dataclass(frozen=True)
class Frozen:
    """A graph that onnx-tf made; `inputs` and `outputs` map ONNX names to tensors ("x:0")."""

    graph: FrozenGraph
    inputs: dict[str, str]
    outputs: dict[str, str]


@checked
@stage("converting with onnx-tf")
def convert(
    onnx_path: str | Path | onnx.ModelProto,
    pb_path: str | Path | None,
    *,
    target: str = "tf2",
    verify: bool = True,
    tolerance: float = TOLERANCE,
    examples: Examples | None = None,
    symbols: Symbols | None = None,
) -> Conversion:
    """Convert an ONNX model to a frozen graph with onnx-tf, and compare before anything is written.

    The arguments are those of `onnx2tf`.

    Raises:
        ConversionError: onnx-tf fails, or its graph cannot be written for this target.
        ParityError: its graph computes something else.
        GraphError: the file is not an ONNX model, or TensorFlow cannot compute onnx-tf's graph.
        WrongKernel: onnx-tf is not installed here.
    """
    optables.table(target)
    packages.require("tensorflow", "onnx_tf", kernel="convert")
    model = onnx_path
    if not isinstance(model, onnx.ModelProto):
        model = onnxgraph.load(model)
    with use_examples(examples, symbols=symbols):
        check_examples_fit(model)
        conversion = _converted(model, target)
        if verify:
            conversion = _verified(conversion, model, tolerance)
    return conversion if pb_path is None else pipeline.written(conversion, pb_path)


def saved_model(model: onnx.ModelProto, folder: str | Path) -> None:
    """Let onnx-tf write the SavedModel of a model into a folder.

    Raises:
        ConversionError: onnx-tf raised an exception, which is given with the ONNX node, or crashed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        trouble = Path(scratch) / "trouble.json"
        source = onnxgraph.save(model, Path(scratch) / "model.onnx")
        done = processes.run(
            [sys.executable, "-P", WORKER, source, folder, trouble],
            limit=TIMEOUT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            what="onnx-tf",
        )
        if trouble.exists():
            raise ConversionError(_sentence(json.loads(trouble.read_text(encoding="utf-8"))))
    if done.ending:
        raise ConversionError(f"The process that runs {_title()} {done.ending}. {_ADVICE}")


def frozen(folder: str | Path) -> Frozen:
    """Return the graph of a SavedModel that onnx-tf wrote, with its weights as constants.

    Functions are inlined, and conditions and loops are those that TensorFlow 1 knows.
    """
    tf = tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    loaded = tf.saved_model.load(str(folder))  # which keeps the variables alive
    function = loaded.signatures["serving_default"]
    constant = convert_variables_to_constants_v2(function)
    inputs = zip(function._arg_keywords, constant.inputs, strict=True)
    outputs = zip(sorted(function.structured_outputs), constant.outputs, strict=True)
    return Frozen(
        split_weights(constant.graph.as_graph_def()),
        {name: tensor.name for name, tensor in inputs},
        {name: tensor.name for name, tensor in outputs},
    )


_ADVICE = "Convert the model with nbhelpers.convert.onnx2tf."


def _converted(model: onnx.ModelProto, target: str) -> Conversion:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        saved_model(model, folder)
        made = frozen(folder)
    middle = time.perf_counter()
    try:
        fitted = retarget(made.graph, target, outputs=made.outputs.values())
    except ConversionError as error:
        raise ConversionError(f"The graph that {_title()} made is refused. {error}") from error
    end = time.perf_counter()
    specs = {"inputs": onnxgraph.inputs(model), "outputs": onnxgraph.outputs(model)}
    inputs, outputs = (
        {spec.name: getattr(made, side)[spec.name] for spec in each} for side, each in specs.items()
    )
    return Conversion(
        target=target,
        graph=fitted.graph,
        inputs=inputs,
        outputs=outputs,
        specs={spec.name: spec for each in specs.values() for spec in each},
        steps=(
            Step("onnx-tf", made.graph.histogram(), middle - begin),
            Step("retarget", fitted.graph.histogram(), end - middle),
        ),
        rewrites=fitted.rewrites,
        tensors={**inputs, **outputs},
        precisions=precisions(model),
    )


def _verified(conversion: Conversion, model: onnx.ModelProto, tolerance: float) -> Conversion:
    try:
        return pipeline.verified(conversion, model, tolerance=tolerance)
    except (GraphError, ParityError) as error:
        raise type(error)(f"The graph that {_title()} made is refused. {error}") from error


def _sentence(said: dict[str, str]) -> str:
    where = f" at the ONNX node {said['node']!r} ({said['op']})" if said["op"] else ""
    return f"{_title()} cannot convert the model{where}: {said['failed'].rstrip('.')}. {_ADVICE}"


def _title() -> str:
    return f"onnx-tf {packages.version('onnx_tf')}"
