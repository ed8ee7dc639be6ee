"""The common part of both sides: load the file, run one verb, print its time and peak memory."""

import json
import resource
import sys
import time
from pathlib import Path

MEGA = 2**20 if sys.platform == "darwin" else 2**10
"""The unit of `ru_maxrss`: bytes on macOS, kilobytes elsewhere."""


def measured(verb, folder, load):
    """Print a JSON line: seconds, processor seconds, and peak memory.

    The peak includes that of child processes.
    """
    folder = Path(folder)
    model = load(folder / "whole.onnx")
    begun, worked = time.perf_counter(), _processor_seconds()
    verb(model, folder)
    found = {"seconds": time.perf_counter() - begun, "processor": _processor_seconds() - worked}
    peaks = [resource.getrusage(who).ru_maxrss for who in _OURS]
    print(json.dumps({**found, "megabytes": sum(peaks) / MEGA}))


_OURS = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _processor_seconds():
    used = [resource.getrusage(who) for who in _OURS]
    return sum(each.ru_utime + each.ru_stime for each in used)
