"""Attention, and ops that are inlined as ONNX's functions, at any batch and length."""

import numpy as np
import pytest

from graphcore.errors import ConversionError
from nbhelpers import convert, onnxgraph
from tests.convert.agreement import agree
from tests.convert.models import parse, seeded


def attention(options="", *, mask="", kind="float", opset=23, past=False, groups=4):
    """Return a model of packed inputs with four heads of five."""
    inputs = ["float[N, Q, 20] q", f"float[N, K, {5 * groups}] k", f"float[N, K, {5 * groups}] v"]
    names = ["q", "k", "v", "mask" if mask else '""']
    outputs, made = ["float[N, Q, 20] y"], ["y"]
    if mask:
        inputs.append(f"{kind}[{mask}] mask")
    if past:
        inputs += [f"float[N, {groups}, P, 5] {name}" for name in ("pk", "pv")]
        outputs += [f"float[N, {groups}, T, 5] {name}" for name in ("nk", "nv")]
        names, made = [*names, "pk", "pv"], [*made, "nk", "nv"]
    return parse(
        f"g ({', '.join(inputs)}) => ({', '.join(outputs)}) {{ {', '.join(made)} = "
        f"Attention<q_num_heads = 4, kv_num_heads = {groups}{options}>({', '.join(names)}) }}",
        opset=opset,
    )


def sized(model, *sizes):
    """Return a run of seeded inputs for each set of sizes of the symbols."""
    for seed, size in enumerate(sizes):
        feeds = {}
        for index, spec in enumerate(onnxgraph.inputs(model)):
            shape = [size.get(dim, dim) for dim in spec.shape]
            value = seeded(*shape, seed=10 * seed + index)
            feeds[spec.name] = value > -0.5 if spec.dtype == "bool" else value
        yield feeds


SMALL, LARGE = {"N": 1, "Q": 3, "K": 6, "P": 2, "T": 8}, {"N": 2, "Q": 7, "K": 4, "P": 5, "T": 9}


@pytest.mark.parametrize("groups", [4, 2, 1], ids=["heads", "grouped", "one group"])
@pytest.mark.parametrize("options", ["", ", scale = 0.3", ", is_causal = 1"], ids=str)
def test_any_batch_and_length(options, groups):
    model = attention(options, groups=groups)
    agree(model, *sized(model, SMALL, LARGE))


@pytest.mark.parametrize("kind", ["float", "bool"])
@pytest.mark.parametrize("mask", ["Q, K", "N, 1, Q, K"])
def test_masks(mask, kind):
    model = attention(mask=mask, kind=kind, opset=24)
    agree(model, *sized(model, SMALL, LARGE))


def test_past_keys_and_values():
    model = attention(", is_causal = 1", past=True, groups=2, opset=24)
    agree(model, *sized(model, SMALL, LARGE))


def test_a_query_that_sees_no_key_gives_zeros():
    model = attention(mask="Q, K", kind="bool", opset=24)
    converted = convert.onnx2tf(model, None, verify=False)
    q, k, v = seeded(1, 2, 20), seeded(1, 3, 20), seeded(1, 3, 20)
    mask = np.array([[True, False, True], [False, False, False]])
    y = convert.run_conversion(converted, {"q": q, "k": k, "v": v, "mask": mask})["y"]
    assert np.isfinite(y).all()
    assert not y[0, 1].any()
    assert y[0, 0].all()


def test_grouped_heads_are_not_repeated():
    graph = convert.onnx2tf(attention(groups=2), None, verify=False).graph_def
    assert not {"Tile", "BroadcastTo", "GatherV2"} & {node.op for node in graph.node}


def test_an_unknown_number_of_heads_is_refused():
    model = parse(
        "g (float[N, H, Q, 5] q, float[N, H, K, 5] k) => (float[N, H, Q, 5] y) "
        "{ y = Attention(q, k, k) }",
        opset=23,
    )
    with pytest.raises(ConversionError, match=r"\(Attention\) has an unknown number of heads"):
        convert.onnx2tf(model, None, verify=False)


FUNCTIONS = {
    "rotary": (
        "float[N, 4, Q, 6] x, float[N, Q, 3] c, float[N, Q, 3] s",
        "float[N, 4, Q, 6] y",
        "y = RotaryEmbedding(x, c, s)",
        23,
    ),
    "default attributes": (
        "float[N, 6] x",
        "float[N, 6] y",
        "c = Celu(x) y = Selu(c)",
        17,
    ),
    "inside a branch": (
        "float[N, 6] x, bool flag",
        "float[N, 6] y",
        "y = If (flag) < then_branch = a () => (float[N, 6] t) { t = Gelu(x) }, "
        "else_branch = b () => (float[N, 6] e) { e = Mish(x) } >",
        20,
    ),
}


@pytest.mark.parametrize("case", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_are_inlined_by_the_types_of_their_inputs(case):
    inputs, output, text, opset = case
    model = parse(f"g ({inputs}) => ({output}) {{ {text} }}", opset=opset)
    agree(model, *sized(model, SMALL, LARGE))
