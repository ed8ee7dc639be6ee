"""Models whose large weights are left in their own file until one is asked for."""

import os
import random

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from onnxgraph.model import external, lazy_load

DTYPES = [np.float32, np.float16, np.int64, np.bool_, np.complex128, ml_dtypes.bfloat16]
DTYPES += [ml_dtypes.int4, ml_dtypes.float8_e4m3fn]


@pytest.fixture
def path(tmp_path, values):
    """Write a model with large weights of many types, and return its path."""
    large = [values(300, 500, seed=s).astype(t) for s, t in enumerate(DTYPES)]
    weights = [numpy_helper.from_array(each, f"w{number}") for number, each in enumerate(large)]
    weights += [
        numpy_helper.from_array(values(4), "small"),
        helper.make_tensor("listed", TensorProto.FLOAT, [200, 200], values(200, 200).ravel()),
        numpy_helper.from_array(values(500, 300, seed=9), "last"),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["mixed"], name="mix"),
        helper.make_node("MatMul", ["mixed", "last"], ["y"], name="back"),
    ]
    value = helper.make_tensor_value_info
    inputs, outputs = [value("x", 1, ["N", 300])], [value("y", 1, ["N", 300])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "m.onnx"


def left(path):
    return onnxgraph.load(path, keep_external=True, leave_weights=True)


def test_the_model_is_the_same_and_holds_no_large_weight(path, values):
    model, plain = left(path), onnxgraph.load(path)
    found = [t.name for t in model.graph.initializer if external.is_lazy(t)]
    assert found == [f"w{number}" for number in range(len(DTYPES))] + ["last"]
    assert model.ByteSize() < path.stat().st_size / 10
    assert external.with_values(model) == plain
    for mine, wanted in zip(model.graph.initializer, plain.graph.initializer, strict=True):
        array, expected = external.values(mine), numpy_helper.to_array(wanted)
        assert array.dtype == expected.dtype
        assert array.tobytes() == expected.tobytes()
        assert array.flags.aligned
    for batch in (1, 3):
        feeds = {"x": values(batch, 300)}
        seen = onnxgraph.run_onnx(model, feeds, fetch=["y", "mixed"])
        expected = onnxgraph.run_onnx(plain, feeds, fetch=["y", "mixed"])
        assert all(np.array_equal(seen[name], expected[name]) for name in expected)


def test_what_is_saved_is_whole(path):
    plain = onnxgraph.load(path)
    for place in (path.with_name("other.onnx"), path):
        onnxgraph.save(left(path), place)
        assert onnxgraph.load(place).graph == plain.graph


@pytest.mark.parametrize("change", [lambda p: os.truncate(p, 1000), os.remove, os.utime])
def test_a_file_that_changes_meanwhile_is_refused(change, path):
    model = left(path)
    change(path)
    with pytest.raises(GraphError, match=r"m\.onnx was changed or removed while the model was"):
        external.values(model.graph.initializer[0])


def test_a_file_cannot_say_itself_that_a_weight_is_left_in_it(path):
    model = onnxgraph.load(path)
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    secret = path.with_name("secret")
    secret.write_bytes(bytes(600_000))
    entries = {"location": "secret", "basepath": "/", "offset": "0", "length": "600000"}
    for name, value in {**entries, "state": external._state(secret)}.items():
        weight.external_data.add(key=name, value=value)
    (path.parent / "inner").mkdir()
    inner = path.parent / "inner" / "m.onnx"
    inner.write_bytes(model.SerializeToString())
    for work in (left, onnxgraph.load, lambda p: onnxgraph.load(p, keep_external=True)):
        with pytest.raises(
            GraphError, match=r"not a file in the model's folder|which cannot be read"
        ):
            work(inner)


def outcome(work, path):
    try:
        return external.with_values(work(path)).SerializeToString(deterministic=True)
    except GraphError as error:
        return str(error)


def test_a_damaged_file_is_taken_or_refused_as_when_it_is_read_whole(path):
    """Cut short, and with flipped bits in what is not a large weight."""
    content, chance = path.read_bytes(), random.Random(0)
    _, places = lazy_load.read(path)
    inside = {n for begin, length in places.values() for n in range(begin + 9, begin + length)}
    outside = [number for number in range(len(content)) if number not in inside]
    for turn in range(60):
        damaged = bytearray(content[: chance.choice([None, chance.randrange(len(content))])])
        for number in chance.sample(outside, turn % 4):
            if number < len(damaged):
                damaged[number] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        assert outcome(left, path) == outcome(onnxgraph.load, path)


def test_messages_that_protobuf_would_merge_are_left_to_it(path):
    path.write_bytes(path.read_bytes() + b"\x3a\x00")  # a second graph, which is empty
    assert lazy_load.read(path) is None
    assert left(path).graph == onnxgraph.load(path).graph
    for content in (b"", b"\x80" * 10_000, b"\x3a\xff\xff\xff\xff\x7f", b"\x0f"):
        path.write_bytes(content)
        assert lazy_load.read(path) is None
    assert lazy_load.read(path.parent) is lazy_load.read(path.with_name("n" * 5000)) is None
