"""Kill a process in the middle of writing: `make kills`, which writes the table of `README.md`.

The process is killed (SIGKILL) before every chosen step of a write. After that the files must be
complete, in the old state or the new one, and the next run must succeed.
"""

import collections
import sys
import tempfile
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from killing import killed, steps
from scenes import NEW, NONE, OLD, scenes

POINTS = 200
START, END = "<!-- measured -->", "<!-- end -->"


def chosen(counts):
    """Return for each scene the steps at which to kill: evenly spread, `POINTS` in all."""
    points = [(scene, step) for scene, count in enumerate(counts) for step in range(1, count + 1)]
    share = min(1.0, POINTS / len(points))
    picked = {points[int(number / share)] for number in range(min(POINTS, len(points)))}
    return [sorted(step for scene, step in picked if scene == each) for each in range(len(counts))]


def measured(scene, points):
    """Return how often each state was found after a kill, and the errors, a sentence each."""
    found, wrong = collections.Counter(), []
    for point in points:
        with tempfile.TemporaryDirectory() as folder:
            room = Path(folder)
            if scene.over_older:
                scene.write(room, OLD)
            if not killed(partial(scene.write, room, NEW), room, point):
                wrong.append(f"{scene.title}: nothing was killed at step {point}")
                continue
            try:
                found[scene.look(room)] += 1
                scene.write(room, NEW)
                if scene.look(room) != NEW:
                    wrong.append(f"{scene.title}: step {point}: the next run wrote nothing new")
            except Exception as error:
                wrong.append(f"{scene.title}: step {point}: {type(error).__name__}: {error}")
    return found, wrong


def length(scene):
    """Return how many steps a scene takes."""
    with tempfile.TemporaryDirectory() as folder:
        if scene.over_older:
            scene.write(Path(folder), OLD)
        return steps(partial(scene.write, Path(folder), NEW), folder)


def main():
    """Measure, print and write the table. Return 1 if anything went wrong."""
    rows = [
        "| What was written | steps | kills | old | new | none, and says so | wrong |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as home:
        every = scenes(Path(home))
        counts = [length(scene) for scene in every]
        total, failures = collections.Counter(), []
        for scene, count, points in zip(every, counts, chosen(counts), strict=True):
            found, wrong = measured(scene, points)
            failures += wrong
            total += collections.Counter(found, kills=len(points), steps=count)
            states = f"{found[OLD]} | {found[NEW]} | {found[NONE]}"
            rows.append(f"| {scene.title} | {count} | {len(points)} | {states} | {len(wrong)} |")
            print(rows[-1], flush=True)
    states = f"{total[OLD]} | {total[NEW]} | {total[NONE]}"
    rows.append(f"| all | {total['steps']} | {total['kills']} | {states} | {len(failures)} |")
    print("\n".join([rows[-1], *failures]))
    page = HERE / "README.md"
    head, _, rest = page.read_text(encoding="utf-8").partition(START)
    tail = rest.partition(END)[2]
    table = "\n".join(rows)
    page.write_text(f"{head}{START}\n\n{table}\n\n{END}{tail}", encoding="utf-8")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
