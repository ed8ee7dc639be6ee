"""Widgets to click. Each gives the result of a plain call, and a static view without a browser."""

from nbhelpers.ui.widgets.choosing import model_panel
from nbhelpers.ui.widgets.dashboard import parity_dashboard
from nbhelpers.ui.widgets.display import Shown
from nbhelpers.ui.widgets.explorer import tensor_explorer
from nbhelpers.ui.widgets.signing import signature_builder, signature_table

__all__ = [
    "Shown",
    "model_panel",
    "parity_dashboard",
    "signature_builder",
    "signature_table",
    "tensor_explorer",
]
