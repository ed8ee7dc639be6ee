"""RNN, GRU and LSTM: one matmul with the input for all steps, then a loop for each direction.

A sequence that has ended keeps its state and returns zeros. So a reversed direction, which runs
from the last step to the first, needs no reversal of each sequence: before a sequence begins there,
its state is still the initial one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfgraph.handlers.loops import over_steps
from tfgraph.handlers.recurrent_activations import Activation, activations
from tfgraph.handlers.registry import Node, Value, constant, refusal, register

Step: TypeAlias = Callable[[tf.Tensor, list[tf.Tensor]], list[tf.Tensor]]
"""(the input's part of the gates, states) → states, with the hidden state first."""


@dataclass(frozen=True)
class Direction:
    """The parameters of one direction: R transposed, its bias, P and the activations."""

    recurrence: tf.Tensor
    bias: tf.Tensor | None
    peepholes: list[tf.Tensor] | None
    functions: list[Activation]
    hidden: int


@register("RNN", as_arrays=[1, 2, 3])
def rnn(
    node: Node,
    x: tf.Tensor,
    w: Value,
    r: Value,
    b: Value | None = None,
    lengths: tf.Tensor | None = None,
    initial_h: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """H = f(X·W + H·R + b)."""

    def step_of(direction: Direction) -> Step:
        (f,) = direction.functions
        return lambda gates, states: [f(gates + states[0] @ direction.recurrence)]

    return _recurrent(node, x, (w, r, b, None), lengths, [initial_h], ["Tanh"], step_of)


@register("GRU", as_arrays=[1, 2, 3])
def gru(
    node: Node,
    x: tf.Tensor,
    w: Value,
    r: Value,
    b: Value | None = None,
    lengths: tf.Tensor | None = None,
    initial_h: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """H = (1 - z)·h + z·H, with the reset gate before or after the matmul (linear_before_reset)."""
    linear = bool(node.attrs.get("linear_before_reset", 0))

    def step_of(direction: Direction) -> Step:
        f, g = direction.functions
        hidden, size = direction.hidden, 2 * direction.hidden
        of_gates, of_state = direction.recurrence[:, :size], direction.recurrence[:, size:]
        bias = None if direction.bias is None else direction.bias[size:]

        def step(gates: tf.Tensor, states: list[tf.Tensor]) -> list[tf.Tensor]:
            (h,) = states
            zr_part, h_part = tf.split(gates, [size, hidden], axis=-1)
            if linear:
                zr_more, state = tf.split(h @ direction.recurrence, [size, hidden], axis=-1)
                z, reset = tf.split(f(zr_part + zr_more), 2, axis=-1)
                state = reset * (state if bias is None else state + bias)
            else:
                z, reset = tf.split(f(zr_part + h @ of_gates), 2, axis=-1)
                state = (reset * h) @ of_state
            candidate = g(h_part + state)
            return [candidate + z * (h - candidate)]

        return step

    # Only for this variant does a bias on the state stay inside the loop: that of the last gate.
    inside = slice(-1, None) if linear else None
    weights = (w, r, b, None)
    states = [initial_h]
    return _recurrent(node, x, weights, lengths, states, ["Sigmoid", "Tanh"], step_of, inside)


@register("LSTM", as_arrays=[1, 2, 3, 7])
def lstm(
    node: Node,
    x: tf.Tensor,
    w: Value,
    r: Value,
    b: Value | None = None,
    lengths: tf.Tensor | None = None,
    initial_h: tf.Tensor | None = None,
    initial_c: tf.Tensor | None = None,
    p: Value | None = None,
) -> list[tf.Tensor]:
    """C = f·C + i·c and H = o·h(C), with peepholes and the coupled forget gate."""
    coupled = bool(node.attrs.get("input_forget", 0))

    def step_of(direction: Direction) -> Step:
        f, g, h = direction.functions
        peep_i, peep_o, peep_f = direction.peepholes or [None] * 3

        def step(gates: tf.Tensor, states: list[tf.Tensor]) -> list[tf.Tensor]:
            before, cell = states
            all_gates = gates + before @ direction.recurrence
            i, o, forget, candidate = tf.split(all_gates, 4, axis=-1)
            i = f(i if peep_i is None else i + peep_i * cell)
            forget = 1 - i if coupled else f(forget if peep_f is None else forget + peep_f * cell)
            cell = forget * cell + i * g(candidate)
            o = f(o if peep_o is None else o + peep_o * cell)
            return [o * h(cell), cell]

        return step

    weights, defaults = (w, r, b, p), ["Sigmoid", "Tanh", "Tanh"]
    return _recurrent(node, x, weights, lengths, [initial_h, initial_c], defaults, step_of)


def _recurrent(
    node: Node,
    x: tf.Tensor,
    weights: tuple[Value, Value, Value | None, Value | None],
    lengths: tf.Tensor | None,
    initial: list[tf.Tensor | None],
    defaults: list[str],
    step_of: Callable[[Direction], Step],
    inside: slice | None = None,
) -> list[tf.Tensor]:
    """Return Y and the last states. `inside` selects the gates whose state bias the step adds."""
    w, r, b, p = weights
    hidden = int(r.shape[-1])
    gates = int(r.shape[1]) // hidden
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    backwards = ways.get(node.attrs.get("direction", "forward"))
    if backwards is None:
        raise refusal(node, f"has the direction {node.attrs['direction']!r}, unknown to ONNX.")
    batch_first = bool(node.attrs.get("layout", 0))
    if batch_first:
        x = tf.transpose(x, [1, 0, 2])
    # onnxruntime clips the inputs of the gates, but not that of an LSTM's last activation.
    functions = activations(node, defaults, len(backwards), clipped=2)
    of_x, of_state = _biases(b, gates, hidden, inside)
    products = _input_products(x, w, of_x, len(backwards), gates * hidden)
    zeros = None if None not in initial else _zeros(x, hidden)
    outputs, last = [], []
    for index, (back, product) in enumerate(zip(backwards, products, strict=True)):
        direction = Direction(
            _tensor(r[index], [1, 0]),
            None if of_state is None else _tensor(of_state[index]),
            None if p is None else [_tensor(part) for part in _thirds(p[index], hidden)],
            functions[index],
            hidden,
        )
        starts = [zeros if s is None else _start(s, index, batch_first) for s in initial]
        output, states = _one_way(step_of(direction), product, starts, lengths, back)
        outputs.append(output)
        last.append(states)
    axis = 1 if batch_first else 0
    y = tf.stack(outputs, axis=1)
    if batch_first:
        y = tf.transpose(y, [2, 0, 1, 3])
    return [y, *[tf.stack(each, axis=axis) for each in zip(*last, strict=True)]]


def _one_way(
    step: Step,
    product: tf.Tensor,
    starts: list[tf.Tensor],
    lengths: tf.Tensor | None,
    backwards: bool,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Return the outputs of all steps and the last states of one direction."""
    total = tf.shape(product)[0] if product.shape[0] is None else int(product.shape[0])
    _share_batch(product, starts)
    zeros = None if lengths is None else tf.zeros_like(starts[0])

    def body(number: tf.Tensor | int, states: list, elements: list) -> tuple[list, list]:
        after = step(elements[0], states)
        if lengths is None:
            return after, after[:1]
        place = total - 1 - number if backwards else number
        running = place < tf.cast(lengths, tf.int32)  # one per row, as TensorFlow 1 requires
        output = tf.compat.v1.where(running, after[0], zeros)
        return [
            tf.compat.v1.where(running, new, old) for new, old in zip(after, states, strict=True)
        ], [output]

    states, (stacked,) = over_steps(
        body,
        starts,
        [product],
        backwards=[backwards],
        backwards_out=[backwards],
        outputs=[(starts[0].dtype, starts[0].shape)],
    )
    return stacked, states


def _input_products(
    x: tf.Tensor, w: Value, bias: Value | None, directions: int, width: int
) -> list[tf.Tensor]:
    """Return X·W + bias, steps × batch × gates, for each direction."""
    size = int(w.shape[-1])
    flat = w.reshape(-1, size) if isinstance(w, np.ndarray) else tf.reshape(w, [-1, size])
    weights = _tensor(flat, [1, 0])
    product = tf.reshape(x, [-1, size]) @ weights
    if bias is not None:
        product = tf.nn.bias_add(product, tf.reshape(_tensor(bias), [-1]))
    steps, batch = x.shape[0], x.shape[1]
    if steps is not None and batch is not None:
        shape = [steps, batch, directions * width]
    elif steps is not None or batch is not None:
        shape = [-1 if steps is None else steps, -1 if batch is None else batch, directions * width]
    else:
        shape = tf.concat([tf.shape(x)[:2], [directions * width]], 0)
    product = tf.reshape(product, shape)
    product.set_shape([steps, batch, directions * width])
    return [product] if directions == 1 else tf.split(product, directions, axis=-1)


def _biases(
    b: Value | None, gates: int, hidden: int, inside: slice | None
) -> tuple[Value | None, Value | None]:
    """Return the biases on the input, and those that the step adds itself.

    The biases on the state are added to the first where possible. The second are zero for the other
    gates.
    """
    if b is None:
        return None, None
    size = gates * hidden
    on_x, on_state = b[:, :size], b[:, size:]
    if inside is None:
        return on_x + on_state, None
    kept = np.zeros((gates, hidden), bool)
    kept[inside] = True
    mask = kept.reshape(1, size).astype(tf.as_dtype(b.dtype).as_numpy_dtype)
    return on_x + on_state * (1 - mask), on_state * mask


def _zeros(x: tf.Tensor, hidden: int) -> tf.Tensor:
    if x.shape[1] is not None:
        return tf.zeros([x.shape[1], hidden], x.dtype)
    zeros = tf.zeros(tf.stack([tf.shape(x)[1], hidden]), x.dtype)
    zeros.set_shape([None, hidden])
    return zeros


def _start(state: tf.Tensor, index: int, batch_first: bool) -> tf.Tensor:
    return state[:, index] if batch_first else state[index]


def _share_batch(product: tf.Tensor, starts: list[tf.Tensor]) -> None:
    """Set the batch size on all tensors if one knows it, because a loop must not change shapes."""
    known = [product.shape[1], *(start.shape[0] for start in starts)]
    batch = next((size for size in known if size is not None), None)
    product.set_shape([None, batch, None])
    for start in starts:
        start.set_shape([batch, None])


def _thirds(p: Value, hidden: int) -> list[Value]:
    return [p[start * hidden : (start + 1) * hidden] for start in range(3)]


def _tensor(value: Value, permutation: list[int] | None = None) -> tf.Tensor:
    """Return weights as a tensor. Constant weights are transposed now."""
    known = constant(value)
    if known is None:
        return value if permutation is None else tf.transpose(value, permutation)
    moved = known if permutation is None else known.transpose(permutation)
    return tf.constant(np.ascontiguousarray(moved))
