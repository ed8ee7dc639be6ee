"""The runner behind `make handoff`: it runs notebooks 01 to 06 headless, each on its own kernel.

`plan` reads the settings and the notebooks, `up_to_date` finds those that need no run, and `run`
runs the others. `progress` and `summary` print the progress and the result.
"""

from nbhelpers.workbook.plan import Settings
from nbhelpers.workbook.run import NotebookFailed, run

__all__ = ["NotebookFailed", "Settings", "run"]
