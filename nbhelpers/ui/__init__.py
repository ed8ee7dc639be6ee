"""What a person sees: tables, pictures of graphs, Netron, and the receiver's page. No logic.

Every function returns an object that JupyterLab displays and that prints as plain text elsewhere.
Importing this package shows, starts and configures nothing.
"""

from nbhelpers.ui import widgets
from nbhelpers.ui.drift import drift_picture
from nbhelpers.ui.parity_picture import parity_picture
from nbhelpers.ui.pictures import FlowPicture, Picture, flow_picture, histogram_picture
from nbhelpers.ui.report import ReportData, report_html
from nbhelpers.ui.report_data import report_data
from nbhelpers.ui.tables import Table, handoff_status, table
from nbhelpers.ui.values import value_line, value_picture
from nbhelpers.ui.viewer import ModelView, netron_view

__all__ = [
    "FlowPicture",
    "ModelView",
    "Picture",
    "ReportData",
    "Table",
    "drift_picture",
    "flow_picture",
    "handoff_status",
    "histogram_picture",
    "netron_view",
    "parity_picture",
    "report_data",
    "report_html",
    "table",
    "value_line",
    "value_picture",
    "widgets",
]
