"""If, Loop, Scan and sequences against onnxruntime, at several sizes, and on the old runtimes."""

import numpy as np
import pytest

from graphcore.errors import ConversionError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.agreement import agree, ops
from tests.convert.everywhere import run_there
from tests.convert.models import parse, seeded

FUNCTIONS = {"If", "StatelessIf", "While", "StatelessWhile", "PartitionedCall", "TensorListReserve"}


def lowered(model, *runs):
    """Return the ops of a conversion that agrees in every run, and calls no function."""
    made = ops(agree(model, *runs))
    assert not made & FUNCTIONS
    return made


def rows(count, *, seed=0, **others):
    return {"x": seeded(count, 3, seed=seed), **{n: np.array(v) for n, v in others.items()}}


BRANCHES = """
    y = If (flag) <
        then_branch = yes () => (float[A, 3] t) { s = Mul(x, w) t = MatMul(s, m) },
        else_branch = no () => (float[B, 3] e) { s2 = Add(x, w) e = Concat<axis = 0>(s2, x) }
    >
"""
WEIGHTS = {"w": seeded(3, seed=1), "m": seeded(3, 3, seed=2)}


@pytest.mark.parametrize("opset", [7, 11, 13, 17])
def test_if_runs_one_branch_on_tensors_from_outside(opset):
    """The weights that a branch asks for first are used behind it too."""
    model = parse(
        "g (float[N, 3] x, bool flag) => (float[C, 3] z) "
        f"{{ {BRANCHES} z1 = MatMul(y, m) z = Add(z1, w) }}",
        opset=opset,
        **WEIGHTS,
    )
    made = lowered(model, rows(2, flag=True), rows(4, flag=False), rows(1, flag=True))
    assert {"Switch", "Merge"} <= made


@pytest.mark.parametrize("flag", [True, False])
def test_only_the_branch_of_a_known_condition_is_built(flag):
    model = parse(f"g (float[N, 3] x) => (float[C, 3] y) {{ {BRANCHES} }}", flag=flag, **WEIGHTS)
    made = lowered(model, rows(2), rows(3))
    assert ("MatMul" in made) is flag
    assert "Switch" not in made


def test_if_inside_if():
    model = parse(
        """g (float[N, 3] x, bool[1] one, bool[1] two) => (float[N, 3] z) {
            y = If (one) <
                then_branch = a () => (float[N, 3] ao) {
                    ax = Mul(x, w)
                    ao = If (two) <
                        then_branch = b () => (float[N, 3] bo) { bo = Add(ax, v) },
                        else_branch = c () => (float[N, 3] co) { co = Identity(x) }
                    >
                },
                else_branch = d () => (float[N, 3] d2) { d2 = Sub(x, v) }
            >
            z = Mul(y, v)
        }""",
        w=seeded(3, seed=1),
        v=seeded(3, seed=2),
    )
    lowered(model, *[rows(2, one=[a], two=[b]) for a in (True, False) for b in (True, False)])


SUMS = """
    last, all = Loop (trips, {condition}, x) <
        body = b (int64 i, bool going, float[N, 3] before) =>
               (bool on, float[N, 3] after, float[N, 3] seen) {{
            step = Cast<to = 1>(i)
            scaled = Mul(before, w)
            after = Add(scaled, step)
            seen = Mul(after, after)
            {on}
        }}
    >
"""


@pytest.mark.parametrize("opset", [7, 11, 13, 16])
@pytest.mark.parametrize("condition", ['""', "yes"])
def test_loop_with_a_computed_trip_count(condition, opset):
    body = SUMS.format(condition=condition, on="on = Identity(going)")
    model = parse(
        "g (float[N, 3] x, int64 trips) => (float[N, 3] z, float[T, N, 3] all) "
        f"{{ {body} z = Add(last, w) }}",
        opset=opset,
        w=seeded(3, seed=1),
        yes=True,
    )
    made = lowered(model, rows(2, trips=5), rows(1, trips=12), rows(3, trips=1))
    assert "TensorArrayV3" in made


def test_loop_that_ends_by_its_condition():
    text = "total = ReduceMax<keepdims = 0>(after) on = Less(total, bound)"
    body = SUMS.format(condition="start", on=text)
    model = parse(
        "g (float[N, 3] x, int64 trips, bool start) => (float[N, 3] last, float[T, N, 3] all) "
        f"{{ {body} }}",
        w=np.float32([1.0, 1.5, 0.5]),
        bound=np.float32(9),
    )
    lowered(model, rows(2, trips=50, start=True), rows(1, trips=2, start=True))


