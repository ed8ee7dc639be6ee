"""A process that is killed while it saves leaves the old model or the new one, never a mixture."""

import os

import numpy as np
import onnx
import pytest

from nbhelpers import onnxgraph

KILLED = 9
STEPS = ("replace", "unlink")
"""The calls of `os` that change what other processes see of a folder."""


def made(folder, value, *, negated=False):
    """Return a model that gives 80 times `value`, its weight in a file in another folder."""
    body = "t = MatMul(x, w) y = Neg(t)" if negated else "y = MatMul(x, w)"
    head = '<ir_version: 7, opset_import: ["" : 13]> g (float[N, 80] x) => (float[N, 90] y)'
    model = onnx.parser.parse_model(f"{head} {{{body}}}")
    weight = np.full((80, 90), value, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    folder.mkdir()
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="w.bin")
    return onnxgraph.load(folder / "m.onnx", keep_external=True)


def result(path):
    seen = onnxgraph.run_onnx(onnxgraph.load(path), {"x": np.ones((1, 80), np.float32)})
    return seen["y"][0, 0] / 80


def killed_at(number, save, *, after):
    """Run `save` in a child that ends before or after its step of that number; return its code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [number]

    def counted(call):
        def step(*arguments, **options):
            left[0] -= 1
            if left[0] == 0 and not after:
                os._exit(KILLED)
            try:
                return call(*arguments, **options)
            finally:
                if left[0] == 0:
                    os._exit(KILLED)

        return step

    try:
        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        save()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize("after", [False, True])
def test_the_model_is_whole_wherever_the_process_was_killed(tmp_path, after):
    old, new = made(tmp_path / "a", 1.0), made(tmp_path / "b", 2.0, negated=True)
    path = tmp_path / "out" / "m.onnx"
    path.parent.mkdir()
    onnxgraph.save(old, path)
    usual = {name.name: name.read_bytes() for name in path.parent.iterdir()}
    assert sorted(usual) == ["m.onnx", "m.onnx.data"]
    seen, number = [1.0], 0
    while killed_at(number := number + 1, lambda: onnxgraph.save(new, path), after=after) == KILLED:
        seen.append(float(result(path)))
        assert seen[-1] in (1.0, -2.0)
    assert number > 6
    assert seen == sorted(seen, reverse=True)  # once new, always new
    assert result(path) == -2.0
    onnxgraph.save(old, path)
    for name in path.parent.glob(".*"):  # of the processes that were killed
        name.unlink()
    assert {name.name: name.read_bytes() for name in path.parent.iterdir()} == usual


def test_a_model_that_is_saved_for_the_first_time_is_there_with_its_weights_or_not_at_all(tmp_path):
    new = made(tmp_path / "b", 2.0)
    path = tmp_path / "out" / "m.onnx"
    path.parent.mkdir()
    number = 0
    while killed_at(number := number + 1, lambda: onnxgraph.save(new, path), after=True) == KILLED:
        assert not path.exists() or result(path) == 2.0
    assert result(path) == 2.0


def test_a_file_of_weights_without_its_model_is_no_part_of_the_new_one(tmp_path):
    path = tmp_path / "out" / "m.onnx"
    path.parent.mkdir()
    path.with_name("m.onnx.data").write_bytes(b"something else")
    onnxgraph.save(made(tmp_path / "a", 3.0), path)
    assert result(path) == 3.0
    assert sorted(name.name for name in path.parent.iterdir()) == ["m.onnx", "m.onnx.data"]
