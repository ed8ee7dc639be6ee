"""Calls of every verb of `nbhelpers.onnxgraph` on a model that may be damaged, with a verdict.

In three of four cases a verb gets a model that was only parsed, otherwise the result of `load`. If
the result must compute the same, it is run beside the given model, in processes of their own.
"""

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from verdicts import Wrong

from graphcore import parity
from graphcore.errors import Refusal
from graphcore.golden import Case
from nbhelpers import onnxgraph
from onnxgraph import repairs
from onnxgraph.comparing.layers import compare_layers
from onnxgraph.comparing.sources import OnnxSource
from onnxgraph.editing.result import Edited
from onnxgraph.running import sessions

sessions.TIMEOUT = 5.0

Model = onnx.ModelProto


def call(name: str, path: Path, rng: random.Random) -> None:
    """Call a verb on the file at a path.

    Raises:
        Wrong: the result is wrong.
    """
    if name == "load":
        flags = [rng.random() < 0.5 for _ in range(2)]
        onnxgraph.load(path, keep_external=flags[0], leave_weights=flags[1])
        return
    model = onnxgraph.load(path) if rng.random() < 0.25 else parsed(path)
    before = model.SerializePartialToString()
    result = _VERBS[name](model, rng)
    if model.SerializePartialToString() != before:
        raise Wrong("the model that was given is changed")
    repr(result)
    if isinstance(result, Edited):
        result._repr_html_()
    made = getattr(result, "model", result)
    if name in _SAME and isinstance(made, Model):
        agree(model, made)


def parsed(path: Path) -> Model:
    """Return the model without any check.

    `load` handles a file that protobuf cannot parse.
    """
    try:
        return Model.FromString(path.read_bytes())
    except DecodeError:
        return onnxgraph.load(path)


def agree(before: Model, after: Model) -> None:
    """Run both models on drawn inputs, and compare them if the first one runs.

    Raises:
        Wrong: the second model gives other outputs.
    """
    try:
        feeds = drawn_feeds(before)
        names = [value.name for value in before.graph.output]
        expected = sessions.Session(before, optimise=False).run(names, feeds)
    except (Refusal, ValueError, LookupError, TypeError):
        return
    outputs = [value.name for value in after.graph.output]
    seen = sessions.Session(after, optimise=False).run(outputs, feeds)
    compare(dict(zip(names, expected)), dict(zip(outputs, seen)))


def compare(expected: Mapping[str, np.ndarray], seen: Mapping[str, np.ndarray]) -> None:
    """Compare outputs by name.

    Raises:
        Wrong: the outputs differ.
    """
    report = parity.compare(expected, seen, title="fuzz")
    if not report.ok:
        raise Wrong(repr(report)[:500])


def drawn_feeds(model: Model) -> dict[str, np.ndarray]:
    """Return seeded inputs, with size 2 for every size that is not fixed."""
    rng = np.random.default_rng(0)
    feeds = {}
    for spec in onnxgraph.inputs(model):
        shape = [dim if isinstance(dim, int) else 2 for dim in spec.shape]
        if min(shape, default=0) < 0 or np.prod([float(dim) for dim in shape]) > 2**22:
            raise Refusal("not drawn: the input is too large, or has no size")
        feeds[spec.name] = (rng.random(shape) * 3).astype(spec.dtype)
    return feeds


def _tensor(model: Model, rng: random.Random) -> str:
    return rng.choice(onnxgraph.tensor_names(model) or [""])


def _node(model: Model, rng: random.Random) -> str:
    return rng.choice([node.name or (*node.output, "")[0] for node in model.graph.node] or [""])


def _symbol(model: Model, rng: random.Random) -> str:
    dims = [dim for spec in onnxgraph.inputs(model) for dim in spec.shape]
    return next((dim for dim in dims if isinstance(dim, str)), "N")


def _input(model: Model, rng: random.Random) -> str:
    return rng.choice([spec.name for spec in onnxgraph.inputs(model)] or [""])


def _saved(model: Model, rng: random.Random) -> object:
    path = Path("saved.onnx")
    onnxgraph.save(model, path)
    return onnxgraph.load(path)


def _anatomy(model: Model, rng: random.Random) -> object:
    parts = onnxgraph.anatomy(model)
    tables = ("messages", "model", "graph", "nodes", "attributes", "inputs", "outputs")
    return repr(parts), [getattr(parts, name) for name in (*tables, "value_infos", "initializers")]


def _cost(model: Model, rng: random.Random) -> object:
    found = onnxgraph.cost(model, sizes={"H": 2, "M": 2, "A": 2, "B": 2, "R": 2})
    return repr(found), found.table


def _replaced(model: Model, rng: random.Random) -> object:
    return onnxgraph.replace(model, _node(model, rng), rng.choice(("Abs", "Identity", "Add")))


