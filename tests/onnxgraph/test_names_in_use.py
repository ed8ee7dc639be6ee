"""Small helpers that every verb uses: names that are free, domains, and what tensors need."""

import onnx

from onnxgraph.model.dataflow import needed_for
from onnxgraph.model.domains import domain, is_default, opsets
from onnxgraph.model.names import Names, used_names

MODEL = onnx.parser.parse_model(
    """<ir_version: 8, opset_import: ["ai.onnx" : 17, "own" : 2]>
    g (bool flag, float[2] x) => (float[2] y)
    <float[2] w = {1, 2}> {
        a = Add(x, w)
        idle = Neg(x)
        c = own.Op(a)
        y = If(flag) <
            then_branch = t () => (float[2] r) { r = Relu(c) },
            else_branch = e () => (float[2] s) { s = Identity(a) }
        >
    }"""
)


def test_a_new_name_is_no_other_and_is_taken_from_then_on():
    names = Names(used_names(MODEL.graph))
    assert [names.free(stem) for stem in ("r", "r", "new", "new", "w")] == [
        "r_1", "r_2", "new", "new_1", "w_1",
    ]  # fmt: skip


def test_the_domain_of_onnx_is_empty_however_a_file_calls_it():
    assert opsets(MODEL) == {"": 17, "own": 2}
    assert [domain(node) for node in MODEL.graph.node] == ["", "", "own", ""]
    assert is_default(onnx.NodeProto(domain="ai.onnx"))


def test_what_a_branch_reads_from_outside_is_needed():
    places, tensors = needed_for(MODEL.graph, ["y"])
    assert places == [0, 2, 3]
    assert {"flag", "x", "w", "a", "c"} <= tensors and "idle" not in tensors
    assert needed_for(MODEL.graph, ["y"], given=["a"])[0] == [2, 3]
    assert needed_for(MODEL.graph, ["a"], keep=["idle"])[0] == [0, 1]
