"""Tables, pictures and views: right as text, as HTML, headless and in JupyterLab."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from nbhelpers.handoff import Handoff
from nbhelpers.ui import flow_picture, handoff_status, histogram_picture, netron_view, table, viewer
from nbhelpers.ui.address import browser_address
from nbhelpers.ui.opcount import op_counts
from tests.checkout import PYTHONPATH

ROOT = Path(__file__).parents[2]

MODEL = """
<ir_version: 8, opset_import: ["" : 13]>
tiny (float[N, 2] x) => (float[N, 2] y) {
  a = Relu(x)
  b = Relu(a)
  y = Add(a, b)
}
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "tiny.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), path)
    return path


def test_a_table_as_text_and_as_html():
    shown = table([{"op": "Conv", "nodes": 1200}, {"op": "<b>", "nodes": None}], "Ops & more")
    assert repr(shown).splitlines() == [
        "Ops & more",
        "op    nodes",
        "----  -----",
        "Conv  1 200",
        "<b>       –",
    ]
    page = shown._repr_html_()
    assert "<caption>Ops &amp; more</caption>" in page
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert "color" not in page  # the theme's own, so that it is legible in a dark one


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "yes"), (0.000123456, "0.0001235"), (float("nan"), "nan"), (("batch", 3), "batch × 3")],
)
def test_values_are_shown_in_the_words_of_a_table(value, text):
    assert table([{"x": value}]).rows == ((text,),)


def test_rows_may_have_different_columns_and_there_may_be_none():
    assert table([{"a": 1}, {"b": "x"}]).rows == (("1", "–"), ("–", "x"))
    assert "(no rows)" in repr(table([])) and "(no rows)" in table([])._repr_html_()


def test_the_status_of_a_handoff_is_a_table(tmp_path):
    handoff = Handoff(tmp_path / "model")
    with handoff.stage("export") as stage:
        stage.write("exported.onnx").write_bytes(b"x")
    rows = handoff_status(handoff).rows
    assert rows[0] == ("export", "01_export", "done", "")
    assert rows[1] == ("surgery", "02_surgery", "missing", "")


def test_a_flow_is_mermaid_and_text():
    shown = flow_picture([("torch", 'a "b" <c>', "export"), ('a "b" <c>', "pb")], marked=["pb"])
    bundle = shown._repr_mimebundle_()
    assert bundle["text/vnd.mermaid"].splitlines() == [
        "flowchart LR",
        '    n0["torch"]',
        '    n1["a #quot;b#quot; #lt;c#gt;"]',
        '    n2["pb"]',
        '    n0 -->|"export"| n1',
        "    n1 --> n2",
        "    style n2 stroke-width:4px",
        "    linkStyle default stroke:#888888",
    ]
    assert bundle["text/plain"] == 'torch -- export --> a "b" <c>\na "b" <c> --> pb'


def test_a_flow_of_something_else_is_refused():
    with pytest.raises(ValueError, match=r"An arrow is \(from, to\)"):
        flow_picture([("alone",)])
    with pytest.raises(ValueError, match=r"'LR' or 'TB', not 'up'"):
        flow_picture([], direction="up")


def test_a_histogram_has_a_bar_for_each_op_and_graph():
    figure = histogram_picture({"before": {"Conv": 3, "$x$": 1}, "after": {"Conv": 2}}, "Ops")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Conv", r"\$x\$"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "before (4)",
        "after (2)",
    ]
    assert sorted(bar.get_width() for bar in axes.patches) == [0, 1, 2, 3]
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert histogram_picture({})._repr_png_()


def test_ops_are_counted_without_a_framework(model):
    assert op_counts(model) == {"Relu": 2, "Add": 1}


