"""Hash tables and Keras' lookup layers, as objects, SavedModels and graphs of TensorFlow 1."""

import numpy as np
import pytest

from graphcore.errors import ConversionError, GraphError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.toonnx.sources import tf, v1

WORDS = np.array([["cat", "dog", "fish"], ["bird", "cat", ""]], object)
NUMBERS = np.array([[10, 20, -5], [7, 10, 0]])
VOCABULARY = ["cat", "dog", "fish"]


def layers():
    import keras

    made = keras.layers
    return {
        "text to number": (made.StringLookup(vocabulary=VOCABULARY), WORDS),
        "number to text": (made.StringLookup(vocabulary=VOCABULARY, invert=True), NUMBERS % 4),
        "several at once": (
            made.StringLookup(vocabulary=VOCABULARY, output_mode="multi_hot"),
            WORDS,
        ),
        "known ones only": (made.StringLookup(vocabulary=VOCABULARY, num_oov_indices=0), WORDS[:1]),
        "number to number": (made.IntegerLookup(vocabulary=[10, 20, -5]), NUMBERS),
        "two for the unknown": (made.IntegerLookup(vocabulary=[10], num_oov_indices=2), NUMBERS),
    }


def lookup(kind):
    import keras

    layer, values = layers()[kind]
    texts = values.dtype == object
    inputs = keras.Input((3,), dtype="string" if texts else "int64", name="keys")
    model = keras.Model(inputs, layer(inputs))
    return model, values, model(tf.constant(values.tolist()) if texts else values).numpy()


def texts(array):
    """Bytes as texts."""
    return np.vectorize(lambda x: x.decode() if isinstance(x, bytes) else x, otypes="O")(array)


def agree(made, feeds, expected):
    results = onnxgraph.run_onnx(made.model, feeds)
    if next(iter(expected.values())).dtype == object:
        assert {n: texts(v).tolist() for n, v in results.items()} == {
            name: texts(value).tolist() for name, value in expected.items()
        }
    else:
        compare(expected, results).check()
    assert made.proven


@pytest.mark.parametrize("kind", layers())
def test_lookup_layers(kind):
    model, values, expected = lookup(kind)
    made = convert.tf2onnx(model, None)
    agree(made, {"keys": values}, {made.outputs[0].name: expected})


@pytest.mark.parametrize("opset", [9, 18])
@pytest.mark.parametrize("kind", ["text to number", "number to number"])
def test_a_saved_model_with_a_lookup(kind, opset, tmp_path):
    model, values, expected = lookup(kind)
    tf.saved_model.save(model, tmp_path / "saved")
    made = convert.tf2onnx(tmp_path / "saved", None, opset=opset)
    agree(made, {made.inputs[0].name: values}, {"output_0": expected})


def test_tables_of_a_module_whose_default_is_fed(tmp_path):
    class Tables(tf.Module):
        def __init__(self):
            fill = tf.lookup.KeyValueTensorInitializer
            self.prices = tf.lookup.StaticHashTable(
                fill(tf.constant(["a", "b"]), tf.constant([1.5, 2.5])), -1.0
            )
            self.names = tf.lookup.StaticHashTable(
                fill(tf.constant([3, 4], tf.int64), tf.constant(["three", "four"])), "none"
            )

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
        def price(self, x):
            size = tf.cast(self.prices.size(), tf.float32)
            return {"price": self.prices.lookup(x), "more": self.prices.lookup(x) + size}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="x")])
        def name_of(self, x):
            return {"name": self.names.lookup(x)}

    tables = Tables()
    signatures = {"price": tables.price, "name": tables.name_of}
    tf.saved_model.save(tables, tmp_path / "saved", signatures=signatures)
    made = convert.tf2onnx(tmp_path / "saved", None, signature="price")
    price = np.array([1.5, -1, 2.5], np.float32)
    agree(made, {"x": np.array(["a", "c", "b"], object)}, {"price": price, "more": price + 2})
    made = convert.tf2onnx(tmp_path / "saved", None, signature="name")
    agree(made, {"x": np.array([3, 7])}, {"name": np.array(["three", "none"], object)})


def test_a_frozen_graph_with_what_fills_its_table_and_without():
    with tf.Graph().as_default() as graph:
        keys = v1.placeholder(tf.string, [None], name="keys")
        fill = v1.lookup.KeyValueTensorInitializer(["a", "b"], np.array([1, 2]))
        table = v1.lookup.StaticHashTable(fill, -1)
        tf.identity(table.lookup(keys), name="y")
        v1.tables_initializer(name="init")
    whole = graph.as_graph_def()
    made = convert.tf2onnx(whole, None, outputs=["y"])
    agree(made, {"keys": np.array(["a", "c", "b"], object)}, {"y": np.array([1, -1, 2])})
    alone = v1.graph_util.extract_sub_graph(whole, ["y"])
    with pytest.raises(GraphError, match=r"in a table, at 'hash_table_\w+.*Give the SavedModel"):
        convert.tf2onnx(alone, None, outputs=["y"])


def test_texts_that_are_cut_into_words_are_refused_by_name():
    import keras

    inputs = keras.Input((), dtype="string", name="texts")
    layer = keras.layers.TextVectorization(vocabulary=["cat", "dog"], output_sequence_length=4)
    with pytest.raises(ConversionError, match=r"\(StringSplitV2\).* Cut the graph with inputs="):
        convert.tf2onnx(keras.Model(inputs, layer(inputs)), None)


def test_texts_are_compared_with_one_constant():
    def make():
        x = v1.placeholder(tf.string, [None], name="x")
        tf.identity(tf.not_equal(x, ""), name="y")

    with tf.Graph().as_default() as graph:
        make()
    made = convert.tf2onnx(graph.as_graph_def(), None)
    agree(made, {"x": np.array(["a", ""], object)}, {"y": np.array([True, False])})
