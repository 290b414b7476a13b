"""Figures as static SVG: pure functions from finished numbers and texts to a `Drawing`.

Nothing here knows a language, a currency or a document: callers hand in texts that are ready to
print, in the order in which they are to appear. The same input gives the same bytes. Every text is
cleaned and escaped here, so callers need not.

A drawing fills the width it is given without scaling its text: places along the x axis are
percentages of the plot, everything else is in CSS pixels. What cannot be told in 320 pixels (a
heat map of many columns) has a least `width` and is to be put where it can scroll.

| function | shows |
|---|---|
| `bars` | one or two values of each row, label above its bars |
| `diverging` | values around zero, with whiskers |
| `funnel` | steps that lose some at each, with what goes on in between |
| `columns` | few values upright: weekdays, months |
| `lines` | one or more panels over one x axis, one or more lines in each |
| `dots` | measured points with whiskers, one of them chosen |
| `sparkline` | a line without axes, for a cell of a table |
| `heat` | numbers printed on a colour each: grids, features by segment, cohorts (ragged rows) |
| `strip` | values on one line, two of them marked, for a cell of a table |
| `timeline` | what happened one after the other, in lanes, each as high as it weighs |
| `flows` | a Sankey diagram between two or more columns |
| `scatter` | points on a plane, in groups |
"""

from shoal.report.draw.bars import bars, diverging, funnel
from shoal.report.draw.canvas import Drawing, Series
from shoal.report.draw.columns import columns
from shoal.report.draw.dots import Dot, dots
from shoal.report.draw.flows import Flow, Node, flows
from shoal.report.draw.heat import heat
from shoal.report.draw.lines import Band, Panel, lines, sparkline
from shoal.report.draw.scale import date_ticks, round_ticks
from shoal.report.draw.scatter import Cloud, scatter
from shoal.report.draw.strip import strip
from shoal.report.draw.timeline import Happened, timeline

__all__ = [
    "Band",
    "Cloud",
    "Dot",
    "Drawing",
    "Flow",
    "Happened",
    "Node",
    "Panel",
    "Series",
    "bars",
    "columns",
    "date_ticks",
    "diverging",
    "dots",
    "flows",
    "funnel",
    "heat",
    "lines",
    "round_ticks",
    "scatter",
    "sparkline",
    "strip",
    "timeline",
]
