"""A SavedModel from somebody else: a loader runs what it is told to, and reads what it is given."""

import numpy as np
import pytest

from graphcore.errors import GraphError
from nbhelpers import convert
from tfgraph.savedmodels.checking import check_artefact

tf = convert.tensorflow()
v1 = tf.compat.v1
WORDS = {"words": np.array([b"b", b"a", b"?"], object)}


@pytest.fixture
def room(tmp_path):
    """A folder with a vocabulary, in which nothing else may appear."""
    (tmp_path / "vocabulary.txt").write_text("a\nb\n")
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {"vocabulary.txt", "model", "elsewhere"}


def table(path):
    source = tf.lookup.TextFileInitializer(
        str(path),
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    return tf.lookup.StaticHashTable(source, -1)


class Looking(tf.Module):
    """Words to numbers, times a variable; `effect` is computed, too."""

    def __init__(self, path, effect=None):
        super().__init__()
        self.table, self.effect = table(path), effect
        self.scale = tf.Variable(np.int64(3))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def serve(self, words):
        if self.effect:
            self.effect(words)
        return {"numbers": self.table.lookup(words) * self.scale}


def saved_by_2(room, effect=None):
    module = Looking(room / "vocabulary.txt", effect)
    tf.saved_model.save(module, str(room / "model"), signatures={"serving_default": module.serve})
    return room / "model"


def saved_by_1(room, *, collection="saved_model_main_op", effect=None, result=None):
    """A SavedModel as TensorFlow 1 writes it: a variable, a table from an asset, an init op."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        path = tf.constant(str(room / "vocabulary.txt"), name="path")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        source = tf.lookup.TextFileInitializer(
            path,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        looked = tf.lookup.StaticHashTable(source, -1)
        scale = v1.get_variable("scale", initializer=np.int64(3), use_resource=False)
        words = v1.placeholder(tf.string, [None], name="words")
        numbers = looked.lookup(words) * scale
        if result:
            with tf.control_dependencies([result(words)]):
                numbers = tf.identity(numbers)
        first = [v1.tables_initializer(), *([effect(words)] if effect else [])]
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(room / "model"))
        signature = v1.saved_model.predict_signature_def({"words": words}, {"numbers": numbers})
        with tf.control_dependencies(first):
            init = tf.no_op(name="init")
        named = (
            {"main_op": init} if collection == "saved_model_main_op" else {"legacy_init_op": init}
        )
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            **(named if collection == "saved_model_main_op" else {"main_op": init}),
        )
        builder.save()
    if collection == "legacy_init_op":
        edited(room / "model", lambda m: rename_collection(m, "saved_model_main_op", collection))
    return room / "model"


def rename_collection(meta_graph, old, new):
    meta_graph.collection_def[new].CopyFrom(meta_graph.collection_def[old])
    del meta_graph.collection_def[old]


def edited(folder, change):
    from tensorflow.core.protobuf import saved_model_pb2

    file = folder / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(message.meta_graphs[0])
    file.write_bytes(message.SerializeToString())


def refused(folder, op):
    with pytest.raises(GraphError):  # it reads the variables by itself, and runs nothing first
        convert.tf2onnx(folder, None)
    for verb in (
        lambda: convert.call_saved_model(folder, WORDS),
        lambda: check_artefact(folder),
    ):
        with pytest.raises(GraphError, match=rf"more than compute: .*\({op}\).*allow_ops\(.*{op}"):
            verb()


@pytest.mark.parametrize("save", [saved_by_1, saved_by_2])
def test_a_table_from_an_asset_and_variables_are_plain(room, save):
    folder = save(room)
    check_artefact(folder)
    (room / "vocabulary.txt").unlink()  # a copy is in assets/
    assert convert.call_saved_model(folder, WORDS)["numbers"].tolist() == [3, 0, -3]


def write(words):
    return tf.raw_ops.WriteFile(filename=words[0], contents="x")


def print_to_file(words):
    return tf.print("x", output_stream="file:///nowhere/x")


@pytest.mark.parametrize("collection", ["saved_model_main_op", "legacy_init_op"])
def test_what_a_loader_runs_first_only_computes(room, collection):
    folder = saved_by_1(room, collection=collection, effect=lambda _: write([str(room / "out")]))
    refused(folder, "WriteFile")


def test_a_signature_of_tensorflow_1_only_computes(room):
    refused(saved_by_1(room, result=write), "WriteFile")


def saved_with_training(room):
    module = Looking(room / "vocabulary.txt")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def train(words):
        write(words)
        return {"numbers": module.table.lookup(words) * module.scale}

    module.train = train
    tf.saved_model.save(module, str(room / "model"), signatures=module.serve)
    return room / "model"


def test_functions_that_nobody_calls_do_not_matter(room):
    folder = saved_with_training(room)
    assert convert.call_saved_model(folder, WORDS)["numbers"].tolist() == [3, 0, -3]


def test_a_signature_is_the_function_that_the_loader_gives_for_it(room):
    folder = saved_with_training(room)

    def exchanged(meta_graph):
        objects = meta_graph.object_graph_def
        (evil,) = (name for name in objects.concrete_functions if "train" in name)
        for node in objects.nodes:
            if "signature_wrapper" in node.bare_concrete_function.concrete_function_name:
                node.bare_concrete_function.concrete_function_name = evil

    edited(folder, exchanged)
    refused(folder, "WriteFile")


@pytest.mark.parametrize(("effect", "op"), [(write, "WriteFile"), (print_to_file, "PrintV2")])
def test_a_signature_of_tensorflow_2_only_computes(room, effect, op):
    refused(saved_by_2(room, effect), op)


@pytest.mark.parametrize(("op", "place"), [("InitializeTableFromTextFileV2", 1), ("RestoreV2", 0)])
def test_a_loader_reads_only_the_assets_and_the_variables(room, op, place):
    folder = saved_by_1(room)

    def of_its_own(meta_graph):
        nodes = meta_graph.graph_def.node
        chosen = nodes.add()
        chosen.CopyFrom(next(node for node in nodes if node.name == "path"))
        chosen.name = "passwd"
        for node in nodes:
            if node.op == op:
                node.input[place] = "passwd"

    edited(folder, of_its_own)
    refused(folder, op)


def test_what_restores_does_nothing_else(room):
    folder = saved_by_1(room, effect=None)

    def also(meta_graph):
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        meta_graph.graph_def.node.add(name="evil", op="WriteFile", input=["path", "path"])
        nodes[meta_graph.saver_def.restore_op_name].input.append("^evil")

    edited(folder, also)
    refused(folder, "WriteFile")


@pytest.mark.parametrize("save", [saved_by_1, saved_by_2])
@pytest.mark.parametrize("name", ["../../vocabulary.txt", "/etc/passwd", "gone.txt", "a\0"])
def test_an_asset_is_in_the_folder(room, save, name):
    def renamed(meta_graph):
        for each in meta_graph.asset_file_def:
            each.filename = name
        for packed in meta_graph.collection_def["saved_model_assets"].any_list.value:
            packed.value = packed.value.replace(
                b"\x0evocabulary.txt", bytes([len(name)]) + name.encode()
            )

    folder = save(room)
    edited(folder, renamed)
    with pytest.raises(GraphError, match=r"names '.*' as a file of its assets/, but no such file"):
        convert.call_saved_model(folder, WORDS)


def test_an_asset_is_no_link(room):
    folder = saved_by_2(room)
    (folder / "assets/vocabulary.txt").unlink()
    (folder / "assets/vocabulary.txt").symlink_to(room / "vocabulary.txt")
    with pytest.raises(GraphError, match="without links"):
        convert.call_saved_model(folder, WORDS)


def test_whoever_trusts_the_maker_allows_the_op(room):
    folder = saved_by_2(room, write)
    with convert.allow_ops("WriteFile"):
        given = {"words": np.array([str(room / "elsewhere").encode()], object)}
        assert convert.call_saved_model(folder, given)["numbers"].tolist() == [-3]
    assert (room / "elsewhere").read_text() == "x"


@pytest.mark.parametrize("end", [".keras", ".h5"])
def test_code_in_a_keras_file_does_not_run(tmp_path, end):
    import keras

    layer = keras.layers.Lambda(lambda x: x + 1)
    keras.Sequential([keras.Input((2,)), layer]).save(tmp_path / f"model{end}")
    with pytest.raises(GraphError, match=r"cannot load .*Lambda"):
        convert.tf2onnx(tmp_path / f"model{end}", None)
