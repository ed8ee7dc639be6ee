"""A graph from somebody else: what does more than compute is refused before TensorFlow sees it."""

import re

import numpy as np
import pytest

from graphcore.errors import GraphError, UnknownName
from nbhelpers import convert
from nbhelpers.convert.proving import prove
from tfgraph.graphs.foreign_ops import FAMILIES, check_ops

tf = convert.tensorflow()
v1 = tf.compat.v1
raw = tf.raw_ops
X = {"x": np.ones((2,), np.float32)}
REFUSED = r"does more than compute: it has '[^']*' \({}\), which .*allow_ops\(.*\"{}\"\)"


def graph(effect, room):
    """Return y = x + 1, which waits for an op with an effect."""
    with tf.Graph().as_default() as built:
        x = v1.placeholder(tf.float32, [None], name="x")
        with tf.control_dependencies([effect(str(room), x)]):
            tf.add(x, 1.0, name="y")
    return built.as_graph_def()


EFFECTS = {
    "WriteFile": lambda room, x: raw.WriteFile(filename=f"{room}/out", contents="c"),
    "ReadFile": lambda room, x: raw.ReadFile(filename=f"{room}/in"),
    "MatchingFiles": lambda room, x: raw.MatchingFiles(pattern=f"{room}/*"),
    "PrintV2": lambda room, x: tf.print("hello", output_stream=f"file://{room}/out"),
    "SaveV2": lambda room, x: raw.SaveV2(
        prefix=f"{room}/out", tensor_names=["a"], shape_and_slices=[""], tensors=[x]
    ),
    "RestoreV2": lambda room, x: raw.RestoreV2(
        prefix=f"{room}/in", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "MergeV2Checkpoints": lambda room, x: raw.MergeV2Checkpoints(
        checkpoint_prefixes=[f"{room}/in"], destination_prefix=f"{room}/out"
    ),
    "DebugIdentity": lambda room, x: raw.DebugIdentity(
        input=x, tensor_name="x:0", debug_urls=[f"file://{room}/out"]
    ),
    "DebugNumericSummary": lambda room, x: raw.DebugNumericSummary(
        input=x, tensor_name="x:0", debug_urls=[f"file://{room}/out"]
    ),
    "CreateSummaryFileWriter": lambda room, x: raw.CreateSummaryFileWriter(
        writer=raw.SummaryWriter(),
        logdir=f"{room}/out",
        max_queue=1,
        flush_millis=1,
        filename_suffix="",
    ),
    "PyFunc": lambda room, x: raw.PyFunc(input=[x], token="pyfunc_0", Tout=[tf.float32])[0],
    "TextLineDataset": lambda room, x: raw.TextLineDataset(
        filenames=[f"{room}/in"], compression_type="", buffer_size=1
    ),
    "TextLineReaderV2": lambda room, x: raw.TextLineReaderV2(),
    "InitializeTableFromTextFileV2": lambda room, x: raw.InitializeTableFromTextFileV2(
        table_handle=raw.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64),
        filename=f"{room}/in",
        key_index=-2,
        value_index=-1,
    ),
    "Abort": lambda room, x: raw.Abort(error_msg="gone"),
}


@pytest.fixture
def room(tmp_path):
    """A folder in which nothing may appear."""
    (tmp_path / "in").write_text("a\nb\n")
    yield tmp_path
    assert sorted(path.name for path in tmp_path.glob("*")) == ["in"]


@pytest.mark.parametrize("op", EFFECTS)
def test_no_verb_lets_tensorflow_compute_it(op, room, tmp_path_factory):
    made = graph(EFFECTS[op], room)
    said = REFUSED.format(op, op)
    with pytest.raises(GraphError, match=said):
        convert.run_tf(made, X)
    with pytest.raises(GraphError, match=said):
        convert.tf2onnx(made, None)
    # What keeps a state has a sentence of its own there.
    with pytest.raises(GraphError, match=rf"{said}|The outputs need|table 'HashTable"):
        convert.build_saved_model(
            convert.save_graph_def(made, tmp_path_factory.mktemp("g") / "g.pb"),
            tmp_path_factory.mktemp("s") / "1",
        )


def in_function(made):
    """Return the graph with its nodes in a function, which one node calls."""
    with tf.Graph().as_default() as built:
        x = v1.placeholder(tf.float32, [None], name="x")
        function = tf.function(
            lambda x: tf.import_graph_def(made, {"x": x}, ["y:0"], name="")[0], autograph=False
        ).get_concrete_function(tf.TensorSpec([None], tf.float32))
        tf.identity(function(x), name="y")
    return built.as_graph_def()


@pytest.mark.parametrize("op", ["WriteFile", "SaveV2", "PyFunc"])
def test_it_is_found_inside_functions_too(op, room):
    made = in_function(graph(EFFECTS[op], room))
    assert all(node.op != op for node in made.node)
    with pytest.raises(GraphError, match=REFUSED.format(op, op)):
        convert.run_tf(made, X)


