"""Measure every verb on a file of 520 MB and 5,002 nodes, beside other tools: `make verbs`.

The script writes the table of `README.md`. `python benchmarks/verbs cut join` measures only some
verbs, and prints the results. Each verb runs three times, each time in a process of its own. The
median is shown.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build" / "verbs"
REPEATS = 3
LIMIT = 900
PEERS = {
    "load": "onnx",
    "save": "onnx",
    "infer_shapes": "onnx.shape_inference",
    "insert_after": "onnx_graphsurgeon",
    "remove": "onnx_graphsurgeon",
    "cut": "onnx.utils.Extractor",
    "join": "onnx.compose",
    "lower_opset": "onnx.version_converter",
    "simplify": "onnxsim",
}
START, END = "<!-- measured -->", "<!-- end -->"


def verbs():
    """Return the names of the verbs that `ours.py` has."""
    lines = (HERE / "ours.py").read_text(encoding="utf-8").split("VERBS = {")[1].splitlines()
    return [line.split('"')[1] for line in lines if line.startswith('    "')]


def run(side, verb):
    """Return the result of a worker, or the last line of its failure."""
    environment = "th" if side == "ours" else "peers"
    command = [ROOT / ".envs" / environment / "bin" / "python", HERE / f"{side}.py", verb, FOLDER]
    found = []
    for _ in range(REPEATS):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return f"more than {LIMIT} s"
        if done.returncode:
            said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
            return f"fails: {said[:80]}"
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def cells(found):
    """Return wall-clock seconds, processor seconds and memory as cells."""
    if isinstance(found, str):
        return f"{found} | – | –"
    return f"{found['seconds']:.1f} | {found['processor']:.1f} | {found['megabytes']:.0f}"


def main(chosen):
    """Measure and print. Write the table if everything was measured."""
    if not (FOLDER / "blocks").exists():
        python = ROOT / ".envs" / "th" / "bin" / "python"
        subprocess.run([python, HERE / "network.py", FOLDER], check=True)
    rows = [
        "| Verb | s | CPU s | MB | by others | s | CPU s | MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for verb in chosen or verbs():
        peer = PEERS.get(verb, "")
        others = cells(run("peers", verb)) if peer else "– | – | –"
        rows.append(f"| `{verb}` | {cells(run('ours', verb))} | {peer or '–'} | {others} |")
        print(rows[-1], flush=True)
    if not chosen:
        page = HERE / "README.md"
        head, _, rest = page.read_text(encoding="utf-8").partition(START)
        tail = rest.partition(END)[2]
        table = "\n".join(rows)
        page.write_text(f"{head}{START}\n\n{table}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
