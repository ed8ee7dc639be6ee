"""Texts in and out of a graph, against Python's own texts, here and on the old runtimes."""

import numpy as np
import onnx
import pytest
from onnx import helper

from graphcore.errors import ConversionError
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse
from tfgraph.runtimes.child import Child

WORDS = np.array(["cat", "Dog", "", "naïve 入力", " a  b ", "a,b,,c", "cat"], object)


def converted(body, *, opset=20, target="tf2", **weights):
    return convert.onnx2tf(
        parse(f"g {body}", opset=opset, **weights), None, target=target, verify=False
    )


def texts(array):
    """Return an array of bytes as texts; numbers stay what they are."""
    array = np.asarray(array)
    if array.dtype.kind not in "OSU":
        return array.tolist()
    plain = [each.decode() if isinstance(each, bytes) else each for each in array.ravel()]
    return np.array(plain, object).reshape(array.shape).tolist()


def result(made, **fed):
    return [texts(each) for each in convert.run_conversion(made, fed).values()]


MOVED = {
    "Expand(s, wide)": lambda s: np.broadcast_to(s, (2, *s.shape)),
    "Tile(s, twice)": lambda s: np.tile(s, 2),
    "Pad(s, ends, fill)": lambda s: np.concatenate([["-"], s[:-2]]),
    "StringConcat(s, fill)": lambda s: np.array([each + "-" for each in s], object),
    "StringConcat(column, s)": lambda s: np.array([[a + b for b in s] for a in "xy"], object),
    "Where(same, fill, s)": lambda s: np.where(s == "cat", "-", s),
    "Slice(s, last, first, axis, back)": lambda s: s[::-1],
    "Gather(s, places)": lambda s: s[[0, -1]],
}
WEIGHTS = {
    "wide": np.array([2, 1]),
    "twice": np.array([2]),
    "ends": np.array([1, -2]),
    "fill": np.array("-", object),
    "column": np.array([["x"], ["y"]], object),
    "last": np.array([-1]),
    "first": np.array([-99]),
    "axis": np.array([0]),
    "back": np.array([-1]),
    "places": np.array([0, -1]),
    "cat": np.array("cat", object),
}


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize("call", MOVED)
def test_texts_are_moved_repeated_and_joined(call, target):
    made = converted(
        f"(string[N] s) => (string[M] y) {{ same = Equal(s, cat) y = {call} }}",
        target=target,
        **WEIGHTS,
    )
    for size in (7, 3):
        assert result(made, s=WORDS[:size]) == [MOVED[call](WORDS[:size]).tolist()]


@pytest.mark.parametrize("runtime", ["tf1.4", "tf1.13", "tf1.15"])
def test_texts_are_computed_on_the_old_runtimes(runtime, legacy):
    made = converted(
        """(string[N] s) => (bool[N] same, string[M] y, float[N, 2] counts) {
            same = Equal(s, cat)
            padded = Pad(s, ends, fill)
            both = Expand(padded, wide)
            y = StringConcat(both, fill)
            rows = Unsqueeze(s, axis1)
            counts = TfIdfVectorizer<mode = "TF", min_gram_length = 1, max_gram_length = 1,
                max_skip_count = 0, ngram_counts = [0], ngram_indexes = [0, 1],
                pool_strings = ["cat", "Dog"]>(rows)
        }""",
        target=runtime,
        axis1=np.array([1]),
        **WEIGHTS,
    )
    fed = {made.inputs["s"]: np.array([word.encode() for word in WORDS], object)}
    same, y, counts = Child(made.graph_def, runtime).run([*made.outputs.values()], fed)
    assert same.tolist() == (WORDS == "cat").tolist()
    padded = ["-", *WORDS[:-2]]
    assert texts(y) == [[each + "-" for each in padded]] * 2
    assert counts.tolist() == [[float(w == "cat"), float(w == "Dog")] for w in WORDS]


@pytest.mark.parametrize("most", [None, 0, 1, 2])
@pytest.mark.parametrize("delimiter", ["", ",", "a", ",,"])
def test_texts_are_split_as_python_splits_them(delimiter, most):
    options = f'delimiter = "{delimiter}"' + ("" if most is None else f", maxsplit = {most}")
    made = converted(
        f"(string[N] s) => (string[N, M] y, int64[N] z) {{ y, z = StringSplit<{options}>(s) }}"
    )
    for words in (WORDS, WORDS[:2], WORDS[2:3]):
        wanted = [w.split(delimiter or None, -1 if most is None else most) for w in words]
        longest = max(map(len, wanted))
        table = [parts + [""] * (longest - len(parts)) for parts in wanted]
        assert result(made, s=words) == [table, [len(parts) for parts in wanted]]


