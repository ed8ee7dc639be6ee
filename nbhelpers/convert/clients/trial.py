"""The result of one client on one artefact: a `Trial` for each pair."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

AGREES = "agrees"
DIFFERS = "DIFFERS"
FAILED = "failed"
ABSENT = "not installed"
STATES = (AGREES, DIFFERS, FAILED, ABSENT)
"""It computes the same, or something else, or nothing (does not load or run), or is not
installed."""


@dataclass(frozen=True)
class Trial:
    """The result of one client on one artefact, over all golden cases.

    Args:
        artefact: its path in the folder.
        client: its name and version ("OpenVINO 2026.4.1").
        state: one of `STATES`.
        cases: the golden cases that it ran.
        relative: the largest difference, as a share of the largest value.
        labels_agree: whether the largest class is the same everywhere, or None where there are no
            classes.
        reason: why it failed or differs, in the client's own words.
        latency_ms: the median time of a call at the size of the first case, in milliseconds.
    """

    artefact: str
    client: str
    state: str
    signature: str = ""
    cases: tuple[str, ...] = ()
    relative: float | None = None
    labels_agree: bool | None = None
    reason: str = ""
    latency_ms: float | None = None

    @property
    def run(self) -> str:
        """The pair in words: "graph/tf2/frozen.pb on MNN 3.6.1"."""
        return f"{self.artefact} on {self.client}"

    def to_json(self) -> dict:
        """Return the trial as JSON data, without the latency, which differs in every run."""
        found = {name: value for name, value in vars(self).items() if name != "latency_ms"}
        return {**found, "cases": list(self.cases)}


def stable_trials(trials: Iterable[Trial], earlier: Mapping | None) -> tuple[Trial, ...]:
    """Return the trials as recorded earlier, if the new ones give the same verdicts.

    Latencies and last digits differ in every run. A folder whose clients are tried again must not
    change because of them.

    Args:
        trials: the new results.
        earlier: the record entry of stage "handoff", if there is one.
    """
    trials = tuple(trials)
    known = list(map(_from_json, (earlier or {}).get("facts", {}).get("clients", [])))
    if [_said(trial) for trial in trials] != [_said(trial) for trial in known]:
        return trials
    times = (earlier or {})["timings"].get("client_latency_ms", {})
    return tuple(replace(trial, latency_ms=times.get(trial.run)) for trial in known)


def summary(trials: Iterable[Trial]) -> str:
    """Return in a few words how many trials agree, and name those that do not."""
    tried = [trial for trial in trials if trial.state != ABSENT]
    if not tried:
        return "No other client has tried the artefacts."
    agreeing = sum(trial.state == AGREES for trial in tried)
    text = f"{agreeing} of {len(tried)} tries by {len({t.client for t in tried})} clients agree."
    failed = [trial.run for trial in tried if trial.state == FAILED]
    wrong = [trial.run for trial in tried if trial.state == DIFFERS]
    text += f" Failed: {'; '.join(failed)}." if failed else ""
    return text + (f" ANOTHER RESULT: {'; '.join(wrong)}." if wrong else "")


def _from_json(entry: Mapping) -> Trial:
    names = (field.name for field in fields(Trial))
    known = {name: entry[name] for name in names if name in entry}
    return Trial(**{**known, "cases": tuple(entry.get("cases", ()))})


def _said(trial: Trial) -> Trial:
    """Return a trial without the figures that differ in every run."""
    return replace(trial, relative=None, latency_ms=None)
