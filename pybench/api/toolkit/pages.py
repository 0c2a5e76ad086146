# SPDX-License-Identifier: Apache-2.0
"""Self-contained HTML pages with charts. Needs the libraries of the extra `report`."""

from pybench.present.charts import DrawnChart
from pybench.present.charts.intervals import IntervalPoint, interval_chart
from pybench.present.html.page import page_file, render_page

__all__ = ["DrawnChart", "IntervalPoint", "interval_chart", "page_file", "render_page"]
