"""Draw valid models: an opset, a few inputs, and a list of steps, each of which adds an op."""

import numpy as np
import onnx
from hypothesis import reject
from hypothesis import strategies as st
from sketch import Sketch, Tensor
from steps import STEPS, Unfit

OPSETS = (9, 11, 13, 15, 17, 18, 20, 21, 22)
SHAPES = (
    ("batch", 4),
    ("batch", 4, "time"),
    ("batch", "time", 4),
    ("batch", 4, 5, 7),
    ("batch", 4, 6, "time"),
    ("batch", 2, 3, 4, 5),
    ("batch",),
    (2, 4),
    (),
)
CONTROL = ("If", "Loop", "Scan")
DTYPES = ("float32",) * 6 + ("float16", "float64", "int32", "int64", "bool", "uint8", "int8")


@st.composite
def sketches(draw, steps: int = 12, ops: tuple[str, ...] = ()):
    """Draw a model of up to `steps` steps. `ops` limits the ops of these steps."""
    sketch = Sketch(draw(st.sampled_from(OPSETS)))
    sketch.add_input(Tensor("x", "float32", draw(st.sampled_from(SHAPES))))
    for number in range(draw(st.integers(0, 2))):
        dtype = draw(st.sampled_from(DTYPES))
        shape = draw(st.sampled_from((sketch.inputs[0].shape, *SHAPES)))
        sketch.add_input(Tensor(f"y{number}", dtype, shape))
    fitting = [s for s in STEPS if s.since <= sketch.opset <= s.until]
    fitting = [s for s in fitting if not ops or s.name in ops]
    fitting.sort(key=lambda s: s.name in CONTROL)  # shrinking leads to the first
    draw(st.lists(_step(sketch, fitting), min_size=1, max_size=steps))
    if not sketch.nodes:
        reject()
    try:
        sketch.model()
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        reject()
    return sketch


@st.composite
def _step(draw, sketch, fitting):
    """Add one op to the sketch and return its name, or "" if no tensor fits it."""
    step = draw(st.sampled_from(fitting))
    nodes, weights = len(sketch.nodes), len(sketch.weights)
    try:
        step.add(draw, sketch)
    except Unfit:
        assert len(sketch.nodes) == nodes
        del sketch.weights[weights:]
        return ""
    return step.name


def seeds():
    """Draw the seed of the values."""
    return st.integers(0, 2**16)


def random_of(draw):
    """Return a generator of numbers whose seed is drawn."""
    return np.random.default_rng(draw(seeds()))
