"""Compare a conversion with onnxruntime: convert once, and run every set of inputs."""

from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import seeded


def agree(model, *runs, target="tf2", tolerance=1e-5):
    """Return the conversion for a target after checking that every run agrees with onnxruntime.

    A run holds arrays by the names of the inputs, or in their order. The conversion itself does not
    compare, so only these runs decide.
    """
    conversion = convert.onnx2tf(model, None, target=target, verify=False)
    for run in runs:
        feeds = run if isinstance(run, dict) else fed(model, *run)
        seen = convert.run_conversion(conversion, feeds)
        compare(onnxgraph.run_onnx(model, feeds), seen, tolerance=tolerance).check()
    return conversion


def fed(model, *arrays):
    """Return arrays by the names of a model's inputs."""
    return dict(zip([spec.name for spec in onnxgraph.inputs(model)], arrays, strict=True))


def drawn(*shapes):
    """Return a run of seeded numbers for each shape.

    A list has the shapes of several inputs.
    """
    several = [shape if isinstance(shape, list) else [shape] for shape in shapes]
    return [[seeded(*size, seed=seed) for size in each] for seed, each in enumerate(several)]


def ops(conversion):
    """Return the names of the ops in the graph of a conversion."""
    return {node.op for node in conversion.graph_def.node}
