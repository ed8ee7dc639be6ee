"""Netron's page for single files, served by this kernel: each file behind a token, no tracking.

Netron's own server gives the folder of a file to anybody, and a second file in place of the first.
Its page asks one service for the reader's location, and reports usage to another. This module
serves the page's files as they are installed, with a policy under which a browser contacts nobody
else.
"""

import html
import http.server
import re
import secrets
import shutil
import threading
import urllib.parse
from http import HTTPStatus
from pathlib import Path

from nbhelpers.ui.address import HOST

POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; "
    "form-action 'none'; base-uri 'none'"
)
"""What the page may load and where it may send: the Content-Security-Policy of every answer."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".ico": "image/x-icon",
    ".png": "image/png",
}

_ASKS = re.compile(rb"await (consent|telemetry)\(\);")
"""The place where the page asks for consent. It is not needed, because nothing is reported."""


class NetronServer:
    """A server on a port of the loopback address. `place` returns the address of a file."""

    def __init__(self, page: Path) -> None:
        """Serve Netron's files, which are in the folder `page`, until this process ends."""
        self._files: dict[str, Path] = {}
        self._page = page
        handler = type("_Bound", (_Handler,), {"netron": self})
        self._server = http.server.ThreadingHTTPServer((HOST, 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """The port."""
        return self._server.server_port

    def place(self, file: Path) -> str:
        """Return the unguessable part of the address that opens `file`."""
        token = secrets.token_urlsafe(24)
        self._files[token] = file
        return f"{token}/"

    def answer(self, path: str) -> tuple[str, bytes | Path] | None:
        """Return the type and content for a path such as "/token/index.js", or None."""
        _, token, *rest = urllib.parse.urlsplit(path).path.split("/")
        file = self._files.get(token)
        if file is None or not rest:
            return None
        if rest[0] == "data":
            wanted = rest[1:] == [urllib.parse.quote(file.name)]
            return ("application/octet-stream", file) if wanted else None
        name = rest[0] or "index.html"
        static = self._page / name
        kind = _TYPES.get(static.suffix)
        if rest[1:] or kind is None or not re.fullmatch(r"[\w-][\w.-]*", name):
            return None
        if name == "index.html":
            return kind, _index(static.read_text(encoding="utf-8"), file.name).encode()
        return (kind, _ASKS.sub(b"", static.read_bytes())) if static.is_file() else None


class _Handler(http.server.BaseHTTPRequestHandler):
    netron: NetronServer

    def do_GET(self) -> None:
        """Send the content, or an error 404."""
        found = self.netron.answer(self.path)
        if found is None or (isinstance(found[1], Path) and not found[1].is_file()):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        kind, content = found
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if isinstance(content, Path):
            with content.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)
        else:
            self.wfile.write(content)

    def end_headers(self) -> None:
        """Add the headers of every answer, including errors."""
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing on the console."""


def _index(page: str, name: str) -> str:
    """Return Netron's page set to open the file. As version 0.0.0 it reports nothing."""
    quoted = urllib.parse.quote(name)
    about = {"type": "Python", "version": "0.0.0", "file": f"data/{quoted}", "identifier": name}
    tags = "\n".join(
        f'<meta name="{key}" content="{html.escape(value)}">' for key, value in about.items()
    )
    return re.sub(r'<meta name="version" content="[^"]*">', lambda _: tags, page)
