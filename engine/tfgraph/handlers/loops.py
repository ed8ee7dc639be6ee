"""Loops over steps: unrolled where the steps are few and known, loops of TensorFlow 1 elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import tensorflow as tf

LONGEST_UNROLLED = 8
"""Loops of up to this many steps are unrolled."""

Body: TypeAlias = Callable[
    [tf.Tensor | int, list[tf.Tensor], list[tf.Tensor]],
    tuple[list[tf.Tensor], list[tf.Tensor]],
]
"""(step, states, elements of the sequences) → (states, outputs of the step)."""

Round: TypeAlias = Callable[[tf.Tensor, list[tf.Tensor]], tuple[list[tf.Tensor], list[tf.Tensor]]]
"""(step, states) → (states, outputs of the step)."""

Kind: TypeAlias = tuple[tf.DType, tf.TensorShape]
"""Type and shape of a tensor."""


def over_steps(
    body: Body,
    states: Sequence[tf.Tensor],
    sequences: Sequence[tf.Tensor],
    *,
    backwards: Sequence[bool] | None = None,
    backwards_out: Sequence[bool] = (),
    outputs: Sequence[Kind] | None = None,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Run `body` over the first axis of `sequences`. Return the last states and stacked outputs.

    Args:
        body: a function of the step (an int, or an int32 scalar), the states and one element of
            each sequence. The states keep their shapes.
        states: the states before the first step.
        sequences: tensors of equal length along the first axis.
        backwards: which sequences are read from their end.
        backwards_out: which outputs are written from their end.
        outputs: types and shapes of a step's outputs. If left out, a trial of the body finds them.
    """
    reverse = list(backwards or [False] * len(sequences))
    length = next((s.shape[0] for s in sequences if s.shape[0] is not None), None)
    if length is not None and 0 < length <= LONGEST_UNROLLED:
        return _unrolled(body, states, sequences, length, reverse, backwards_out)
    return _looped(body, states, sequences, reverse, backwards_out, outputs)


