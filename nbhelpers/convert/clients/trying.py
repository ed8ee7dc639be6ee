"""Try artefacts in clients: each pair in its own process, with a time limit.

A client that crashes, hangs or refuses gives a row with the reason. It raises nothing here.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx

from graphcore import environments, parity
from graphcore.golden import load_golden
from graphcore.progress import stage
from nbhelpers.convert.clients import process
from nbhelpers.convert.clients.catalogue import CLIENTS, Client
from nbhelpers.convert.clients.judging import judged
from nbhelpers.convert.clients.request import MADE, request_for
from nbhelpers.convert.clients.trial import ABSENT, Trial
from nbhelpers.convert.proving.artefacts import Artefact
from nbhelpers.convert.proving.memory_needs import needed
from onnxgraph.model.precision import precisions

TIMEOUT = 180.0
"""Seconds after which a client is stopped."""

THREADS = 2
"""The number of threads that a client may use."""

_WORKERS = Path(__file__).with_name("workers")


def try_clients(
    folder: str | Path,
    artefacts: Iterable[Artefact],
    *,
    clients: Iterable[Client] = CLIENTS,
    tolerance: float = parity.TOLERANCE,
    timeout: float = TIMEOUT,
) -> tuple[Trial, ...]:
    """Let every client load each artefact it reads and run the golden cases, and compare the
    results.

    For a SavedModel, the signature with the most outputs is called. A client that is not installed
    gives one row that says so.

    Args:
        folder: the handoff folder, which contains `golden.npz`.
        artefacts: what to load (see `artefacts.artefacts` and `onnx_artefact`).
        clients: the clients to try.
        tolerance: the largest difference allowed, as a share of the largest value.
        timeout: seconds for one client and one artefact.

    Raises:
        HandoffError: `golden.npz` cannot be read.
        GraphError: an artefact itself cannot be read.
    """
    chosen, trials = _widest(artefacts), []
    for client in clients:
        if not _python(client).exists():
            trials.append(Trial("", client.name, ABSENT, reason="make clients"))
            continue
        for artefact in chosen:
            if artefact.kind in client.reads:
                with stage(f"{artefact.path} on {client.name}"):
                    trials.append(_tried(client, artefact, Path(folder), tolerance, timeout))
    return tuple(trials)


def onnx_artefact(
    folder: str | Path, path: str = "prepared.onnx", *, renamed: Mapping[str, str] | None = None
) -> Artefact:
    """Return an ONNX file of a handoff in the form that `try_clients` needs.

    Args:
        folder: the handoff folder.
        path: the file's name in it.
        renamed: golden name → name in the file, where the surgery renamed it.
    """
    model = onnx.load(str(Path(folder) / path), load_external_data=False)
    graph = model.graph
    weights = {weight.name for weight in graph.initializer}
    golden = {new: old for old, new in (renamed or {}).items()}
    inputs = [value.name for value in graph.input if value.name not in weights]
    return Artefact(
        path,
        "onnx",
        "",
        {golden.get(name, name): name for name in inputs},
        {golden.get(value.name, value.name): value.name for value in graph.output},
        precisions={golden.get(name, name): kind for name, kind in precisions(model).items()},
    )


def _widest(artefacts: Iterable[Artefact]) -> list[Artefact]:
    """Return one artefact for each path: the signature with the most outputs."""
    chosen: dict[str, Artefact] = {}
    for artefact in artefacts:
        seen = chosen.setdefault(artefact.path, artefact)
        if len(artefact.outputs) > len(seen.outputs):
            chosen[artefact.path] = artefact
    return list(chosen.values())


def _python(client: Client) -> Path:
    if not client.separate:
        return Path(sys.executable)
    return environments.python("clients")


def _tried(
    client: Client, artefact: Artefact, folder: Path, tolerance: float, timeout: float
) -> Trial:
    cases = load_golden(folder / "golden.npz")
    with tempfile.TemporaryDirectory(prefix="client-") as place:
        scratch = Path(place)
        request = request_for(artefact, folder, cases, scratch, threads=THREADS)
        what = f"{client.name} on {artefact.path}"
        limits = {"timeout": timeout, "needs": needed(folder / artefact.path), "what": what}
        stopped = _converted(client, request, scratch, limits)
        if not stopped:
            if client.converter:
                request |= {"model": str(scratch / MADE), "kind": "made"}
            worker = [str(_python(client)), "-P", str(_WORKERS / "worker.py")]
            stopped = _run([*worker, str(client.script)], request, scratch, limits)
        return judged(client.name, artefact, cases, scratch, stopped, tolerance=tolerance)


def _converted(client: Client, request: dict, scratch: Path, limits: dict) -> str:
    """Let a client's converter make its file, and return its failure in words."""
    if not client.converter:
        return ""
    command = [sys.executable, "-P", str(_WORKERS / f"{client.converter}.py")]
    stopped = _run(command, request, scratch, limits)
    return stopped and f"its converter {stopped}"


def _run(command: list[str], request: dict, scratch: Path, limits: dict) -> str:
    asked = scratch / "request.json"
    asked.write_text(json.dumps(request), encoding="utf-8")
    log = scratch / "log"
    return process.ended([*command, str(asked)], log=log, threads=THREADS, **limits)
