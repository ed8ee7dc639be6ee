"""The runner behind `make handoff`: notebooks 01 to 06, headless, each on its own kernel.

`plan` reads what was asked for and the notebooks, `fresh` tells which of them need not run again,
`run` runs the others; `progress` and `summary` are what a person sees.
"""

from nbhelpers.workbook.plan import Settings
from nbhelpers.workbook.run import NotebookFailed, run

__all__ = ["NotebookFailed", "Settings", "run"]
