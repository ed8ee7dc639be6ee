"""The receiver's page: complete, the same every time, escaped, and without network."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from graphcore.parity import compare
from graphcore.spec import TensorSpec
from nbhelpers.ui import ReportData, report_html

ONES = np.ones((2, 3))
PROOF = {
    "artefact": "graph/tf1.4/frozen.pb",
    "runtime": "TensorFlow 1.4.1",
    "case": "batch3",
    "ok": True,
    "largest_difference": 1.5e-5,
    "relative": 1.2e-6,
    "labels_agree": True,
    "accuracy": {"digit": 0.9917},
    "latency_ms": 12.34,
}

DATA = ReportData(
    title="my_model",
    facts={"architecture": "ResNet-18", "weights": "11.2 million"},
    flow=("PyTorch module", "exported.onnx", "prepared.onnx", "frozen.pb", "SavedModel"),
    inputs=(TensorSpec("images", "float32", ("batch", 3, 64, 64)),),
    outputs=(TensorSpec("digit", "float32", ("batch", 10)), TensorSpec("score", "float32", ())),
    parity={"export": [compare({"y": ONES}, {"y": ONES}, title="b").to_json()]},
    proofs=(PROOF, {**PROOF, "runtime": "TensorFlow 2.21.0", "latency_ms": None, "accuracy": {}}),
    rewrites={"tf1.4": ["AddV2 → Add in 8 nodes"], "tf2": []},
    files={"graph/tf1.4/frozen.pb": {"bytes": 44_755_123, "sha256": "ab" * 32}},
    serve={"TensorFlow Serving": "tensorflow_model_server --model_name=my_model"},
    versions={"torch": "2.13.0"},
    unproven=("TensorFlow 1.13.2 is not installed here.",),
)


def test_both_ways_of_tensorflow_2_are_shown_and_explained():
    both = ("TensorFlow 2.21.0 without oneDNN", "TensorFlow 2.21.0 with oneDNN")
    proofs = tuple({**PROOF, "runtime": runtime} for runtime in both)
    page = report_html(replace(DATA, proofs=proofs))
    assert f"on {both[0]}, {both[1]}. The largest difference" in page
    assert all(f"<th>{runtime}</th>" in page for runtime in both)
    assert "with oneDNN on newer processors and without it on others. Both were run" in page
    assert "oneDNN" not in report_html(DATA)


class Structure(HTMLParser):
    """Collects tags, and fails where one is closed that is not open."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    structure = Structure()
    structure.feed(page)
    assert structure.open == []
    return structure


def test_everything_that_was_given_is_on_the_page():
    page = report_html(DATA)
    for text in (
        "my_model",
        "ResNet-18",
        "batch × 3 × 64 × 64",
        "scalar",
        "TensorFlow 1.4.1",
        "1.50e-05",
        "1.2e-06",
        "digit 99.17%",
        "12.3",
        "identical",
        "AddV2 → Add in 8 nodes",
        "44 755 123",
        "ab" * 32,
        "python verify.py",
        "tensorflow_model_server",
        "2.13.0",
        "TensorFlow 1.13.2 is not installed here.",
        "All 2 runs agree with the PyTorch model, on TensorFlow 1.4.1, TensorFlow 2.21.0",
    ):
        assert text in page, text
    parsed(page)


def test_the_same_data_gives_the_same_bytes():
    assert report_html(DATA) == report_html(DATA)


def test_nothing_is_loaded_from_anywhere():
    page = report_html(DATA)
    structure = parsed(page)
    assert not {"script", "img", "link", "iframe", "object"} & set(structure.tags)
    assert not {name for name, _ in structure.attributes} & {"src", "href", "onclick", "srcset"}
    assert "url(" not in page and "@import" not in page and "http:" not in page
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page


def test_names_from_a_file_cannot_become_markup():
    evil = "<script>alert('x')</script>"
    data = ReportData(
        title=evil,
        facts={evil: evil},
        flow=(evil,),
        inputs=(TensorSpec(evil, evil, (evil,)),),
        parity={evil: [{"title": evil, "rows": [{"name": evil, "status": evil}]}]},
        proofs=({**PROOF, "artefact": evil, "runtime": evil, "case": evil, "note": evil},),
        clients=({"artefact": evil, "client": evil, "state": evil, "reason": evil},),
        rewrites={evil: [evil]},
        files={evil: {"bytes": 1, "sha256": evil}},
        verify=evil,
        serve={evil: evil},
        versions={evil: evil},
        unproven=(evil,),
    )
    page = report_html(data)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 20
    parsed(page)


def test_one_run_that_differs_is_said_first():
    page = report_html(ReportData("m", proofs=(PROOF, {**PROOF, "ok": False, "relative": None})))
    assert "1 of 2 runs differ from the PyTorch model. Do not use it." in page
    assert '<td class="bad">DIFFERS</td>' in page


def test_other_clients_have_a_row_each_and_a_wrong_one_is_said_first():
    agrees = {"artefact": "prepared.onnx", "client": "MNN 3.6.1", "state": "agrees"}
    agrees |= {"relative": 2e-6, "labels_agree": True, "latency_ms": 4.5, "reason": ""}
    failed = {"artefact": "graph/tf2/frozen.pb", "client": "OpenCV 5", "state": "failed"}
    failed |= {"relative": None, "labels_agree": None, "reason": "no layer PadV2"}
    page = report_html(ReportData("m", proofs=(PROOF,), clients=(agrees, failed)))
    assert "<h2>Other clients</h2>" in page
    assert "nothing is promised for other runtimes" in page
    assert '<td class="good">agrees</td><td class="number">2.0e-06</td>' in page
    assert "<td>failed</td>" in page and "<td>no layer PadV2</td>" in page
    assert "Another result" not in page
    page = report_html(ReportData("m", proofs=(PROOF,), clients=({**agrees, "state": "DIFFERS"},)))
    warning = "Another result, so do not use it there: prepared.onnx on MNN 3.6.1."
    assert f'<p class="verdict bad">{warning}</p>' in page
    assert page.index(warning) < page.index("<section>")
    parsed(page)


def test_a_page_about_nothing_says_that_nothing_was_proven():
    page = report_html(ReportData("empty"))
    assert "No runtime has run the artefacts yet." in page
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Check it yourself"]
    parsed(page)
