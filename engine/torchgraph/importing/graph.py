"""Build the module: one torch.fx node for each ONNX node, weights as parameters.

Names stay: a layer is named after its weights (`layer1.0.conv1`), or after the node. A map tells
which ONNX weight each parameter holds.
"""

import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx
import torch
from torch import Tensor, fx, nn

from onnxgraph.comparing.scopes import module_path
from onnxgraph.model import external, interface
from torchgraph.importing.nodes import Call
from torchgraph.importing.plan import Plan
from torchgraph.importing.sizes import as_tensor

ORIGIN = "onnx"
"""The key in a graph node's `meta` for the ONNX tensor that the node computes."""


@dataclass
class _Work:
    """The work so far: fx nodes by ONNX tensor, and the weights by key."""

    model: onnx.ModelProto
    root: nn.Module = field(default_factory=nn.Module)
    graph: fx.Graph = field(default_factory=fx.Graph)
    made: dict[str, fx.Node] = field(default_factory=dict)
    numbers: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.weights = {each.name: each for each in self.model.graph.initializer}


def build(model: onnx.ModelProto, plan: Plan) -> tuple[fx.GraphModule, dict[str, str]]:
    """Return the module in eval mode, and the ONNX weight for each key of its state dict.

    Its arguments and results are the model's inputs and outputs, in order.

    Args:
        model: the model.
        plan: the call for each of its nodes.
    """
    work = _Work(model)
    for spec in interface.inputs(model):
        work.made[spec.name] = work.graph.placeholder(_argument(work, spec.name))
    for node, call in plan.calls:
        _add(work, node, call)
    results = [_tensor(work, value.name) for value in model.graph.output]
    work.graph.output(results[0] if len(results) == 1 else tuple(results))
    work.graph.lint()
    module = fx.GraphModule(work.root, work.graph, class_name="ImportedModel")
    return module.eval(), {key: work.keys[key] for key in module.state_dict() if key in work.keys}


def _add(work: _Work, node: onnx.NodeProto, call: Call) -> None:
    arguments = _arguments(work, node, call)
    if isinstance(call.what, nn.Module):
        path = _place(work, node, call.what)
        made = work.graph.call_module(path, arguments)
        _note_weights(work, node, call, path)
    else:
        made = work.graph.call_function(call.what, arguments, dict(call.attributes))
    if call.is_numbers:
        work.numbers.update(node.output)
    for place, name in enumerate(node.output):
        if not name:
            continue
        found = made
        if call.indexed:
            found = work.graph.call_function(_item, (made, place))
        found.meta[ORIGIN] = name
        work.made[name] = found


def _item(values: tuple[Tensor, ...], place: int) -> Tensor:
    """Return one of several results."""
    return values[place]


def _arguments(work: _Work, node: onnx.NodeProto, call: Call) -> tuple:
    """Return a node's inputs, in order, without optional ones left out at the end."""
    names = list(node.input)
    while names and not names[-1]:
        names.pop()
    arguments: list = []
    for place, name in enumerate(names):
        if place in call.absorbed:
            continue
        if not name:
            arguments.append(None)
        elif place in call.numbers and name not in work.made:
            arguments.append(external.values(work.weights[name]).tolist())
        elif place in call.numbers:
            arguments.append(work.made[name])
        else:
            arguments.append(_tensor(work, name))
    return tuple(arguments)


def _tensor(work: _Work, name: str) -> fx.Node:
    """Return a value as a tensor: a computed one, a weight, or numbers made into a tensor."""
    if name in work.numbers:
        return work.graph.call_function(as_tensor, (work.made[name],))
    if name not in work.made:
        work.made[name] = _weight(work, name)
    return work.made[name]