@pytest.mark.parametrize("case", ["NONE", "LOWER", "UPPER"])
@pytest.mark.parametrize("sensitive", [0, 1])
@pytest.mark.parametrize("dims", ["N", "1, N"])
def test_stop_words_are_left_out_and_the_case_is_changed(dims, sensitive, case):
    made = converted(
        f"(string[{dims}] s) => (string[{dims.replace('N', 'M')}] y) {{ y = StringNormalizer"
        f'<case_change_action = "{case}", is_case_sensitive = {sensitive}, '
        'stopwords = ["CAT", "Dog"]>(s) }'
    )
    change = {"LOWER": str.lower, "UPPER": str.upper}.get(case, str)
    for words in (WORDS, WORDS[:2], WORDS[:1]):
        stop = {"CAT", "Dog"} if sensitive else {"cat", "dog"}
        kept = [w for w in words if (w if sensitive else w.lower()) not in stop]
        wanted = [change(w) for w in kept] or [""]
        (seen,) = result(made, s=words if dims == "N" else words[None])
        assert seen == (wanted if dims == "N" else [wanted])


def test_texts_are_matched_and_numbers_are_read_and_written():
    made = converted('(string[N] s) => (bool[N] y) { y = RegexFullMatch<pattern = "[a-z]+">(s) }')
    assert result(made, s=WORDS) == [[True, False, False, False, False, False, True]]
    numbers = np.array([-7, 0, 2**62])
    written = converted("(int64[N] x) => (string[N] y) { y = Cast<to = 8>(x) }", target="tf1.4")
    assert result(written, x=numbers) == [["-7", "0", str(2**62)]]
    read = converted("(string[N] s) => (float[N] y) { y = Cast<to = 1>(s) }", target="tf1.4")
    assert result(read, s=np.array(["1.5", "-2e3", "7"], object)) == [[1.5, -2000, 7]]
    with pytest.raises(ConversionError, match="casts float32 to string, which every program"):
        converted("(float[N] x) => (string[N] y) { y = Cast<to = 8>(x) }")


LABELS = {
    "texts": (4, ["a", "zz", "b"], [5, -3, 6], {"keys_strings": ["b", "a", "b"]}),
    "places": (1, ["a", "zz", "b"], [1, -3, 0], {"classes_strings": ["b", "a"]}),
    "numbers": (2, [[1, 9], [3, 1]], [["u", "-"], ["v", "u"]], {"keys_int64s": [1, 3]}),
    "not a number": (
        4,
        np.float32([np.nan, 2, -0.0]),
        ["u", "-", "v"],
        {"keys_floats": [np.nan, 0]},
    ),
}
VALUES = {
    "texts": {"values_int64s": [9, 5, 6], "default_int64": -3},
    "places": {"default_int64": -3},
    "numbers": {"values_strings": ["u", "v"], "default_string": "-"},
    "not a number": {"values_strings": ["u", "v"], "default_string": "-"},
}


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize("name", LABELS)
def test_labels_are_looked_up(name, target):
    version, keys, wanted, options = LABELS[name]
    keys = np.array(keys, None if np.ndim(keys[0]) or name == "not a number" else object)
    kinds = {"f": onnx.TensorProto.FLOAT, "i": onnx.TensorProto.INT64, "O": onnx.TensorProto.STRING}
    answer = kinds["i" if isinstance(np.ravel(wanted)[0], np.integer) else "O"]
    ends = [
        [helper.make_tensor_value_info(end, kind, [*"NM"[: keys.ndim]])]
        for end, kind in (("x", kinds[keys.dtype.kind]), ("y", answer))
    ]
    node = helper.make_node(
        "LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **options, **VALUES[name]
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", version)]
    model = helper.make_model(
        helper.make_graph([node], "g", *ends), opset_imports=imports, ir_version=8
    )
    made = convert.onnx2tf(model, None, target=target, verify=False)
    assert result(made, x=keys) == [wanted]
    if name != "texts":  # of keys that are repeated, ONNX takes the last, onnxruntime the first
        assert texts(onnxgraph.run_onnx(model, {"x": keys})["y"]) == wanted
