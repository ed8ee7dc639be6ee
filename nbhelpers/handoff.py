"""The handoff folder: the only thing that passes between the two kernels.

`handoff.json` records what each stage read, wrote and measured, with a sha256 for every file. An
interrupted stage is not done. A file that was changed by hand is noticed. A stage that was made
from older files is stale. `record` defines what the record means, `stage` writes a stage.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from graphcore.atomic_files import describe, write_text
from graphcore.errors import HandoffError, unknown_name
from graphcore.golden import Case, load_golden
from graphcore.safe_paths import check_links, check_name
from graphcore.spec import TensorSpec
from nbhelpers.record import NOTEBOOKS, RECORD, STAGES, Record, StageStatus, expected_owner
from nbhelpers.stage import StageWriter, explained, locked, writing

__all__ = [
    "NOTEBOOKS",
    "RECORD",
    "STAGES",
    "Handoff",
    "StageStatus",
    "StageWriter",
    "check_handoff_name",
    "describe",
    "explained",
    "locked",
    "write_text",
]


class Handoff:
    """One handoff folder. Reading is checked against the record, and writing goes through
    `stage`."""

    def __init__(self, folder: str | Path) -> None:
        """Open `folder`, which need not exist yet.

        Raises:
            HandoffError: the folder's name has other characters than letters, digits, `.`, `_` and
                `-`.
        """
        self.folder = Path(folder)
        check_handoff_name(self.folder.name)
        self._read: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def record(self) -> dict:
        """Return the record as it is on disk now, or an empty one if there is none.

        Raises:
            HandoffError: `handoff.json` is not a record of this format, or was edited.
        """
        return Record.load(self.folder).data

    def status(self) -> tuple[StageStatus, ...]:
        """Return the status of each stage, in order, after checking every file."""
        record = Record.load(self.folder)
        return tuple(map(record.status, STAGES))

    def changed(self, stage: str) -> dict[str, str]:
        """Return the files of `stage` that differ from the record, each with what is wrong."""
        return Record.load(self.folder).changed(stage)

    def files(self, stage: str) -> tuple[str, ...]:
        """Return the names of the files that `stage` wrote, sorted.

        Raises:
            HandoffError: the stage is missing, stale or changed.
        """
        return tuple(sorted(self.require(stage)["files"]))

    def require(self, stage: str) -> dict:
        """Return the record entry of `stage`, after checking that it is done and up to date.

        Raises:
            HandoffError: it is not. The message names the file and the notebook to run.
            UnknownName: there is no stage of that name.
        """
        return self._require(stage).stages[stage]

    def read(self, file: str) -> Path:
        """Return the path of a recorded file, after checking that its content is as recorded.

        The reading is remembered: a stage written later through this object records what it read.

        Raises:
            HandoffError: the file's stage is missing or stale, or the file was changed.
            UnknownName: no stage writes a file of that name.
        """
        check_name(file)
        record = Record.load(self.folder)
        owner = record.owner(file) or expected_owner(file)
        if owner is not None:
            record = self._require(owner)
        sha256 = record.sha256(file)
        if sha256 is None:
            known = [name for entry in record.stages.values() for name in entry["files"]]
            raise unknown_name(f"file in {self.folder}", file, known)
        self._read[file] = sha256
        return self.folder / file

    def unrecorded(self, file: str) -> Path:
        """Return the path of a file or folder that belongs to no stage. No record checks it.

        Raises:
            HandoffError: its name leads out of the folder, or goes through a link.
        """
        check_links(self.folder, check_name(file))
        return self.folder / file

    def golden(self) -> tuple[Case, ...]:
        """Return the golden cases, checked against the record."""
        return load_golden(self.read("golden.npz"))

    def inputs(self, *, after: str = "") -> tuple[TensorSpec, ...]:
        """Return the specs of the model's inputs, in ONNX order.

        Args:
            after: the stage that described them, "export" or "surgery". The default is the later
                one that is done, because surgery may rename inputs and change their shapes.
        """
        return self._specs("inputs", after)

    def outputs(self, *, after: str = "") -> tuple[TensorSpec, ...]:
        """Return the specs of the model's outputs, in ONNX order. `after` is as for `inputs`."""
        return self._specs("outputs", after)

    @contextlib.contextmanager
    def stage(self, stage: str) -> Iterator[StageWriter]:
        """Write one stage, either whole or not at all.

            with handoff.stage("surgery") as stage:
                onnx.save(model, stage.write("prepared.onnx"))

        The same work done again leaves the folder unchanged, byte for byte. A file of the stage
        that was edited by hand is kept with `.edited` after its name, and a warning says so.

        Raises:
            HandoffError: another run is writing, the folder cannot be written or is full, or a file
                that was read has changed meanwhile. Nothing that existed before is lost.
            UnknownName: there is no stage of that name.
        """
        if stage not in STAGES:
            raise unknown_name("stage", stage, STAGES)
        with writing(self.folder, stage, self._read) as writer:
            yield writer

    def _require(self, stage: str) -> Record:
        if stage not in STAGES:
            raise unknown_name("stage", stage, STAGES)
        record = Record.load(self.folder)
        status = record.status(stage)
        if status.state != "done":
            # Another run may be replacing the files right now, so look again.
            record = Record.load(self.folder)
            status = record.status(stage)
        if status.state != "done":
            if not self.folder.exists():
                raise HandoffError(_no_handoff(self.folder))
            detail = f": {status.detail}" if status.detail else ""
            raise HandoffError(
                f"{self.folder}: stage '{stage}' is {status.state}{detail}. Run the notebook "
                f"{status.run}."
            )
        return record

    def _specs(self, which: str, after: str) -> tuple[TensorSpec, ...]:
        if not after:
            done = Record.load(self.folder).status("surgery").state == "done"
            after = "surgery" if done else "export"
        facts = self.require(after)["facts"]
        if which not in facts and after == "surgery":
            facts = self.require("export")["facts"]
        if which not in facts:
            raise HandoffError(
                f"{self.folder}: stage '{after}' recorded no {which}. Run the notebook "
                f"{NOTEBOOKS[after]} again."
            )
        return tuple(map(TensorSpec.from_json, facts[which]))

    def __repr__(self) -> str:
        """Return the folder and one line for each stage."""
        try:
            stages = self.status()
        except HandoffError as error:  # a repr that raises would hide the message
            return f"Handoff {self.folder}: {error}"
        lines = [
            f"  {status.stage:<11} {status.state} {status.detail}".rstrip() for status in stages
        ]
        return "\n".join([f"Handoff {self.folder}", *lines])


def _no_handoff(folder: Path) -> str:
    """Return the message for a missing folder, with the handoffs that exist."""
    names = sorted(record.parent.name for record in folder.parent.glob(f"*/{RECORD}"))
    begin = f"run the notebook {NOTEBOOKS['export']} to begin it."
    if not names:
        return (
            f"There is no handoff {folder.name!r} in {folder.parent}, nor any other. "
            f"{begin.capitalize()}"
        )
    unknown = unknown_name(f"handoff in {folder.parent}", folder.name, names)
    return f"{unknown} Choose another NAME, or {begin}"


def check_handoff_name(name: str) -> str:
    """Return `name` if it is a valid name for a handoff.

    Raises:
        HandoffError: it has other characters than letters, digits, `.`, `_` and `-`, or starts with
            a sign.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise HandoffError(
            f"A handoff is named with letters, digits, '.', '_' and '-', but this is {name!r}. "
            "Choose another NAME."
        )
    return name