def _weight(work: _Work, name: str) -> fx.Node:
    """Return a weight outside all layers as a parameter, or as a buffer if one number or no
    float."""
    value = torch.from_numpy(np.array(external.values(work.weights[name])))
    key = _free(work, f"weights.{_identifier(name)}")
    owner = _owner(work.root, key)
    if value.is_floating_point() and value.numel() > 1:
        owner.register_parameter(key.rpartition(".")[2], nn.Parameter(value))
    else:
        owner.register_buffer(key.rpartition(".")[2], value)
    work.keys[key] = name
    return work.graph.get_attr(key)


def _place(work: _Work, node: onnx.NodeProto, module: nn.Module) -> str:
    """Put a module into the tree of modules, and return its path."""
    stems = {name.rpartition(".")[0] for name in node.input if name in work.weights}
    stem = stems.pop() if len(stems) == 1 else ""
    wanted = stem or module_path(node) or node.name or f"{node.op_type}_{node.output[0]}"
    if not any(True for _ in module.state_dict()):  # two calls of one relu become two modules
        wanted = f"{node.op_type}_{node.output[0]}"
    path = _free(work, ".".join(_identifier(part) for part in wanted.split(".") if part))
    _owner(work.root, path).add_module(path.rpartition(".")[2], module)
    return path


def _note_weights(work: _Work, node: onnx.NodeProto, call: Call, path: str) -> None:
    """Note which ONNX weights a module holds."""
    names = [node.input[p] for p in call.absorbed if p < len(node.input) and node.input[p]]
    own = dict(work.root.get_submodule(path).state_dict())
    for key, value in own.items():
        same = [name for name in names if _is_same(work.weights[name], value)]
        work.keys[f"{path}.{key}"] = (same or [", ".join(names)])[0]
        if same and len(names) > 1:
            names.remove(same[0])


def _is_same(weight: onnx.TensorProto, value: Tensor) -> bool:
    mine = external.values(weight)
    theirs = value.detach().numpy()
    if sorted(mine.shape) != sorted(theirs.shape):
        return mine.size == theirs.size and np.array_equal(mine.reshape(-1), theirs.reshape(-1))
    return np.array_equal(mine, theirs) or np.array_equal(mine.T, theirs)


def _free(work: _Work, path: str) -> str:
    """Return the path, with a number after it if it is already in use."""
    taken, number, found = work.modules, 1, path
    while any(found == each or each.startswith(f"{found}.") for each in taken) or any(
        found.startswith(f"{each}.") for each in taken
    ):
        number += 1
        found = f"{path}_{number}"
        if number > 2 and "." in path:  # a layer is where a parent module must be
            found = f"{path.replace('.', '_')}_{number}"
    work.modules[found] = path
    return found


def _owner(root: nn.Module, path: str) -> nn.Module:
    """Return the module that holds the last part of a path, and create those on the way."""
    for part in path.split(".")[:-1]:
        if not hasattr(root, part):
            root.add_module(part, nn.Module())
        root = getattr(root, part)
    return root


def _identifier(name: str) -> str:
    """Return a name that is valid in Python and in a state dict."""
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "x"
    if keyword.iskeyword(plain):
        return f"{plain}_"
    return f"_{plain}" if plain[0].isdigit() and not plain.isdigit() else plain


def _argument(work: _Work, name: str) -> str:
    """Return a name that is valid for an argument of `forward` and still unused."""
    plain = _identifier(name)
    plain = f"x_{plain}" if plain.isdigit() or plain == "self" else plain
    taken, free = {node.target for node in work.made.values()}, plain
    while free in taken:
        free += "_"
    return free


def values(module: fx.GraphModule, inputs: Iterable[Tensor]) -> dict[str, np.ndarray]:
    """Run the module once and return every intermediate tensor by its ONNX name."""
    found: dict[str, np.ndarray] = {}

    class Noting(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            result = super().run_node(n)
            if ORIGIN in n.meta and isinstance(result, Tensor):
                found[n.meta[ORIGIN]] = result.detach().numpy().copy()
            return result

    with torch.no_grad():
        Noting(module).run(*inputs)
    return found
