"""Write RESULTS.md from the results in `build/bench`, with the limits beside the measurements."""

import machine
import plot
import results
from cells import baseline
from report_conversion import conversion_lines
from report_graphs import answer_lines, latency_lines, legacy_lines, without_onednn_lines
from report_growth import growth_lines

HEAD = """# Speed and memory

Made by `make bench`, in one run on one machine. Read the ratios within a row, not the milliseconds.
"""

SECTIONS = {
    "conversion": conversion_lines,
    "latency": latency_lines,
    "without_onednn": without_onednn_lines,
    "answer": answer_lines,
    "legacy": legacy_lines,
    "growth": growth_lines,
}


def write(path):
    """Write the report, and the plot beside it. Parts that were not measured are left out."""
    lines = [HEAD, *machine.lines()]
    for part, section in SECTIONS.items():
        if results.load(part):
            lines += ["", *section()]
    if results.load("growth"):
        plot.draw(path.with_name("growth.svg"), baseline())
    text = "\n".join(lines).rstrip() + "\n"
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    path.write_text(text, encoding="utf-8")
