"""Write one stage of a handoff, either whole or not at all.

Files are made in a temporary folder beside the old ones. Everything that needs disk space is
written before the first rename. While files are renamed, the record says that the stage is not
done. Use `Handoff.stage` to write one.
"""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import numpy as np
from filelock import FileLock, Timeout

from graphcore.atomic_files import describe, flush, keep_edited
from graphcore.errors import HandoffError, Refusal
from graphcore.parity import Report
from graphcore.reading import parse_json, reason
from graphcore.safe_paths import check_distinct, check_links, check_name
from graphcore.system_errors import unwritable
from graphcore.writing import Unwritten, is_about
from nbhelpers import kernel
from nbhelpers.entries import check_entry
from nbhelpers.record import NOTEBOOKS, RECORD, STAGES, Record

LOCK = ".lock"
_TEMPORARY = ".stage-"


class StageWriter:
    """Where a stage puts its files and measurements (see `Handoff.stage`)."""

    def __init__(self, folder: Path) -> None:
        """Collect files under `folder`."""
        self.folder = folder
        self.facts: dict = {}
        self.timings: dict = {}
        self.parity: list[dict] = []

    def write(self, file: str) -> Path:
        """Return the path to write `file` to. Its folders exist.

        Raises:
            HandoffError: the name leads out of the handoff folder, or is that of the record.
        """
        check_name(file)
        if file == RECORD:
            raise HandoffError(f"{RECORD} is the record itself. Put its content into `facts`.")
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add_parity(self, report: Report) -> None:
        """Record a comparison.

        Raises:
            ParityError: the report is not ok. The stage is then not written.
        """
        self.parity.append(report.check().to_json())


@contextlib.contextmanager
def writing(folder: Path, stage: str, read: Mapping[str, str]) -> Iterator[StageWriter]:
    """Write `stage` into `folder` (see `Handoff.stage`).

    Args:
        folder: the handoff folder. It is created if it does not exist.
        stage: one of `STAGES`.
        read: the files that were read for it, name to sha256. It may grow until the block ends.

    Raises:
        HandoffError: another run is writing, the folder cannot be written or is full, or a file
            that was read has changed meanwhile.
    """
    unchanged = "What was there before is unchanged."
    with contextlib.ExitStack() as stack:
        with explained(folder, unchanged):
            check_links(folder, LOCK)
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / LOCK, f"Another run is writing {folder} now"))
            _remove_leftovers(folder)
            temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder))
            stack.callback(shutil.rmtree, temporary, ignore_errors=True)
            writer = StageWriter(temporary / "files")
            writer.folder.mkdir()
        with explained(folder, unchanged, body=True):
            yield writer
        with explained(folder, unchanged):
            commit = _prepare(folder, stage, read, writer)
        with explained(folder, f"Stage '{stage}' is not done now."):
            commit()


