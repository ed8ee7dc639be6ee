"""Damage to ONNX models: errors of programs that write them, and attacks."""

import contextlib
import random

import onnx
from damage_bytes import damaged_bytes
from damage_message import change, messages
from onnx import AttributeProto, ModelProto, TensorProto, helper

_DIMS = (-1, 0, 1, 2, 3, 7, 2**31, 2**40, 2**62, -(2**63))
_CODES = (0, 1, 2, 5, 6, 7, 8, 9, 10, 14, 16, 17, 21, 22, 23, 24, 99, 2**31 - 1)


def damaged(rng: random.Random, files: dict[str, bytes]) -> tuple[str, dict[str, bytes]]:
    """Return a description of the damage, and the files."""
    draw = rng.random()
    if draw < 0.15:
        name = rng.choice(list(files))
        how, content = damaged_bytes(rng, files[name])
        return f"{how} {name}", files | {name: content}
    model = ModelProto.FromString(files["model.onnx"])
    done = [_change(rng, model) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if draw > 0.97:
        return "nested", files | {"model.onnx": _nested(rng.choice((5, 20, 31, 60, 1000)))}
    return ", ".join(done), files | {"model.onnx": model.SerializePartialToString()}


def _change(rng: random.Random, model: ModelProto) -> str:
    if rng.random() < 0.45:
        return change(rng, model)
    how = rng.choice(_WAYS)
    with contextlib.suppress(LookupError, TypeError, ValueError):  # the file is damaged already
        how(rng, model)
    return how.__name__.strip("_")


def _declared(rng: random.Random, model: ModelProto) -> None:
    """Give a declared tensor other sizes, another type, or no shape."""
    graph = model.graph
    value = rng.choice([*graph.input, *graph.output, *graph.value_info])
    kind = value.type.tensor_type
    way = rng.randrange(5)
    if way == 0:
        kind.elem_type = rng.choice(_CODES)
    elif way == 1:
        kind.ClearField("shape")
    elif way == 2 or not kind.shape.dim:
        kind.shape.dim.add(dim_value=rng.choice(_DIMS))
    elif way == 3:
        del kind.shape.dim[-1]
    else:
        rng.choice(kind.shape.dim).dim_value = rng.choice(_DIMS)


def _noted(rng: random.Random, model: ModelProto) -> None:
    """State a shape of an inner tensor that contradicts the graph."""
    name = rng.choice(_tensors(model))
    shape = [rng.choice((*_DIMS[1:8], "N", "M")) for _ in range(rng.randrange(6))]
    model.graph.value_info.append(helper.make_tensor_value_info(name, rng.choice((1, 7)), shape))


def _weight(rng: random.Random, model: ModelProto) -> None:
    """Let a weight's values, type and shape contradict each other."""
    tensor = rng.choice(_weights(model) or [model.graph.initializer.add(name="w", data_type=1)])
    way = rng.randrange(7)
    if way == 0:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    elif way == 1:
        tensor.raw_data = tensor.raw_data + b"\0" * rng.choice((1, 4, 4096))
    elif way == 2:
        tensor.float_data.extend([1.0] * 3)
    elif way == 3:
        tensor.data_type = rng.choice(_CODES)
    elif way == 4 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(_DIMS)
    elif way == 5:
        tensor.dims.append(rng.choice(_DIMS))
    else:
        tensor.segment.begin, tensor.segment.end = 3, 1


def _number(rng: random.Random, model: ModelProto) -> None:
    """Change a whole number among the values: sizes, axes, pads, indices."""
    whole = [each for each in _weights(model) if each.data_type == TensorProto.INT64]
    tensor = rng.choice(whole or [TensorProto(data_type=7, dims=[1], int64_data=[1])])
    values = onnx.numpy_helper.to_array(tensor).copy()
    if values.size:
        values.reshape(-1)[rng.randrange(values.size)] = rng.choice((*_DIMS, -2, 1000, 2**20))
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _outside(rng: random.Random, model: ModelProto) -> None:
    """State that a weight is in another file: a missing one, one outside, or beyond its end."""
    tensor = rng.choice(_weights(model) or [model.graph.initializer.add(name="w", data_type=1)])
    del tensor.external_data[:]
    tensor.data_location = TensorProto.EXTERNAL
    places = ("weights.bin", "none.bin", "../../etc/passwd", "/etc/passwd", "", ".", "a\0b", "‮w")
    entries = {
        "location": rng.choice(places),
        "offset": rng.choice(("", "0", "8", "-8", "4096000000", "x", "1e3", str(2**70))),
        "length": rng.choice(("", "16", "-1", "4096000000", "x", str(2**70))),
        "basepath": rng.choice(("", "/etc")),
        "state": rng.choice(("", "x")),
    }
    for key, value in entries.items():
        if value or rng.random() < 0.3:
            tensor.external_data.add(key=key, value=value)
    if rng.random() < 0.7:
        tensor.ClearField("raw_data")


def _sparse(rng: random.Random, model: ModelProto) -> None:
    """Give the model a sparse weight with impossible sizes or places."""
    values = helper.make_tensor("sparse_w", rng.choice((1, 7)), [2], [1, 2])
    places = [rng.choice((0, 1, 5, -1, 2**40, 2**62)) for _ in range(rng.choice((1, 2, 4)))]
    shape = rng.choice(([len(places)], [len(places), 1], [max(1, len(places) // 2), 2], []))
    indices = TensorProto(data_type=rng.choice((7, 7, 6, 1)), dims=shape, int64_data=places)
    dims = rng.choice(([2**40], [2**40, 2**40], [4, 3], [-1, 4], [], [0], [2**20, 2**20]))
    weight = onnx.SparseTensorProto(values=values, indices=indices, dims=dims)
    if rng.random() < 0.7:
        model.graph.sparse_initializer.append(weight)
        _reads(rng, model, "sparse_w")
    else:
        node = helper.make_node("Constant", [], ["sparse_w"])
        node.attribute.add(name="sparse_value", type=11).sparse_tensor.CopyFrom(weight)
        model.graph.node.insert(0, node)


def _function(rng: random.Random, model: ModelProto) -> None:
    """Add functions that call themselves, each other, or each the next one twice."""
    way, opset = (
        rng.choice(("itself", "each other", "doubled", "deep", "nothing")),
        model.opset_import,
    )
    count = {"itself": 1, "each other": 2, "doubled": 40, "deep": 300, "nothing": 1}[way]
    for number in range(count):
        called = f"f{(number + 1) % count}" if way in ("itself", "each other") else f"f{number + 1}"
        calls = [helper.make_node(called, ["a"], ["b"], domain="evil")]
        if way == "doubled":
            calls.append(helper.make_node(called, ["b"], ["c"], domain="evil"))
        if way in ("doubled", "deep") and number == count - 1:
            calls = [helper.make_node("Relu", ["a"], ["b"])]
        out = calls[-1].output[0]
        made = helper.make_function("evil", f"f{number}", ["a"], [out], calls, [*opset])
        made.opset_import.append(helper.make_opsetid("evil", 1))
        model.functions.append(made)
    model.opset_import.append(helper.make_opsetid("evil", 1))
    name = rng.choice(_tensors(model))
    model.graph.node.append(helper.make_node("f0", [name], ["evil_out"], domain="evil"))
    if rng.random() < 0.5:
        model.graph.output.append(helper.make_tensor_value_info("evil_out", 1, None))


def _opset(rng: random.Random, model: ModelProto) -> None:
    """Import opsets that do not exist, twice, or of the future."""
    way = rng.randrange(4)
    if way == 0:
        del model.opset_import[:]
    elif way == 1:
        model.opset_import.append(helper.make_opsetid("", rng.choice((1, 9, 13, 21))))
    elif way == 2:
        model.opset_import[0].version = rng.choice((0, -1, 1, 5, 6, 26, 27, 1000, 2**40, 2**63 - 1))
    else:
        model.opset_import[0].domain = rng.choice(("ai.onnx", "ai.onnx.ml", "com.microsoft", "x"))


def _attribute(rng: random.Random, model: ModelProto) -> None:
    """Give a node attributes of the wrong type, without a value, twice, or none."""
    node = rng.choice(_nodes(model))
    way = rng.randrange(6)
    known = [each.name for each in node.attribute] or ["axis", "value", "to"]
    name = rng.choice(known)
    if way == 0 and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif way == 1 and node.attribute:
        node.attribute.append(rng.choice(node.attribute))
    elif way == 2 and node.attribute:
        rng.choice(node.attribute).type = rng.choice(AttributeProto.AttributeType.values())
    elif way == 3:
        value = rng.choice((1, -1, 2**62, 0.5, "text", [1, 2], [1.5], [2**40] * 2, ["a"]))
        kept = [each for each in node.attribute if each.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])
    elif way == 4:
        node.attribute.add(name=name, ref_attr_name=rng.choice(("alpha", "", "x")), type=1)
    else:
        node.attribute.add(name=name, type=rng.choice(AttributeProto.AttributeType.values()))


def _operator(rng: random.Random, model: ModelProto) -> None:
    """Let a node use an op that does not exist, or another op."""
    node = rng.choice(_nodes(model))
    if rng.random() < 0.4:
        node.domain = rng.choice(("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "nowhere", "own"))
    else:
        node.op_type = rng.choice((*_OPS, node.op_type + "x", "", "a" * 3000))


_OPS = (
    *("If", "Loop", "Scan", "Constant", "Einsum", "Attention", "Reshape", "Resize", "Gather"),
    *("LSTM", "Split", "Conv", "Pad", "Tile", "TopK", "Range", "NonZero", "Where", "Expand", "Add"),
    *("SequenceAt", "Optional", "Upsample", "ConstantOfShape", "STFT", "Unique", "StringSplit"),
)


def _wires(rng: random.Random, model: ModelProto) -> None:
    """Connect nodes wrongly: to nothing, to a later node, to themselves, or too few or many."""
    node, names = rng.choice(_nodes(model)), [*_tensors(model), "", "nowhere"]
    ends = rng.choice((node.input, node.output))
    way = rng.randrange(4)
    if way == 0 or not ends:
        ends.append(rng.choice(names))
    elif way == 1:
        del ends[rng.randrange(len(ends))]
    elif way == 2:
        ends[rng.randrange(len(ends))] = rng.choice(names)
    else:
        nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node]
        rng.shuffle(nodes)
        del model.graph.node[:]
        model.graph.node.extend(nodes)


def _name(rng: random.Random, model: ModelProto) -> None:
    """Rename something to the name of something else, or to an odd name."""
    graph = model.graph
    things = [*graph.input, *graph.output, *graph.initializer, *graph.node, graph]
    odd = ("", " ", "\0", "a\nb", "‮", "x" * 3000, "../x", "<b>", "入力", "%s {}")
    rng.choice(things).name = rng.choice((*odd, *_tensors(model)))


def _body(rng: random.Random, model: ModelProto) -> None:
    """Put the whole graph into a branch of itself, or a branch in the place of another."""
    copy = onnx.GraphProto.FromString(model.graph.SerializeToString())
    kind = rng.choice(("If", "Loop", "Scan"))
    node = helper.make_node(kind, [rng.choice(_tensors(model))], ["made"], name="wrapped")
    for name in ("then_branch", "else_branch") if kind == "If" else ("body",):
        node.attribute.append(helper.make_attribute(name, copy))
    model.graph.node.append(node)


def _reads(rng: random.Random, model: ModelProto, name: str) -> None:
    node = rng.choice(_nodes(model))
    if node.input:
        node.input[rng.randrange(len(node.input))] = name


def _nested(depth: int) -> bytes:
    """Return a model with nested graphs, deeper than protobuf itself would write."""
    relu, made = helper.make_node("Relu", ["x"], ["y"]), helper.make_tensor_value_info("y", 1, [1])
    graph = leaf = helper.make_graph([relu], "g", [], [made]).SerializeToString()
    for _ in range(depth):
        attribute = _field(1, b"then_branch") + _field(6, graph) + b"\xa0\x01\x05"
        other = _field(1, b"else_branch") + _field(6, leaf) + b"\xa0\x01\x05"
        node = _field(1, b"flag") + _field(2, b"y") + _field(4, b"If")
        node += _field(5, attribute) + _field(5, other)
        graph = _field(1, node) + _field(2, b"g") + _field(12, _VALUE)
    inputs = _field(11, helper.make_tensor_value_info("flag", 9, []).SerializeToString())
    inputs += _field(11, helper.make_tensor_value_info("x", 1, [1]).SerializeToString())
    return b"\x08\x08" + _field(7, graph + inputs) + _field(8, b"\x10\x0d")


_VALUE = helper.make_tensor_value_info("y", 1, [1]).SerializeToString()


def _field(number: int, content: bytes) -> bytes:
    head, length = bytearray([number << 3 | 2]), len(content)
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length]) + content


def _tensors(model: ModelProto) -> list[str]:
    graph = model.graph
    names = [each.name for each in (*graph.input, *graph.output, *graph.initializer)]
    names += [name for node in graph.node for name in node.output]
    return names or [""]


def _weights(model: ModelProto) -> list[TensorProto]:
    return [each for each in messages(model) if isinstance(each, TensorProto)]


def _nodes(model: ModelProto) -> list[onnx.NodeProto]:
    found = [each for each in messages(model) if isinstance(each, onnx.NodeProto)]
    return found or [model.graph.node.add()]


_WAYS = (
    *(_declared, _declared, _noted, _weight, _weight, _number, _number, _outside, _sparse),
    *(_function, _opset, _attribute, _attribute, _operator, _wires, _wires, _name, _body),
)
