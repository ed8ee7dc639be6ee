"""JupyterLab in a real browser: the right kernel is chosen, every cell runs, what is shown is seen.

Screenshots are kept in `build/screenshots`.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import onnx
import onnx.parser
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from nbhelpers.handoff import NOTEBOOKS, Handoff
from nbhelpers.workbook.plan import ROOT
from tests.checkout import PYTHONPATH

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(2400)]

SHOTS = ROOT / "build" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RUN_MINUTES = 10
expect.set_options(timeout=60_000)

# JupyterLab's own model of the open notebook: the page holds only the cells that are in view.
IDLE = """() =>
  window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"""

CELLS = """() => {
  const widget = window.jupyterapp.shell.currentWidget;
  if (!widget || !widget.content || !widget.content.model) return null;
  const cells = Array.from(widget.content.model.cells);
  return cells.filter(c => c.type === 'code').map(c => ({
    count: c.sharedModel.execution_count,
    state: c.executionState || c.sharedModel.executionState,
    empty: !c.sharedModel.source.trim(),
    errors: c.sharedModel.outputs
      .filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue),
  }));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sentence = "No chromium was found; install it (Debian, Ubuntu: apt-get install chromium)."
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    """Start JupyterLab over a copy of the notebooks; address, token and the folder of notebooks."""
    notebooks = tmp_path / "workbook" / "notebooks"
    shutil.copytree(ROOT / "notebooks", notebooks, ignore=shutil.ignore_patterns(".*"))
    for path in notebooks.glob("[0-9]*.ipynb"):
        write_beside(path, notebooks.parent / "handoffs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    log = (tmp_path / "lab.log").open("w+")
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
            *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
            *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={notebooks.parent}"),
            "--LabApp.expose_app_in_browser=True",
        ],
        env=environment(tmp_path / "jupyter"),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for_server(server, f"{address}/api?token={token}", log)
        yield address, token, notebooks
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(30)
        server.kill()
        log.close()


def write_beside(notebook: Path, handoffs: Path) -> None:
    """Name the folder of handoffs in the parameters: left empty, it is that of the checkout."""
    text = notebook.read_text(encoding="utf-8")
    empty = r"HANDOFFS: str = \"\""
    assert empty in text or "HANDOFFS" not in text, notebook
    notebook.write_text(text.replace(empty, rf"HANDOFFS: str = \"{handoffs.as_posix()}\""))


def environment(home: Path) -> dict[str, str]:
    """Return variables under which nothing of a person's own JupyterLab is read or changed."""
    config = home / "config"
    (config / "labconfig").mkdir(parents=True)
    news = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (config / "labconfig" / "page_config.json").write_text(json.dumps(news))
    return {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "PYTHONPATH": PYTHONPATH,
    }


def wait_for_server(server: subprocess.Popen, url: str, log) -> None:
    for _ in range(240):
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    log.seek(0)
    pytest.fail(f"JupyterLab did not start: {log.read()[-2000:]}")


def open_notebook(page: Page, lab, name: str) -> list[str]:
    """Open a notebook and wait for its kernel; return the list that collects page errors."""
    address, token, _ = lab
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{address}/lab/tree/notebooks/{name}?reset&token={token}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
    page.wait_for_function(IDLE, timeout=120_000)
    return problems


def kernel_of(lab, name: str) -> str:
    address, token, _ = lab
    with urllib.request.urlopen(f"{address}/api/sessions?token={token}", timeout=30) as answer:
        sessions = json.load(answer)
    return next(one["kernel"]["name"] for one in sessions if one["path"].endswith(name))


