"""Run the notebooks of one handoff in order, and keep their executed copies.

Each notebook runs on the kernel in its metadata, with the parameters it declares. The executed copy
is kept in the handoff folder, even if a cell failed.
"""

import contextlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from graphcore import progress as stages
from graphcore.errors import Refusal
from graphcore.safe_paths import check_links
from nbhelpers import kernel
from nbhelpers.handoff import Handoff, explained, locked, write_text
from nbhelpers.workbook.local_paths import placeless
from nbhelpers.workbook.plan import ROOT, Notebook, Settings, find_notebooks
from nbhelpers.workbook.progress import Progress
from nbhelpers.workbook.up_to_date import KEY, changed_by_hand, fingerprint, is_fresh
from nbhelpers.workbook.watching import Stuck, Watch, WatchedClient

CELL_TIMEOUT = 900
"""Seconds without progress after which a cell is stopped (see `time_limits`)."""

KERNEL_TIMEOUT = 180
"""Seconds in which a kernel must start."""

_ENGINE = "nbhelpers-workbook"


class NotebookFailed(Refusal):
    """A notebook of the workbook stopped before its end."""


def run(settings: Settings, *, progress: Progress | None = None, again: bool = False) -> Handoff:
    """Run the six notebooks, and return the handoff.

    Args:
        settings: what to hand off.
        progress: where to print the progress.
        again: also run the notebooks that are up to date.

    Raises:
        Refusal: a setting is invalid, or another run uses this handoff.
        NotebookFailed: a cell failed. The message is the cell's own.
    """
    settings = settings.checked()
    progress = progress or Progress(io.StringIO())
    notebooks = find_notebooks(settings.notebooks)
    progress.begun(settings)
    executed = settings.folder / "notebooks"
    with contextlib.ExitStack() as stack:
        with explained(settings.folder, "What was there before is unchanged."):
            for place in ("notebooks", ".run.lock"):
                check_links(settings.folder, place)
            executed.mkdir(parents=True, exist_ok=True)
            busy = f"Another `make handoff` works on {settings.folder}"
            stack.enter_context(locked(settings.folder / ".run.lock", busy))
        for notebook in notebooks:
            copy = executed / notebook.path.name
            if not again and is_fresh(notebook, settings, copy):
                progress.kept(notebook)
            else:
                for sentence in changed_by_hand(notebook, settings):
                    progress.said(sentence)
                run_notebook(notebook, settings, copy, progress=progress)
    return Handoff(settings.folder)


def run_notebook(
    notebook: Notebook,
    settings: Settings,
    copy: Path,
    *,
    progress: Progress,
    cell_timeout: int = CELL_TIMEOUT,
) -> None:
    """Run one notebook and write its executed copy.

    Raises:
        NotebookFailed: it stopped at an error, or its stage is not done afterwards.
    """
    begun = time.monotonic()
    mark = fingerprint(notebook, settings)  # before the run, because the file may change meanwhile
    progress.started(notebook)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / copy.name
        finished = False
        try:
            watch = Watch(Path(folder) / "stage", limit=cell_timeout, on_stage=progress.stage)
            _execute(notebook, settings, output, watch, progress.cell)
            Handoff(settings.folder).require(notebook.stage)
            finished = True
        except PapermillExecutionError as error:
            said = f"{error.ename}: {_first_line(error.evalue)}"
            raise NotebookFailed(_stopped(notebook, copy, error.exec_count, said)) from error
        except Stuck as error:
            said = (
                f"{error}: it printed nothing, reached no other stage, and was idle or computed "
                "all that time. Run it by hand in JupyterLab, where no cell is stopped, to see "
                "what it waits for"
            )
            raise NotebookFailed(_stopped(notebook, copy, progress.reached, said)) from error
        except CellTimeoutError as error:
            said = f"the kernel did not say that the cell has ended ({_first_line(str(error))})"
            raise NotebookFailed(_stopped(notebook, copy, progress.reached, said)) from error
        except (DeadKernelError, RuntimeError) as error:
            said = f"{_first_line(str(error))} (was there enough memory?)"
            raise NotebookFailed(_stopped(notebook, copy, progress.reached, said)) from error
        finally:
            if not finished:
                progress.failed()
            if output.exists():
                with explained(settings.folder, ""):
                    write_text(
                        copy, _as_record(output, notebook, settings, mark if finished else "")
                    )
    progress.done(time.monotonic() - begun)


def _execute(
    notebook: Notebook,
    settings: Settings,
    output: Path,
    watch: Watch,
    on_cell: Callable[[int, int], None],
) -> None:
    papermill_engines.register(_ENGINE, _CountingEngine)
    with (output.parent / "kernel.log").open("w+") as log:
        try:
            papermill.execute_notebook(
                notebook.path,
                output,
                parameters=notebook.parameters(settings),
                engine_name=_ENGINE,
                cwd=notebook.path.parent,
                progress_bar=False,
                start_timeout=KERNEL_TIMEOUT,
                watch=watch,
                on_cell=on_cell,
                process={"env": _environment(settings, watch), "stderr": log},
            )
        except RuntimeError as error:
            log.seek(0)
            last = log.read().strip().rpartition("\n")[2]
            raise RuntimeError(f"{error} {last}".strip()) from error


class _CountingEngine(NBClientEngine):
    """papermill's own engine, which also reports its current cell and is watched."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        on_cell: Callable[[int, int], None],
        process: dict[str, Any],
        start_timeout: int,
        watch: Watch,
        **_: Any,
    ) -> Any:
        total = sum(cell.cell_type == "code" for cell in nb_man.nb.cells)
        seen = 0
        start = nb_man.cell_start

        def cell_start(cell: Any, cell_index: int | None = None, **options: Any) -> None:
            nonlocal seen
            seen += cell.cell_type == "code"
            watch.moved()
            on_cell(seen, total)
            start(cell, cell_index, **options)

        nb_man.cell_start = cell_start
        client = WatchedClient(
            nb_man,
            watch=watch,
            kernel_name=kernel_name,
            startup_timeout=start_timeout,
            iopub_timeout=60,  # a slow answer may only mean a busy machine
        )
        return client.execute(**process)


def _environment(settings: Settings, watch: Watch) -> dict[str, str]:
    """Return the variables for a kernel, so that it finds this package and the user's own model,
    reports its stage, and does not use the processor while it waits.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    if not settings.model.startswith("nbhelpers."):
        paths.insert(0, str(Path.cwd()))
    return {
        **kernel.VARIABLES,
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        stages.FILE: str(watch.file),
    }


def _as_record(output: Path, notebook: Notebook, settings: Settings, mark: str) -> str:
    """Return the executed notebook without paths of this machine, and with its fingerprint."""
    content = json.loads(output.read_text(encoding="utf-8"))
    content["metadata"].setdefault("papermill", {}).update(
        input_path=notebook.path.name, output_path=notebook.path.name
    )
    if mark:
        content["metadata"][KEY] = {"fingerprint": mark}
    return placeless(json.dumps(content, indent=1, ensure_ascii=False) + "\n", settings)


def _stopped(notebook: Notebook, copy: Path, cell: int | None, said: str) -> str:
    return f"{notebook.title} stopped at cell [{cell or '?'}]: {said}\nLook at it in {copy}"


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
    return line if len(line) <= 600 else line[:600] + " …"
