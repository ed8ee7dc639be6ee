"""Another program: its limit, its group, and in words how it ended and what it had used."""

import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
import pytest

import graphcore
from graphcore import processes
from graphcore.line_process import LineProcess
from graphcore.machine import free_memory, killed_for_memory
from graphcore.worker_process import Ended, Failed, WorkerProcess

HOLD = "import os, signal, sys, time; held = b'x' * 200_000_000; time.sleep(0.8);"
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def run(code, **options):
    return processes.run([sys.executable, "-c", code], **{"limit": 60, **options})


def test_a_program_that_ends_well_says_nothing_else():
    done = run("print('one'); print('two'); print()")
    assert (done.ending, done.last_line, done.output) == ("", "two", "one\ntwo\n\n")


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("import os; os.abort()", "crashed (SIGABRT)"),
        ("raise SystemExit(3)", "ended with status 3: it printed nothing"),
        ("raise ValueError('no such op')", "ended with status 1: ValueError: no such op"),
    ],
)
def test_how_it_ended_is_said(code, ending):
    assert run(code).ending == ending


def test_one_that_was_killed_for_memory_is_said_so_with_what_it_had_used():
    done = run(HOLD + KILL)
    assert done.ending == (
        "crashed (SIGKILL: the system killed it, as it does when memory runs out, "
        "when it had used 0.2 GB of memory)"
    )
    assert 200_000_000 < done.peak < 400_000_000
    said = run(HOLD + "raise MemoryError('no room')").ending
    assert said == "ended with status 1: MemoryError: no room (it had used 0.2 GB of memory)"


def test_where_linux_counts_it_there_is_no_doubt(monkeypatch):
    counts = iter([4, 5])
    monkeypatch.setattr(processes, "killed_for_memory", lambda: next(counts))
    assert "killed it, because memory ran out, when it had used" in run(HOLD + KILL).ending


def test_at_its_limit_it_ends_with_all_that_it_had_started(tmp_path):
    code = (
        "import pathlib, subprocess, sys, time\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(other.pid))\n"
        "time.sleep(99)"
    )
    done = processes.run([sys.executable, "-c", code, tmp_path / "pid"], limit=2)
    assert done.ending == "gave no answer in 2 s"
    assert _gone(int((tmp_path / "pid").read_text()))


def test_what_it_left_behind_ends_too(tmp_path):
    code = (
        "import subprocess, sys\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']).pid)"
    )
    assert _gone(int(run(code).last_line))


def test_an_interrupt_ends_it(monkeypatch):
    started = []
    plain = processes.Program.__init__

    def begun(self, *arguments, **options):
        plain(self, *arguments, **options)
        started.append(self.process)
        monkeypatch.setattr(self.process, "wait", interrupted)

    def interrupted(*_):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(processes.Program, "__init__", begun)
    with pytest.raises(KeyboardInterrupt):
        run("import time; time.sleep(99)")
    assert started[0].poll() is not None


def test_a_worker_that_is_killed_says_why(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"{HOLD}\ndef answering():\n    return lambda request: {KILL}\n")
    with pytest.raises(Ended, match=r"SIGKILL: the system .* it had used 0\.2 GB of") as caught:
        WorkerProcess(script).ask("go", timeout=60)
    assert caught.value.advice("Look") == "Free memory, or feed smaller inputs"
    assert Ended("crashed", crash="SIGSEGV").advice("Look") == "Look"


ECHO = "def answering():\n    return lambda request: request"


