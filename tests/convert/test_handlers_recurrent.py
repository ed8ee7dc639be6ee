"""RNN, GRU and LSTM against onnxruntime: any batch and length, each direction and every option."""

import numpy as np
import pytest

from graphcore.errors import ConversionError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.agreement import agree, ops
from tests.convert.everywhere import run_there
from tests.convert.models import parse, seeded

SIZE, HIDDEN = 3, 4
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(op, *, options="", steps="S", batch="N", opset=14, lengths=False, initial=False):
    """Return a model of one node with all of its outputs, which asks for the inputs named."""
    ways = 2 if "bidirectional" in options else 1
    gates = GATES[op] * HIDDEN
    states = ["h", "c"][: 2 if op == "LSTM" else 1]
    state = f"float[{ways}, {batch}, {HIDDEN}]"
    inputs = [f"float[{steps}, {batch}, {SIZE}] x"]
    inputs += [f"int32[{batch}] lengths"] if lengths else []
    inputs += [f"{state} {name}0" for name in states] if initial else []
    given = ["x", "w", "r", "b", "lengths" if lengths else '""']
    given += [f"{name}0" if initial else '""' for name in states]
    peep = {}
    if op == "LSTM" and initial:
        peep = {"p": seeded(ways, 3 * HIDDEN, seed=4)}
        given.append("p")
    outputs = [f"float[{steps}, {ways}, {batch}, {HIDDEN}] y", *[f"{state} {n}" for n in states]]
    attributes = f"hidden_size = {HIDDEN}" + (f", {options}" if options else "")
    return parse(
        f"g ({', '.join(inputs)}) => ({', '.join(outputs)}) "
        f"{{ y, {', '.join(states)} = {op}<{attributes}>({', '.join(given)}) }}",
        opset=opset,
        w=seeded(ways, gates, SIZE, seed=1),
        r=0.5 * seeded(ways, gates, HIDDEN, seed=2),
        b=seeded(ways, 2 * gates, seed=3),
        **peep,
    )


def fed(model, steps, batch, seed=0):
    """Return inputs for a model; the lengths run from one to all of the steps."""
    sizes = {"S": steps, "N": batch}
    feeds = {}
    for index, spec in enumerate(onnxgraph.inputs(model)):
        shape = [sizes.get(size, size) for size in spec.shape]
        if spec.name == "lengths":
            feeds[spec.name] = np.linspace(steps, 1, batch).round().astype(np.int32)
        else:
            feeds[spec.name] = seeded(*shape, seed=10 * seed + index)
    return feeds


def agreed(model, *sizes):
    """Return the ops of a conversion that agrees at each pair of steps and batch."""
    runs = [fed(model, *each, seed) for seed, each in enumerate(sizes)]
    return ops(agree(model, *runs))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("initial", [False, True], ids=["zeros", "initial"])
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("op", GATES)
def test_any_batch_and_length(op, lengths, initial, direction):
    options = f'direction = "{direction}"'
    model = recurrent(op, options=options, lengths=lengths, initial=initial)
    made = agreed(model, (12, 3), (5, 1))
    assert "TensorArrayV3" in made
    assert not made & {"While", "StatelessWhile", "If", "PartitionedCall", "TensorListReserve"}


def test_weights_inside_a_loop_stay_there(monkeypatch):
    """Large ones stand beside the graph elsewhere, and no loop could read them there."""
    monkeypatch.setitem(globals(), "HIDDEN", 40)
    assert "Enter" in agreed(recurrent("LSTM"), (12, 3), (5, 1))


@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("op", GATES)
def test_few_steps_are_written_out(op, lengths):
    model = recurrent(op, options='direction = "bidirectional"', steps=5, lengths=lengths)
    assert "Enter" not in agreed(model, (5, 3), (5, 1))


@pytest.mark.parametrize("opset", [7, 11, 14, 17])
@pytest.mark.parametrize("op", GATES)
def test_every_opset(op, opset):
    agreed(recurrent(op, opset=opset, lengths=True, initial=True), (9, 2), (3, 4))


def test_reset_gate_after_the_product():
    options = 'linear_before_reset = 1, direction = "bidirectional"'
    agreed(recurrent("GRU", options=options), (10, 2), (3, 1))


def test_coupled_forget_gate():
    agreed(recurrent("LSTM", options="input_forget = 1", initial=True), (10, 2), (3, 1))


ACTIVATIONS = {
    "RNN": ['["Affine"], activation_alpha = [0.5], activation_beta = [0.1]', '["Softsign"]'],
    "GRU": ['["HardSigmoid", "ScaledTanh"], activation_alpha = [0.3, 0.9], '
            "activation_beta = [0.4, 0.8]", '["Sigmoid", "LeakyRelu"], activation_alpha = [0.3]'],
    "LSTM": ['["HardSigmoid", "Elu", "Softplus"], activation_alpha = [0.3, 0.7], '
             "activation_beta = [0.4]", '["Sigmoid", "ThresholdedRelu", "Relu"], '
             "activation_alpha = [0.1]"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("op", "text"), [(op, text) for op, texts in ACTIVATIONS.items() for text in texts]
)
def test_activations_take_their_numbers_in_order(op, text):
    agreed(recurrent(op, options=f"activations = {text}"), (6, 2), (3, 1))


@pytest.mark.parametrize("op", GATES)
def test_clip_bounds_what_the_activations_get(op):
    agreed(recurrent(op, options="clip = 0.4"), (6, 2), (3, 1))


def test_batch_first_is_the_same_transposed():
    """onnxruntime lacks layout = 1: the model without it is the reference."""
    model, expected = (recurrent("LSTM", options=f"layout = {n}", steps="S") for n in (1, 0))
    feeds = fed(expected, 6, 2)
    want = onnxgraph.run_onnx(expected, feeds)
    converted = convert.onnx2tf(model, None, verify=False)
    seen = convert.run_conversion(converted, {"x": feeds["x"].transpose(1, 0, 2)})
    np.testing.assert_allclose(seen["y"], want["y"].transpose(2, 0, 1, 3), atol=1e-5)
    np.testing.assert_allclose(seen["c"], want["c"].transpose(1, 0, 2), atol=1e-5)


def test_an_unknown_activation_is_refused():
    model = recurrent("RNN", options='activations = ["Mish"]')
    with pytest.raises(ConversionError, match=r"\(RNN\) has the activation 'Mish'"):
        convert.onnx2tf(model, None)


def test_an_activation_without_its_numbers_is_refused():
    """onnxruntime takes zero where ONNX says one."""
    model = recurrent("RNN", options='activations = ["Affine"]')
    with pytest.raises(ConversionError, match=r"'Affine' without its numbers"):
        convert.onnx2tf(model, None)


def test_too_few_activations_are_refused():
    model = recurrent("GRU", options='activations = ["Tanh"]')
    with pytest.raises(ConversionError, match=r"names 1 activations and needs 2"):
        convert.onnx2tf(model, None)


@pytest.mark.parametrize("op", GATES)
def test_loops_run_on_the_old_runtimes(op, legacy, tmp_path):
    model = recurrent(op, options='direction = "bidirectional"', lengths=True)
    result = convert.onnx2tf(model, None, target="tf1.4", verify=False)
    feeds = [fed(model, steps, batch) for steps, batch in ((9, 2), (2, 3))]
    for runtime in legacy:
        results = run_there(runtime.name, result, feeds, tmp_path)
        for each, seen in zip(feeds, results, strict=True):
            compare(onnxgraph.run_onnx(model, each), seen, title=str(runtime)).check()
