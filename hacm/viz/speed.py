"""The figures of `make bench`: what a training step costs, and how that grows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hacm.errors import HacmError
from hacm.viz import theme

if TYPE_CHECKING:
    from pandas import DataFrame


def load_benchmark(path: str | Path) -> dict[str, Any]:
    """What `make bench` wrote, by part.

    Raises:
        HacmError: no such file, or not a benchmark's.
    """
    path = Path(path)
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HacmError(f"{path}: there is no such file; `make bench` writes one") from None
    except ValueError:
        results = None
    if not isinstance(results, dict) or "machine" not in results:
        raise HacmError(f"{path}: not the results of `make bench`")
    return results


def step_table(rows: Sequence[dict[str, Any]]) -> DataFrame:
    """A row a step: seconds, times faster than the first, operations, share of the peak."""
    import pandas as pd

    table = [
        {
            "step": _label(row),
            "seconds": row["seconds"]["median"],
            "times faster": row["times_faster"]["median"],
            "low": row["times_faster"]["low"],
            "high": row["times_faster"]["high"],
            "GFLOP": row["operations"] / 1e9 if "operations" in row else None,
            "% of peak": 100 * row["share_of_peak"]["median"] if "operations" in row else None,
            "changes in the result": row["changes_in_result"] or "-",
        }
        for row in rows
        if "seconds" in row
    ]
    return pd.DataFrame(table).set_index("step")


def times_faster(rows: Sequence[dict[str, Any]], title: str = "Times faster") -> go.Figure:
    """A bar a step, median of the rounds, with lines from the slowest to the fastest round."""
    rows = [row for row in rows if "seconds" in row]
    ratio = [row["times_faster"] for row in rows]
    own = [not row["step"].startswith(("plain", "MAMP, plain")) for row in rows]
    figure = go.Figure(
        go.Bar(
            x=[each["median"] for each in ratio],
            y=[_label(row) for row in rows],
            orientation="h",
            marker={"color": [theme.LEFT if ours else theme.TRUNK for ours in own]},
            error_x={
                "type": "data",
                "array": [each["high"] - each["median"] for each in ratio],
                "arrayminus": [each["median"] - each["low"] for each in ratio],
                "color": theme.TEXT,
                "thickness": 1,
            },
            text=[f"{each['median']:.1f} x" for each in ratio],
            textposition="inside",
            insidetextanchor="start",
            hovertemplate="%{y}: %{x:.2f} times<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title=f"times faster than the {rows[0]['step']}", rangemode="tozero")
    return theme.style(figure, title, 120 + 28 * len(rows))


def growth_exponents(rows: Sequence[dict[str, Any]]) -> DataFrame:
    """Slope of log seconds over log size, a row an axis: 1 is linear, 2 quadratic."""
    import pandas as pd

    slopes = {
        axis: {
            step: np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
            for step, sizes, seconds in _lines(rows, axis)
        }
        for axis in _axes(rows)
    }
    return pd.DataFrame(slopes).T


def growth(rows: Sequence[dict[str, Any]], title: str = "How a step grows") -> go.Figure:
    """Seconds a step over batch, frames, joints and width, both axes logarithmic."""
    axes = _axes(rows)
    figure = make_subplots(1, len(axes), subplot_titles=axes, shared_yaxes=True)
    for column, axis in enumerate(axes, start=1):
        for number, (step, sizes, seconds) in enumerate(_lines(rows, axis)):
            figure.add_scatter(
                x=sizes,
                y=seconds,
                name=step,
                legendgroup=step,
                showlegend=column == 1,
                mode="lines+markers",
                line={"color": theme.QUALITATIVE[number]},
                hovertemplate=f"{step}, {axis} %{{x}}: %{{y:.3f}} s<extra></extra>",
                row=1,
                col=column,
            )
            figure.update_xaxes(type="log", tickvals=sizes, ticktext=sizes, row=1, col=column)
    figure.update_yaxes(type="log", dtick="D2")
    figure.update_yaxes(title="seconds", row=1, col=1)
    theme.style(figure, title, 420, showlegend=True)
    return figure.update_layout(margin={"t": 90})


def _label(row: dict[str, Any]) -> str:
    """An indented step is the last unindented one with something more."""
    step = row["step"]
    return f"+ {step.strip()}" if step.startswith(" ") else step


def _axes(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["axis"] for row in rows))


def _lines(rows: Sequence[dict[str, Any]], axis: str) -> list[tuple[str, list[float], list[float]]]:
    """Step, sizes and median seconds of every line along an axis."""
    here = [row for row in rows if row["axis"] == axis]
    return [
        (
            step,
            [row["size"] for row in here if row["step"] == step],
            [row["seconds"]["median"] for row in here if row["step"] == step],
        )
        for step in dict.fromkeys(row["step"] for row in here)
    ]
