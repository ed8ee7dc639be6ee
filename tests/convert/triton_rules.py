"""Triton's reading of `config.pbtxt`: protobuf's parser on its messages, and Triton's checks.

The messages are those of `model_config.proto` that such a file uses. The checks are those of
Triton's core (`ValidateModelConfig`) and of its TensorFlow backend for both kinds
(`ValidateTRITONTFModel`, and the choice of a SavedModel by one tag and one signature).
"""

import functools

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

TYPES = ["INVALID", "BOOL"]
TYPES += ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]
TYPES += ["FP16", "FP32", "FP64", "STRING", "BF16"]

MESSAGES = {
    "Reshape": "shape:int64*",
    "Input": "name:string data_type:DataType dims:int64* reshape:Reshape",
    "Output": "name:string data_type:DataType dims:int64* reshape:Reshape label_filename:string",
    "Parameter": "string_value:string",
    "Config": "name:string platform:string backend:string max_batch_size:int32 input:Input* "
    "output:Output* parameters:Config.ParametersEntry*",
}
ENTRY = "key:string value:Parameter"
"""The message of an entry in the map `parameters`."""

TENSORFLOW = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}
TENSORFLOW |= {name: name.lower() for name in TYPES if "INT" in name}
TENSORFLOW["STRING"] = "string"


@functools.cache
def _config_class():
    file = descriptor_pb2.FileDescriptorProto(name="triton.proto", package="t", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(TYPES):
        kinds.value.add(name=f"TYPE_{name}", number=number)
    for title, fields in MESSAGES.items():
        _fill(file.message_type.add(name=title), fields)
    entry = file.message_type[-1].nested_type.add(name="ParametersEntry")
    entry.options.map_entry = True
    _fill(entry, ENTRY)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Config"))


def _fill(message, fields):
    for number, (name, kind) in enumerate(each.split(":") for each in fields.split()):
        field = message.field.add(name=name, number=number + 1)
        field.label = field.LABEL_REPEATED if kind[-1] == "*" else field.LABEL_OPTIONAL
        kind = kind.rstrip("*")
        if kind.islower() and kind.isalnum():
            field.type = getattr(field, f"TYPE_{kind.upper()}")
        else:
            field.type_name = f".t.{kind}"
            field.type = field.TYPE_ENUM if kind == "DataType" else field.TYPE_MESSAGE


def read(text):
    """Return the configuration, as protobuf's parser reads it."""
    return text_format.Parse(text, _config_class()())


def kind(tensor):
    """Return the numpy name of a tensor's type."""
    return TENSORFLOW.get(TYPES[tensor.data_type])


def core_problems(config):
    """Yield what Triton's core objects to, for any model."""
    if not config.name:
        yield "must specify 'name'"
    if config.platform not in ("tensorflow_savedmodel", "tensorflow_graphdef"):
        yield "unexpected platform"
    for tensor in (*config.input, *config.output):
        if not tensor.name:
            yield "must specify 'name'"
        if not tensor.data_type:
            yield f"{tensor.name} must specify 'data_type'"
        if not tensor.dims:
            yield f"{tensor.name} must specify 'dims'"
        if any(dim < 1 and dim != -1 for dim in tensor.dims):
            yield f"{tensor.name} dimension must be integer >= 1, or -1"
        if tensor.HasField("reshape") and not tensor.reshape.shape and not config.max_batch_size:
            yield f"{tensor.name} cannot have empty reshape for non-batching model"
        if kind(tensor) is None:
            yield f"{tensor.name} has a type that the TensorFlow backend does not know"


def saved_model_problems(config, saved):
    """Yield what the backend objects to when it loads a SavedModel that `read_saved_model` read."""
    yield from core_problems(config)
    told = {key: value.string_value for key, value in config.parameters.items()}
    if {told.get("TF_GRAPH_TAG", "serve")} != set(saved.tags):
        yield "could not find a graph with that tag"
    name = told.get("TF_SIGNATURE_DEF", "serving_default")
    if name not in saved.signatures:
        yield f"expected {name!r} signature"
        return
    entry = saved.signatures[name]
    sides = ((config.input, entry.inputs), (config.output, entry.outputs))
    if {tensor.name for tensor in config.input} != set(entry.inputs):
        yield "configuration expects other inputs than the model"
    for tensors, known in sides:
        for tensor in tensors:
            if tensor.name not in known:
                yield f"unexpected tensor {tensor.name!r}"
                continue
            spec = saved.specs[known[tensor.name]]
            shape = [dim if isinstance(dim, int) else -1 for dim in spec.shape]
            if spec.shape not in ((), ("...",)) and shape != list(tensor.dims):
                yield f"{tensor.name} has dims {list(tensor.dims)}, the model {shape}"
            if kind(tensor) != spec.dtype:
                yield f"{tensor.name} has another datatype"
    kinds = {saved.specs[tensor].dtype for tensor in entry.outputs.values()}
    if untyped := kinds - set(TENSORFLOW.values()):
        yield f"unsupported datatype {untyped}"


def graph_problems(config, graph_def):
    """Yield what the backend objects to when it loads a frozen graph."""
    yield from core_problems(config)
    inputs = {node.name for node in graph_def.node if node.op == "Placeholder"}
    outputs = {node.name for node in graph_def.node if node.op != "Placeholder"}
    for tensor in config.input:
        if tensor.name not in inputs:
            yield f"unexpected input {tensor.name!r}"
    for tensor in config.output:
        if tensor.name not in outputs:
            yield f"unexpected output {tensor.name!r}"
