"""If, Loop and Scan: unrolled where the steps are known, else TensorFlow 1's Switch and loops.

A subgraph may use any tensor of the graphs around it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import tensorflow as tf

from tfgraph.handlers.loop_lists import Stacked, joined, with_elements_as_outputs
from tfgraph.handlers.loops import LONGEST_UNROLLED, Kind, Round, over_steps, trial, while_true
from tfgraph.handlers.registry import Node, constant, refusal, register

MOST_UNROLLED = 256
"""Loops that carry a sequence are unrolled up to this many steps, because they must be."""


@register("If")
def if_(node: Node, condition: tf.Tensor) -> list:
    """Build only the branch that is taken if that is known, else both, of which one runs."""
    then_branch, else_branch = node.attrs["then_branch"], node.attrs["else_branch"]
    known = constant(condition)
    if known is not None:
        return node.tensors.run(then_branch if bool(np.all(known)) else else_branch, [])
    lengths: list[list[int | None]] = []

    def run(branch: onnx.GraphProto) -> list:
        values = node.tensors.run(branch, [])
        lengths.append([len(v) if isinstance(v, list) else None for v in values])
        if lengths[0] != lengths[-1]:
            raise refusal(
                node,
                "gives sequences of different lengths in its branches, and TensorFlow must know "
                "the length. Make the condition a constant, or return tensors.",
            )
        return values

    return tf.compat.v1.cond(
        tf.reshape(condition, []),
        lambda: run(then_branch),
        lambda: run(else_branch),
        strict=True,
    )


@register("Loop")
def loop(
    node: Node, trips: tf.Tensor | None, condition: tf.Tensor | None, *carried: tf.Tensor
) -> list:
    """Run the body `trips` times, or as long as the condition holds."""
    body = node.attrs["body"]
    known = constant(trips)
    endless = _endless(condition, body)
    if trips is None and endless:
        raise refusal(
            node, "has no trip count and no condition that could end it. Give it one of them."
        )
    if trips is not None and condition is None and not _always(body):
        raise refusal(
            node,
            "has a trip count, no condition, and a body that computes one: ONNX says that it is "
            "ignored, onnxruntime heeds it. Give the loop a condition, true to begin with.",
        )
    holds_sequence = any(isinstance(value, list | Stacked) for value in carried)
    longest = MOST_UNROLLED if holds_sequence else LONGEST_UNROLLED
    if known is not None and endless and 0 < int(np.max(known)) <= longest:
        return _unrolled(node, int(np.max(known)), carried)
    if holds_sequence:
        return _appending(node, trips, condition, carried)
    return _looped(node, trips, condition, carried)


def _looped(
    node: Node,
    trips: tf.Tensor | None,
    condition: tf.Tensor | None,
    carried: Sequence,
    *,
    lists: int = 0,
) -> list:
    """Run the body in a loop of TensorFlow. The last `lists` outputs are returned as `Steps`."""
    body = node.attrs["body"]
    endless = _endless(condition, body)
    if trips is not None:
        trips = tf.reshape(trips, [])
    checked = [] if endless else [tf.reshape(condition, [])]

    def step_of(step: tf.Tensor, states: list) -> tuple[list, list]:
        going, *values = states if checked else [tf.constant(True), *states]
        going, *results = node.tensors.run(body, [tf.cast(step, tf.int64), going, *values])
        head = [tf.reshape(going, [])] if checked else []
        return head + results[: len(carried)], results[len(carried) :]

    def proceed(step: tf.Tensor, states: list) -> tf.Tensor:
        if trips is None:
            return states[0]
        within = tf.cast(step, tf.int64) < trips
        return tf.logical_and(within, states[0]) if checked else within

    states = [*checked, *carried]
    kinds, outputs = _settled(node, step_of, states)
    last, stacks = while_true(
        proceed,
        step_of,
        states,
        size=tf.cast(tf.maximum(trips, 0), tf.int32) if endless else None,
        shapes=[shape for _, shape in kinds],
        outputs=outputs,
        apart=lists,
    )
    return last[len(checked) :] + stacks


def _appending(
    node: Node, trips: tf.Tensor | None, condition: tf.Tensor | None, carried: Sequence
) -> list:
    """Run a loop that appends to sequences, with the appended tensors as outputs of the steps."""
    places = [i for i, value in enumerate(carried) if isinstance(value, list | Stacked)]
    body = with_elements_as_outputs(node.attrs["body"], places)
    if body is None:
        raise refusal(
            node,
            "carries a sequence through steps whose number is not known, and does not just append "
            "to it; TensorFlow must know the sequence's length. Make the trip count a "
            "constant, or give the steps' results as scan outputs.",
        )
    plain = replace(node, attrs={**node.attrs, "body": body})
    tensors = [value for index, value in enumerate(carried) if index not in places]
    results = _looped(plain, trips, condition, tensors, lists=len(places))
    split = len(results) - len(places)
    results, lists = results[:split], results[split:]
    for place, steps in zip(places, lists, strict=True):
        results.insert(place, joined(carried[place], steps))
    return results


def _unrolled(node: Node, trips: int, carried: Sequence) -> list:
    values, outputs = list(carried), []
    for step in range(trips):
        inputs = [tf.constant(step, tf.int64), tf.constant(True), *values]
        _, *results = node.tensors.run(node.attrs["body"], inputs)
        values = results[: len(carried)]
        outputs.append(results[len(carried) :])
    return values + [tf.stack(each) for each in zip(*outputs, strict=True)]


def _endless(condition: tf.Tensor | None, body: onnx.GraphProto) -> bool:
    """Whether no condition ends the loop."""
    if condition is None:
        return True
    begins = constant(condition)
    return begins is not None and bool(np.all(begins)) and _always(body)


def _always(body: onnx.GraphProto) -> bool:
    """Whether the body's condition is the one that it gets, or is always true."""
    makers = {node.output[0]: node for node in body.node}
    weights = {weight.name: weight for weight in body.initializer}
    name = body.output[0].name
    while name in makers and makers[name].op_type == "Identity":
        name = makers[name].input[0]
    if name == body.input[1].name:
        return True
    if name in makers and makers[name].op_type == "Constant":
        values = [a.t for a in makers[name].attribute if a.name == "value"]
    else:
        values = [weights[name]] if name in weights else []
    return any(bool(onnx.numpy_helper.to_array(value).all()) for value in values)


