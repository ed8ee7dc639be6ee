"""Run Grappler for another process: it is native code, and may crash or hang.

Standard input brings, again and again, a ConfigProto and a MetaGraphDef; standard output answers
with "ok" and the optimised GraphDef, or with "failed" and the reason. Each of them is a frame: its
length in 8 bytes, then its bytes. Only TensorFlow's native library is loaded, without the Python
package around it, which takes ten times as long.
"""

import importlib.util
import os
import sys
import types
from typing import IO


def main() -> None:
    """Optimise what comes in, until nothing more comes."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints is no answer
    _lean_packages()
    from tensorflow.python import pywrap_tensorflow  # noqa: F401 (loads the library)
    from tensorflow.python.grappler import _pywrap_tf_cluster, _pywrap_tf_optimizer

    cluster = _pywrap_tf_cluster.TF_NewCluster(False, True)
    while (config := read_frame(sys.stdin.buffer)) is not None:
        meta_graph = read_frame(sys.stdin.buffer)
        try:
            optimised = _pywrap_tf_optimizer.TF_OptimizeGraphSerialized(
                cluster, config, meta_graph, False, "graph_to_optimize", False
            )
        except Exception as error:  # noqa: BLE001 (whatever it is, the other side wants to know)
            write_frames(answers, b"failed", str(error).encode())
        else:
            write_frames(answers, b"ok", optimised)


def read_frame(stream: IO[bytes]) -> bytes | None:
    """Return the next frame, or None if the other side has gone."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "little")
    content = stream.read(size)
    return content if len(content) == size else None


def write_frames(stream: IO[bytes], *contents: bytes) -> None:
    """Write each content as a frame."""
    for content in contents:
        stream.write(len(content).to_bytes(8, "little"))
        stream.write(content)
    stream.flush()


def _lean_packages() -> None:
    """Let modules inside TensorFlow be imported without its packages' own start-up."""
    spec = importlib.util.find_spec("tensorflow")
    assert spec is not None
    folder = os.path.dirname(str(spec.origin))
    for name, path in (("tensorflow", ""), ("tensorflow.python", "python")):
        package = types.ModuleType(name)
        package.__path__ = [os.path.join(folder, path)]
        sys.modules[name] = package


if __name__ == "__main__":
    main()
