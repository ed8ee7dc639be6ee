"""`config.pbtxt`, read by protobuf's parser and checked by Triton's rules against the model."""

import numpy as np
import pytest

from graphcore.errors import GraphError
from graphcore.spec import UNKNOWN_RANK, TensorSpec
from nbhelpers import convert
from nbhelpers.convert.savedmodels.triton import triton_config, triton_files
from tests.convert import triton_rules

ROW = TensorSpec("x", "float32", ("batch", 6))


def saved(build, tmp_path, **options):
    """Sign a graph made by `build` and return the SavedModel."""
    tf = convert.tensorflow()
    with tf.Graph().as_default() as graph:
        build(tf, tf.compat.v1)
    (tmp_path / "g.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return convert.build_saved_model(tmp_path / "g.pb", tmp_path / "1", **options)


def checked(model, name="net", signature="serving_default", seen=None):
    """Return the configurations of both artefacts, checked, and what was refused."""
    texts, refused = triton_files(name, {"tf2": model}, signature=signature, seen=seen)
    configs = {file.partition("/")[0]: triton_rules.read(text) for file, text in texts.items()}
    if "savedmodel" in configs:
        assert not list(triton_rules.saved_model_problems(configs["savedmodel"], model))
    if "graph" in configs:
        assert not list(triton_rules.graph_problems(configs["graph"], model.graph_def))
    assert all(config.name == name and not config.max_batch_size for config in configs.values())
    return configs, {file.partition("/")[0]: why for file, why in refused.items()}


def shapes(tensors):
    return {tensor.name: list(tensor.dims) for tensor in tensors}


def two_heads(tf, v1):
    x = v1.placeholder(tf.float32, [None, 6], name="x")
    y = tf.identity(x * 2.0, name="y")
    tf.reduce_mean(y, name="loss")


def test_an_output_without_dims_is_left_out_and_named(tmp_path):
    model = saved(two_heads, tmp_path, outputs={"y": "y:0", "loss": "loss:0"})
    configs, refused = checked(model)
    assert not refused
    for config in configs.values():
        assert shapes(config.input) == {"x": [-1, 6]}
        assert shapes(config.output) == {"y": [-1, 6]}
    text = triton_files("net", {"tf2": model})[0]["savedmodel/tf2/config.pbtxt"]
    assert '# Left out: "loss" is a scalar, and Triton needs at least one dim' in text


def test_an_input_without_dims_is_refused(tmp_path):
    def build(tf, v1):
        x = v1.placeholder(tf.float32, [None, 6], name="x")
        tf.multiply(x, v1.placeholder(tf.float32, [], name="keep_prob"), name="y")

    configs, refused = checked(saved(build, tmp_path))
    assert not configs
    for why in refused.values():
        assert "Triton cannot serve 'net': its input 'keep_prob' is a scalar" in why
    with pytest.raises(GraphError, match="its output 'y' is a scalar"):
        triton_config("net", "tensorflow_savedmodel", {}, {"y": TensorSpec("y", "int64", ())})


@pytest.mark.parametrize("signature", ["serving_default", "predict", 'say "a"', "größe\\n"])
@pytest.mark.parametrize("tag", ["serve", "gpu", "b\"'"])
def test_signature_and_tag_are_told_where_they_are_not_the_usual(tmp_path, signature, tag):
    more = {"other": convert.Signature({"x": "x:0"}, {"y": "y:0"})}
    options = {"outputs": {"y": "y:0"}, "more": more}
    model = saved(two_heads, tmp_path, signature=signature, tags=tag, **options)
    configs, _ = checked(model, signature=signature)
    told = {key: each.string_value for key, each in configs["savedmodel"].parameters.items()}
    usual = {"TF_GRAPH_TAG": "serve", "TF_SIGNATURE_DEF": "serving_default"}
    chosen = {"TF_GRAPH_TAG": tag, "TF_SIGNATURE_DEF": signature}
    assert told == {key: value for key, value in chosen.items() if value != usual[key]}
    assert not configs["graph"].parameters


def test_several_tags_are_told_as_what_triton_cannot_find(tmp_path):
    outputs, tags = {"y": "y:0"}, ["serve", "gpu"]
    model = saved(two_heads, tmp_path, outputs=outputs, tags=tags, signature="predict")
    texts, _ = triton_files("net", {"tf2": model}, signature="predict")
    text = texts["savedmodel/tf2/config.pbtxt"]
    assert "# Triton finds a graph by one tag, but this one has 2" in text
    problems = list(triton_rules.saved_model_problems(triton_rules.read(text), model))
    assert problems == ["could not find a graph with that tag"]
    checked(convert.build_saved_model(tmp_path / "g.pb", tmp_path / "2", outputs=outputs))


@pytest.mark.parametrize("key", ['a"b', "a'b", "back\\slash", "line\nbreak", "größe", "a.b/c:0"])
def test_names_are_escaped(tmp_path, key):
    outputs = {key: "y:0"}
    model = saved(two_heads, tmp_path, outputs=outputs)
    configs, _ = checked(model, name=key)
    assert shapes(configs["savedmodel"].output) == {key: [-1, 6]}
    specs = {key: ROW}
    config = triton_rules.read(triton_config("n", "tensorflow_savedmodel", specs, specs))
    assert [tensor.name for tensor in (*config.input, *config.output)] == [key, key]


def test_a_second_result_of_a_node_is_no_output_of_a_frozen_graph(tmp_path):
    def build(tf, v1):
        x = v1.placeholder(tf.float32, [None, 6], name="x")
        tf.split(x, 2, axis=1, name="halves")

    model = saved(build, tmp_path, outputs={"a": "halves:0", "b": "halves:1"})
    configs, refused = checked(model)
    assert not refused
    assert shapes(configs["savedmodel"].output) == {"a": [-1, 3], "b": [-1, 3]}
    assert shapes(configs["graph"].output) == {"halves": [-1, 3]}
    only = saved(build, tmp_path, outputs={"b": "halves:1"})
    _, refused = checked(only)
    assert "is not the first result of its node" in refused["graph"]


def test_a_frozen_graph_is_fed_at_placeholders_only(tmp_path):
    def build(tf, v1):
        x = v1.placeholder(tf.float32, [None, 6], name="x")
        tf.nn.relu(tf.identity(x * 2.0, name="inner"), name="y")

    configs, refused = checked(saved(build, tmp_path, inputs={"x": "inner:0"}))
    assert list(configs) == ["savedmodel"]
    assert "because it feeds only placeholders, and 'inner:0' is not one" in refused["graph"]


def test_a_rank_that_the_graph_does_not_state_is_taken_from_what_was_seen(tmp_path):
    def build(tf, v1):
        x = v1.placeholder(tf.float32, None, name="x")
        tf.nn.relu(x, name="y")

    model = saved(build, tmp_path)
    assert {spec.shape for spec in model.specs.values()} == {UNKNOWN_RANK}
    _, refused = checked(model)
    assert "its input 'x' has a rank that the graph does not state" in refused["savedmodel"]
    seen = {"x:0": np.ones((2, 3)), "y:0": np.ones((2, 3))}
    configs, refused = checked(model, seen=seen)
    assert not refused
    assert shapes(configs["graph"].output) == {"y": [-1, -1]}


def test_every_type_that_triton_has_and_those_it_has_not(tmp_path):
    for name in (*triton_rules.TENSORFLOW.values(), "object"):
        spec = {"x": TensorSpec("x", name, (2, 3))}
        config = triton_rules.read(triton_config("m", "tensorflow_graphdef", spec, spec))
        assert triton_rules.kind(config.input[0]) == {"object": "string"}.get(name, name)
    for name in ("bfloat16", "complex64", "qint8"):
        odd = {"y": TensorSpec("y", name, (2,))}
        for platform in ("tensorflow_savedmodel", "tensorflow_graphdef"):
            with pytest.raises(GraphError, match=f"its input 'y' is {name}, for which Triton has"):
                triton_config("m", platform, odd, {"x": ROW})
        with pytest.raises(GraphError, match=f"its output 'y' is {name}"):
            triton_config("m", "tensorflow_savedmodel", {"x": ROW}, {"x": ROW, **odd})
        text = triton_config("m", "tensorflow_graphdef", {"x": ROW}, {"z": ROW, **odd})
        assert shapes(triton_rules.read(text).output) == {"z": [-1, 6]}


def test_texts_and_batches_of_single_values_are_served(tmp_path):
    def build(tf, v1):
        words = v1.placeholder(tf.string, [None], name="words")
        tf.strings.length(words, name="lengths")

    configs, refused = checked(saved(build, tmp_path))
    assert not refused
    assert shapes(configs["savedmodel"].output) == {"lengths": [-1]}
