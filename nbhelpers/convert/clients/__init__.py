"""Third-party runtimes: do they load the artefacts, and do they compute the same?

`try_clients` runs each of them in its own process and returns a `Trial` for each artefact.
"""

from nbhelpers.convert.clients.catalogue import CLIENTS, NEEDS, Client
from nbhelpers.convert.clients.trial import STATES, Trial, stable_trials, summary
from nbhelpers.convert.clients.trying import onnx_artefact, try_clients

__all__ = [
    "CLIENTS",
    "NEEDS",
    "STATES",
    "Client",
    "Trial",
    "onnx_artefact",
    "stable_trials",
    "summary",
    "try_clients",
]
