"""Join two models: outputs of the first feed inputs of the second."""

from collections.abc import Iterable, Mapping

import onnx

from graphcore.enumeration import listed
from graphcore.errors import GraphError, unknown_name
from graphcore.spec import Dim
from onnxgraph.editing.finishing import inferred
from onnxgraph.editing.rename import rename_tensors
from onnxgraph.editing.result import Edited, copied, rewired
from onnxgraph.model import interface
from onnxgraph.model.domains import domain, opsets
from onnxgraph.model.entry_check import checked
from onnxgraph.model.graphs import graphs
from onnxgraph.model.names import Names
from onnxgraph.model.nodes import tensors

Values = Mapping[str, onnx.ValueInfoProto]


@checked
def join(first: onnx.ModelProto, second: onnx.ModelProto, feeds: Mapping[str, str]) -> Edited:
    """Return one model in which the second computes on the results of the first.

    It has the inputs of both that are not fed, and the outputs of both that feed nothing. Inner
    names that both use are changed in the second. If a size is open in the second model and known
    in the first, it becomes the known one. `before` of the result is the first model. To prove the
    whole, run both in turn and compare, or cut it and use `same`.

    Args:
        first: the model that comes first. It is not changed.
        second: the model that follows. It is not changed.
        feeds: input of `second` to output of `first`.

    Raises:
        UnknownName: there is no such input or output.
        GraphError: their opsets, dtypes, shapes, functions or interfaces do not fit together.
    """
    if not feeds:
        raise GraphError("No input of the second model is fed by the first. Name at least one.")
    gives = {value.name: value for value in inferred(first).graph.output}
    takes = {value.name: value for value in interface.fed(second.graph)}
    sizes = _sizes(feeds, gives, takes)
    _check_opsets(first, second)
    _check_interface(first, second, feeds)
    follower = copied(second)
    changes = [f"output {each!r} feeds the input {name!r}" for name, each in feeds.items()]
    changes += [
        f"size {symbol!r} of the second model is {size!r}" for symbol, size in sizes.items()
    ]
    _set_sizes(follower, sizes)
    changes += _make_names_free(first, follower, feeds)
    result = copied(first)
    result.ir_version = max(first.ir_version, second.ir_version)
    _append(result, follower, set(feeds.values()))
    _add_functions(result, second)
    nodes = [
        node.output[0] for node in follower.graph.node if set(node.input) & set(feeds.values())
    ]
    return rewired(first, result, changes, nodes, renew=False)


def _sizes(feeds: Mapping[str, str], gives: Values, takes: Values) -> dict[str, Dim]:
    """Return the sizes of the second model's symbols, after checking that dtypes and sizes fit."""
    sizes: dict[str, Dim] = {}
    for name, each in feeds.items():
        if name not in takes:
            raise unknown_name("input of the second model", name, takes)
        if each not in gives:
            raise unknown_name("output of the first model", each, gives)
        pair = f"The output {each!r} cannot feed the input {name!r}"
        kinds = [value.type.tensor_type.elem_type for value in (gives[each], takes[name])]
        if kinds[0] != kinds[1]:
            seen, wanted = map(interface.dtype, kinds)
            raise GraphError(
                f"{pair}: it is {seen}, but {wanted} is needed. Put a Cast between: "
                f"insert_after(first, {each!r}, 'Cast', attributes={{'to': {kinds[1]}}})."
            )
        given, taken = interface.dims(gives[each]), interface.dims(takes[name])
        if given is None or taken is None:
            continue
        words = f"it has the shape {_words(given)}, but {_words(taken)} is needed"
        if len(given) != len(taken):
            target = [dim if isinstance(dim, int) else -1 for dim in taken]
            raise GraphError(
                f"{pair}: {words}. Put a Reshape between: insert_after(first, {each!r}, 'Reshape', "
                f"others=[np.array({target})]), if that is what you mean."
            )
        for axis, (one, two) in enumerate(zip(given, taken, strict=True)):
            if isinstance(two, int) and one != two:
                raise GraphError(f"{pair}: {words}. {_help(name, axis, one, two)}")
            if isinstance(two, str) and one is not None and sizes.setdefault(two, one) != one:
                raise GraphError(
                    f"{pair}: {words}, but {two!r} of the second model is already {sizes[two]!r}."
                )
    return {symbol: size for symbol, size in sizes.items() if symbol != size}


