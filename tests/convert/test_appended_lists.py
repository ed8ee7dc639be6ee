"""Lists to which each step of a loop appends, of any number of steps, against onnxruntime."""

import measure_legacy
import numpy as np
import pytest

from graphcore.errors import ConversionError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.everywhere import run_there
from tests.convert.models import parse, seeded

LOOP = """
    start = SequenceEmpty()
    s, last = Loop(k, on, start, x) <body = b
        (int64 i, bool c, seq(float[N, 3]) before, float[N, 3] v)
        => (bool d, seq(float[N, 3]) after, float[N, 3] u) {{
            d = Identity(c)
            u = Sin(v)
            shifted = Add(u, w)
            after = {append}
    }}>
"""
APPEND = "SequenceInsert(before, shifted)"

USES = {
    "along the first axis": "y = ConcatFromSequence<axis = 0>(s)",
    "along the last axis": "y = ConcatFromSequence<axis = -1>(s)",
    "along a new axis": "y = ConcatFromSequence<axis = 1, new_axis = 1>(s)",
    "along a new last axis": "y = ConcatFromSequence<axis = -1, new_axis = 1>(s)",
    "one of them": "y = SequenceAt(s, minus)",
    "one more, one less": "t = SequenceInsert(s, x) r = SequenceErase(t, minus) "
    "q = SequenceErase(r) p = SequenceInsert(q, last) y = ConcatFromSequence<axis = 0>(p)",
    "their number": "n = SequenceLength(s) m = Cast<to = 1>(n) y = Mul(x, m)",
}


def model(use, append=APPEND):
    dims = "A, B, C" if "new_axis" in use else "A, B"
    return parse(
        f"g (float[N, 3] x, int64 k) => (float[{dims}] y, float[N, 3] last) "
        f"{{ {LOOP.format(append=append)} {use} }}",
        on=np.array(True),
        w=seeded(3),
        minus=np.array(-2),
    )


def feeds():
    return [{"x": seeded(n, 3, seed=n), "k": np.array(k)} for n, k in ((1, 3), (2, 11), (5, 2))]


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_list_that_grows_step_by_step(use):
    made = model(use)
    result = convert.onnx2tf(made, None, verify=False)
    for fed in feeds():
        seen = convert.run_conversion(result, fed)
        compare(onnxgraph.run_onnx(made, fed), seen, tolerance=1e-5).check()


def test_two_lists_one_after_the_other_in_every_order():
    text = """g (float[N, 3] x, int64 k, int64 m) => (float[P, 3] y, float[Q, 3] z) {
        start = SequenceConstruct(x)
        other = SequenceEmpty()
        s, t, v = Loop(k, on, start, other, x) <body = b
            (int64 i, bool c, seq(float[N, 3]) a1, seq(float[N, 3]) a2, float[N, 3] u)
            => (bool d, seq(float[N, 3]) o1, seq(float[N, 3]) o2, float[N, 3] n) {
                d = Identity(c)
                n = Exp(u)
                m1 = Neg(u)
                o2 = SequenceInsert(a2, n)
                o1 = SequenceInsert(a1, m1)
        }>
        more = Loop(m, on, s) <body = e
            (int64 j, bool f, seq(float[N, 3]) b1) => (bool g1, seq(float[N, 3]) p1) {
                g1 = Identity(f)
                p1 = SequenceInsert(b1, x)
        }>
        y = ConcatFromSequence<axis = 0>(more)
        z = ConcatFromSequence<axis = 0>(t)
    }"""
    made = parse(text, on=np.array(True))
    result = convert.onnx2tf(made, None, target="tf1.13", verify=False)
    for n, k, m in ((1, 2, 1), (3, 1, 4)):
        fed = {"x": seeded(n, 3) / 9, "k": np.array(k), "m": np.array(m)}
        seen = convert.run_conversion(result, fed)
        compare(onnxgraph.run_onnx(made, fed), seen, tolerance=1e-5).check()


PIECES = parse(
    """g (float[N, 3] x) => (float[M, 3] y) {
        start = SequenceEmpty()
        whole = Shape(x)
        zero = Constant<value_int = 0>()
        k = Gather(whole, zero)
        s = Loop(k, on, start) <body = b
            (int64 i, bool c, seq(float[A, 3]) before) => (bool d, seq(float[A, 3]) after) {
                d = Identity(c)
                row = Gather(x, i)
                positive = Greater(row, none)
                wide = Unsqueeze(row, first)
                kept = Compress<axis = 0>(x, positive)
                part = Mul(kept, wide)
                after = SequenceInsert(before, part)
        }>
        y = ConcatFromSequence<axis = 0>(s)
    }""",
    on=np.array(True),
    none=np.float32(0),
    first=np.array([0]),
)
"""A list of pieces of different sizes, as detectors make one for each image."""


@pytest.mark.parametrize("target", ["tf1.4", "tf1.13", "tf1.15", "tf2"])
def test_pieces_of_different_sizes(target, legacy, tmp_path):
    fed = [{"x": seeded(n, 3, seed=n)} for n in (3, 5, 8)]
    made = convert.onnx2tf(PIECES, None, target=target, verify=False)
    if target == "tf2":
        results = [convert.run_conversion(made, each) for each in fed]
    else:
        results = run_there(target, made, fed, tmp_path)
    for each, seen in zip(fed, results, strict=True):
        compare(onnxgraph.run_onnx(PIECES, each), seen, tolerance=1e-5).check()


@pytest.mark.parametrize("target", ["tf1.4", "tf1.13", "tf1.15"])
def test_lists_grow_on_the_old_runtimes(target, legacy, tmp_path):
    models = [model(use) for use in USES.values()]
    jobs = [(convert.onnx2tf(m, None, target=target, verify=False), feeds()) for m in models]
    for made, seen in zip(models, measure_legacy.run(target, jobs, tmp_path), strict=True):
        assert not isinstance(seen, str), seen
        for fed, values in zip(feeds(), seen, strict=True):
            compare(onnxgraph.run_onnx(made, fed), values, tolerance=1e-5).check()


def test_a_list_that_is_not_just_appended_to_is_refused_and_a_known_number_of_steps_helps():
    use = "y = ConcatFromSequence<axis = 0>(s)"
    made = model(use, append="SequenceInsert(before, shifted, first)")
    made.graph.initializer.append(parse("g () => () {}", first=np.array(0)).graph.initializer[0])
    with pytest.raises(ConversionError, match=r"does not just append to it.*Make the trip count"):
        convert.onnx2tf(made, None)
    del made.graph.input[1]
    made.graph.initializer.append(parse("g () => () {}", k=np.array(4)).graph.initializer[0])
    assert convert.onnx2tf(made, None).proven
