"""The receiver's page: its commands and clients are taken out of the page and run in a handoff."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from graphcore import environments
from nbhelpers.ui.limits import LIMITS
from nbhelpers.workbook.plan import ROOT, interpreter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

PAGE = (ROOT / "notebooks" / "RECEIVING.md").read_text(encoding="utf-8")
SNIPPET = re.compile(r"<!-- (?:run|file): (\S+) -->\n```\w+\n(.*?)\n```", re.S)
SNIPPETS = dict(SNIPPET.findall(PAGE))

# A stand-in for TensorFlow Serving's gRPC, on a port that the system chooses.
SERVER = """
import sys
from concurrent import futures
import grpc, numpy as np, tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc as service
golden = np.load("golden.npz")
class Servicer(service.PredictionServiceServicer):
    def Predict(self, request, context):
        asked = request.model_spec
        assert (asked.name, asked.signature_name) == ("sample", "serving_default")
        fed = tf.make_ndarray(request.inputs["images"])
        assert (fed == golden["batch3/input/images"]).all()
        answer = predict_pb2.PredictResponse()
        for name in ("digit", "pair"):
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(golden["batch3/output/" + name]))
        return answer
server = grpc.server(futures.ThreadPoolExecutor(1))
service.add_PredictionServiceServicer_to_server(Servicer(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
exec(open("client.py").read().replace("localhost:8500", f"127.0.0.1:{port}"))
server.stop(0)
"""


@pytest.fixture(scope="module")
def received(sample, tmp_path_factory):
    """A copy of the sealed sample, as its receiver has it."""
    folder = tmp_path_factory.mktemp("received") / "sample"
    shutil.copytree(sample.folder, folder, ignore=shutil.ignore_patterns("notebooks", ".*"))
    return folder


@pytest.fixture(scope="module")
def labels(received):
    """What each client prints: the winning classes of the three golden rows, by PyTorch."""
    golden = np.load(received / "golden.npz")
    return " ".join(str(golden[f"batch3/output/{name}"].argmax(1)) for name in ("digit", "pair"))


def run(command, folder, python=None):
    """Run a command in the received folder, where `python` is the one that is meant."""
    paths = [str(Path(python).parent)] if python else []
    path = os.pathsep.join([*paths, os.environ["PATH"]])
    drop = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    variables = {name: text for name, text in os.environ.items() if name not in drop}
    return subprocess.run(
        command,
        cwd=folder,
        env={**variables, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def printed(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


def legacy(name):
    python = environments.folder() / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"TensorFlow {name[2:]} is not installed here (make legacy)")
    return python


def test_every_snippet_of_the_page_that_can_be_run_here_is_run_here():
    assert set(SNIPPETS) == {
        *("check", "session", "loader", "tf2", "rest", "grpc", "triton", "client.c", "c"),
    }
    # Those that are not marked need a server's container.
    unmarked = re.findall(r"(?<!-->\n)```(?:sh|python|c)\n(.*?)\n```", PAGE, re.S)
    assert unmarked and all(text.startswith("docker run") for text in unmarked)


def test_every_file_of_the_folder_is_on_the_page(received):
    section = PAGE.split("## What is in the folder")[1].split("\n## ")[0]
    named = re.findall(r"`([^`]+)`", section)
    for path in received.rglob("*"):
        if path.is_file():
            name = re.sub(r"/tf[\d.]+/", "/<target>/", path.relative_to(received).as_posix())
            known = (
                name in named
                or any(each.endswith("/") and name.startswith(each) for each in named)
                or any(each.startswith("…/") and name.endswith(each[1:]) for each in named)
            )
            assert known, name


def test_the_checks_pass(received):
    done = run(["sh", "-ec", SNIPPETS["check"]], received, interpreter("convert"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.legacy
def test_the_clients_of_tensorflow_1_run_on_1_4(received, labels):
    both = "\n".join([SNIPPETS["session"], SNIPPETS["loader"]])
    done = run([legacy("tf1.4"), "-c", both], received)
    assert printed(done) == labels and done.stdout.count(labels) == 2


def test_they_run_on_tensorflow_2_with_the_import_that_the_page_names_and_so_does_its_own(
    received, labels
):
    assert "import tensorflow.compat.v1 as tf" in PAGE
    older = "\n".join([SNIPPETS["session"], SNIPPETS["loader"]])
    older = older.replace("import tensorflow as", "import tensorflow.compat.v1 as")
    done = run([interpreter("convert"), "-c", "\n".join([older, SNIPPETS["tf2"]])], received)
    assert printed(done) == labels and done.stdout.count(labels) == 3


def test_the_rest_client_asks_as_tensorflow_serving_wants_it(received, labels):
    golden, asked = np.load(received / "golden.npz"), []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, body))
            outputs = {name: golden[f"batch3/output/{name}"].tolist() for name in ("digit", "pair")}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"outputs": outputs}).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text = SNIPPETS["rest"].replace("localhost:8501", f"127.0.0.1:{server.server_port}")
        assert printed(run([sys.executable, "-c", text], received)) == labels
        server.shutdown()
    (path, body), expected = asked[0], golden["batch3/input/images"]
    assert path == "/v1/models/sample:predict" and body["signature_name"] == "serving_default"
    assert (np.array(body["inputs"]["images"], np.float32) == expected).all()


def test_the_grpc_client_sends_what_the_protocol_says(received, labels):
    (received / "client.py").write_text(SNIPPETS["grpc"], encoding="utf-8")
    done = run([interpreter("convert"), "-c", SERVER], received)
    (received / "client.py").unlink()
    assert printed(done) == labels


def test_the_lines_for_triton_make_its_layout(received, tmp_path):
    shutil.copytree(received, tmp_path / "copy")
    done = run(["sh", "-ec", SNIPPETS["triton"]], tmp_path / "copy")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "copy" / "triton"
    files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    assert files == [
        "multitask_resnet18/1/model.savedmodel/assets.extra/tf_serving_warmup_requests",
        "multitask_resnet18/1/model.savedmodel/saved_model.pb",
        "multitask_resnet18/config.pbtxt",
        "multitask_resnet18_onnx/1/model.onnx",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="the lines name Linux's libraries")
def test_the_c_client_compiles_without_a_warning_and_computes_the_same(received, tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) is installed here")
    copy = tmp_path / "copy"
    shutil.copytree(received, copy)
    (copy / "client.c").write_text(SNIPPETS["client.c"], encoding="utf-8")
    lines = SNIPPETS["c"].replace("cc client.c", "cc -Wall -Wextra -Werror client.c")
    done = run(["sh", "-ec", lines], copy, interpreter("convert"))
    assert done.returncode == 0, done.stderr
    scores = np.array([line.split() for line in done.stdout.strip().splitlines()], np.float32)
    expected = np.load(copy / "golden.npz")["batch3/output/digit"]
    assert scores.shape == (3, 10)
    assert abs(scores - expected).max() <= 1e-5 * abs(expected).max()
    done = run(["./client", "graph/tf1.4/frozen.pb", "nowhere"], copy)
    assert done.returncode == 1 and "nowhere: cannot be opened" in done.stderr


def test_the_page_needs_nothing_of_the_workbook():
    assert all("nbhelpers" not in text for text in SNIPPETS.values())


def test_the_report_in_the_folder_names_the_limits_that_the_page_explains():
    section = PAGE.split("## Known limits")[1]
    explained = [title.replace("`", "") for title in re.findall(r"^- \*\*(.+?)\*\*", section, re.M)]
    assert [title for title in explained if title in LIMITS] == list(LIMITS)
    assert set(explained) - set(LIMITS) == {"2 GB.", "Not tried here"}
