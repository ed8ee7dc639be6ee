"""Fields of a protocol buffer, found and written without its definition."""

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, DoubleValue, FloatValue, Int64Value

from graphcore.protobuf_fields import BYTES, fields, head


def test_fields_of_every_kind_are_stepped_over():
    parts = [BytesValue(value=b"x" * 300), Int64Value(value=1 << 40)]
    parts += [FloatValue(value=1.5), DoubleValue(value=2.5)]
    data = b"".join(each.SerializeToString() for each in parts)
    found = list(fields(data, 0, len(data)))
    assert [(each.number, each.kind) for each in found] == [(1, BYTES), (1, 0), (1, 5), (1, 1)]
    assert data[found[0].content : found[0].end] == b"x" * 300
    assert [each.end for each in found[:-1]] == [each.begin for each in found[1:]]


@pytest.mark.parametrize("size", [0, 127, 128, 70_000])
def test_a_head_is_what_protobuf_writes(size):
    value = b"y" * size
    assert head(1, size) + value in (BytesValue(value=value).SerializeToString(), b"\x0a\x00")


@pytest.mark.parametrize("data", [b"\x0a\x05abc", b"\x0b", b"\x08" + b"\xff" * 11])
def test_what_is_no_message_is_refused(data):
    with pytest.raises((ValueError, IndexError)):
        list(fields(data, 0, len(data)))
