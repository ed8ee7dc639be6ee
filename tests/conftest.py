"""Fixtures for the tests of every environment."""

import os
import shutil
import subprocess

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 KiB, where the test may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("a small disk is mounted by root only; tests with a counted disk run anyway")
    mounting = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts no tmpfs; tests with a counted disk run anyway")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