def _help(name: str, axis: int, one: Dim | None, two: int) -> str:
    """Return how to make a size of the first model fit a fixed size of the second."""
    verb = "make_batch_dynamic(second)"
    if axis:
        verb = f"free_dims(second, {{{name!r}: {{{axis}: 'size'}}}})"
    fixed = f"fix_dims(first, {{{one!r}: {two}}}), or " if isinstance(one, str) else ""
    return f"Use {fixed}{verb}, if the second accepts any size there."


def _words(shape: Iterable[Dim | None]) -> str:
    return f"({', '.join('?' if dim is None else str(dim) for dim in shape)})"


def _check_opsets(first: onnx.ModelProto, second: onnx.ModelProto) -> None:
    one, two = opsets(first), opsets(second)
    for name, version in one.items():
        if two.get(name, version) != version:
            raise GraphError(
                f"The first model is written in {name or 'ai.onnx'} {version}, the second in "
                f"{two[name]}. Bring both to the lower one first, with lower_opset."
            )


def _check_interface(
    first: onnx.ModelProto, second: onnx.ModelProto, feeds: Mapping[str, str]
) -> None:
    fed = set(feeds.values())
    kept = [value.name for value in first.graph.output if value.name not in fed]
    own = [value.name for value in interface.fed(first.graph)] + kept
    rest = [value.name for value in interface.fed(second.graph) if value.name not in feeds]
    for name in (*rest, *(value.name for value in second.graph.output)):
        if name in own:
            raise GraphError(
                f"Both models have an input or output {name!r}, which is not joined. Rename it in "
                f"one of them, for example with rename(second, {{{name!r}: {name + '_2'!r}}}), or "
                "feed it."
            )


def _set_sizes(model: onnx.ModelProto, sizes: Mapping[str, Dim]) -> None:
    """Give symbols their sizes, wherever a shape is stated."""
    for graph in graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            for dim in (
                value.type.tensor_type.shape.dim if value.type.HasField("tensor_type") else ()
            ):
                size = sizes.get(dim.dim_param)
                if isinstance(size, int):
                    dim.dim_value = size
                elif size is not None:
                    dim.dim_param = size


def _make_names_free(
    first: onnx.ModelProto, follower: onnx.ModelProto, feeds: Mapping[str, str]
) -> list[str]:
    """Rename what has the same name in both models, and join the fed inputs."""
    taken = {*tensors(first), *(node.name for g in graphs(first.graph) for node in g.node)}
    in_use = Names(taken | set(tensors(follower)))
    interface_names = {value.name for value in interface.fed(follower.graph)}
    interface_names |= {value.name for value in follower.graph.output}
    names = dict(feeds)
    for name in tensors(follower):
        if name in taken and name not in feeds:
            names[name] = in_use.free(name)
    shown = [name for name in names if name not in feeds]
    clash = next((name for name in shown if name in interface_names), None)
    if clash:
        raise GraphError(
            f"{clash!r} is an input or output of the second model and an inner tensor of the "
            f"first. Rename one of them, for example with rename(second, {{{clash!r}: "
            f"{clash + '_2'!r}}})."
        )
    rename_tensors(follower, names)
    for graph in graphs(follower.graph):
        for node in graph.node:
            if node.name in taken:
                node.name = in_use.free(node.name)
    words = listed((f"{name!r} → {names[name]!r}" for name in shown), most=4)
    return [f"renamed in the second model: {words}"] if shown else []


def _append(result: onnx.ModelProto, follower: onnx.ModelProto, fed: set[str]) -> None:
    """Add the second graph to the first. Tensors that feed it are no longer outputs."""
    graph, more = result.graph, follower.graph
    for place in reversed(range(len(graph.output))):
        if graph.output[place].name in fed:
            graph.value_info.append(graph.output[place])
            del graph.output[place]
    graph.input.extend(value for value in more.input if value.name not in fed)
    for part in ("node", "initializer", "sparse_initializer", "output", "value_info"):
        getattr(graph, part).extend(getattr(more, part))
    graph.quantization_annotation.extend(more.quantization_annotation)
    domains = opsets(result)
    result.opset_import.extend(o for o in follower.opset_import if domain(o) not in domains)


def _add_functions(result: onnx.ModelProto, second: onnx.ModelProto) -> None:
    known = {(f.domain, f.name, f.overload): f for f in result.functions}
    for function in second.functions:
        mine = known.get((function.domain, function.name, function.overload))
        if mine is None:
            result.functions.append(function)
        elif mine != function:
            raise GraphError(
                f"Both models define a function {function.domain}.{function.name}, but "
                "differently. Inline the functions of one of them first."
            )
