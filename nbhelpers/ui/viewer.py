"""A model file in Netron, beside the notebook, or a table of its ops where Netron is not available.

`netron_server` serves Netron's page on the loopback address only, and `address` finds the address
for the browser. Netron stops working 180 days after its build, so it is never the only view.
"""

import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import util
from pathlib import Path

from graphcore.errors import Refusal
from nbhelpers.progress import in_jupyterlab
from nbhelpers.ui.address import browser_address
from nbhelpers.ui.netron_server import NetronServer
from nbhelpers.ui.opcount import op_counts
from nbhelpers.ui.tables import Table, table

LIFETIME = timedelta(days=180)
"""How long after its build Netron still works."""

_SERVER: list[NetronServer] = []
_PLACES: dict[tuple[str, int, int], str] = {}


@dataclass(frozen=True)
class ModelView:
    """A model file: in Netron at `url` unless that is empty, and always as a table of its ops."""

    path: Path
    summary: Table
    port: int
    url: str
    height: int
    reason: str

    def __repr__(self) -> str:
        where = f"Netron: {self.url}" if self.url else f"Netron is not shown: {self.reason}"
        return f"{self.summary!r}\n{where}"

    def _repr_html_(self) -> str:
        ops = self.summary._repr_html_()
        if not self.url:
            return f"{ops}<p>Netron is not shown: {html.escape(self.reason)}</p>"
        return (
            f'<iframe src="{self.url}" width="100%" height="{self.height}" '
            f'title="{html.escape(self.path.name)} in Netron" style="border:0"></iframe>'
            f"<details><summary>Nothing drawn? The ops of {html.escape(self.path.name)}</summary>"
            f"<p>Netron answers at {self.url}. Through a tunnel, forward port {self.port} as well."
            f"</p>{ops}</details>"
        )


def netron_view(path: str | Path, *, height: int = 500) -> ModelView:
    """Return a view of an `.onnx` or `.pb` file that JupyterLab displays.

    Args:
        path: the model file.
        height: the height of the Netron view, in pixels.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not an ONNX model, a frozen graph or a SavedModel.
    """
    path = Path(path).absolute()
    counts = op_counts(path)
    nodes = sum(counts.values())
    rows = [{"op": op, "nodes": count} for op, count in counts.items()]
    size = path.stat().st_size / 1e6
    summary = table(rows, f"{path.name} · {nodes} nodes · {size:.1f} MB")
    port, url, reason = 0, "", ""
    try:
        port, url = _shown(path)
    except Refusal as error:
        reason = str(error)
    return ModelView(path, summary, port, url, height, reason)


def _shown(path: Path) -> tuple[int, str]:
    """Serve a file. Return the port, and the address for a browser.

    Raises:
        Refusal: it cannot be shown. The message says why.
    """
    if reason := _why_not():
        raise Refusal(reason)
    try:
        port, place = _serve(path)
    except OSError as error:
        raise Refusal(f"its server did not start ({error.strerror}).") from error
    return port, browser_address(port) + place


def _why_not(now: datetime | None = None) -> str:
    """Return why Netron cannot be shown here, or an empty text."""
    if not in_jupyterlab():
        return "this notebook does not run in JupyterLab."
    spec = util.find_spec("netron")
    if spec is None or spec.origin is None:
        return "it is not installed in this kernel."
    built = _build_date(Path(spec.origin).with_name("index.html"))
    if built and (now or datetime.now(UTC)) - built > LIFETIME:
        return f"it was built on {built:%Y-%m-%d} and works for 180 days. Install a newer one."
    return ""


def _build_date(page: Path) -> datetime | None:
    try:
        found = re.search(r'name="date" content="(\d{4}-\d\d-\d\d)', page.read_text("utf-8"))
    except OSError:
        return None
    return datetime.fromisoformat(found.group(1)).replace(tzinfo=UTC) if found else None


def _serve(path: Path) -> tuple[int, str]:
    """Return the port and the path at which a file is served. An unchanged file keeps its path."""
    spec = util.find_spec("netron")
    assert spec is not None  # `_why_not` has checked it
    assert spec.origin is not None
    if not _SERVER:
        _SERVER.append(NetronServer(Path(spec.origin).parent))
    (server,) = _SERVER
    stat = path.stat()
    key = (str(path), stat.st_mtime_ns, stat.st_size)
    if key not in _PLACES:
        _PLACES[key] = server.place(path)
    return server.port, _PLACES[key]
