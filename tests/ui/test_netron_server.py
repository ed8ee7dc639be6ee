"""Netron's page: one file behind a token, and a policy under which nothing leaves."""

import urllib.error
import urllib.request

import pytest

from nbhelpers.ui import viewer
from nbhelpers.ui.netron_server import POLICY, NetronServer


@pytest.fixture
def served(tmp_path):
    """A server, its address, and two files in a folder with a third one."""
    page = tmp_path / "netron"
    page.mkdir()
    (page / "index.html").write_text('<meta name="version" content="9.3.3"><script src="index.js">')
    (page / "browser.js").write_text("await age();\nawait consent();\nawait telemetry();\n")
    (page / "server.py").write_text("no page needs it")
    for name in ('a "b" <i>&.onnx', "second.onnx", "secret.txt"):
        (tmp_path / name).write_text(name)
    server = NetronServer(page)
    return server, f"http://127.0.0.1:{server.port}/", tmp_path


def opened(url):
    return urllib.request.urlopen(url, timeout=10)


def test_each_file_has_a_place_of_its_own(served):
    server, base, folder = served
    one = base + server.place(folder / 'a "b" <i>&.onnx')
    two = base + server.place(folder / "second.onnx")
    assert opened(f"{one}data/a%20%22b%22%20%3Ci%3E%26.onnx?cb=1").read() == b'a "b" <i>&.onnx'
    assert opened(f"{two}data/second.onnx").read() == b"second.onnx"
    page = opened(one).read().decode()
    assert 'content="data/a%20%22b%22%20%3Ci%3E%26.onnx"' in page
    assert 'content="a &quot;b&quot; &lt;i&gt;&amp;.onnx"' in page


@pytest.mark.parametrize(
    "path",
    [
        *("", "index.html", "browser.js", "data/second.onnx", "wrong/", "wrong/data/second.onnx"),
        *("{0}data/secret.txt", "{0}data/", "{0}data/../secret.txt", "{0}data/%2e%2e/secret.txt"),
        *("{0}server.py", "{0}../secret.txt", "{0}..%2fsecret.txt", "{0}data/second.onnx/x"),
        *("{0}none.js", "{0}.html", "{0}data"),
    ],
)
def test_nothing_else_is_served(served, path):
    server, base, folder = served
    with pytest.raises(urllib.error.HTTPError) as caught:
        opened(base + path.format(server.place(folder / "second.onnx")))
    assert caught.value.code == 404
    assert caught.value.headers["Content-Security-Policy"] == POLICY


def test_a_browser_may_load_from_and_send_to_nobody_else(served):
    server, base, folder = served
    place = base + server.place(folder / "second.onnx")
    for name in ("", "browser.js", "data/second.onnx"):
        headers = opened(place + name).headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in POLICY and "http" not in POLICY and "*" not in POLICY
    assert opened(f"{place}browser.js").read() == b"await age();\n\n\n"
    assert 'name="version" content="0.0.0"' in opened(place).read().decode()


def test_the_installed_page_is_as_it_is_expected():
    """The next release of Netron may ask elsewhere, and be told of its file otherwise."""
    spec = viewer.util.find_spec("netron")
    folder = viewer.Path(spec.origin).parent
    script = (folder / "browser.js").read_text(encoding="utf-8")
    assert "await consent();" in script and "await telemetry();" in script
    assert "packaged: this._meta.version && this._meta.version[0] !== '0.0.0'" in script
    assert '<meta name="version" content="' in (folder / "index.html").read_text(encoding="utf-8")


def test_a_file_that_is_gone_is_not_found(served):
    server, base, folder = served
    place = base + server.place(folder / "second.onnx")
    (folder / "second.onnx").unlink()
    with pytest.raises(urllib.error.HTTPError):
        opened(f"{place}data/second.onnx")
