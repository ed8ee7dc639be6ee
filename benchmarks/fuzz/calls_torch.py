"""Calls of the verbs of `nbhelpers.train` that take a file, and of the simplifier."""

import random
from pathlib import Path

import calls_onnx
import torch
from seeds_torch import module
from verdicts import Wrong

from nbhelpers import onnxgraph, train

torch.set_num_threads(1)


def call(name: str, path: Path, rng: random.Random) -> None:
    """Call a verb on the file at a path.

    Raises:
        Wrong: the result is wrong.
    """
    if name == "load_checkpoint":
        _load_checkpoint(path)
        return
    model = onnxgraph.load(path) if rng.random() < 0.5 else calls_onnx.parsed(path)
    if name == "simplify":
        calls_onnx.agree(model, onnxgraph.simplify(model, timeout=10).model)
    elif name == "preflight_import":
        repr(train.preflight_import(model))
    else:
        repr(train.import_onnx(model, simplify=rng.random() < 0.2))


def _load_checkpoint(path: Path) -> None:
    network = module()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    try:
        repr(train.load_checkpoint(network, path))
    except BaseException:
        for key, value in network.state_dict().items():
            if not torch.equal(value, before[key]):
                raise Wrong("the module is changed, and the checkpoint is refused") from None
        raise