def run_all_cells(page: Page) -> list[dict]:
    """Choose Run > Run All Cells as a person does, and return the cells when the last has ended."""
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    for _ in range(RUN_MINUTES * 60):
        cells = page.evaluate(CELLS) or []
        full = [cell for cell in cells if not cell["empty"]]
        if any(cell["errors"] for cell in full):
            return full
        if full and all(cell["count"] and cell["state"] == "idle" for cell in full):
            return full
        page.wait_for_timeout(1000)
    pytest.fail(f"The notebook did not finish in {RUN_MINUTES} minutes: {full}")


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)  # it also covers a change of theme
    page.screenshot(path=SHOTS / f"{name}.png")


STAGES = {notebook: stage for stage, notebook in NOTEBOOKS.items()}
TITLES = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("title", TITLES)
def test_a_notebook_opens_on_its_kernel_and_runs_to_its_end(browser, lab, sample, title):
    """The handoff beside a stage's notebook holds what comes before it, and nothing else."""
    _, _, notebooks = lab
    kernel = nbformat.read(notebooks / f"{title}.ipynb", 4).metadata.kernelspec.name
    names = list(NOTEBOOKS)
    upstream = names[: names.index(STAGES[title])] if title in STAGES else names
    handoff = Handoff(notebooks.parent / "handoffs" / sample.name)
    for file in ("handoff.json", *(file for stage in upstream for file in sample.files(stage))):
        (handoff.folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(sample.folder / file, handoff.folder / file)
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    problems = open_notebook(page, lab, f"{title}.ipynb")
    assert kernel_of(lab, f"{title}.ipynb") == kernel
    assert kernel in page.locator(".jp-NotebookPanel-toolbar .jp-KernelName").first.inner_text()
    cells = run_all_cells(page)
    shot(page, title)
    assert [error for cell in cells for error in cell["errors"]] == []
    assert len(cells) >= 10
    assert problems == []
    page.close()
    if title in STAGES:
        same_as_headless(handoff, sample, STAGES[title])


def same_as_headless(interactive: Handoff, headless: Handoff, stage: str) -> None:
    """A notebook run by a person leaves what the runner's leaves: file by file, byte by byte.

    The files of the stage were not there before, so `require` finds none but those of this run.
    Latencies are taken over from the record, so that even the report and its sum are the same.
    """
    seen, expected = (each.require(stage) for each in (interactive, headless))
    for part in ("files", "reads", "versions", "facts"):
        assert seen[part] == expected[part], part
    inner = "debug/activations.npz"  # beside the stages: what 01 records for 07
    if stage == "export":
        paths = (each.folder / inner for each in (interactive, headless))
        assert len({path.read_bytes() for path in paths}) == 1


MODEL = """
<ir_version: 8, opset_import: ["" : 13]>
tiny (float[N, 2] x) => (float[N, 2] y) {
  a = Relu(x)
  y = Add(a, x)
}
"""

THEME = "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})"

WIDER = """selector => {
  const box = document.querySelector(selector);
  const edge = box.getBoundingClientRect().right + 1;
  return Array.from(box.querySelectorAll('*'))
    .filter(one => one.getBoundingClientRect().right > edge).map(one => one.className);
}"""

SHOWN = [
    "from nbhelpers import ui",
    "ui.table([{'op': 'Conv', 'nodes': 20, 'x': 0.5}, {'op': '<b>Add</b>', 'nodes': 8}], 'Ops')",
    "ui.flow_picture([('exported.onnx', 'prepared.onnx', 'surgery'), ('prepared.onnx', 'pb')])",
    "ui.histogram_picture({'before': {'Conv': 20, 'Add': 8}, 'after': {'Conv': 20}}, 'Ops')",
    "ui.netron_view('tiny.onnx', height=300)",
]


HUB = 'import os\n\nos.environ["JUPYTERHUB_SERVICE_PREFIX"] = "/"'
"""Makes the kernel believe that JupyterLab is remote: Netron's page then goes through its proxy."""


@pytest.mark.parametrize("kernel", ["train", "convert"])
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_what_the_helpers_show_is_seen(browser, lab, kernel, theme):
    """In the dark JupyterLab is remote, so that Netron is seen in both ways on both kernels."""
    _, _, notebooks = lab
    onnx.save(onnx.parser.parse_model(MODEL), notebooks / "tiny.onnx")
    remote = theme.endswith("Dark")
    write_cells(notebooks / "shown.ipynb", kernel, [HUB, *SHOWN] if remote else SHOWN)
    page = browser.new_page(viewport={"width": 1400, "height": 1500})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    problems = open_notebook(page, lab, "shown.ipynb")
    page.evaluate(THEME, theme)
    cells = run_all_cells(page)
    assert [error for cell in cells for error in cell["errors"]] == []
    page.wait_for_selector(".jp-OutputArea-output table caption", timeout=60_000)
    assert page.locator(".jp-OutputArea-output td", has_text="<b>Add</b>").count() == 1
    drawn = page.locator(".jp-RenderedMermaid svg, .jp-RenderedMermaid img").first
    drawn.wait_for(timeout=60_000)
    assert drawn.bounding_box()["width"] > 100
    assert page.locator(".jp-RenderedImage img").count() == 1  # the histogram, once
    netron = "iframe[title='tiny.onnx in Netron']"
    assert ("/proxy/" in page.locator(netron).get_attribute("src")) == remote
    frame = page.frame_locator(netron)
    frame.locator("svg text", has_text="Relu").first.wait_for(timeout=60_000)
    assert any("/data/tiny.onnx" in url for url in asked)
    assert [url for url in asked if url.startswith("http") and "//127.0.0.1:" not in url] == []
    name = f"shown_{kernel}_{theme.rpartition(' ')[2].lower()}"
    shot(page, name)
    assert problems == []
    page.close()


WIDGETS = [
    """
import tempfile
from pathlib import Path

import numpy as np

from nbhelpers import convert, ui
from graphcore.golden import Case

tf = convert.tensorflow()
graph = tf.Graph()
with graph.as_default():
    x = tf.compat.v1.placeholder(tf.float32, [None, 1, 8, 8], name="images")
    flat = tf.reshape(x, [-1, 64], name="flat")
    hidden = tf.nn.relu(tf.matmul(flat, np.eye(64, 40, dtype=np.float32)), name="body/out")
    tf.nn.softmax(hidden[:, :4], name="scores")
path = convert.save_graph_def(graph.as_graph_def(), Path(tempfile.mkdtemp()) / "small.pb")
view = convert.GraphView(graph.as_graph_def())
fed = {"images:0": np.random.default_rng(0).random((3, 1, 8, 8), np.float32)}
given = convert.run_tf(path, fed)["scores"]
""",
    "ui.widgets.tensor_explorer(view, feeds=fed)",
    """
ui.widgets.signature_builder(
    path, {"images": "images:0"}, {"scores": "scores:0"},
    feeds=fed, expected={"scores:0": given},
)
""",
    """
case = Case("three", {"images": fed["images:0"]}, {"scores": given})
runs = {"exact": {"three": {"scores": given}}, "shifted": {"three": {"scores": given + 0.1}}}
ui.widgets.parity_dashboard([case], runs)
""",
]


MODEL_PANEL = """
from nbhelpers import train, ui

chosen = {"NAME": "mine", "MODEL": "nbhelpers.train.samples:multitask_resnet18", "CHECKPOINT": ""}
chosen |= {"INPUTS": "", "OUTPUTS": "", "SIZES": "", "OPSET": 13, "DYNAMIC_BATCH": True}
source = train.load_model(chosen["MODEL"], trained=False)
ui.widgets.model_panel(source, chosen)
"""


def write_cells(path: Path, kernel: str, sources: list[str]) -> None:
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": spec})
    book.cells = [nbformat.v4.new_code_cell(source.strip()) for source in sources]
    nbformat.write(book, path)


def use_explorer(page: Page, shown: Locator) -> None:
    """Search, see a message, pick a row, walk to a neighbour, fetch its value."""
    name = shown.get_by_label("name", exact=True)
    name.fill("body")
    expect(shown).to_contain_text("1 of 11 tensors, page 1 of 1")
    name.fill("(")
    expect(shown.get_by_role("alert")).to_contain_text("is read as a regular expression")
    name.fill("")
    shown.get_by_label("op", exact=True).select_option("Softmax")
    expect(shown).to_contain_text("scores:0  (Softmax, float32, ?,4)")
    shown.get_by_role("button", name="Fetch its value").click()
    expect(shown).to_contain_text("float32 3×4 · ")
    expect(shown.locator("img")).to_be_visible()


def use_builder(page: Page, shown: Locator) -> None:
    """Rename an input, add an output, build, call; two outputs of one name are refused."""
    client = shown.get_by_label("client says")
    client.first.fill("pixels")
    expect(shown).to_contain_text('model.signatures["serving_default"](pixels=')
    expect(shown).to_contain_text('key: "pixels"')
    shown.get_by_label("one more").fill("body/out")
    shown.get_by_role("button", name="Add output").click()
    expect(client).to_have_count(3)
    client.last.fill("scores")
    expect(shown.get_by_role("alert")).to_contain_text("Two outputs are called 'scores'")
    client.last.fill("features")
    shown.get_by_role("button", name="Build").click()
    expect(shown).to_contain_text("output features → body/out:0  float32 (batch,40)")
    shown.get_by_role("button", name="Call").click()
    expect(shown).to_contain_text("3 × 40")
    expect(shown).to_contain_text("identical")


def use_dashboard(page: Page, shown: Locator) -> None:
    """The worst comparison comes first; choosing another run draws another picture."""
    run = shown.get_by_label("run", exact=True)
    expect(run).to_have_value("shifted")
    expect(shown).to_contain_text("mismatch (off by 0.1")
    before = shown.locator("img").get_attribute("src")
    run.select_option("exact")
    expect(shown.locator("img")).not_to_have_attribute("src", before)


def use_model_panel(page: Page, shown: Locator) -> None:
    """What cannot be right is refused in the package's own words; the rest is written down."""
    opset = shown.get_by_label("OPSET", exact=True)
    opset.fill("40")
    opset.press("Enter")
    expect(shown.get_by_role("alert")).to_contain_text("writes opset 7 to 20, but 40 was asked")
    opset.fill("11")
    opset.press("Enter")
    expect(shown).to_contain_text("OPSET: int = 11")
    inputs = shown.get_by_label("INPUTS", exact=True)
    inputs.fill("pixels:float32:batch,3,64,48")
    inputs.press("Enter")
    expect(shown).to_contain_text("INPUTS=pixels:float32:batch,3,64,48 OPSET=11")


BY_HAND = {
    "convert": (
        WIDGETS,
        {"explorer": use_explorer, "signature": use_builder, "dashboard": use_dashboard},
    ),
    "train": ([MODEL_PANEL], {"model": use_model_panel}),
}


def test_each_widget_answers_to_hands(browser, lab):
    """Each is shot in both themes at 1280 pixels; nothing in it is wider than its place."""
    _, _, notebooks = lab
    for kernel, (sources, uses) in BY_HAND.items():
        write_cells(notebooks / f"by_hand_{kernel}.ipynb", kernel, sources)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        problems = open_notebook(page, lab, f"by_hand_{kernel}.ipynb")
        cells = run_all_cells(page)
        assert [error for cell in cells for error in cell["errors"]] == []
        for name, use in uses.items():
            shown = page.locator(f".nbh-{name}")
            shown.scroll_into_view_if_needed()
            use(page, shown)
            for theme in ("Dark", "Light"):
                page.evaluate(THEME, f"JupyterLab {theme}")
                shown.scroll_into_view_if_needed()
                shot(page, f"widget_{name}_{theme.lower()}")
            assert page.evaluate(WIDER, f".nbh-{name}") == []
        assert problems == []
        page.close()
