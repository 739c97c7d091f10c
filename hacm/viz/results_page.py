"""All results as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from hacm.experiments import report
from hacm.files import make_folder, write_text
from hacm.training.evaluate import NAMES
from hacm.viz import results as figures

if TYPE_CHECKING:
    from pandas import DataFrame

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th, td { padding: 0.25em 0.8em; border-bottom: 1px solid #ccc; text-align: left }
.wide { overflow-x: auto }
"""


def write_page(results: DataFrame, curves: DataFrame, out: str | Path, reference: str = "") -> None:
    """Write tables, intervals, curves, diagnostics and remarks to an HTML file, atomically.

    Args:
        results, curves: from `hacm.experiments.collect`.
        out: the file.
        reference: the variant that differences are taken from (see `paired_differences`).
    """
    parts = ["<h1>Results</h1>", _list("What the tables do not show", report.remarks(results))]
    drawn: list[go.Figure] = []

    def draw(figure: go.Figure) -> str:
        drawn.append(figure)
        # The library goes into the page once, with the first figure.
        return figure.to_html(full_html=False, include_plotlyjs=len(drawn) == 1)

    for protocol in report.protocols(results):
        parts.append(f"<h2>{escape(NAMES.get(protocol, protocol))}</h2>")
        parts.append(_html(report.score_table(results, protocol)))
        parts.append(draw(figures.seed_points(results, protocol)))
        differences = report.paired_differences(results, protocol, reference)
        if len(differences):
            parts.append("<h3>Differences, paired by seed, with 95 % intervals</h3>")
            parts.append(_html(differences))
            parts.append(draw(figures.difference_intervals(differences)))
        beside, sources = report.comparison(results, protocol)
        parts.append("<h3>Beside published numbers</h3>" + _html(beside))
        parts.append("<ol>" + "".join(f"<li>{escape(source)}</li>" for source in sources) + "</ol>")
    if len(curves):
        parts.append("<h2>Training</h2>" + draw(figures.loss_by_variant(curves)))
        if curves["entropy_temporal"].notna().any():
            parts.append(draw(figures.mask_by_variant(curves)))
    page = "\n".join(parts)
    out = Path(out)
    make_folder(out.parent)
    write_text(
        out,
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Results</title>'
        f"<style>{_STYLE}</style></head><body>{page}</body></html>\n",
    )


def _html(table: DataFrame) -> str:
    """A table with one digit after the point, per cent and seconds alike; empty stays empty."""
    text = table.to_html(index=False, border=0, na_rep="", float_format="{:.1f}".format)
    return f'<div class="wide">{text}</div>'


def _list(title: str, sentences: list[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<h2>{title}</h2><ul>{items}</ul>"
