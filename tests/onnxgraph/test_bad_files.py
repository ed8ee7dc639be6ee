"""Files that are damaged, hostile or absurd: one sentence for each, and nothing else happens."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphcore.errors import GraphError, Refusal
from nbhelpers import onnxgraph
from onnxgraph.model.functions import inline_functions
from onnxgraph.running import sessions


def model(*nodes, weights=(), opset=13, x=(1, ["N", 4]), y=(1, ["N", 4])):
    """Return a model from x to y, unchecked."""
    inputs = [helper.make_tensor_value_info("x", *x)]
    outputs = [helper.make_tensor_value_info("y", *y)]
    graph = helper.make_graph(nodes or [node("Relu", "x", "y")], "g", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def tensor(dtype=1, dims=(4,), raw=b"\0" * 16, **fields):
    return TensorProto(name="w", data_type=dtype, dims=dims, raw_data=raw, **fields)


def add(weight):
    return model(node("Add", "x w", "y"), weights=[weight])


def branch(*nodes):
    shape = helper.make_tensor_value_info("o", 1, None)
    return helper.make_graph(nodes, "branch", [], [shape])


def changed(how):
    """Return a model after `how` was done to it."""
    made = model(node("Softmax", "x", "y"))
    how(made)
    return made


CYCLE = [node("Add", "x b", "a", name="first"), node("Relu", "a", "b"), node("Relu", "b", "y")]
INSIDE = branch(node("Neg", "gone", "o", name="inner"))
IF = node("If", "c", "y", name="choice", then_branch=INSIDE, else_branch=INSIDE)
CONDITION = numpy_helper.from_array(np.array(True), "c")

INVALID = {
    r"node 'first' \(Add\) reads 'b', which nothing before it makes": model(*CYCLE),
    r"\(Add\) reads 'nowhere', which nothing": model(node("Add", "x nowhere", "y")),
    r"\(Relu\) reads 'a', which nothing": model(node("Relu", "a", "y"), node("Relu", "x", "a")),
    r"'inner' \(Neg\) reads 'gone'.*at the node 'choice' \(If\)": model(IF, weights=[CONDITION]),
    r"'a' has been used as output names": model(
        node("Relu", "x", "a"), node("Relu", "x", "a"), node("Relu", "a", "y")
    ),
    r"w initializer name is not unique": model(
        node("Add", "x w", "y"), weights=[tensor(), tensor()]
    ),
    r"'y' is not an output of any node": model(node("Relu", "x", "other")),
    r"lists the output 'y' 2 times": changed(lambda m: m.graph.output.append(m.graph.output[0])),
    r"has no outputs": changed(lambda m: m.graph.ClearField("output")),
    r"'x' has no shape. Give it one": changed(
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")
    ),
    r"opset 13 has no operator Frobnicate.*node '' \(Frobnicate\)": model(
        node("Frobnicate", "x", "y")
    ),
    r"Expected: 'INT', actual: 'STRING'.*\(Softmax\)": model(node("Softmax", "x", "y", axis="one")),
    r"has input size 1 not in range \[min=2, max=2\]": model(node("Add", "x", "y")),
    r"its opset is 0, but onnx .* knows 1 to": model(opset=0),
    r"its opset is 999, but onnx .* Export it with one": model(opset=999),
    r"asks for the opsets 13 and 11 at once": changed(
        lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx", 11))
    ),
    r"ir_version 99 is higher": changed(lambda m: setattr(m, "ir_version", 99)),
    r"'x' has the type 99, which ONNX does not have": model(x=(99, ["N", 4])),
    r"'x' has the sizes \[-1, 4\]\. Give unknown sizes a name": model(x=(1, [-1, 4])),
    r"tensor 'w' has the type 99": add(tensor(99)),
    r"tensor 'w' has the type 0": add(tensor(0)),
    r"tensor 'w' has the sizes \[-4\]": add(tensor(dims=[-4])),
    r"tensor 'w' \(1099511627776\) takes 4398046511104 bytes, but has 16": add(
        tensor(dims=[2**40])
    ),
    r"\(4294967296×4294967296\) takes 7\d+ bytes": add(tensor(dims=[2**32, 2**32])),
    r"tensor 'w' \(4\) takes 16 bytes, but has 13": add(tensor(raw=b"\0" * 13)),
    r"tensor 'w' \(4\) takes 16 bytes, but has 17": add(tensor(raw=b"\0" * 17)),
    r"tensor 'w' \(4\) takes 4 values, but has 3": add(tensor(raw=None, float_data=[1, 2, 3])),
    r"tensor 'w' \(3\) takes 2 bytes, but has 3": add(tensor(TensorProto.INT4, [3], b"\0" * 3)),
    r"tensor 'w' is in another file. Read the model with": add(
        tensor(raw=None, data_location=TensorProto.EXTERNAL)
    ),
    r"holds text that is not UTF-8 \(b'\\xff'\)": add(
        tensor(TensorProto.STRING, [1], None, string_data=[b"\xff"])
    ),
}


@pytest.mark.parametrize("words", INVALID)
def test_an_invalid_model_is_refused_in_one_sentence(words, tmp_path):
    if "another file" not in words:  # that one is a file's, and a model's in memory
        (tmp_path / "bad.onnx").write_bytes(INVALID[words].SerializeToString())
        with pytest.raises(
            GraphError, match=rf"^\S*bad\.onnx is not a valid ONNX model: .*{words}"
        ):
            onnxgraph.load(tmp_path / "bad.onnx")
    with pytest.raises(GraphError, match=words) as refused:
        onnxgraph.check(INVALID[words])
    assert "\n" not in str(refused.value)


def test_text_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(model().SerializeToString().replace(b"Relu", b"Re\xff\xfe"))
    with pytest.raises(GraphError, match=r"holds a name that is not UTF-8 \(b'Re\\xff\\xfe'\)"):
        onnxgraph.load(tmp_path / "bad.onnx")


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02}q\x00.")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b""), "holds no graph with an opset"),
        (lambda path: path.write_text("hello, world\n" * 9), "is not an ONNX file, or it was cut"),
        (archive, "is not an ONNX file, or it was cut"),
        (lambda path: path.write_bytes(b"\0" * 1000), "is not an ONNX file, or it was cut"),
        (lambda path: path.mkdir(), r"m\.onnx is a folder\. Give the path of the \.onnx file"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to(path), "cannot be read: .*(levels of symbolic links|loop)"),
        (lambda path: None, r"there is no file m\.onnx"),
    ],
)
def test_what_is_no_model_is_refused(make, words, tmp_path):
    make(tmp_path / "m.onnx")
    with pytest.raises(GraphError, match=words):
        onnxgraph.load(tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["a\0b.onnx", "n" * 5000])
def test_a_name_that_no_file_can_have_is_refused(name, tmp_path):
    with pytest.raises(GraphError, match=r"cannot be read: .*(null|too long)"):
        onnxgraph.load(tmp_path / name)


def stored(folder, **where):
    """Write a model whose weight, 20,000 bytes, lies in another file, which holds 20,004."""
    weight = TensorProto(name="w", data_type=1, dims=[5000], data_location=TensorProto.EXTERNAL)
    for key, value in where.items():
        weight.external_data.add(key=key, value=value)
    (folder / "w.bin").write_bytes(np.arange(5001, dtype=np.float32).tobytes())
    made = model(node("Add", "x w", "y"), weights=[weight], x=(1, ["N", 1]), y=(1, ["N", 5000]))
    (folder / "m.onnx").write_bytes(made.SerializeToString())
    return folder / "m.onnx"


KEPT = pytest.mark.parametrize("keep", [False, True], ids=["read", "kept"])


@KEPT
def test_weights_beside_the_model_are_found(keep, tmp_path):
    path = stored(tmp_path, location="w.bin", offset="4", length="20000")
    made = onnxgraph.load(path, keep_external=keep)
    seen = onnxgraph.run_onnx(made, {"x": np.zeros((2, 1), np.float32)})["y"]
    assert np.array_equal(seen[1], np.arange(1, 5001))


ELSEWHERE = "points outside the directory|is not a file in the model's folder"


@KEPT
@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"location": "../../etc/passwd"}, ELSEWHERE),
        ({"location": "/etc/passwd"}, f"should be a relative path|{ELSEWHERE}"),
        ({"location": "linked"}, f"is a symbolic link|{ELSEWHERE}"),
        ({"location": "folder/passwd"}, f"resolves outside|{ELSEWHERE}"),
        ({"location": "passwd", "basepath": "/etc"}, f"not regular file|{ELSEWHERE}"),
        ({"location": "gone.bin"}, f"not regular file|{ELSEWHERE}"),
        ({"location": "."}, f"not regular file|{ELSEWHERE}"),
        ({"location": "n" * 5000}, "too long"),
        ({"location": "a\0b"}, "cannot be read"),
        ({}, "should not be empty|location"),
        ({"location": "w.bin", "offset": "20005"}, r"\(20005\) exceeds|holds 0 at 20005"),
        ({"location": "w.bin", "offset": "-4"}, "must be non-negative|at -4"),
        ({"location": "w.bin", "length": "20008"}, r"\(20008\) exceeds|takes 20000 bytes, but"),
        ({"location": "w.bin", "length": "x"}, "invalid literal"),
    ],
)
def test_weights_that_are_not_where_they_should_be_are_refused(where, words, keep, tmp_path):
    path = stored(tmp_path, **where)
    (tmp_path / "linked").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    with pytest.raises(GraphError, match=words) as refused:
        onnxgraph.load(path, keep_external=keep)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 700


def test_a_weight_in_a_file_that_has_other_names_is_not_read(tmp_path):
    path = stored(tmp_path, location="twin")
    os.link(tmp_path / "w.bin", tmp_path / "twin")
    with pytest.raises(GraphError, match=r"keeps weights in another file.*hard link"):
        onnxgraph.load(path)


def test_a_data_file_that_was_cut_short_is_refused(tmp_path):
    path = stored(tmp_path, location="w.bin")
    (tmp_path / "w.bin").write_bytes(b"\0" * 10)
    with pytest.raises(GraphError, match=r"tensor 'w' \(5000\) takes 20000 bytes, but has 10"):
        onnxgraph.load(path)
    with pytest.raises(GraphError, match=r"'w' takes 20000 bytes, but 'w\.bin' holds 10 at 0"):
        onnxgraph.load(path, keep_external=True)


def test_graphs_nested_deeper_than_protobuf_reads_are_refused(tmp_path):
    def field(number, content):
        size, head = len(content), bytearray()
        while size > 127:
            head.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2, *head, size]) + content

    graph = b""
    for _ in range(1000):  # a node's attribute `g`, of the type GRAPH
        attribute = field(1, b"then_branch") + b"\xa0\x01\x05" + field(6, graph)
        graph = field(1, field(4, b"If") + field(5, attribute))
    (tmp_path / "deep.onnx").write_bytes(field(7, graph) + field(8, b"\x10\x0d"))
    with pytest.raises(GraphError, match="is not an ONNX file"):
        onnxgraph.load(tmp_path / "deep.onnx")


def test_functions_that_would_make_millions_of_nodes_are_refused():
    bomb = model(helper.make_node("f0", ["x"], ["y"], domain="d"))
    bomb.opset_import.append(helper.make_opsetid("d", 1))
    for number in range(30):
        calls = [helper.make_node(f"f{number + 1}", [a], [b], domain="d") for a, b in ("ac", "cb")]
        opsets = [*bomb.opset_import]
        bomb.functions.append(helper.make_function("d", f"f{number}", ["a"], ["b"], calls, opsets))
    with pytest.raises(GraphError, match=r"has 1\.074e\+09 nodes, but at most 1000000"):
        inline_functions(bomb, keep=lambda node: True)


ENDLESS = """
    g (float[{rows}] x) => (float[{rows}] y) <int64 many = {{4000000000000}}, bool yes = {{1}}> {{
        y = Loop(many, yes, x) <body = b (int64 i, bool c, float[{rows}] v)
            => (bool d, float[{rows}] w) {{
            d = Identity(c)
            w = Relu(v)
        }}>
    }}
