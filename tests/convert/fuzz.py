"""Flip bits of small files and read the results: `python fuzz.py folder trials seed`.

The script is a process of its own, so that the test sees a crash of native code. The number of each
trial goes to standard error. A trial that was neither refused nor right goes to standard output.
"""

import math
import random
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np

from graphcore.errors import Refusal
from nbhelpers import convert
from tests.convert.models import parse, seeded
from tfgraph.graphs.graphdef import GraphView

LONGEST = 3000
"""The most characters that an error message may have."""

LARGEST = 2**22
"""The most values of a tensor.

A graph that makes more is valid, but costs the memory that it states.
"""

CONVOLUTIONS = parse(
    """
    g (float[N, 2, 7, 5] x) => (float[N, 3] y, float[N, 2, 4, 3] pooled) {
        [conv] h = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]>(x, w, b)
        [relu] a = Relu(h)
        [pool] pooled = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(a)
        [mean] m = GlobalAveragePool(pooled)
        [flat] f = Flatten(m)
        [gemm] z = Gemm<transB = 1>(f, v, c)
        [norm] y = Softmax<axis = -1>(z)
    }
    """,
    w=seeded(2, 2, 3, 3),
    b=seeded(2),
    v=seeded(3, 2),
    c=seeded(3),
)

SHAPES = parse(
    """
    g (float[N, 6] x) => (float[N, 3, 2] y, float[N, 4] z) <int64[2] ends = {3, 2}> {
        s = Shape(x)
        zero = Constant<value_ints = [0]>()
        n = Gather(s, zero)
        sizes = Concat<axis = 0>(n, ends)
        r = Reshape(x, sizes)
        y = Tanh(r)
        one = Constant<value_ints = [1]>()
        five = Constant<value_ints = [5]>()
        part = Slice(x, one, five, one)
        low = Constant<value_float = -1.0>()
        z = Clip(part, low)
    }
    """
)

CONTROL = parse(
    """
    g (float[N, 3] x, bool c) => (float[N, 3] y, float[N, 3] z)
        <int64 steps = {3}, bool yes = {1}> {
        y = If(c) <
            then_branch = t () => (float[N, 3] o) { o = Neg(x) },
            else_branch = e () => (float[N, 3] p) { p = Exp(x) }>
        z = Loop(steps, yes, y) <
            body = b (int64 i, bool d, float[N, 3] v) => (bool e, float[N, 3] u) {
                e = Identity(d)
                u = Tanh(v)
            }>
    }
    """
)

MODELS = {"convolutions": CONVOLUTIONS, "shapes": SHAPES, "control": CONTROL}


def convert_onnx(path):
    """Convert a file. The result is compared with onnxruntime before it is written."""
    made = convert.onnx2tf(path, path.with_name("written.pb"))
    assert made.proven
    made.pb_path.unlink()


def run_frozen(path):
    """Look into a frozen graph, run it, and build a SavedModel from it."""
    view = GraphView(convert.load_graph_def(path))
    repr(view)
    if max(math.prod(_sizes(tensor)) for tensor in view.tensors.values()) < LARGEST:
        fed = {tensor.name: np.ones(_sizes(tensor), tensor.dtype) for tensor in view.inputs()}
        convert.run_tf(path, fed)
    convert.build_saved_model(path, path.with_name("saved"))


def _sizes(tensor):
    return [1 if size is None else size for size in tensor.shape or ()]


def read_saved(path):
    """Read a SavedModel, look into its graph, and load it as a client does."""
    repr(convert.read_saved_model(path.parent))
    repr(convert.open_graph(path.parent))
    convert.load_saved_model(path.parent)


def files(model, folder):
    """Write a model in every form, and return each path with the function that reads it."""
    made = convert.onnx2tf(model, folder / "m.pb")
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    saved = convert.build_saved_model(made.pb_path, folder / "whole").path / "saved_model.pb"
    return {folder / "m.onnx": convert_onnx, folder / "m.pb": run_frozen, saved: read_saved}


def damaged(content, draw):
    """Return the content with one bit flipped, or in one of ten cases cut short."""
    if draw.random() < 0.1:
        return content[: draw.randrange(len(content))]
    bit, flipped = draw.randrange(8 * len(content)), bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def trial(work, path):
    """Return what is wrong with the way in which a file was handled, or ""."""
    beside = {each.name for each in path.parent.iterdir()}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            work(path)
        except Refusal as error:
            if "\n" in str(error) or len(str(error)) > LONGEST:
                return f"no sentence: {str(error)[:LONGEST]!r}"
            if {each.name for each in path.parent.iterdir()} != beside:
                return f"left something behind after {error}"
        except Exception:  # noqa: BLE001 (whatever it is, it should not have come)
            return traceback.format_exc()
    return f"{len(said)} warnings" if len(said) > 3 else ""


def main(folder, trials, seed):
    """Damage each file `trials` times."""
    draw = random.Random(seed)
    for name, model in MODELS.items():
        (folder / name).mkdir()
        for path, work in files(model, folder / name).items():
            content = path.read_bytes()
            for number in range(trials):
                print(name, path.name, number, file=sys.stderr, flush=True)
                path.write_bytes(damaged(content, draw))
                wrong = trial(work, path)
                if wrong:
                    print(f"{name} {path.name} {number}: {wrong}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
