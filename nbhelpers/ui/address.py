"""The address at which a user's browser reaches a port of this machine.

If JupyterLab runs on the same machine as the browser, the browser opens the port itself. If
JupyterLab listens to other machines or runs in a JupyterHub, jupyter-server-proxy serves the port
below JupyterLab's own address, protected by its password.
"""

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from graphcore.errors import Refusal
from graphcore.reading import read_json

HOST = "127.0.0.1"
"""The address to listen on. Only this machine can reach it."""

_EXTENSION = "lab/extensions/@jupyterhub/jupyter-server-proxy/package.json"
_LOOPBACK = ("localhost", HOST, "::1")


def browser_address(port: int) -> str:
    """Return the address at which a browser reaches a port on the loopback address.

    Raises:
        Refusal: JupyterLab is remote and cannot serve ports. The message says what is missing.
    """
    server = _server()
    if not _is_remote(server):
        return f"http://{HOST}:{port}/"
    if not _has_proxy(server):
        raise Refusal(
            "JupyterLab runs on another machine, and the environment that runs it lacks "
            "jupyter-server-proxy. Run `make setup` there."
        )
    return f"{server['base_url']}proxy/{port}/"


def _server() -> dict[str, Any]:
    """Return what the Jupyter server of this kernel wrote about itself, or {}."""
    from jupyter_core.paths import jupyter_runtime_dir

    about = Path(jupyter_runtime_dir()) / f"jpserver-{os.environ.get('JPY_PARENT_PID')}.json"
    form = {"hostname": str, "url": str, "base_url": str}
    try:
        return read_json(about, "says nothing", error=Refusal, advice="-", form=form)
    except (FileNotFoundError, Refusal):
        return {}


def _is_remote(server: dict[str, Any]) -> bool:
    if not server:
        return False
    return "JUPYTERHUB_SERVICE_PREFIX" in os.environ or server["hostname"] not in _LOOPBACK


def _has_proxy(server: dict[str, Any]) -> bool:
    """Whether the server has the extension. One file of it is readable without a password."""
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        directly.open(f"{server['url']}{_EXTENSION}", timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code != 404
    except OSError:
        return True  # this machine cannot check (name, certificate), but a browser may reach it
    return True
