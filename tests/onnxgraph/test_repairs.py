"""Files of other exporters are repaired on evidence, and on evidence alone."""

import re

import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError, UnknownName
from nbhelpers.onnxgraph import check_cases, op_histogram, run_onnx
from onnxgraph.repairs import (
    EXAMPLES,
    example,
    fold_reshapes,
    remove_dropout,
    remove_shape_casts,
    repair_count_include_pad,
    repair_fix_gamma,
    repair_missing_flatten,
    repair_spatial,
    repair_to_golden,
    take_channels_last,
    take_images,
)

VERBS = {
    "fix_gamma": repair_fix_gamma,
    "spatial": repair_spatial,
    "count_include_pad": repair_count_include_pad,
    "missing flatten": repair_missing_flatten,
    "dropout": remove_dropout,
    "reshape chain": fold_reshapes,
    "shape casts": remove_shape_casts,
}
BY_GOLDEN = ("fix_gamma", "count_include_pad")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def repaired(name, model):
    return VERBS[name](model, *([example(name).cases()] if name in BY_GOLDEN else []))


@pytest.mark.parametrize("name", VERBS)
def test_each_example_is_repaired_once_and_agrees_with_what_was_meant(name):
    broken = example(name).model
    kept = broken.SerializeToString()
    result = repaired(name, broken)
    assert broken.SerializeToString() == kept
    assert "nothing repaired" not in repr(result)
    for report in check_cases(result.model, example(name).cases(batches=(1, 2, 5)), tolerance=1e-6):
        assert report.ok, report
    assert set(result.nodes) <= {
        n.name or n.output[0] for m in (result.before, result.model) for n in m.graph.node
    }
    again = repaired(name, result.model)
    assert again.model is result.model
    assert "nothing repaired" in repr(again)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spatial", "Invalid input scale: NumDimensions"),
        ("missing flatten", "First input does not have rank 2"),
    ],
)
def test_what_onnxruntime_says_is_the_evidence(name, message):
    feeds = dict(example(name).cases()[0].inputs)
    with pytest.raises(GraphError, match=message):
        run_onnx(example(name).model, feeds)
    assert message in repaired(name, example(name).model).changes[0]


def test_golden_outputs_tell_which_gammas_were_fixed():
    result = repair_fix_gamma(example("fix_gamma").model, example("fix_gamma").cases())
    assert result.changes[0].startswith("evidence: the golden outputs differed by 6")
    assert result.changes[1:] == (
        "BatchNormalization 'bn0': gamma set to ones, largest change 1",
        "largest change of an output: 3.64",
    )
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in result.model.graph.initializer}
    assert weights["gamma0_ones"].tolist() == [1, 1]
    assert weights["gamma1"].tolist() == [3, 3]


def test_without_evidence_nothing_is_changed():
    for name in BY_GOLDEN:
        model = example(name).model
        result = VERBS[name](model)
        assert result.model is model
        assert "only golden outputs can decide, so give cases. In doubt:" in repr(result)
    other = example("fix_gamma")
    result = repair_fix_gamma(onnx.parser.parse_model(other.meant), other.cases())
    assert "the golden outputs agree already" in repr(result)
    wrong = [
        type(case)(case.name, case.inputs, {"out": case.outputs["out"] + 7})
        for case in other.cases()
    ]
    result = repair_fix_gamma(other.model, wrong)
    assert result.model is result.before
    assert "with the best of 3 combinations of 2 nodes in doubt" in repr(result)


def test_doubts_of_two_kinds_and_many_nodes_are_settled_together(graph):
    layers = "".join(
        f"""
        [bn{n}] b{n} = BatchNormalization({f"p{n - 1}" if n else "x"}, g{n}, zero, zero, one)
        p{n} = AveragePool<kernel_shape = [3], pads = [1, 1]>(b{n})
        """
        for n in range(4)
    )
    gammas = "".join(f", float[1] g{n} = {{{2.0 if n != 1 else 0.5}}}" for n in range(4))
    text = f"""
        g (float[n, 1, 8] x) => (float[n, 1, 8] p3)
        <float[1] zero = {{0.0}}, float[1] one = {{1.0}}{gammas}> {{ {layers} }}
    """
    meant = text.replace("pads =", "count_include_pad = 1, pads =")
    meant = meant.replace("{2.0}", "{1.0}")  # g1 is what it is
    model, truth = graph(text), graph(meant)
    kind = type(example("fix_gamma").cases()[0])
    fed = [np.random.default_rng(n).standard_normal((n, 1, 8)).astype(np.float32) for n in (1, 3)]
    cases = [kind(f"c{len(x)}", {"x": x}, run_onnx(truth, {"x": x})) for x in fed]
    assert "nothing repaired" in repr(repair_fix_gamma(model, cases))
    result = repair_to_golden(model, cases)
    assert len(result.changes) == 1 + 3 + 4 + 1
    assert max(report.worst for report in result.reports) < 1e-5


def test_statistics_of_every_pixel_are_left():
    model = example("spatial").model
    model.graph.initializer[2].CopyFrom(
        onnx.numpy_helper.from_array(np.zeros((2, 4, 4), np.float32), "mean")
    )
    result = repair_spatial(model)
    assert result.model is model
    assert "its mean is indeed per pixel" in repr(result)


