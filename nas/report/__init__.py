"""What a run found, as one offline HTML page: `render(ReportData(...))`. Imports neither torch nor pandas."""

from __future__ import annotations

from nas.report.content import ReportData
from nas.report.page import render

__all__ = ["ReportData", "render"]
