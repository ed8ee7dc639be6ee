"""tf2onnx: a TensorFlow model of any age → ONNX, compared with TensorFlow before it is written.

It is the inverse of `onnx2tf`. The steps are `sources.read` → `interface.with_interface` →
`translation.translated` → `tidying.tidied` → compare → write.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

import onnxgraph
from graphcore.errors import ConversionError
from graphcore.parity import TOLERANCE, Report
from graphcore.progress import stage
from graphcore.spec import Feeds, TensorSpec
from onnxgraph.examples.given import Examples, Symbols, use_examples
from tfgraph import framework
from tfgraph.savedmodels.reading import several
from tfgraph.toonnx import proof
from tfgraph.toonnx.interface import with_interface
from tfgraph.toonnx.outputs import stated
from tfgraph.toonnx.sources import Asked, Names, read
from tfgraph.toonnx.tidying import tidied
from tfgraph.toonnx.translation import OPSETS, translated

OPSET = 13
"""The default opset, which is also the one that notebook 01 exports."""


@dataclass(frozen=True)
class OnnxConversion:
    """An ONNX model made from TensorFlow: its inputs and outputs, and how well it agrees.

    `inputs` and `outputs` have the specs in ONNX order. `tensors` maps ONNX names to TensorFlow
    tensors, for the inputs, the outputs and all tensors that are left in the graph. `turned` has
    the names of the tensors whose channels come first, unlike in TensorFlow.
    """

    source: str
    model: onnx.ModelProto = field(repr=False)
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tensors: dict[str, str] = field(repr=False)
    turned: frozenset[str]
    parity: tuple[Report, ...] = ()
    onnx_path: Path | None = None

    @property
    def proven(self) -> bool:
        """Whether the model was compared with TensorFlow and agreed."""
        return bool(self.parity) and all(report.ok for report in self.parity)

    def __repr__(self) -> str:
        """Return names, counts and parity, one per line."""
        where = f" → {self.onnx_path}" if self.onnx_path else ""
        proven = "proven" if self.proven else "UNPROVEN"
        lines = [f"ONNX from {self.source}{where}: {proven}"]
        for kind, specs in (("input", self.inputs), ("output", self.outputs)):
            for spec in specs:
                turned = ", channels first" if spec.name in self.turned else ""
                lines.append(f"  {kind:<7} {spec!s:<36} from {self.tensors[spec.name]}{turned}")
        counts = onnxgraph.op_histogram(self.model)
        most = ", ".join(f"{count} {op}" for op, count in list(counts.items())[:6])
        lines.append(
            f"  opset {onnxgraph.opset(self.model)}, {sum(counts.values())} nodes: {most}"
            + (" …" if len(counts) > 6 else "")
        )
        for report in self.parity:
            lines += ["  " + line for line in repr(report).splitlines()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


@stage("converting to ONNX")
def tf2onnx(
    source: Any,
    onnx_path: str | Path | None,
    *,
    inputs: Names | None = None,
    outputs: Names | None = None,
    nchw: bool | Iterable[str] = False,
    batch: int | str | None = None,
    opset: int = OPSET,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    fixed: Mapping[str, Any] | None = None,
    checkpoint: str | Path | None = None,
    signature: str | None = None,
    tags: str | Sequence[str] = ("serve",),
    verify: bool = True,
    tolerance: float = TOLERANCE,
    examples: Examples | None = None,
    symbols: Symbols | None = None,
) -> OnnxConversion:
    """Convert a TensorFlow model to ONNX, and compare with TensorFlow before anything is written.

    Args:
        source: a frozen graph (`.pb`), the prefix, `.meta` file or folder of a checkpoint of
            TensorFlow 1, a SavedModel folder, a Keras model or its file, a GraphDef, or the result
            of `onnx2tf` (whose ONNX names come back).
        onnx_path: where to write the model, or None to keep it in memory.
        inputs: ONNX name → TensorFlow tensor, or tensors alone, which then keep their names without
            ":0". Inner tensors cut the graph there. If left out, those of the signature or model
            are taken, else all placeholders that the outputs need.
        outputs: likewise. If left out, those of the signature or model are taken, else the tensors
            that nothing reads.
        nchw: True to put the channels first in every input and output of rank 4 or 5 (images and
            volumes), or the ONNX names of those that get them first.
        batch: the first dim of the inputs: a number, or a symbol such as "batch" to make it
            dynamic. If left out, it is as in the source.
        opset: ONNX opset to write, 9 to 18.
        shapes: by ONNX name, sizes of inputs that the source leaves open, in TensorFlow's layout.
        fixed: TensorFlow tensor → value, for switches that must not be inputs ("keep_prob": 1.0).
        checkpoint: the checkpoint with the values of an unfrozen `.pb`.
        signature: of a SavedModel. If left out, "serving_default" or the only one is taken.
        tags: of a SavedModel's graph. A string is one tag.
        verify: compare with TensorFlow on seeded inputs. Without it the result says UNPROVEN.
        tolerance: largest difference allowed, relative to the largest reference value.
        examples: inputs to compare on, as the ONNX model takes them: arrays by name, a list of
            such, or the path of an .npz. If they are left out, seeded ones are drawn (see
            `onnxgraph.use_examples`).
        symbols: sizes of symbolic dims in drawn inputs, such as {"total": "past + length"}.

    Raises:
        GraphError: the source cannot be read, or does not say what its inputs and outputs are.
        UnknownName: a tensor, signature, input or output does not exist.
        ConversionError: some nodes cannot be converted. The error names all of them.
        ParityError: the ONNX model computes something else.
    """
    if opset not in OPSETS:
        raise ConversionError(
            f"tf2onnx writes the opsets {OPSETS[0]} to {OPSETS[-1]}, but {opset} was asked for."
        )
    if isinstance(batch, int) and batch < 1:
        raise ConversionError(f"A batch is a number above 0 or a symbol, but {batch} was given.")
    framework.tensorflow()
    fixed = fixed or {}
    asked = Asked(
        inputs=inputs,
        outputs=outputs,
        fixed=fixed,
        checkpoint=checkpoint,
        signature=signature,
        tags=several(tags),
    )
    frozen = read(source, asked)
    interface = with_interface(frozen, nchw=nchw, batch=batch, shapes=shapes, fixed=fixed)
    model, tensors = tidied(translated(interface, opset), interface)
    reports: tuple[Report, ...] = ()
    runs: list[tuple[Feeds, Feeds]] = []
    if verify:
        reference = proof.Reference(frozen, interface, fixed)
        with use_examples(examples, symbols=symbols):
            reports, runs = proof.compared(model, reference, interface, tolerance=tolerance)
    model = stated(model, interface, runs)
    left = {name: tensor for name, tensor in tensors.items() if tensor in frozen.view.tensors}
    return OnnxConversion(
        source=frozen.title,
        model=model,
        inputs=onnxgraph.inputs(model),
        outputs=onnxgraph.outputs(model),
        tensors=left | frozen.inputs | frozen.outputs,
        turned=interface.turned,
        parity=reports,
        onnx_path=None if onnx_path is None else onnxgraph.save(model, onnx_path),
    )