def test_a_flatten_that_would_not_fit_is_refused():
    text = example("missing flatten").text.replace("GlobalAveragePool(data)", "Relu(data)")
    with pytest.raises(GraphError, match=r"takes 2 features, but its input has 32 when it is flat"):
        repair_missing_flatten(onnx.parser.parse_model(text))


def test_dropout_in_training_shows_how_much_runs_differ():
    result = remove_dropout(example("dropout").model)
    assert float(re.search(r"differ by up to (\S+)", result.changes[0])[1]) > 0.05
    assert result.changes[1] == "Dropout 'drop' removed, which was in training mode"
    assert op_histogram(result.model) == {"MatMul": 1, "Relu": 1}


def test_dropout_at_the_end_in_branches_and_with_a_mask(graph):
    model = graph(
        """
        g (float[n, 4] x, bool c) => (float[n, 4] y, float[n, 4] z, bool[n, 4] mask) {
            y = If (c) <
                then_branch = t () => (float[n, 4] a) { d = Dropout(x)
                                                        a = Relu(d) },
                else_branch = e () => (float[n, 4] b) { b = Dropout(x) }
            >
            z, mask = Dropout(x)
        }
        """
    )
    result = remove_dropout(model)
    assert op_histogram(result.model) == {"Dropout": 1, "Identity": 1, "If": 1, "Relu": 1}
    assert "was left: its mask 'mask' is read" in repr(result)
    computed = graph(
        "g (float[n] x, bool t) => (float[n] y) <float r = {0.5}> { y = Dropout(x, r, t) }"
    )
    assert "its training_mode 't' is computed" in repr(remove_dropout(computed))


def test_reshapes_whose_target_differs_are_left(graph):
    model = graph(
        """
        g (float[n, m, 4] x, float[n, k] other) => (float[a, b] y, float[c, d, e] z)
        <int64 one = {1}, int64[1] at = {0}, int64[2] rest = {-1, 2}, int64[1] all = {-1}> {
            s = Shape(x)
            t = Shape(other)
            i = Gather(s, one)
            first = Unsqueeze(i, at)
            [two_unknown] both = Concat<axis = 0>(first, all)
            y = Reshape(x, both)
            j = Gather(s, at)
            w = Cast<to = 6>(j)
            v = Cast<to = 7>(w)
            target = Concat<axis = 0>(v, rest)
            z = Reshape(x, target)
        }
        """
    )
    result = fold_reshapes(model)
    assert result.changes == ("Reshape 'z': its target is always [0, -1, 2]",)
    assert op_histogram(result.model)["Reshape"] == 2
    assert "Shape" in op_histogram(result.model)


def test_casts_that_change_values_are_left(graph):
    model = graph(
        """
        g (int64[n] x, float[n, 3] y) => (int64[n] z, int64[2] s) {
            small = Cast<to = 6>(x)
            z0 = Cast<to = 7>(small)
            z = Identity(z0)
            shape = Shape(y)
            half = Cast<to = 10>(shape)
            s0 = Cast<to = 7>(half)
            s = Identity(s0)
        }
        """
    )
    result = remove_shape_casts(model)
    assert result.model is model
    assert "every Cast changes the type of its input" in repr(result)


@pytest.mark.parametrize("channels_last", [False, True])
def test_pictures_are_normalised_in_the_graph(channels_last):
    before = example("images").model
    result = take_images(before, mean=MEAN, std=STD, channels_last=channels_last)
    drawn = np.random.default_rng(3).integers(0, 256, (5, 3, 8, 6), np.uint8)
    by_channel = [np.reshape(each, (3, 1, 1)) for each in (MEAN, STD)]
    floats = ((drawn / 255 - by_channel[0]) / by_channel[1]).astype(np.float32)
    expected = run_onnx(before, {"images": floats})["scores"]
    fed = drawn.transpose(0, 2, 3, 1) if channels_last else drawn
    seen = run_onnx(result.model, {"images": np.ascontiguousarray(fed)})["scores"]
    assert np.abs(seen - expected).max() < 1e-5
    assert [report.title for report in result.reports] == ["batch 1", "batch 3"]


def test_pictures_of_floats_with_the_channels_last():
    before = example("images").model
    result = take_channels_last(before)
    assert result.changes == ("input 'images' takes batch × height × width × channels",)
    assert result.reports[1].worst == 0


def test_inputs_that_are_no_pictures_are_refused(chain):
    with pytest.raises(GraphError, match=r"the shape batch × channels × height × width was"):
        take_channels_last(chain)
    with pytest.raises(GraphError, match="a number for each of the 3 channels of 'images'"):
        take_images(example("images").model, mean=[0.5], std=[0.5])
    with pytest.raises(UnknownName, match="The closest are 'images'"):
        take_channels_last(example("images").model, name="image")
    with pytest.raises(UnknownName, match="There is no example named 'gamma'"):
        example("gamma")
    assert set(VERBS) < set(EXAMPLES)


def test_a_gather_beyond_a_shape_is_left_as_it_is(graph):
    model = graph(
        """
        g (float[N, 4] x) => (float[A, B] y) <int64[1] far = {5}, int64[1] rest = {-1}> {
            s = Shape(x)
            n = Gather(s, far)
            t = Concat<axis = 0>(n, rest)
            y = Reshape(x, t)
        }
        """
    )
    assert fold_reshapes(model).model == model
