"""Set the shapes of the ONNX model's outputs, from TensorFlow's inference and from its runs."""

import onnx

import onnxgraph
from graphcore.spec import Dim, Feeds
from tfgraph.toonnx.interface import Interface


def stated(
    model: onnx.ModelProto, interface: Interface, runs: list[tuple[Feeds, Feeds]]
) -> onnx.ModelProto:
    """Return the checked model with the sizes of its outputs, and symbols for the dynamic ones.

    Args:
        model: the tidied model, which is changed.
        interface: the interface from which it was made.
        runs: inputs and outputs of its comparison. An open dim that was equal to the batch in every
            run gets the batch's symbol.

    Raises:
        GraphError: the model is not valid.
    """
    symbol = _batch_symbol(interface)
    for value in model.graph.output:
        shape = interface.shapes[value.name]
        seen = [(_batch(fed), results[value.name].shape) for fed, results in runs]
        if shape is None and seen:
            shape = (None,) * len(seen[0][1])
        tensor = value.type.tensor_type
        tensor.ClearField("shape")
        if shape is None:
            continue
        dims = [
            _dim(size, axis, [(batch, each[axis]) for batch, each in seen], symbol, value.name)
            for axis, size in enumerate(shape)
        ]
        kind = tensor.elem_type
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, dims))
    return onnxgraph.check(model, subject="What tf2onnx wrote")


def _dim(size: int | None, axis: int, seen: list[tuple[int, int]], symbol: str, name: str) -> Dim:
    if size is not None:
        return size
    sizes = {each for _, each in seen}
    if axis == 0 and symbol and (not seen or all(batch == each for batch, each in seen)):
        return symbol
    if len(sizes) == 1 and not symbol:
        return sizes.pop()
    return f"{name}_dim{axis}"


def _batch_symbol(interface: Interface) -> str:
    """Return the symbol of the dynamic batch, or "" if the batch is fixed."""
    firsts = [spec.shape[0] for spec in interface.specs.values() if spec.shape]
    return next((dim for dim in firsts if isinstance(dim, str)), "")


def _batch(feeds: Feeds) -> int:
    return next((value.shape[0] for value in feeds.values() if value.ndim), 1)
