"""Conversion time and graph latency, side by side with raw onnx-tf, in one run: writes RESULTS.md.

`make bench` exports the model and runs this in the kernel convert. Every conversion runs in a
process of its own; the time of importing TensorFlow is not counted. Read the ratios, not the
milliseconds.
"""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nbhelpers import convert, kernel, onnxgraph

REPEATS = 5
BATCHES = (1, 8)

OURS = """
import json, sys, time
from nbhelpers import convert
from nbhelpers.convert import compat
compat.load()
begin = time.perf_counter()
made = convert.onnx2tf(sys.argv[1], sys.argv[2] + ".pb", target="tf2", verify=False)
seconds = time.perf_counter() - begin
print(json.dumps({"seconds": seconds, "transposes": made.steps[-1].transposes}))
"""

ONNX_TF = """
import json, sys, time
import onnx
from nbhelpers.convert import compat
compat.load()
from onnx_tf.backend import prepare
begin = time.perf_counter()
prepare(onnx.load(sys.argv[1]), logging_level="ERROR").export_graph(sys.argv[2])
print(json.dumps({"seconds": time.perf_counter() - begin}))
"""


def converted(code: str, model: Path, out: Path) -> dict:
    """Run one converter in a fresh process and return what it printed last."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(model), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def median_ms(call, feeds) -> float:
    """Return the median of 20 calls in milliseconds, after three that are not counted."""
    times = []
    for _ in range(23):
        begin = time.perf_counter()
        call(feeds)
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times[3:])


def latencies(model: Path, ours: Path, theirs: Path) -> dict[str, dict[int, float]]:
    """Return runtime → batch → median milliseconds."""
    tf = convert.tensorflow()
    graph = convert.GraphView(convert.load_graph_def(ours)).graph
    session = tf.compat.v1.Session(graph=graph)
    loaded = tf.saved_model.load(str(theirs))
    signature = loaded.signatures["serving_default"]
    runner = onnxgraph.Runner(model)
    calls = {
        "this project": lambda images: session.run("scores:0", {"images:0": images}),
        "onnx-tf's own graph": lambda images: signature(images=tf.constant(images)),
        "onnxruntime": lambda images: runner.run({"images": images}),
    }
    images = np.random.default_rng(0).standard_normal((8, 3, 224, 224)).astype(np.float32)
    return {
        name: {batch: median_ms(call, images[:batch]) for batch in BATCHES}
        for name, call in calls.items()
    }


def main(model: Path, results: Path) -> None:
    """Measure and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours", Path(folder) / "theirs"
        runs = [
            (converted(OURS, model, ours), converted(ONNX_TF, model, theirs))
            for _ in range(REPEATS)
        ]
        seconds = [statistics.median(run[side]["seconds"] for run in runs) for side in (0, 1)]
        speed = latencies(model, Path(f"{ours}.pb"), theirs)
    base = speed["this project"]
    versions = " · ".join(f"{name} {version}" for name, version in kernel.versions().items())
    lines = [
        "# Results",
        "",
        "Made by `make bench`. ResNet-18, 224×224, seeded weights, target `tf2`. Ratios are to",
        "this project, from one run on one machine; medians.",
        "",
        f"{platform.system()} {platform.machine()} · {versions}",
        "",
        "| conversion | seconds | ratio | transposes left |",
        "| --- | --- | --- | --- |",
        f"| this project | {seconds[0]:.2f} | 1.0 | {runs[0][0]['transposes']} |",
        f"| onnx-tf `prepare` + `export_graph` | {seconds[1]:.2f} "
        f"| {seconds[1] / seconds[0]:.1f} | – |",
        "",
        "| latency | " + " | ".join(f"batch {batch}, ms | ratio" for batch in BATCHES) + " |",
        "| --- |" + " --- | --- |" * len(BATCHES),
    ]
    for name, each in speed.items():
        cells = " | ".join(
            f"{each[batch]:.1f} | {each[batch] / base[batch]:.2f}" for batch in BATCHES
        )
        lines.append(f"| {name} | {cells} |")
    results.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_name("RESULTS.md"))
