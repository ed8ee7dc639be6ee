"""How a worker answers the driver (`workers.py`): one line of JSON each way, arrays in files.

A request names a folder with in<N>.npz, and the names of the tensors that each file feeds. The
outputs are written to the same folder as out<N>.npz. This module runs on Python 3.6.
"""

import json
import os
import sys

import numpy as np


def serve(run, refusal=()):
    """Answer requests until standard input ends.

    `run` takes a request and returns the names of the outputs. Its errors are reported. The report
    of a `refusal` begins with `refused`.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answer = {"error": "", "outputs": []}
        try:
            answer["outputs"] = run(json.loads(line))
        except Exception as error:
            kind = "refused" if isinstance(error, refusal) else type(error).__name__ + ":"
            answer["error"] = "%s %s" % (kind, (str(error).splitlines() or [""])[0][:300])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def compute(request, call):
    """Give each run's arrays by name to `call`, and write the outputs that it returns in order."""
    for number, names in enumerate(request["names"]):
        with np.load(os.path.join(request["folder"], "in%d.npz" % number)) as arrays:
            fed = {name: arrays[str(place)] for place, name in enumerate(names)}
        values = {str(place): np.asarray(value) for place, value in enumerate(call(fed))}
        np.savez(os.path.join(request["folder"], "out%d.npz" % number), **values)
