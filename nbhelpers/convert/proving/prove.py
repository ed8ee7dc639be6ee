"""Prove artefacts on the real runtimes: each TensorFlow runs the receiver's own script on a copy.

The folder is copied to a temporary place. Each runtime runs `verify.py` there in its own process,
just as a receiver will.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from graphcore import parity, processes
from graphcore.errors import ConversionError, HandoffError
from graphcore.progress import stage
from graphcore.safe_paths import check_distinct, check_links, check_name, is_data
from graphcore.targets import Target
from graphcore.time_limits import advice
from nbhelpers.convert.proving.artefacts import Artefact
from nbhelpers.convert.proving.memory_needs import needed
from tfgraph.graphs.foreign_ops import FAMILIES
from tfgraph.runtimes import runtimes as rt
from tfgraph.savedmodels.checking import check_artefact

SCRIPTS = ("verify.py", "predict.py")
"""The only programs in a handoff."""

TIMEOUT = 900
"""Seconds after which a runtime is stopped, times $NBHELPERS_PATIENCE if that is set."""


@dataclass(frozen=True)
class Proof:
    """The result of one runtime on one artefact and one golden case."""

    artefact: str
    runtime: str
    case: str
    ok: bool
    signature: str = ""
    largest_difference: float | None = None
    relative: float | None = None
    tolerance: float | None = None
    labels_agree: bool | None = None
    accuracy: dict[str, float] = field(default_factory=dict)
    error: str = ""
    latency_ms: float | None = None

    @property
    def run(self) -> str:
        """The run in words: "graph/tf2/frozen.pb on TensorFlow 2.21.0"."""
        return f"{self.artefact} {self.signature} on {self.runtime}".replace("  ", " ")

    def to_json(self) -> dict:
        """Return the proof as JSON data, without the latency, which differs in every run."""
        return {name: value for name, value in vars(self).items() if name != "latency_ms"}


def verify_script(
    name: str, artefacts: Iterable[Artefact], *, tolerance: float = parity.TOLERANCE
) -> str:
    """Return `verify.py` with its manifest filled in."""
    entries = [artefact.to_json() for artefact in artefacts]
    manifest = {"name": name, "tolerance": tolerance, "artefacts": entries}
    return _filled("verify.py", {**manifest, "refused": FAMILIES})


def predict_script(
    artefacts: Iterable[Artefact], preprocessing: Mapping, *, tolerance: float = parity.TOLERANCE
) -> str:
    """Return `predict.py` with its manifest filled in: the frozen graphs, the oldest target first.

    `preprocessing` has `resize` (shorter side in pixels), `crop` (height, width), `mean` and `std`.
    """
    graphs = [artefact.to_json() for artefact in artefacts if artefact.kind == "frozen"]
    graphs.sort(key=lambda graph: graph["oldest"])
    halves = {kind for graph in graphs for kind in graph["precisions"].values()}
    tolerance = max(tolerance, *(parity.COARSE[kind] for kind in halves), 0.0)
    manifest = {"tolerance": tolerance, "preprocessing": dict(preprocessing), "graphs": graphs}
    return _filled("predict.py", {**manifest, "refused": FAMILIES})


def prove(
    folder: str | Path,
    files: Iterable[str],
    script: str,
    *,
    runtimes: Iterable[rt.Runtime] | None = None,
) -> tuple[Proof, ...]:
    """Let every runtime run `script` (see `verify_script`) on a copy of `files` in another place.

    Args:
        folder: the handoff folder.
        files: the artefacts and `golden.npz`, by their names in the folder.
        script: the text of verify.py.
        runtimes: the runtimes to prove on. The default is all installed ones, with TensorFlow 2
            both without and with oneDNN.

    Raises:
        ConversionError: a runtime crashed or gave no answer. The message holds its last output.
        GraphError: an artefact does more than compute (see `allow_ops`). No runtime has loaded it.
        HandoffError: a file may not be copied (see `copied`).
    """
    with tempfile.TemporaryDirectory(prefix="nbhelpers-proof-") as elsewhere:
        place = copied(folder, files, elsewhere, verify=script)
        for graph in sorted({*place.rglob("frozen.pb"), *place.rglob("saved_model.pb")}):
            check_artefact(graph.parent if graph.name == "saved_model.pb" else graph)
        proofs: list[Proof] = []
        for runtime in rt.provers() if runtimes is None else runtimes:
            with stage(f"proving on {runtime}"):
                proofs += _by_one(runtime, place)
    return tuple(proofs)


def stable(proofs: Iterable[Proof], earlier: Mapping | None) -> tuple[Proof, ...]:
    """Return the proofs with the latencies of an earlier record, if everything else is the same.

    Times differ in every run. A folder that is proven again must not change because of them.

    Args:
        proofs: the new results of the runtimes.
        earlier: the record entry of stage "handoff", if there is one.
    """
    proofs = tuple(proofs)
    if not earlier or earlier["facts"].get("proofs") != [proof.to_json() for proof in proofs]:
        return proofs
    known = earlier["timings"]["latency_ms"]
    return tuple(
        replace(proof, latency_ms=known.get(proof.run, proof.latency_ms))
        if proof.latency_ms is not None
        else proof
        for proof in proofs
    )


def grid(proofs: Iterable[Proof]) -> list[dict[str, str]]:
    """Return a row for each artefact and signature, with the worst case on each runtime."""
    rows: dict[tuple[str, str], dict[str, list[Proof]]] = {}
    for proof in proofs:
        row = rows.setdefault((proof.artefact, proof.signature), {})
        row.setdefault(proof.runtime, []).append(proof)
    return [
        {
            "artefact": artefact,
            "signature": signature,
            **{runtime: _worst(found) for runtime, found in row.items()},
        }
        for (artefact, signature), row in rows.items()
    ]


def _worst(proofs: Iterable[Proof]) -> str:
    bad = [proof for proof in proofs if not proof.ok]
    if bad:
        return f"DIFFERS ({', '.join(proof.case for proof in bad)}) {bad[0].error}".strip()
    return f"{max(proof.relative or 0.0 for proof in proofs):.1e}"


def covers(artefacts: Iterable[Artefact], runtime: rt.Runtime) -> bool:
    """Whether a runtime is new enough for at least one of the artefacts."""
    here = tuple(int(part) for part in runtime.version.split(".")[:2])
    return any(Target.named(artefact.target).oldest <= here for artefact in artefacts)


def copied(folder: str | Path, files: Iterable[str], elsewhere: str | Path, **scripts: str) -> Path:
    """Copy files of a handoff into a new folder and return it.

    Args:
        folder: the handoff folder.
        files: the files to copy, by their names in the folder.
        elsewhere: an existing folder. The copy is made in it, under the handoff's name.
        scripts: Python scripts to add, name without `.py` → text.

    Raises:
        HandoffError: a name leads out of the folder or through a link, or a file may be a program.
    """
    place = Path(elsewhere) / Path(folder).name
    files = list(files)
    check_distinct(files)
    for file in files:
        check_links(Path(folder), check_name(file))
        if not (is_data(file) or file in SCRIPTS):
            raise HandoffError(
                f"{Path(folder) / file} is not a file that a handoff may contain (models, arrays, "
                "pictures, text). Remove it, and run the notebook that recorded it again."
            )
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(folder) / file, place / file)
    for name, text in scripts.items():
        (place / f"{name}.py").write_text(text, encoding="utf-8")
    return place


def _by_one(runtime: rt.Runtime, folder: Path) -> list[Proof]:
    answer = folder / "answer.json"
    done = processes.run(
        [runtime.python, "verify.py", "--unsealed", "--json", answer],
        limit=TIMEOUT,
        cwd=folder,
        env=runtime.environment,
        needs=max((needed(path) for path in folder.rglob("*.pb")), default=0),
        what=str(runtime),
    )
    if not answer.exists():
        how, said = done.ending or "ended without an answer", done.last_line.rstrip(".")
        last = "" if said in how else f". Its last output was: {said}"
        help_ = f" If this machine is slow, {advice()}." if done.late else ""
        raise ConversionError(f"{runtime} {how}{last}.{help_}")
    rows = json.loads(answer.read_text(encoding="utf-8"))["rows"]
    answer.unlink()
    return [Proof(runtime=str(runtime), **row) for row in rows]


def _filled(script: str, manifest: dict) -> str:
    """Return a receiver's script with its manifest written into it as a string literal."""
    text = (
        resources.files("nbhelpers.convert.receiver").joinpath(script).read_text(encoding="utf-8")
    )
    return text.replace('"""{}"""', repr(json.dumps(manifest, sort_keys=True)), 1)
