"""Find the nodes that hold a size computed from an input dim, and rewrite those that can be."""

import math

import numpy as np
import onnx

from onnxgraph.model.domains import is_default
from onnxgraph.model.obstacles import Obstacle
from onnxgraph.sizing.dims_constants import Constants
from onnxgraph.sizing.dims_held_by_nodes import holds
from onnxgraph.sizing.dims_watched_graph import Followed
from onnxgraph.sizing.watched_graph import copies


def rewrite(followed: Followed, *, guess: bool) -> tuple[list[Obstacle], list[Obstacle]]:
    """Write every node again, and return those that do or may hold a size, with the reasons.

    Args:
        followed: the draft of the model.
        guess: treat a Resize to a fixed size as a scale, and treat a share of a size, or a constant
            like one, as a plain number. Otherwise a node that may hold a size is assumed to hold
            one.
    """
    obstacles: list[Obstacle] = []
    doubts: list[Obstacle] = []
    constants = Constants(followed)
    for node in copies(followed.model.graph.node):
        why = ""
        if is_default(node) and any(followed.moving(node)):
            if node.op_type == "Reshape":
                why = _reshape(followed, node)
            elif node.op_type == "Resize":
                why = _resize(followed, node, guess)
            else:
                why = holds(followed, node, guess)
        doubt = "" if why else constants.suspected(node)
        if doubt and guess:
            doubts.append(Obstacle.of(node, doubt))
        elif doubt:
            why = doubt
        wrong = followed.add(node)
        if not wrong[0]:
            reasons = (f"takes the size of the file only ({each})" for each in wrong if each)
            why = why or next(reasons, "")
        if why:
            obstacles.append(Obstacle.of(node, why))
            for sizes in followed.at:  # the nodes after this one are not to blame
                for name in node.output:
                    sizes.forget(name)
        else:
            constants.learn(node)
    stay = [] if obstacles else _outputs_that_stay(followed, constants)
    return obstacles + stay, doubts


def _outputs_that_stay(followed: Followed, constants: Constants) -> list[Obstacle]:
    """Return what computes outputs that do not follow, but are as large as something that does.

    Constants are named if they have one such size, other tensors if they have all sizes of an
    input.
    """
    found = []
    pictures = [followed.moving_sizes(value.name) for value in followed.model.graph.input]
    for value in followed.model.graph.output:
        node, dims = followed.producers.get(value.name), followed.static(value.name)
        if node is None or any(followed.follows(value.name) or ()):
            continue
        sizes = [dim for dim in dims if dim in constants.sizes]
        if sizes and not followed.source_inputs(value.name):
            found.append(Obstacle.of(node, f"gives constants of the size {sizes[0]}"))
        for sizes in (each for each in pictures if len(each) > 1):
            if any(list(dims[at : at + len(sizes)]) == sizes for at in range(len(dims))):
                shown = " × ".join(map(str, sizes))
                found.append(Obstacle.of(node, f"gives {shown} at any size"))
    return found


def _reshape(followed: Followed, node: onnx.NodeProto) -> str:
    """Let the target follow, with one -1 or with sizes computed from the dims of the input."""
    was = followed.constant(node.input[1])
    if was is None:  # the target is computed from the size
        return ""
    followed.preview(node)
    before, after = followed.static(node.input[0]), followed.static(node.output[0])
    moving, target = followed.moving(node), list(after)
    computed: dict[int, tuple[list[int], int]] = {}
    for axes, places in _groups(before, after):
        if any(moving[axis] for axis in axes):
            place = _place(axes, places, before, after, moving)
            if place is None:
                sizes = " × ".join(str(after[each]) for each in places)
                return f"splits {' × '.join(str(before[axis]) for axis in axes)} into {sizes}"
            rest = math.prod(after[each] or 1 for each in places if each != place)
            computed[place] = (axes, rest)
            target[place] = -1
    if not computed:
        return f"has the target {was.tolist()}"
    if len(computed) > 1:
        node.input[1] = _target(followed, node, target, computed)
        shown = ["?" if size == -1 else size for size in target]
        followed.note(node, f"target {was.tolist()} → {shown}, computed from its input")
    elif was.tolist() != target:
        node.input[1] = followed.weight(np.array(target, np.int64), f"{node.output[0]}_target")
        followed.note(node, f"target {was.tolist()} → {target}")
    return ""