def _unrolled(
    body: Body,
    states: Sequence[tf.Tensor],
    sequences: Sequence[tf.Tensor],
    length: int,
    reverse: Sequence[bool],
    reverse_out: Sequence[bool],
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    parts = [tf.unstack(sequence, length) for sequence in sequences]
    parts = [part[::-1] if back else part for part, back in zip(parts, reverse, strict=True)]
    current, outputs = list(states), []
    for step in range(length):
        current, made = body(step, current, [part[step] for part in parts])
        outputs.append(made)
    stacks = []
    for index, each in enumerate(zip(*outputs, strict=True)):
        back = index < len(reverse_out) and reverse_out[index]
        stacks.append(tf.stack(each[::-1] if back else each))
    return current, stacks


def _looped(
    body: Body,
    states: Sequence[tf.Tensor],
    sequences: Sequence[tf.Tensor],
    reverse: Sequence[bool],
    reverse_out: Sequence[bool],
    outputs: Sequence[Kind] | None,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    length = tf.shape(sequences[0])[0]
    arrays = [array_of(sequence, length) for sequence in sequences]

    def one(step: tf.Tensor, states: list) -> tuple[list, list]:
        last = length - 1 - step
        elements = [
            array.read(last if back else step) for array, back in zip(arrays, reverse, strict=True)
        ]
        for element, sequence in zip(elements, sequences, strict=True):
            element.set_shape(sequence.shape[1:])
        after, made = body(step, states, elements)
        for new, old in zip(after, states, strict=True):
            new.set_shape(old.shape)
        return after, made

    places = [
        (lambda step: length - 1 - step) if back else (lambda step: step) for back in reverse_out
    ]
    return while_true(
        lambda step, states: step < length,
        one,
        states,
        size=length,
        places=places,
        outputs=outputs,
    )


def while_true(
    proceed: Callable[[tf.Tensor, list], tf.Tensor],
    body: Round,
    states: Sequence[tf.Tensor],
    *,
    size: tf.Tensor | None = None,
    places: Sequence[Callable[[tf.Tensor], tf.Tensor]] = (),
    shapes: Sequence[tf.TensorShape] | None = None,
    outputs: Sequence[Kind] | None = None,
    apart: int = 0,
) -> tuple[list[tf.Tensor], list]:
    """Loop while `proceed`. Return the last states and the outputs of all steps, stacked.

    Args:
        proceed: (step, states) → whether to go on.
        body: (step, states) → (states, outputs of the step).
        states: the states before the first step.
        size: the number of steps, if it is known when the loop begins.
        places: for each output, step → the index to write it to. If left out, the step itself.
        shapes: of the states, where they change from step to step.
        outputs: types and shapes of a step's outputs. If left out, a trial of the body finds them.
        apart: how many of the last outputs are returned as `Steps` instead.
    """
    if shapes is None:
        shapes = [state.shape for state in states]
    if outputs is None:
        outputs = trial(body, [(s.dtype, shape) for s, shape in zip(states, shapes, strict=True)])[
            1
        ]
    arrays = [
        tf.TensorArray(
            dtype,
            0 if size is None else size,
            dynamic_size=size is None,
            element_shape=shape,
            infer_shape=False,  # it would require one shape, by an attribute that old releases lack
            clear_after_read=not apart,
        )
        for dtype, shape in outputs
    ]

    def one(step: tf.Tensor, states: list, arrays: list) -> tuple:
        after, made = body(step, list(states))
        written = []
        for index, (array, value) in enumerate(zip(arrays, made, strict=True)):
            place = places[index](step) if index < len(places) else step
            written.append(array.write(place, value))
        return step + 1, list(after), written

    start = tf.constant(0)
    steps, last, arrays = tf.compat.v1.while_loop(
        lambda step, states, arrays: proceed(step, list(states)),
        one,
        [start, list(states), arrays],
        shape_invariants=[
            start.shape,
            list(shapes),
            [tf.TensorShape(None) for _ in arrays],
        ],
        return_same_structure=True,
    )
    made = [Steps(array, steps, *kind) for array, kind in zip(arrays, outputs, strict=True)]
    split = len(made) - apart
    return list(last), [each.stacked() for each in made[:split]] + made[split:]


def trial(body: Round, states: Sequence[Kind]) -> tuple[list[Kind], list[Kind]]:
    """Return types and shapes of the states and outputs after one step, built in another graph."""
    from tensorflow.python.framework.func_graph import FuncGraph

    with FuncGraph("trial").as_default():
        step = tf.compat.v1.placeholder(tf.int32, [])
        after, made = body(step, [tf.compat.v1.placeholder(*kind) for kind in states])
        return [(t.dtype, t.shape) for t in after], [(t.dtype, t.shape) for t in made]


def array_of(sequence: tf.Tensor, length: tf.Tensor) -> tf.TensorArray:
    """Return an array of the elements along the first axis."""
    array = tf.TensorArray(
        sequence.dtype,
        length,
        element_shape=sequence.shape[1:],
        infer_shape=False,
        clear_after_read=False,
    )
    return array.unstack(sequence)


@dataclass(frozen=True)
class Steps:
    """The outputs of a loop's steps, one tensor each of the same `shape`, in an array."""

    array: tf.TensorArray
    count: tf.Tensor
    dtype: tf.DType
    shape: tf.TensorShape

    def stacked(self) -> tf.Tensor:
        """Return the elements along a new first axis, even if there are none.

        An array without elements only knows the sizes that were known before. The others become
        zero.
        """
        if self.shape.is_fully_defined():
            stack = self.array.stack()
        else:
            stack = self._unless_empty(self.array.stack, [0, *self._least()])
        stack.set_shape([None, *self.shape.as_list()])
        return stack

    def concatenated(self) -> tf.Tensor:
        """Return the elements concatenated. Their first axes may have different sizes."""
        rows = self._unless_empty(self.array.concat, [0, *self._least()[1:]])
        rows.set_shape([None, *self.shape.as_list()[1:]])
        return rows

    def _least(self) -> list[int]:
        return [size or 0 for size in self.shape.as_list()]

    def _unless_empty(self, read: Callable[[], tf.Tensor], shape: list[int]) -> tf.Tensor:
        return tf.compat.v1.cond(self.count > 0, read, lambda: tf.zeros(shape, self.dtype))
