"""The record of a handoff, `handoff.json`: which stages are done, from which files, with which
results.

A `Record` is the checked content of the file, and knows the status of each stage. The file contains
its own sha256, so that an edit by hand is noticed. `nbhelpers.stage` writes it.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphcore.atomic_files import problem
from graphcore.errors import HandoffError
from graphcore.json_forms import check
from graphcore.reading import read_json, reading
from graphcore.safe_paths import check_distinct, check_links, check_name, is_behind_link
from nbhelpers.entries import check_entry

NOTEBOOKS = {
    "export": "01_export",
    "surgery": "02_surgery",
    "conversion": "03_conversion",
    "names": "04_tensor_names",
    "signature": "05_signature",
    "handoff": "06_handoff",
}
"""Stage to the notebook that runs it, in order."""

STAGES = tuple(NOTEBOOKS)
RECORD = "handoff.json"
FORMAT = 1


class Facts(dict):
    """What a stage recorded, by name. A missing fact raises an error that names the notebook to
    run."""

    def __init__(self, stage: str, facts: dict) -> None:
        """Hold the facts, or the timings, of `stage`."""
        super().__init__(facts)
        self.stage = stage

    def __missing__(self, name: str) -> Any:
        raise HandoffError(
            f"Stage '{self.stage}' recorded no {name!r}. Run the notebook {NOTEBOOKS[self.stage]} "
            "again."
        )


@dataclass(frozen=True)
class StageStatus:
    """The status of one stage: "missing", "done", "stale" (made from older files) or "changed".

    `run` is the notebook to run next: the stage's own, or an earlier one.
    """

    stage: str
    state: str
    detail: str = ""
    run: str = ""


class Record:
    """The content of `handoff.json` in `folder`."""

    def __init__(self, folder: Path, data: dict) -> None:
        """Hold `data`, which `load` or `with_stage` has checked."""
        self.folder = folder
        self.data = data
        self._known: dict[str, StageStatus] = {}

    @classmethod
    def load(cls, folder: Path) -> "Record":
        """Read the record as it is on disk now, or return an empty one if there is none.

        Raises:
            HandoffError: it is not a record of this format, was edited, or names files that a
                folder may not contain. Or the folder, or the record in it, is a link.
        """
        path = folder / RECORD
        again = f"Restore it, or delete the folder and run {NOTEBOOKS['export']} again"
        check_links(folder, RECORD)
        try:
            data = read_json(path, "is not a handoff record", error=HandoffError, advice=again)
        except FileNotFoundError:
            return cls(folder, {"format": FORMAT, "name": folder.name, "stages": {}})
        seen = data.get("format") if isinstance(data, dict) else data
        if not isinstance(data, dict) or type(seen) is not int or seen != FORMAT:
            raise HandoffError(
                f"{path} was expected to have format {FORMAT}, but has {seen!r}. Use the version "
                "of nbhelpers that wrote it."
            )
        with reading(path, "was edited since it was written", error=HandoffError, advice=again):
            if data.pop("seal", None) != _seal(data):
                raise ValueError("its seal does not match its content")
            _check(data)
        try:
            check_distinct(map(check_name, _names(data)))
        except HandoffError as error:
            raise HandoffError(f"{path} cannot be used: {error}") from error
        for stage, entry in data["stages"].items():
            entry["facts"] = Facts(stage, entry["facts"])
            entry["timings"] = Facts(stage, entry["timings"])
        return cls(folder, data)

    @property
    def stages(self) -> dict:
        """Stage name to its entry, for all recorded stages."""
        return self.data["stages"]

    def text(self) -> str:
        """Return the text of the file, with its seal."""
        sealed = {**self.data, "seal": _seal(self.data)}
        return json.dumps(sealed, indent=1, ensure_ascii=False) + "\n"

    def with_stage(self, stage: str, entry: dict) -> "Record":
        """Return the record with `stage` done."""
        stages = {**self.stages, stage: entry}
        ordered = {name: stages[name] for name in STAGES if name in stages}
        unfinished = {name: files for name, files in self._unfinished().items() if name != stage}
        return self._replaced(ordered, unfinished)

    def without_stage(self, stage: str, files: list[str]) -> "Record":
        """Return the record for the time in which the `files` of `stage` are replaced: it is not
        done."""
        stages = {name: entry for name, entry in self.stages.items() if name != stage}
        return self._replaced(stages, {**self._unfinished(), stage: files})

    def files_of(self, stage: str) -> set[str]:
        """Return the files that `stage` wrote, or was writing when it was killed."""
        recorded = self.stages.get(stage, {}).get("files", {})
        return {*recorded, *self._unfinished().get(stage, ())}

    def names(self) -> list[str]:
        """Return the names of all files that the record mentions."""
        return _names(self.data)

    def changed(self, stage: str) -> dict[str, str]:
        """Return the files of `stage` that differ from the record, each with what is wrong."""
        files = self.stages.get(stage, {}).get("files", {}).items()
        found = {
            file: "is behind a link"
            if is_behind_link(self.folder, file)
            else problem(self.folder / file, recorded)
            for file, recorded in files
        }
        return {file: wrong for file, wrong in found.items() if wrong}

    def owner(self, file: str) -> str | None:
        """Return the stage that wrote `file`."""
        return next((name for name, entry in self.stages.items() if file in entry["files"]), None)

    def sha256(self, file: str) -> str | None:
        """Return the recorded sha256 of `file`."""
        owner = self.owner(file)
        return None if owner is None else self.stages[owner]["files"][file]["sha256"]

    def status(self, stage: str) -> StageStatus:
        """Return the status of `stage`, after checking its files and everything it was made
        from."""
        if stage not in self._known:
            self._known[stage] = self._status(stage)
        return self._known[stage]

    def _status(self, stage: str) -> StageStatus:
        here = NOTEBOOKS[stage]
        entry = self.stages.get(stage)
        if entry is None:
            return StageStatus(stage, "missing", run=here)
        for file, wrong in self.changed(stage).items():
            return StageStatus(stage, "changed", f"{file} {wrong}", here)
        for file, sha256 in entry["reads"].items():
            owner = self.owner(file)
            if owner is None or STAGES.index(owner) >= STAGES.index(stage):
                return StageStatus(
                    stage, "stale", f"{file}, from which it was made, is missing", here
                )
            upstream = self.status(owner)
            if upstream.state != "done":
                why = f" ({upstream.detail})" if upstream.detail else ""
                detail = f"it was made from {file}, and stage '{owner}' is {upstream.state}{why}"
                return StageStatus(stage, "stale", detail, upstream.run)
            if self.sha256(file) != sha256:
                return StageStatus(stage, "stale", f"{file} was made again since", here)
        return StageStatus(stage, "done")

    def _unfinished(self) -> dict:
        return self.data.get("unfinished", {})

    def _replaced(self, stages: dict, unfinished: dict) -> "Record":
        data = {key: value for key, value in self.data.items() if key != "unfinished"}
        data["stages"] = stages
        if unfinished:
            data["unfinished"] = unfinished
        return Record(self.folder, data)


def expected_owner(file: str) -> str | None:
    """Return the stage that makes files of this name, even if the file does not exist yet."""
    by_name = {
        "exported.onnx": "export",
        "golden.npz": "export",
        "prepared.onnx": "surgery",
        "frozen.pb": "conversion",
        "names.json": "names",
    }
    if file.startswith("savedmodel/"):
        return "signature"
    if file in ("verify.py", "report.html", "SHA256SUMS"):
        return "handoff"
    return by_name.get(file.rsplit("/", 1)[-1])


def _seal(data: dict) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check(data: dict) -> None:
    """Check that every value has its type.

    Raises:
        ValueError: a value has another type.
    """
    check(data, {"name": str, "stages": {str: object}, "unfinished?": {str: [str]}})
    for stage in (*data["stages"], *data.get("unfinished", ())):
        if stage not in STAGES:
            raise ValueError(f"{stage!r} is not a stage")
    for stage, entry in data["stages"].items():
        check_entry(stage, entry)


def _names(data: dict) -> list[str]:
    """Return the names of all files in a record, in order, each once."""
    entries = data["stages"].values()
    recorded = (name for entry in entries for name in (*entry["files"], *entry["reads"]))
    begun = (name for files in data.get("unfinished", {}).values() for name in files)
    return list(dict.fromkeys((*recorded, *begun)))
