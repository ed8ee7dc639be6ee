"""The folder of the checkout, for tests that start a Python of their own."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONPATH = os.pathsep.join([str(ROOT), str(ROOT / "engine")])
"""The PYTHONPATH that makes `nbhelpers` and the engine importable."""
