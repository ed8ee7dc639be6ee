"""A process that is killed before one of its steps in a folder: opening, renaming, removing."""

import os
import signal
import sys

STEPS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}
"""Events of Python's audit hooks that come before a file or a folder changes."""

EXCHANGE = "ctypes.dlsym"
"""The event before two folders are swapped, because Python looks up the system's function."""


def steps(work, room):
    """Return how many steps `work` takes inside the folder `room`."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        seen = 0

        def count(event, arguments):
            nonlocal seen
            seen += _is_step(event, arguments, room)

        sys.addaudithook(count)
        _done(work)
        os.write(writer, str(seen).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        count = int(said.read())
    os.waitpid(child, 0)
    return count


def killed(work, room, point):
    """Do `work` in a process that is killed before its step of that number.

    Return whether it was killed.
    """
    child = os.fork()
    if not child:
        left = point

        def count(event, arguments):
            nonlocal left
            if _is_step(event, arguments, room):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        _done(work)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _is_step(event, arguments, room):
    if event == EXCHANGE:
        return arguments[1] in ("renameat2", "renamex_np")
    return event in STEPS and str(room) in str(arguments[0])


def _done(work):
    try:
        work()
    except BaseException as error:
        print(f"failed without a kill: {type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)
