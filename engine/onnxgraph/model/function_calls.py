"""Calls of a model's own functions. Each set of attributes gets a function body of its own."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

import onnx

from graphcore.copies import copy_of

Key: TypeAlias = tuple[str, str, str]
"""Domain, name and overload of a function, or of the function that a node calls."""

Attributes: TypeAlias = Mapping[str, onnx.AttributeProto]


DEEPEST = 100
"""The deepest nesting of calls, which is ONNX's own limit."""

LARGEST = 1_000_000
"""The most nodes of a model after inlining, because nested calls multiply quickly."""


def call_fault(model: onnx.ModelProto) -> str:
    """Return what is wrong with the calls of a model's functions, or ""."""
    if not model.functions:
        return ""
    for function in model.functions:
        made = {*function.input, *(name for node in function.node for name in node.output)}
        for name in function.output:
            if name not in made:
                return f"nothing in its function {function.name!r} makes the output {name!r}."
    bodies = {key(function): function for function in model.functions}
    calls = {name: Counter(map(key, _nodes(body))) for name, body in bodies.items()}
    own = {name: [each for each in counts if each in bodies] for name, counts in calls.items()}
    try:
        order = [*TopologicalSorter(own).static_order()]
    except CycleError as error:
        names = ", ".join(repr(name[1]) for name in dict.fromkeys(error.args[1]))
        return f"its functions call themselves endlessly: {names}."
    depths: dict[Key, int] = {}
    sizes: dict[Key, int] = {}
    for name in order:
        depths[name] = 1 + max((depths[each] for each in own[name]), default=0)
        sizes[name] = sum(count * sizes.get(each, 1) for each, count in calls[name].items())
    if max(depths.values(), default=0) > DEEPEST:
        return f"its functions call each other more than {DEEPEST} deep."
    nodes = sum(sizes.get(key(node), 1) for node in _nodes(model.graph))
    if nodes > LARGEST:
        return (
            f"with its functions written out it has {nodes:.4g} nodes, but at most {LARGEST} are "
            "allowed."
        )
    return ""


def key(of: onnx.FunctionProto | onnx.NodeProto) -> Key:
    """Return the key of a function, or of the function that a node calls."""
    name = of.name if isinstance(of, onnx.FunctionProto) else of.op_type
    return of.domain, name, of.overload


def with_bound_attributes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with functions without attributes, one for each combination in a call.

    A call may leave out an attribute that has a default value, and a body may pass its own
    attributes on to the functions it calls. No function may call itself.
    """
    result = copy_of(model)
    del result.functions[:]
    _Binder(model, result).bind(result.graph, {})
    return result


class _Binder:
    """Gives the calls of `model` their own bodies, and adds these to `result`."""

    def __init__(self, model: onnx.ModelProto, result: onnx.ModelProto) -> None:
        self._functions = {key(function): function for function in model.functions}
        self._result = result
        self._known: dict[tuple, str] = {}

    def bind(self, graph: onnx.GraphProto | onnx.FunctionProto, given: Attributes) -> None:
        """Replace references to attributes by the values in `given`, and calls, in place."""
        for node in _nodes(graph):
            for place, attribute in reversed([*enumerate(node.attribute)]):
                if attribute.ref_attr_name in given:
                    name = attribute.name
                    attribute.CopyFrom(given[attribute.ref_attr_name])
                    attribute.name = name
                elif attribute.ref_attr_name:  # the call leaves it out, so the body does too
                    del node.attribute[place]
            if key(node) in self._functions:
                node.op_type = self._bound(node)
                node.overload = ""
                del node.attribute[:]

    def _bound(self, call: onnx.NodeProto) -> str:
        """Return the name of the body for a call. Calls with the same attributes share one."""
        written = sorted(each.SerializeToString(deterministic=True) for each in call.attribute)
        asked = (key(call), *written)
        if asked not in self._known:
            self._known[asked] = f"{call.op_type}__{len(self._known)}"
            body = copy_of(self._functions[key(call)])
            defaults = {each.name: each for each in body.attribute_proto}
            self.bind(body, defaults | {each.name: each for each in call.attribute})
            body.name, body.overload = self._known[asked], ""
            del body.attribute[:], body.attribute_proto[:]
            self._result.functions.append(body)
        return self._known[asked]


def assign_once(
    graph: onnx.GraphProto, taken: set[str], current: Mapping[str, str] | None = None
) -> None:
    """Rename tensors of a graph whose names were already used before, in place.

    onnx's inliner gives equal names to the nodes that its version converter adds to two bodies. A
    reader means the last tensor of that name before it.

    Args:
        graph: a graph, whose nodes are in order.
        taken: the names in use. Those of the graph are added.
        current: name → its new name, in the graphs around this one.
    """
    now = dict(current or {})
    taken.update(value.name for value in (*graph.input, *graph.initializer))
    for node in graph.node:
        node.input[:] = [now.get(name, name) for name in node.input]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                assign_once(attribute.g, taken, now)
        for place, name in enumerate(node.output):
            if name in taken:
                numbered = (f"{name}_{number}" for number in itertools.count(1))
                now[name] = node.output[place] = next(n for n in numbered if n not in taken)
            taken.update(filter(None, [node.output[place]]))
    for value in graph.output:
        value.name = now.get(value.name, value.name)


def _nodes(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of those inside it."""
    for inner in _graphs(graph):
        yield from inner.node


def _graphs(
    graph: onnx.GraphProto | onnx.FunctionProto,
) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """Yield a graph and the graphs inside it, in their state when they are reached."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
