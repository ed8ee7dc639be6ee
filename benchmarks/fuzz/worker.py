"""A worker that makes and runs cases for `hunt.py` (see `graphcore.worker_messages`).

A request has the seed, the number and the name of the entry point. The files of the case go into
the folder that the request names. This process limits its memory, and `hunt.py` limits the time.
"""

import faulthandler
import importlib
import json
import os
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
warnings.filterwarnings("ignore")

from cases import made
from entries import ENTRIES, PLANTED
from verdicts import judged

ROOM = 4 << 30
"""Bytes of address space that a case may use, in addition to those of the imported verbs."""


def answering() -> Callable[[dict], dict]:
    """Return the function that makes and runs the case of a request."""
    printed = os.open(os.environ["NBHELPERS_FUZZ_PRINTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    entries = {entry.name: entry for entry in (*ENTRIES, *PLANTED)}
    modules: dict[str, ModuleType] = {}

    def answer(request: dict) -> dict:
        os.chdir(request["folder"])  # the last folder is gone
        entry = entries[request["entry"]]
        if entry.module not in modules:
            modules[entry.module] = _imported(entry.module)
        case, rng = made(request["seed"], request["number"], entry)
        return _run(modules[entry.module], entry.name, case, rng, request)

    return answer


def _imported(name: str) -> ModuleType:
    """Import the module that calls verbs.

    Then limit the memory of this process and of those it starts.
    """
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    module = importlib.import_module(name)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    room = used + ROOM if most == resource.RLIM_INFINITY else min(most, used + ROOM)
    resource.setrlimit(resource.RLIMIT_AS, (room, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return module


def _run(module, name, case, rng, request) -> dict:
    path = case.write(Path()).absolute()
    Path("about.json").write_text(json.dumps({"model": case.model, "damage": case.damage}))
    os.ftruncate(2, 0)
    faulthandler.enable(file=2, all_threads=False)
    faulthandler.dump_traceback_later(request["limit"], exit=True, file=2)
    error = None
    try:
        module.call(name, path, rng)
    except BaseException as caught:
        error = caught
    faulthandler.cancel_dump_traceback_later()
    verdict, kind, place, words = judged(error)
    answer = {"verdict": verdict, "kind": kind, "place": place, "words": words[:3000]}
    return {**answer, "model": case.model, "damage": case.damage}