@pytest.mark.parametrize("start", [True, False])
def test_loop_without_a_trip_count(start):
    model = parse(
        """g (float[N, 3] x, bool start) => (float[N, 3] last) {
            last = Loop ("", start, x) <
                body = b (int64 i, bool going, float[N, 3] before) => (bool on, float[N, 3] after) {
                    after = Add(before, one)
                    total = ReduceMin<keepdims = 0>(after)
                    on = Less(total, bound)
                }
            >
        }""",
        one=np.float32(1),
        bound=np.float32(7),
    )
    lowered(model, rows(2, start=start), rows(3, start=start))


def test_a_loop_of_no_steps_gives_empty_outputs():
    body = SUMS.format(condition='""', on="on = Identity(going)")
    model = parse(
        f"g (float[N, 3] x, int64 trips) => (float[N, 3] last, float[T, N, 3] all) {{ {body} }}",
        w=seeded(3, seed=1),
    )
    converted = convert.onnx2tf(model, None, verify=False)
    seen = convert.run_conversion(converted, rows(2, trips=0))
    assert seen["all"].shape[0] == 0
    np.testing.assert_array_equal(seen["last"], rows(2)["x"])


def test_few_known_steps_are_written_out():
    body = SUMS.format(condition='""', on="on = Identity(going)")
    model = parse(
        f"g (float[N, 3] x) => (float[N, 3] last, float[T, N, 3] all) {{ {body} }}",
        w=seeded(3, seed=1),
        trips=np.int64(4),
    )
    assert "Enter" not in lowered(model, rows(2), rows(1))


GROWING = """g (float[N, 3] x, int64 trips) => (float[M, 3] z) {
    last = Loop (trips, "", x) <
        body = b (int64 i, bool going, float[A, 3] before) => (bool on, float[B, 3] after) {
            on = Identity(going)
            more = MatMul(x, m)
            after = Concat<axis = 0>(before, more)
        }
    >
    z = MatMul(last, m)
}"""


def test_a_carried_value_may_grow():
    model = parse(GROWING, m=seeded(3, 3, seed=1))
    lowered(model, rows(2, trips=4), rows(1, trips=11), rows(3, trips=0))


def test_a_carried_value_of_a_fixed_shape_may_grow():
    model = parse(GROWING.replace("float[N, 3] x", "float[2, 3] x"), m=seeded(3, 3, seed=1))
    lowered(model, rows(2, trips=4), rows(2, trips=11))


NESTED = """g (float[N, 3] x, int64 trips) => (float[N, 3] z, float[T, N, 3] all) {
    last, all = Loop (trips, "", x) <
        body = outer (int64 i, bool going, float[N, 3] before) =>
                     (bool on, float[N, 3] after, float[N, 3] seen) {
            on = Identity(going)
            inner_last = Loop (trips, "", before) <
                body = inner (int64 j, bool going2, float[N, 3] b2) => (bool on2, float[N, 3] a2) {
                    on2 = Identity(going2)
                    half = Mul(b2, w)
                    odd = Equal(i, j)
                    a2 = If (odd) <
                        then_branch = yes () => (float[N, 3] t) { t = Add(half, own) },
                        else_branch = no () => (float[N, 3] e) { e = Add(half, before) }
                    >
                }
            >
            bent = LeakyRelu<alpha = 0.3>(inner_last) after = Tanh(bent)
            seen = Add(after, own)
        }
    >
    z = Mul(last, w)
}"""


def test_loops_inside_loops_share_weights():
    model = parse(NESTED, w=seeded(3, seed=1), own=seeded(3, seed=2))
    lowered(model, rows(2, trips=3), rows(1, trips=10))


def scanning(attributes, shape, *, opset=11):
    return parse(
        f"""g (float[N, 3] x, float[{shape}] s) => (float[N, 3] last, float[a, b, c] all) {{
            last, all = Scan (x, s) <
                num_scan_inputs = 1,
                body = b (float[N, 3] before, float[N, 3] e) =>
                         (float[N, 3] after, float[N, 3] o) {{
                    mixed = Mul(before, w)
                    after = Add(mixed, e)
                    o = Sub(after, e)
                }}{attributes}
            >
        }}""",
        opset=opset,
        w=seeded(3, seed=1),
    )