def test_what_a_worker_raises_comes_back_by_name_and_it_lives_on(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("def answering():\n    return lambda text: int(text)\n")
    worker = WorkerProcess(script)
    with pytest.raises(Failed, match=r"invalid literal.*'one'") as caught:
        worker.ask("one", timeout=60)
    assert caught.value.kind == "ValueError"
    assert worker.ask("1", timeout=60) == 1 and worker.started == 1


@pytest.mark.parametrize("size", [3, 2**20])
def test_arrays_come_back_as_they_went_and_aligned(tmp_path, size):
    script = tmp_path / "script.py"
    script.write_text(
        "def answering():\n    return lambda array: (array.ctypes.data % 64, array + 1)\n"
    )
    array = np.arange(size, dtype=np.float32)
    place, seen = WorkerProcess(script).ask(array, timeout=60)
    np.testing.assert_array_equal(seen, array + 1)
    assert place == 0


def test_a_worker_that_takes_too_long_is_ended(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import time\ndef answering():\n    return time.sleep\n")
    worker = WorkerProcess(script)
    assert worker.ask(0, timeout=60) is None
    with pytest.raises(Ended, match=r"^gave no result in 1 s$"):
        worker.ask(99, timeout=1)


def test_an_idle_worker_ends_and_the_next_request_starts_another(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ECHO)
    worker = WorkerProcess(script, idle=0.5)
    assert worker.ask("hello", timeout=60) == "hello"
    first = worker.start()
    assert _gone(first.pid)
    assert worker.ask("hello", timeout=60) == "hello" and worker.started == 2
    worker.end()


def test_a_worker_that_is_used_does_not_idle(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ECHO)
    worker = WorkerProcess(script, idle=1.0)
    for _ in range(8):
        time.sleep(0.2)
        assert worker.ask("hello", timeout=60) == "hello"
    assert worker.started == 1
    worker.end()


def test_a_program_ends_with_the_last_reference_to_it(tmp_path):
    program = processes.Program([sys.executable, "-c", "import time; time.sleep(99)"])
    pid = program.process.pid
    del program
    assert _gone(pid)


PARENT = """
import sys, threading
from pathlib import Path
from graphcore.processes import run
from graphcore.worker_process import WorkerProcess

SLEEPER = "import os, time; open({!r}, 'w').write(str(os.getpid())); time.sleep(99)"
folder = Path(sys.argv[1])
(folder / "worker.py").write_text(SLEEPER.format(str(folder / "worker")))
worker = WorkerProcess(folder / "worker.py")
worker.start()
run([sys.executable, "-c", SLEEPER.format(str(folder / "program"))], limit=99)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Windows has no process groups")
def test_programs_and_workers_end_when_their_parent_is_killed(tmp_path):
    path = str(Path(graphcore.__file__).parents[1])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], env={**os.environ, "PYTHONPATH": path}
    )
    children = [tmp_path / "worker", tmp_path / "program"]
    while not all(child.is_file() and child.read_text() for child in children):
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    assert all(_gone(int(child.read_text())) for child in children)


def test_what_needs_more_than_is_free_is_announced_before_it_runs():
    with pytest.warns(
        UserWarning, match=r"needs about \d+\.\d GB of memory, but only \d+\.\d GB are free"
    ):
        assert run("print(1)", needs=10 * free_memory()).ending == ""
    with warnings.catch_warnings(action="error"):
        run("print(1)", needs=1)
    assert killed_for_memory() >= 0


def test_two_heavy_programs_take_turns_and_light_ones_do_not_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_lock_file", lambda: tmp_path / "heavy.lock")
    heavy = int(0.8 * free_memory())
    ended = []
    with processes.turn(heavy, "one"):
        waiting = threading.Thread(target=lambda: ended.append(run("print(1)", needs=heavy)))
        waiting.start()
        run("print(2)", needs=1)
        assert not ended, "it waits for its turn"
    waiting.join()
    assert ended[0].last_line == "1"


def _gone(pid: int) -> bool:
    """Whether a process has ended, though its parent may not have asked how."""
    try:
        psutil.Process(pid).wait(10)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return not Path(f"/proc/{pid}").exists()


SLOW = """
import sys, time
for number in range(5):
    open(sys.argv[1], "a").write("step ")
    time.sleep(0.7)
"""


def test_each_sign_of_progress_starts_the_limit_again(tmp_path):
    file = tmp_path / "steps"
    options = {"limit": 1.5, "progress": lambda: file.exists() and file.read_text()}
    done = processes.run([sys.executable, "-c", SLOW, file], **options)
    assert done.ending == "" and file.read_text().split() == ["step"] * 5
    stuck = processes.run([sys.executable, "-c", "import time; time.sleep(99)"], **options)
    assert stuck.ending == "gave no answer in 1.5 s" and stuck.late == "1.5 s"


LINES = """
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    if request == "die":
        sys.exit("out of luck")
    time.sleep(request)
    print(json.dumps({"slept": request}), flush=True)
"""


@pytest.mark.parametrize(
    ("request_", "how"),
    [("die", "ended with status 1: out of luck"), (99, "gave no answer in 1 s")],
)
def test_a_program_that_answers_in_lines_says_how_it_ended_each_time(request_, how):
    program = LineProcess([sys.executable, "-c", LINES])
    assert program.ask(0, timeout=60) == {"slept": 0}
    for _ in range(2):
        with pytest.raises(Ended, match=f"^{how}$"):
            program.ask(request_, timeout=1)


def test_what_cannot_be_started_says_so_and_leaves_no_guard(tmp_path):
    before = {each.pid for each in psutil.Process().children()}
    with pytest.raises(FileNotFoundError):
        processes.run([tmp_path / "missing"], limit=1)
    assert {each.pid for each in psutil.Process().children()} <= before