@pytest.mark.parametrize("op", ["ReadFile", "DebugIdentity"])
def test_not_even_the_import_of_a_graph_touches_files(op, room):
    """TensorFlow computes a shape that hangs on constants while it imports the graph."""
    with tf.Graph().as_default() as built:
        sizes = tf.constant([2, 1])
        if op == "ReadFile":
            sizes = tf.io.decode_raw(raw.ReadFile(filename=f"{room}/in"), tf.int8)
        x = v1.placeholder(tf.float32, [None], name="x")
        tf.reshape(x, tf.cast(sizes, tf.int32), name="y")
    made = built.as_graph_def()
    if op == "DebugIdentity":  # made here, it would be computed here
        (node,) = (each for each in made.node if each.op == "Const")
        debug = made.node.add(name="debug", op=op, input=[node.name])
        debug.attr["T"].type = tf.int32.as_datatype_enum
        debug.attr["debug_urls"].list.s.append(f"file://{room}/out".encode())
        for each in made.node:
            if each.op in ("Cast", "Reshape"):
                each.input[:] = ["debug" if i == node.name else i for i in each.input]
    with pytest.raises(GraphError, match=REFUSED.format(op, op)):
        convert.GraphView(made)


def test_a_check_changes_nothing_in_the_graph():
    made = v1.GraphDef()
    made.node.add(name="p", op="PrintV2")
    made.node.add(name="d", op="DecodeProtoV2")
    before = made.SerializeToString()
    check_ops(made)
    assert made.SerializeToString() == before


def test_what_is_not_computed_does_not_matter(room):
    with tf.Graph().as_default() as built:
        x = v1.placeholder(tf.float32, [None], name="x")
        tf.add(x, 1.0, name="y")
        raw.SaveV2(prefix=f"{room}/out", tensor_names=["a"], shape_and_slices=[""], tensors=[x])
        path = v1.placeholder(tf.string, [], name="path")
        pixels = tf.cast(tf.io.decode_raw(raw.ReadFile(filename=path), tf.uint8), tf.float32)
        tf.multiply(pixels, 2.0, name="z")
        tf.print("hello", x, name="printed")
    made = built.as_graph_def()
    assert convert.run_tf(made, X, fetch=["y"])["y"].tolist() == [2, 2]
    assert convert.run_tf(made, {"Cast:0": X["x"]}, fetch=["z"])["z"].tolist() == [2, 2]
    with pytest.raises(GraphError, match="ReadFile"):
        convert.run_tf(made, {"path": np.array("in")}, fetch=["z"])


def test_whoever_trusts_the_maker_allows_the_op(room):
    made = graph(EFFECTS["ReadFile"], room)
    with convert.allow_ops("ReadFile"):
        assert convert.run_tf(made, X)["y"].tolist() == [2, 2]
    with pytest.raises(GraphError, match="ReadFile"):
        convert.run_tf(made, X)
    with pytest.raises(UnknownName, match="op that is refused"), convert.allow_ops("Reedfile"):
        pass


def test_words_to_the_terminal_and_an_assertion_are_plain(room):
    made = graph(lambda _, x: tf.print("hello", x), room)
    assert convert.run_tf(made, X)["y"].tolist() == [2, 2]
    made = graph(lambda _, x: v1.Assert(x[0] > 0, [x]), room)
    assert convert.run_tf(made, X)["y"].tolist() == [2, 2]


def test_every_op_of_tensorflow_that_names_a_file_is_known():
    """An op that takes a file, a path or an address is in the table, or has no such thing."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    ops = op_def_pb2.OpList.FromString(
        pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    )
    names = re.compile(
        r"file|path|uri|url|address|log_?dir|^prefix$|^directory$|program$|descriptor_source|memory_region"
    )
    harmless = re.compile(r"CTC\w+|GetMinibatch\w+|StoreMinibatch\w+|Xla\w+")
    with_files = {
        op.name
        for op in ops.op
        if any(names.search(each.name) for each in (*op.input_arg, *op.attr))
        and not harmless.fullmatch(op.name)
    }
    known = {
        op.name for op in ops.op if any(re.fullmatch(each, op.name) for each in FAMILIES.values())
    }
    special = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "RestoreV2"}
    special |= {
        "Restore",
        "RestoreSlice",
        "FixedUnigramCandidateSampler",
        "DecodeProtoV2",
        "EncodeProto",
    }
    assert with_files - known - special == {"TensorSliceDataset"}
    assert {"ShardedFilename", "Print", "MergeSummary", "ScalarSummary", "Assert"}.isdisjoint(known)
    assert {"PyFunc", "WriteSummary", "DebugNanCount", "TFRecordDatasetV2"} <= known


def test_long_names_and_many_nodes_are_cut_short():
    made = tf.compat.v1.GraphDef()
    for place in range(30):
        made.node.add(name=f"{'n' * 5000}{place}", op="WriteFile")
    with pytest.raises(GraphError, match="and 25 more") as caught:
        check_ops(made)
    assert len(str(caught.value)) < 2000


def test_functions_that_call_themselves_and_long_chains_come_to_an_end():
    made = tf.compat.v1.GraphDef()
    names = [f"f{place}" for place in range(3000)]
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        function = made.library.function.add()
        function.signature.name = name
        function.node_def.add(name="loop", op="Identity", input=["loop"])
        function.node_def.add(name="read", op="RestoreV2", input=["loop"])
        function.node_def.add(name="call", op=other)
    made.node.add(name="start", op=names[0])
    with pytest.raises(GraphError, match="RestoreV2"):
        check_ops(made, ends=["start:0"])


def test_the_runtimes_that_prove_never_see_it(room, tmp_path_factory):
    folder = tmp_path_factory.mktemp("h") / "model"
    place = folder / "graph/tf1.4/frozen.pb"
    place.parent.mkdir(parents=True)
    convert.save_graph_def(graph(EFFECTS["WriteFile"], room), place)
    with pytest.raises(GraphError, match="WriteFile"):
        prove.prove(folder, ["graph/tf1.4/frozen.pb"], "raise SystemExit(9)")
