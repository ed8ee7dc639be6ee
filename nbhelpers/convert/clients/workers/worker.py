"""Run a model in one client, for another process, because native code may crash or hang.

    python -P worker.py client.py request.json

`client.py` has `version(request)` and `open_model(request)`, which returns a function from inputs
to outputs, both dicts of arrays by golden name. Each step is written as a line of the file
`request["answers"]`, so that everything before a crash is known.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def main(client: str, request_path: str) -> None:
    """Load the model, run every golden case, and write the results."""
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    os.dup2(2, 1)  # everything that native code prints goes to the log
    with open(request["answers"], "w", encoding="utf-8") as answers:

        def tell(**said: Any) -> None:
            answers.write(json.dumps(said) + "\n")
            answers.flush()

        try:
            work(loaded(client), request, tell)
        except ImportError as error:
            tell(missing=str(error))
        except Exception as error:  # noqa: BLE001 - the client's error is the answer
            tell(error=str(error), kind=type(error).__name__)


def work(client: Any, request: dict, tell: Callable[..., None]) -> None:
    """Run the cases one after the other, and time the first one."""
    tell(version=client.version(request))
    run = client.open_model(request)
    tell(step="load")
    for number, (case, feeds) in enumerate(cases(request["golden"])):
        file = os.path.join(request["scratch"], f"{number}.npz")
        np.savez(file, **run(feeds))
        tell(step=case, outputs=file)
        if not number:
            tell(latency_ms=latency(run, feeds))


def loaded(path: str) -> Any:
    """Return the module of a client's script, under a name that no other module has."""
    spec = importlib.util.spec_from_file_location("client_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(golden: str) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Return (case, inputs by golden name), in the order in which they were recorded."""
    found: dict[str, dict[str, np.ndarray]] = {}
    with np.load(golden) as arrays:
        for key in arrays.files:
            case, kind, name = key.split("/", 2)
            if kind == "input":
                found.setdefault(case, {})[name] = arrays[key]
    return list(found.items())


def latency(run: Callable, feeds: dict, repeats: int = 15, seconds: float = 2.0) -> float:
    """Return the median time of a call in milliseconds. A long call is made only once."""
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < repeats and (not times or time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        run(feeds)
        times.append(time.perf_counter() - start)
    return 1000 * sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main(*sys.argv[1:])