@contextlib.contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock file at `path`. The system frees it when the process ends, in whatever way.

    Raises:
        HandoffError: another process holds it. The message begins with `busy`.
    """
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise HandoffError(f"{busy}. Wait until it is done, or choose another NAME.") from error
    try:
        yield
    finally:
        lock.release()


def _prepare(
    folder: Path, stage: str, read: Mapping[str, str], writer: StageWriter
) -> Callable[[], None]:
    """Write everything that needs disk space, and return the function that moves it into place."""
    record = Record.load(folder)
    files = [path for path in sorted(writer.folder.rglob("*")) if path.is_file()]
    entry = _plain(
        stage,
        {
            "done": datetime.now(UTC).isoformat(timespec="seconds"),
            "reads": _upstream(folder, stage, read, record),
            "files": {path.relative_to(writer.folder).as_posix(): describe(path) for path in files},
            "versions": kernel.versions(),
            "parity": writer.parity,
            "facts": writer.facts,
            "timings": writer.timings,
        },
    )
    before = record.stages.get(stage)
    if before and _identity(before) == _identity(entry) and not record.changed(stage):
        return lambda: None  # the same work again, so keep the date when it was first done
    touched = sorted(record.files_of(stage) | set(entry["files"]))
    for file in touched:
        check_links(folder, PurePosixPath(file).parent.as_posix())
    for file in entry["files"]:
        check_links(writer.folder, check_name(file))
        _check_place(folder, file, stage, record)
    check_distinct((*record.names(), *entry["files"]))
    half, whole = (writer.folder.parent / "half.json", writer.folder.parent / "whole.json")
    half.write_text(record.without_stage(stage, touched).text(), encoding="utf-8")
    whole.write_text(record.with_stage(stage, entry).text(), encoding="utf-8")
    flush(half, whole, *(writer.folder / file for file in entry["files"]))

    def commit() -> None:
        # From here to the last line the stage is not done, so killing the process leaves no wrong
        # record.
        os.replace(half, folder / RECORD)
        flush(folder)
        for file, wrong in record.changed(stage).items():
            keep_edited(folder / file, wrong)
        for file in entry["files"]:
            os.replace(writer.folder / file, folder / file)
        for file in touched:
            if file not in entry["files"] and record.owner(file) in (None, stage):
                _remove(folder, file)
        flush(folder, *{parent for file in entry["files"] for parent in _above(folder, file)})
        os.replace(whole, folder / RECORD)
        flush(folder)

    return commit


def _upstream(folder: Path, stage: str, read: Mapping[str, str], record: Record) -> dict[str, str]:
    """Return the files read from earlier stages, after checking that they are unchanged."""
    reads = {}
    for file, sha256 in sorted(read.items()):
        owner = record.owner(file)
        if owner is not None and STAGES.index(owner) >= STAGES.index(stage):
            continue
        if record.sha256(file) != sha256:
            raise HandoffError(
                f"{folder / file} was written again while stage '{stage}' was running. "
                f"Run {NOTEBOOKS[stage]} again from its first cell."
            )
        reads[file] = sha256
    return reads


def _check_place(folder: Path, file: str, stage: str, record: Record) -> None:
    """Make the folders of `file`, and refuse a path that is taken or cannot be written."""
    owner = record.owner(file)
    if owner not in (None, stage):
        raise HandoffError(
            f"Stage '{stage}' writes {file}, but that file belongs to stage '{owner}'. Use "
            "another name."
        )
    target = folder / file
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target.parent))


def _remove(folder: Path, file: str) -> None:
    """Remove a file of an earlier run, and folders that are then empty."""
    (folder / file).unlink(missing_ok=True)
    for parent in _above(folder, file):
        with contextlib.suppress(OSError):  # not empty
            parent.rmdir()


def _above(folder: Path, file: str) -> list[Path]:
    """Return the folders of a file inside the handoff folder, the innermost first."""
    return [folder / parent for parent in Path(file).parents[:-1]]


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of a killed process. The caller holds the lock."""
    for left in folder.glob(f"{_TEMPORARY}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


@contextlib.contextmanager
def explained(folder: Path, state: str, *, body: bool = False) -> Iterator[None]:
    """Turn an error of the file system into a message that ends with `state`.

    In the `body` of a stage, only errors about `folder` and failed writes are turned.

    Raises:
        HandoffError: the folder cannot be written.
    """
    try:
        yield
    except (OSError, Refusal) as raised:
        error = raised.__cause__ if isinstance(raised.__cause__, Unwritten) else raised
        if not isinstance(error, OSError):
            raise
        reason = unwritable(error)
        gone = error.errno == errno.ENOENT and folder.exists()
        if not reason or gone or (body and not is_about(error, folder)):
            raise
        raise HandoffError(
            f"The handoff folder {folder} cannot be written: {reason} and run the notebook again. "
            f"{state}"
        ) from error


def _plain(stage: str, entry: dict) -> dict:
    """Return the entry as it would be read back from JSON."""
    try:
        text = json.dumps(entry, default=_plain_value, allow_nan=False)
        plain = parse_json(text.encode())
        check_entry(stage, plain)
        return plain
    except (TypeError, ValueError, RecursionError) as error:
        raise HandoffError(
            f"What stage '{stage}' records must be text, finite numbers, lists and dicts "
            f"({reason(error)}). Use None for a missing number."
        ) from error


def _plain_value(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} is none of these")


def _identity(entry: dict) -> dict:
    """Return what makes two runs the same work, without timings and the last digits of
    measurements."""
    parity = [
        (report["title"], report["ok"], [(row["name"], row["status"]) for row in report["rows"]])
        for report in entry["parity"]
    ]
    rest = {key: value for key, value in entry.items() if key not in ("done", "timings", "parity")}
    return {**rest, "parity": parity}