def test_a_frozen_graph_and_a_saved_model_are_counted_by_hand_made_bytes(tmp_path):
    def message(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    node = message(1, b"name") + message(2, b"Conv2D")
    graph = message(1, node) + message(1, node) + b"\x20\x07"  # and a number, which is skipped
    (tmp_path / "frozen.pb").write_bytes(graph)
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01" + message(2, message(2, graph)))
    assert op_counts(tmp_path / "frozen.pb") == {"Conv2D": 2}
    assert op_counts(tmp_path / "saved_model.pb") == {"Conv2D": 2}
    (tmp_path / "frozen.pb").write_bytes(graph[:-4])
    with pytest.raises(ValueError, match=r"frozen.pb is cut short"):
        op_counts(tmp_path / "frozen.pb")
    with pytest.raises(ValueError, match=r"ends in .onnx or .pb, but this is 'x.h5'"):
        op_counts(tmp_path / "x.h5")


def test_headless_a_view_is_the_table_of_ops(model, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    view = netron_view(model)
    assert view.port == 0
    assert "Relu      2" in repr(view)
    assert "Netron is not shown: this notebook does not run in JupyterLab." in repr(view)
    assert "<iframe" not in view._repr_html_() and "<td" in view._repr_html_()


def test_in_jupyterlab_a_view_is_netron_on_the_loopback_address(model, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook")
    view = netron_view(model, height=321)
    assert view.url.startswith("http://127.0.0.1:")
    assert f'src="{view.url}"' in view._repr_html_() and 'height="321"' in view._repr_html_()
    assert "<td" in view._repr_html_()  # the table is there for who cannot reach that address
    with urllib.request.urlopen(view.url, timeout=30) as page:
        assert b"netron" in page.read().lower()
    assert netron_view(model).url == view.url  # one place for one file


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A Jupyter server that listens to other machines; `said` sets what it answers."""
    said = {"status": 403}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            said["path"] = self.path
            self.send_error(said["status"])

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/user/me/"
    about = {"hostname": "0.0.0.0", "base_url": "/user/me/", "url": url}
    (tmp_path / "jpserver-17.json").write_text(json.dumps(about))
    for name, value in {"JPY_PARENT_PID": "17", "JUPYTER_RUNTIME_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook")
    yield said
    server.shutdown()
    server.server_close()


def test_a_remote_jupyterlab_carries_netron_below_its_own_address(model, remote):
    view = netron_view(model)
    assert re.fullmatch(rf"/user/me/proxy/{view.port}/[\w-]{{32}}/", view.url)
    assert remote["path"].startswith("/user/me/lab/extensions/@jupyterhub/jupyter-server-proxy/")
    assert f'<iframe src="{view.url}"' in view._repr_html_()
    assert f"forward port {view.port} as well" in view._repr_html_()


def test_a_remote_jupyterlab_that_carries_nothing_leaves_the_table(model, remote):
    remote["status"] = 404
    view = netron_view(model)
    said = (
        "Netron is not shown: JupyterLab runs on another machine, and the environment that runs it"
    )
    assert (
        said in repr(view) and "<iframe" not in view._repr_html_() and "<td" in view._repr_html_()
    )


def test_beside_jupyterlab_or_without_one_netron_is_opened_itself(remote, tmp_path, monkeypatch):
    about = tmp_path / "jpserver-17.json"
    about.write_text(about.read_text().replace("0.0.0.0", "localhost"))
    assert browser_address(99) == "http://127.0.0.1:99/"
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/me/")
    assert browser_address(99) == "/user/me/proxy/99/"
    about.unlink()
    assert browser_address(99) == "http://127.0.0.1:99/"


def test_where_netron_is_missing_or_too_old_the_reason_is_said(model, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook")
    assert "works for 180 days" in viewer._why_not(datetime(2100, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(viewer.util, "find_spec", lambda name: None)
    assert "Netron is not shown: it is not installed in this kernel." in repr(netron_view(model))


def test_a_server_that_does_not_start_leaves_the_table(model, monkeypatch):
    def full(page):
        raise OSError(24, "Too many open files")

    monkeypatch.setenv("JPY_SESSION_NAME", "notebook")
    monkeypatch.setattr(viewer, "_SERVER", [])
    monkeypatch.setattr(viewer, "NetronServer", full)
    assert "its server did not start (Too many open files)" in repr(netron_view(model))


def test_the_interpreter_ends_with_a_server_running_and_nothing_is_said(model):
    code = "import sys; from nbhelpers.ui import netron_view; print(netron_view(sys.argv[1]).port)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)],
        env={**os.environ, "JPY_SESSION_NAME": "notebook", "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert int(done.stdout) > 0
    assert done.stderr == ""


def test_importing_shows_nothing_and_loads_no_framework():
    code = (
        "import sys, nbhelpers.ui, nbhelpers.handoff\n"
        "print([m for m in ('torch', 'tensorflow', 'onnx_tf', 'netron', 'matplotlib.pyplot') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_numbers_of_numpy_are_numbers():
    assert table([{"x": np.float64(0.5)}]).rows == (("0.5",),)
