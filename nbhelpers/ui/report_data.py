"""The content of a handoff's record and proofs, in the form that `report` needs."""

from collections.abc import Iterable, Mapping, Sequence

from nbhelpers.handoff import STAGES, Handoff
from nbhelpers.ui.report import ReportData


def report_data(
    handoff: Handoff,
    *,
    proofs: Iterable[Mapping],
    serve: Mapping[str, str],
    clients: Iterable[Mapping] = (),
    unproven: Sequence[str] = (),
) -> ReportData:
    """Collect the content of the page.

    Args:
        handoff: its stages up to "signature" are done.
        proofs: the results of each runtime, as described in `ReportData.proofs`.
        serve: title → snippet of code or shell.
        clients: the results of third-party runtimes, as described in `ReportData.clients`.
        unproven: why a runtime did not take part.

    Raises:
        HandoffError: a stage is not done.
    """
    stages = {stage: handoff.require(stage) for stage in STAGES if stage != "handoff"}
    targets = stages["conversion"]["facts"]["targets"]
    versions: dict[str, str] = {}
    for entry in stages.values():
        versions |= entry["versions"]
    return ReportData(
        title=handoff.name,
        facts=_facts(stages),
        flow=("PyTorch module", "exported.onnx", "prepared.onnx", "frozen.pb", "SavedModel"),
        inputs=handoff.inputs(),
        outputs=handoff.outputs(),
        parity={stage: entry["parity"] for stage, entry in stages.items() if entry["parity"]},
        proofs=tuple(proofs),
        clients=tuple(clients),
        rewrites={target: _rewrites(fact) for target, fact in targets.items()},
        files={name: seen for entry in stages.values() for name, seen in entry["files"].items()},
        serve=serve,
        versions=versions,
        unproven=unproven,
    )


def _facts(stages: Mapping[str, Mapping]) -> dict[str, object]:
    facts = stages["export"]["facts"]
    shown = {"model": "model", "weights": "weights", "opset": "ONNX opset"}
    found = {label: facts[key] for key, label in shown.items() if key in facts}
    return {**found, "targets": ", ".join(stages["conversion"]["facts"]["targets"])}


def _rewrites(fact: Mapping) -> list[str]:
    return [
        f"{each['op']} {each['change']} ({each['nodes']}×): {each['reason']}"
        for each in fact["rewrites"]
    ]