SCANS = {
    "plain": ("", "T, N, 3"),
    "axis": (", scan_input_axes = [1]", "N, T, 3"),
    "last axis": (", scan_input_axes = [-1], scan_output_axes = [-1]", "N, 3, T"),
    "backwards": (", scan_input_directions = [1]", "T, N, 3"),
    "written backwards": (
        ", scan_output_directions = [1], scan_output_axes = [1]",
        "T, N, 3",
    ),
}


@pytest.mark.parametrize("steps", ["T", "6"], ids=["unknown length", "six steps"])
@pytest.mark.parametrize("case", SCANS.values(), ids=SCANS)
def test_scan(case, steps):
    attributes, shape = case
    model = scanning(attributes, shape.replace("T", steps))
    feeds = []
    for batch, length in ((2, 6), (1, 6 if steps == "6" else 11)):
        sizes = {"T": length, "N": batch, "3": 3}
        s = seeded(*[sizes[letter] for letter in shape.split(", ")], seed=4)
        feeds.append(rows(batch) | {"s": s})
    assert ("Enter" in lowered(model, *feeds)) is (steps == "T")


def test_the_batched_scan_of_opset_8():
    model = parse(
        """g (float[N, 3] x, float[N, T, 3] s) => (float[N, 3] last, float[N, T, 3] all) {
            last, all = Scan ("", x, s) <
                num_scan_inputs = 1, directions = [1],
                body = b (float[3] before, float[3] e) => (float[3] after, float[3] o) {
                    mixed = Mul(before, w)
                    after = Add(mixed, e)
                    o = Sub(after, e)
                }
            >
        }""",
        opset=8,
        w=seeded(3, seed=1),
    )
    lowered(*[model, *[rows(n) | {"s": seeded(n, t, 3, seed=4)} for n, t in ((2, 5), (1, 9))]])


SEQUENCES = {
    "insert, erase, at": """empty = SequenceEmpty() one = SequenceInsert(empty, x)
        twice = Mul(x, w) two = SequenceInsert(one, twice) both = SequenceInsert(two, w1, zero)
        less = SequenceErase(both, zero) y = SequenceAt(less, minus)""",
    "insert before the last": """two = SequenceConstruct(x, x) twice = Mul(x, w)
        three = SequenceInsert(two, twice, minus) y = SequenceAt(three, onep)""",
    "split, concat": """parts = SplitToSequence<axis = 1>(x, sizes)
        y = ConcatFromSequence<axis = 0>(parts)""",
    "slices, stack": """parts = SplitToSequence<axis = 1, keepdims = 0>(x)
        y = ConcatFromSequence<axis = 1, new_axis = 1>(parts)""",
    "length": """parts = SplitToSequence<axis = -1>(x) n = SequenceLength(parts)
        f = Cast<to = 1>(n) y = Mul(x, f)""",
    "loop": """empty = SequenceEmpty()
        made = Loop (four, "", empty) <
            body = b (int64 i, bool on, seq(float[N, 3]) before) =>
                     (bool off, seq(float[N, 3]) after) {
                off = Identity(on) f = Cast<to = 1>(i) row = Mul(x, f)
                after = SequenceInsert(before, row)
            }
        >
        y = ConcatFromSequence<axis = 1>(made)""",
    "branches": """flag = Greater(first, w1)
        made = If (flag) <
            then_branch = a () => (seq(float[N, 3]) ao) { ao = SequenceConstruct(x, x) },
            else_branch = b () => (seq(float[N, 3]) bo) {
                x2 = Neg(x) bo = SequenceConstruct(x, x2)
            }
        >
        y = ConcatFromSequence<axis = 1>(made)""",
}


@pytest.mark.parametrize("text", SEQUENCES.values(), ids=SEQUENCES)
def test_sequences_of_known_length(text):
    model = parse(
        f"g (float[N, 3] x) => (float[a, b] y) {{ top = ReduceMax<keepdims = 0>(x) "
        f"first = Identity(top) {text} }}",
        w=seeded(3, seed=1),
        w1=np.float32(0.9),
        zero=np.int64(0),
        onep=np.int64(1),
        minus=np.int64(-1),
        four=np.int64(12),
        sizes=np.int64(1),
    )
    lowered(model, rows(2), rows(3, seed=5))


