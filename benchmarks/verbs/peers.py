"""The same work by other tools, as their documentation shows: `python peers.py verb folder`."""

import sys

import onnx
import onnx_graphsurgeon
import onnxsim
from onnx import compose, shape_inference, version_converter
from worker import measured


def extracted(model, folder):
    """Cut by `onnx.utils.Extractor`, which knows only tensors whose shapes were inferred."""
    blocks = int((folder / "blocks").read_text())
    extractor = onnx.utils.Extractor(shape_inference.infer_shapes(model))
    return extractor.extract_model(["x"], [f"x{blocks // 2}"])


def merged(model, folder):
    """Join by `onnx.compose`, which requires that no name occurs in both models."""
    blocks = int((folder / "blocks").read_text())
    head, tail = onnx.load(folder / "head.onnx"), onnx.load(folder / "tail.onnx")
    tail = compose.add_prefix(tail, "second_")
    pair = (f"x{blocks // 2}", f"second_x{blocks // 2}")
    return compose.merge_models(head, tail, io_map=[pair])


def surgery(edit):
    """Return an edit of graphsurgeon's graph, from and to ONNX, with its clean-up and sort."""

    def run(model, folder):
        graph = onnx_graphsurgeon.import_onnx(model)
        edit(graph)
        return onnx_graphsurgeon.export_onnx(graph.cleanup().toposort())

    return run


def insert(graph):
    """Insert a Neg after a Relu."""
    node = next(each for each in graph.nodes if each.name == "relu7")
    made = onnx_graphsurgeon.Variable("made")
    for reader in node.outputs[0].outputs:
        reader.inputs = [made if each is node.outputs[0] else each for each in reader.inputs]
    graph.nodes.append(onnx_graphsurgeon.Node("Neg", inputs=node.outputs, outputs=[made]))


def remove(graph):
    """Let the nodes that read a Relu read its input."""
    node = next(each for each in graph.nodes if each.name == "relu7")
    source, target = node.inputs[0], node.outputs[0]
    for reader in list(target.outputs):
        reader.inputs = [source if each is target else each for each in reader.inputs]
    node.outputs.clear()


VERBS = {
    "load": lambda model, folder: onnx.load(folder / "whole.onnx"),
    "save": lambda model, folder: onnx.save(model, folder / "saved.onnx"),
    "infer_shapes": lambda model, folder: shape_inference.infer_shapes(model),
    "insert_after": surgery(insert),
    "remove": surgery(remove),
    "cut": extracted,
    "join": merged,
    "lower_opset": lambda model, folder: version_converter.convert_version(model, 13),
    "simplify": lambda model, folder: onnxsim.simplify(model),
}

if __name__ == "__main__":
    measured(VERBS[sys.argv[1]], sys.argv[2], onnx.load)
