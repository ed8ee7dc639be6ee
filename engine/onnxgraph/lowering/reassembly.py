"""Put a lowered graph without large weights back into its model, without any newer parts."""

import onnx

from onnxgraph.editing.finishing import without_dead_parts
from onnxgraph.model.domains import domain
from onnxgraph.model.files import lowest_ir_version
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import nodes
from onnxgraph.model.weightless import LARGE, size

METADATA = 10
"""The first IR version in which nodes, values and weights may carry metadata."""


def restored(model: onnx.ModelProto, lowered: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with the lowered graph, its own large weights and the lowest IR version."""
    result = onnx.ModelProto(
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        domain=model.domain,
        model_version=model.model_version,
        doc_string=model.doc_string,
    )
    result.metadata_props.MergeFrom(model.metadata_props)
    used = {"", *(domain(node) for node in nodes(lowered))}
    result.opset_import.extend(entry for entry in lowered.opset_import if domain(entry) in used)
    graph, own = result.graph, model.graph
    graph.name, graph.doc_string = own.name, own.doc_string
    graph.input.MergeFrom(own.input)
    graph.output.MergeFrom(own.output)
    graph.quantization_annotation.MergeFrom(own.quantization_annotation)
    graph.node.MergeFrom(lowered.graph.node)
    graph.value_info.MergeFrom(lowered.graph.value_info)
    graph.initializer.extend(tensor for tensor in own.initializer if size(tensor) > LARGE)
    graph.initializer.MergeFrom(lowered.graph.initializer)
    result = without_dead_parts(result)
    result.ir_version = lowest_ir_version(result)
    if result.ir_version < METADATA:
        _remove_metadata(result.graph)
    return result


def _remove_metadata(graph: onnx.GraphProto) -> None:
    for each in graphs(graph):
        parts = (each.node, each.value_info, each.input, each.output, each.initializer)
        for part in (each, *(item for items in parts for item in items)):
            part.ClearField("metadata_props")
        for node in each.node:
            node.ClearField("overload")
