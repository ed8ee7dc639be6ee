"""The workflow of GitHub does what `.ci/run` does, and may do nothing else."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(TEXT)
(JOB,) = WORKFLOW["jobs"].values()


def test_it_only_calls_the_script_on_two_cores():
    commands = [step["run"] for step in JOB["steps"] if "run" in step]
    assert commands == ["taskset -c 0,1 bash .ci/run"]
    assert (ROOT / ".ci" / "run").is_file()


def test_it_has_python_3_11_and_an_hour():
    (python,) = (step for step in JOB["steps"] if "setup-python" in step.get("uses", ""))
    assert python["with"]["python-version"] == "3.11"
    assert JOB["timeout-minutes"] == 60


def test_it_may_only_read_and_keeps_no_token():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOB
    assert "secrets." not in TEXT
    (checkout,) = (step for step in JOB["steps"] if "actions/checkout" in step.get("uses", ""))
    assert checkout["with"]["persist-credentials"] is False


def test_every_action_is_pinned_by_its_commit_with_the_tag_beside_it():
    used = [line.strip() for line in TEXT.splitlines() if "uses:" in line]
    assert len(used) == 2
    for line in used:
        assert re.fullmatch(r"- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