def _place(
    axes: list[int],
    places: list[int],
    before: tuple[int | None, ...],
    after: tuple[int | None, ...],
    moving: list[bool],
) -> int | None:
    """Return which of the places takes the dims that follow, or None unless it is exactly one.

    A reshape keeps the flat order, so the sizes before and after must come from fixed dims alone.
    """
    first, last = (next(axis for axis in order if moving[axis]) for order in (axes, axes[::-1]))
    ahead = math.prod(before[axis] or 1 for axis in axes if axis < first)
    behind = math.prod(before[axis] or 1 for axis in axes if axis > last)
    fits = [
        place
        for place in places
        if ahead % math.prod(after[each] or 1 for each in places if each < place) == 0
        and behind % math.prod(after[each] or 1 for each in places if each > place) == 0
    ]
    # A dim of one beside it stays one at every size.
    fits = [place for place in fits if after[place] != 1] or fits
    return fits[0] if len(fits) == 1 else None


def _groups(
    before: tuple[int | None, ...], after: tuple[int | None, ...]
) -> list[tuple[list[int], list[int]]]:
    """Return which axes of a Reshape's input become which axes of its output.

    These are the finest groups of equal product. Return None if a size is not known.
    """
    sizes, targets = ([dim for dim in dims if dim] for dims in (before, after))
    if len(sizes) < len(before) or len(targets) < len(after):
        return []
    found = []
    axis = place = 0
    while axis < len(sizes) or place < len(targets):
        first, start = axis, place
        axis, place = min(axis + 1, len(sizes)), min(place + 1, len(targets))
        while math.prod(sizes[first:axis]) != math.prod(targets[start:place]):
            if math.prod(sizes[first:axis]) < math.prod(targets[start:place]):
                axis += 1
            else:
                place += 1
        found.append((list(range(first, axis)), list(range(start, place))))
    return found


def _target(
    followed: Followed,
    node: onnx.NodeProto,
    target: list[int | None],
    computed: dict[int, tuple[list[int], int]],
) -> str:
    """Return the name of a Reshape's target.

    Each size is a product of axes divided by a number.
    """
    stem = node.output[0]
    shape = followed.make("Shape", [node.input[0]], f"{stem}_shape")
    parts = []
    for place, size in enumerate(target):
        if place not in computed:
            parts.append(followed.weight(np.array([size], np.int64), f"{stem}_size"))
            continue
        axes, divisor = computed[place]
        picked = followed.weight(np.array(axes, np.int64), f"{stem}_axes")
        dims = followed.make("Gather", [shape, picked], f"{stem}_dims", axis=0)
        if len(axes) > 1:
            dims = followed.make("ReduceProd", [dims], f"{stem}_product", keepdims=1)
        if divisor > 1:
            by = followed.weight(np.array([divisor], np.int64), f"{stem}_divisor")
            dims = followed.make("Div", [dims, by], f"{stem}_quotient")
        parts.append(dims)
    return followed.make("Concat", parts, f"{stem}_sizes", axis=0)


def _resize(followed: Followed, node: onnx.NodeProto, guess: bool) -> str:
    """Treat sizes that are whole multiples as scales, if the result will be compared."""
    sizes = followed.constant(node.input[3]) if len(node.input) > 3 and node.input[3] else None
    if sizes is None:
        return ""
    ratios = [
        float(out / size) if size else 0.0
        for out, size in zip(sizes, followed.static(node.input[0]), strict=False)
    ]
    whole = len(ratios) == len(followed.moving(node)) and all(r.is_integer() for r in ratios)
    if not guess or not whole:
        return f"resizes to the fixed sizes {sizes.tolist()}"
    scales = followed.weight(np.array(ratios, np.float32), f"{node.output[0]}_scales")
    node.input[:] = [*node.input[:2], scales]
    followed.note(node, f"sizes {sizes.tolist()} → scales {ratios}")
    return ""