"""


def test_a_run_without_end_is_stopped(graph, monkeypatch):
    monkeypatch.setattr(sessions, "TIMEOUT", 0.5)
    endless = graph(ENDLESS.format(rows="N"))
    stopped = r"stopped after 0\.5 s without a result"
    with pytest.raises(Refusal, match=stopped):
        onnxgraph.run_onnx(endless, {"x": np.ones(1, np.float32)})
    runs, run = [], sessions.Session.run
    monkeypatch.setattr(
        sessions.Session, "run", lambda *given: (runs.append(given), run(*given))[1]
    )
    with pytest.raises(Refusal, match=stopped):
        onnxgraph.same(endless, endless)
    with pytest.raises(Refusal, match=stopped):
        onnxgraph.make_batch_dynamic(graph(ENDLESS.format(rows=2)))
    assert len(runs) == 2  # no other input would end sooner


@pytest.mark.parametrize("shape", [[2**40, 4], ["N", 2**31]])
def test_an_input_that_is_too_large_to_be_made_is_refused(shape):
    with pytest.raises(
        GraphError, match=r"tensor 'x' .* would take|'x' with the shape .* too large"
    ):
        onnxgraph.same(model(x=(1, shape), y=(1, shape)), model(x=(1, shape), y=(1, shape)))


def test_a_tensor_that_would_fill_the_memory_is_refused_before_the_run(graph):
    """The system would end the process, not the run."""
    wide = graph(
        """
        g (float[N, 1, 9, W] x) => (float[N, 1, 9, V] y) <float[4] scales = {1, 1, 1, 67108864}> {
            y = Resize<mode = "nearest">(x, , scales)
        }
        """
    )
    sentence = r"tensor 'y' \(3, 1, 9, 2147483648\) would take 216\.0 GiB, but one tensor may take"
    with pytest.raises(GraphError, match=sentence):
        onnxgraph.same(wide, wide)


def test_the_referee_keeps_the_last_window_of_a_pool_behind_a_pad(graph, values):
    """onnxruntime would move the padding into the pool, and drop the window that begins in it."""
    padded = graph(
        """
        g (float[N, 1, H, W] x) => (float[N, 1, A, B] y) <int64[8] pads = {0,0,1,1,0,0,1,1}> {
            p = Pad(x, pads)
            y = AveragePool<kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1>(p)
        }
        """
    )
    assert onnxgraph.run_onnx(padded, {"x": values(1, 1, 33, 33)})["y"].shape == (1, 1, 18, 18)


FUZZ = """
import random, sys, warnings
from pathlib import Path
from nbhelpers import onnxgraph
from graphcore.errors import GraphError

warnings.simplefilter("error")
whole, path, draw = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), random.Random(0)
read = 0
for trial in range(3000):
    print(trial, file=sys.stderr, flush=True)
    content, bit = bytearray(whole), draw.randrange(8 * len(whole))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content[: draw.randrange(len(whole))] if trial % 10 == 0 else content)
    try:
        onnxgraph.infer_shapes(onnxgraph.load(path))
        read += 1
    except GraphError as error:
        assert "\\n" not in str(error), error
print(read)
"""


def test_whatever_bit_flips_the_process_lives(chain, tmp_path):
    whole = onnxgraph.save(chain, tmp_path / "whole.onnx")
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, whole, tmp_path / "flipped.onnx"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.returncode, done.stderr.splitlines()[-5:])
    assert 0 < int(done.stdout) < 3000