def _weight(model: Model, rng: random.Random) -> object:
    names = [tensor.name for tensor in model.graph.initializer]
    dims = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    name = rng.choice(names or [""])
    shape = dims.get(name, ())
    small = all(0 <= size < 100 for size in shape) and len(shape) < 5
    return onnxgraph.set_weight(model, name, np.ones(shape if small else (2,), np.float32))


def _cases(model: Model, rng: random.Random) -> object:
    feeds = drawn_feeds(model)
    case = Case("one", feeds, onnxgraph.run_onnx(model, feeds))
    return onnxgraph.check_cases(model, [case])


def _layers(model: Model, rng: random.Random) -> object:
    return compare_layers(OnnxSource(model), OnnxSource(model), drawn_feeds(model))


def _free(model: Model, rng: random.Random) -> object:
    return onnxgraph.free_dims(model, {_input(model, rng): {rng.randrange(3): "free"}})


_VERBS: dict[str, Callable[[Model, random.Random], object]] = {
    "check": lambda m, r: onnxgraph.check(m),
    "save": _saved,
    "anatomy": _anatomy,
    "arrows": lambda m, r: onnxgraph.arrows(m),
    "op_histogram": lambda m, r: onnxgraph.op_histogram(m),
    "opset": lambda m, r: onnxgraph.opset(m),
    "inputs": lambda m, r: onnxgraph.inputs(m),
    "outputs": lambda m, r: onnxgraph.outputs(m),
    "tensor_names": lambda m, r: onnxgraph.tensor_names(m),
    "weight_sizes": lambda m, r: onnxgraph.weight_sizes(m),
    "find_nodes": lambda m, r: onnxgraph.find_nodes(m, shape=r.choice((None, [None, 4]))),
    "neighbours": lambda m, r: onnxgraph.neighbours(m, _node(m, r), up=3, down=3),
    "excerpt": lambda m, r: onnxgraph.excerpt(m, [_node(m, r)], steps=2)._repr_html_(),
    "cost": _cost,
    "infer_shapes": lambda m, r: onnxgraph.infer_shapes(m),
    "rename": lambda m, r: onnxgraph.rename(m, {_tensor(m, r): "renamed"}),
    "rename_nodes": lambda m, r: onnxgraph.rename_nodes(m, {_node(m, r): "renamed"}),
    "set_attributes": lambda m, r: onnxgraph.set_attributes(m, _node(m, r), axis=r.choice((0, 1))),
    "set_weight": _weight,
    "set_inputs": lambda m, r: onnxgraph.set_inputs(m, onnxgraph.inputs(m)),
    "insert_after": lambda m, r: onnxgraph.insert_after(m, _tensor(m, r), "Identity"),
    "insert_before": lambda m, r: onnxgraph.insert_before(m, _node(m, r), "Identity"),
    "remove": lambda m, r: onnxgraph.remove(m, _node(m, r)),
    "replace": _replaced,
    "add_outputs": lambda m, r: onnxgraph.add_outputs(m, _tensor(m, r)),
    "cut": lambda m, r: onnxgraph.cut(m, outputs=_tensor(m, r)),
    "join": lambda m, r: onnxgraph.join(m, m, {_input(m, r): _tensor(m, r)}),
    "fix_dims": lambda m, r: onnxgraph.fix_dims(m, {_symbol(m, r): r.choice((1, 2, 3))}),
    "free_dims": _free,
    "make_batch_dynamic": lambda m, r: onnxgraph.make_batch_dynamic(m),
    "lower_opset": lambda m, r: onnxgraph.lower_opset(m, r.choice((9, 11, 12))),
    "run_onnx": lambda m, r: onnxgraph.run_onnx(m, drawn_feeds(m)),
    "same": lambda m, r: onnxgraph.same(m, m),
    "check_cases": _cases,
    "compare_layers": _layers,
    "remove_dropout": lambda m, r: repairs.remove_dropout(m),
    "remove_shape_casts": lambda m, r: repairs.remove_shape_casts(m),
    "fold_reshapes": lambda m, r: repairs.fold_reshapes(m),
    "repair_missing_flatten": lambda m, r: repairs.repair_missing_flatten(m),
    "repair_spatial": lambda m, r: repairs.repair_spatial(m),
    "repair_fix_gamma": lambda m, r: repairs.repair_fix_gamma(m),
    "repair_count_include_pad": lambda m, r: repairs.repair_count_include_pad(m),
    "take_images": lambda m, r: repairs.take_images(m, mean=[0.5, 0.5], std=[0.2, 0.2]),
    "take_channels_last": lambda m, r: repairs.take_channels_last(m),
}

_SAME = {
    *("save", "infer_shapes", "rename_nodes", "set_inputs", "insert_after", "insert_before"),
    *("make_batch_dynamic", "lower_opset", "remove_dropout", "remove_shape_casts"),
    "fold_reshapes",
}
"""Verbs that change neither the outputs' values nor their names."""