def test_a_sequence_is_mapped():
    model = parse(
        """g (float[N, 3] x) => (float[a, b] y) {
            parts = SplitToSequence<axis = 1>(x)
            made = SequenceMap (parts, x) <
                body = b (float[N, 1] each, float[N, 3] all) => (float[N, 3] o) {
                    o = Mul(each, all)
                }
            >
            y = ConcatFromSequence<axis = 1>(made)
        }""",
        opset=17,
    )
    lowered(model, rows(2), rows(3))


REFUSED = {
    "never ends": (
        'y = Loop ("", "", x) < body = b (int64 i, bool on, float[N, 3] before) => '
        "(bool off, float[N, 3] after) { off = Identity(on) after = Identity(before) } >",
        r"\(Loop\) has no trip count and no condition",
    ),
    "condition that is heeded or ignored": (
        'y = Loop (trips, "", x) < body = b (int64 i, bool on, float[N, 3] before) => '
        "(bool off, float[N, 3] after) { off = Not(on) after = Identity(before) } >",
        r"\(Loop\) has a trip count, no condition, and a body that computes one",
    ),
    "rank": (
        'big = Loop (trips, "", x) < body = b (int64 i, bool on, float[N, 3] before) => '
        "(bool off, float[N, 3] after) { off = Identity(on) after = Unsqueeze(before, axes) } > "
        "y = Identity(big)",
        r"\(Loop\) changes the rank of a value",
    ),
    "sequence through unknown steps": (
        'empty = SequenceEmpty() made = Loop (trips, "", empty) < body = b '
        "(int64 i, bool on, seq(float[N, 3]) before) => (bool off, seq(float[N, 3]) after) "
        "{ off = Identity(on) after = SequenceInsert(before, x, i) } > "
        "y = ConcatFromSequence<axis = 0>(made)",
        r"\(Loop\) carries a sequence",
    ),
    "lengths of branches": (
        "flag = Greater(trips, zero) made = If (flag) < "
        "then_branch = a () => (seq(float[N, 3]) ao) { ao = SequenceConstruct(x, x) }, "
        "else_branch = b () => (seq(float[N, 3]) bo) { bo = SequenceConstruct(x) } > "
        "y = ConcatFromSequence<axis = 1>(made)",
        r"\(If\) gives sequences of different lengths",
    ),
    "position": (
        "made = SequenceConstruct(x, x) y = SequenceAt(made, trips)",
        r"\(SequenceAt\) computes a position",
    ),
    "unknown size": (
        "parts = SplitToSequence<axis = 0>(x) y = ConcatFromSequence<axis = 0>(parts)",
        r"\(SplitToSequence\) splits axis 0, whose size is not known",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_exact_is_refused(case):
    text, words = case
    model = parse(
        f"g (float[N, 3] x, int64 trips) => (float[a, b] y) {{ {text} }}",
        zero=np.int64(0),
        axes=np.array([0], np.int64),
    )
    with pytest.raises(ConversionError, match=words):
        convert.onnx2tf(model, None, verify=False)


def test_a_model_of_sequences_is_refused():
    model = parse("g (seq(float[3]) x) => (float[3] y) { y = SequenceAt(x, p) }", p=np.int64(0))
    with pytest.raises(ConversionError, match="input 'x' is not a tensor but a sequence"):
        convert.onnx2tf(model, None, verify=False)


def test_an_output_that_is_a_sequence_is_refused():
    model = parse("g (float[3] x) => (seq(float[3]) y) { y = SequenceConstruct(x, x) }")
    with pytest.raises(ConversionError, match="output 'y' is not a tensor but a sequence"):
        convert.onnx2tf(model, None, verify=False)


@pytest.mark.parametrize("text", [NESTED, GROWING], ids=["nested", "growing"])
def test_loops_run_on_the_old_runtimes(text, legacy, tmp_path):
    weights = {"w": seeded(3, seed=1), "own": seeded(3, seed=2), "m": seeded(3, 3, seed=3)}
    model = parse(text, **{name: w for name, w in weights.items() if f" {name})" in text})
    result = convert.onnx2tf(model, None, target="tf1.4", verify=False)
    feeds = [rows(2, trips=3), rows(1, trips=0 if text is GROWING else 10)]
    for runtime in legacy:
        results = run_there(runtime.name, result, feeds, tmp_path)
        for each, seen in zip(feeds, results, strict=True):
            compare(onnxgraph.run_onnx(model, each), seen, title=str(runtime)).check()
