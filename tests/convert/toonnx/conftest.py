"""Files that old TensorFlow releases write, made once by the releases themselves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfgraph.runtimes import runtimes

SCRIPT = Path(__file__).with_name("train_with_tf1.py")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return the folder that a TensorFlow ("tf1.4", "tf1.15", "tf2") wrote, and its outputs."""
    known = {each.name: each for each in runtimes.runtimes()}
    made = {}

    def get(name):
        if name not in known:
            pytest.skip(f"The runtime {name} is not installed: run `make legacy`.")
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            python = known[name].python if name != "tf2" else sys.executable
            done = subprocess.run(
                [str(python), str(SCRIPT), str(folder)],
                capture_output=True,
                text=True,
                env=runtimes.clean_environment(),
            )
            assert done.returncode == 0, done.stderr[-3000:]
            made[name] = folder
        return made[name], dict(np.load(made[name] / "golden.npz"))

    return get