def _settled(node: Node, body: Round, states: list) -> tuple[list[Kind], list[Kind]]:
    """Return the types and shapes that the states keep in all steps, and those of the outputs."""
    kinds = [(state.dtype, state.shape) for state in states]
    while True:
        after, outputs = trial(body, kinds)
        shapes = [
            old.most_specific_compatible_shape(new)
            for (_, old), (_, new) in zip(kinds, after, strict=True)
        ]
        if any(shape.rank is None for shape in shapes):
            raise refusal(
                node,
                "changes the rank of a value that it carries from step to step; TensorFlow's "
                "ops need to know it. Keep the rank, for instance by a dim of size one.",
            )
        settled = [(dtype, shape) for (dtype, _), shape in zip(kinds, shapes, strict=True)]
        if settled == kinds:
            return kinds, outputs
        kinds = settled


@register("Scan", since=9)
def scan(node: Node, *inputs: tf.Tensor | None) -> list:
    """Run the body over slices of the scan inputs."""
    count = node.attrs["num_scan_inputs"]
    states, sequences = list(inputs[: len(inputs) - count]), list(inputs[len(inputs) - count :])
    axes = node.attrs.get("scan_input_axes", [0] * count)
    sequences = [_to_front(each, axis) for each, axis in zip(sequences, axes, strict=True)]
    ways = node.attrs.get("scan_input_directions", [0] * count)
    ways_out = node.attrs.get("scan_output_directions", [])
    last, outputs = _scanned(node, states, sequences, ways, ways_out)
    axes = node.attrs.get("scan_output_axes", [0] * len(outputs))
    return last + [_from_front(each, axis) for each, axis in zip(outputs, axes, strict=True)]


@register("Scan")
def batched_scan(node: Node, lengths: tf.Tensor | None, *inputs: tf.Tensor) -> list:
    """Run the Scan of opset 8, which does the same for each example of a batch."""
    if lengths is not None:
        raise refusal(
            node,
            "has lengths for its sequences, which only opset 8 knew; leave them out, where all "
            "sequences are whole.",
        )
    count = node.attrs["num_scan_inputs"]
    ways = node.attrs.get("directions", [0] * count)

    def one(step: object, nothing: list, elements: list) -> tuple[list, list]:
        split = len(elements) - count
        last, outputs = _scanned(node, elements[:split], elements[split:], ways, [])
        return [], last + outputs

    return over_steps(one, [], list(inputs))[1]


def _scanned(
    node: Node,
    states: list[tf.Tensor],
    sequences: list[tf.Tensor],
    ways: Sequence[int],
    ways_out: Sequence[int],
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    def body(step: object, before: list, elements: list) -> tuple[list, list]:
        results = node.tensors.run(node.attrs["body"], [*before, *elements])
        return results[: len(states)], results[len(states) :]

    return over_steps(
        body,
        states,
        sequences,
        backwards=[bool(way) for way in ways],
        backwards_out=[bool(way) for way in ways_out],
    )


def _to_front(value: tf.Tensor, axis: int) -> tf.Tensor:
    rank = value.shape.rank
    axis %= rank
    order = [axis, *(other for other in range(rank) if other != axis)]
    return value if axis == 0 else tf.transpose(value, order)


def _from_front(value: tf.Tensor, axis: int) -> tf.Tensor:
    rank = value.shape.rank
    axis %= rank
    order = [*range(1, axis + 1), 0, *range(axis + 1, rank)]
    return value if axis == 0 else tf.transpose(value, order)
