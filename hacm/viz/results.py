"""Pictures of many runs: every seed's score, paired differences, training curves, masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hacm.errors import HacmError
from hacm.training.evaluate import NAMES
from hacm.viz import theme

if TYPE_CHECKING:
    from pandas import DataFrame


def seed_points(results: DataFrame, protocol: str) -> go.Figure:
    """Every seed's accuracy, filled after and hollow before pretraining; a line at each mean.

    Args:
        results: from `hacm.experiments.collect`.
        protocol: whose accuracies.

    Raises:
        HacmError: the protocol has no results.
    """
    rows = results[results["protocol"] == protocol]
    figure, colors = _stacked(rows, "per cent"), _colors(rows)
    for row, (sweep, _), group in _panels(rows):
        for variant, runs in group.groupby("variant", sort=False):
            points = {"mode": "markers", "showlegend": False, "row": row, "col": 1}
            color = colors[sweep, variant]
            names = [str(variant)] * len(runs)
            hover = [f"{variant}, seed {seed:g}" for seed in runs["seed"]]
            for column, symbol in (("untrained", "circle-open"), ("accuracy", "circle")):
                figure.add_scatter(
                    x=names,
                    y=100 * runs[column],
                    text=[f"{name}, {column}" for name in hover],
                    marker={"color": color, "symbol": symbol, "size": 9, "opacity": 0.8},
                    hovertemplate="%{text}: %{y:.1f} %<extra></extra>",
                    **points,
                )
            figure.add_scatter(
                x=names[:1],
                y=[100 * runs["accuracy"].mean()],
                marker={"color": color, "symbol": "line-ew-open", "size": 28, "line_width": 2},
                hovertemplate=f"{variant}, mean: %{{y:.1f}} %<extra></extra>",
                **points,
            )
    hollow = " (hollow: untrained encoder)" if rows["untrained"].notna().any() else ""
    return _styled(figure, rows, f"{NAMES.get(protocol, protocol)}: every seed{hollow}")


def difference_intervals(differences: DataFrame, title: str = "Paired differences") -> go.Figure:
    """Mean differences with their 95 % intervals; hollow where a single seed gives none.

    Args:
        differences: from `hacm.experiments.report.paired_differences`.
        title: above the figure.
    """
    figure = go.Figure()
    names = [
        " / ".join(part for part in (row.sweep, row.data, f"{row.reference} − {row.other}") if part)
        for row in differences.itertuples()
    ]
    single = differences["n"] < 2
    figure.add_scatter(
        x=differences["mean"],
        y=names,
        error_x={
            "type": "data",
            "array": (differences["high"] - differences["mean"]).fillna(0),
            "color": theme.LEFT,
        },
        mode="markers",
        marker={
            "size": 10,
            "color": theme.LEFT,
            "symbol": ["circle-open" if alone else "circle" for alone in single],
        },
        text=[
            f"n = {n}: {words}"
            for n, words in zip(differences["n"], differences["reading"], strict=True)
        ],
        hovertemplate="%{y}: %{x:.1f} points<br>%{text}<extra></extra>",
    )
    figure.add_vline(0, line={"color": theme.TEXT, "dash": "dot"})
    figure.update_xaxes(title="points, 95 % interval")
    figure.update_yaxes(autorange="reversed")
    return theme.style(figure, title, 120 + 34 * len(names))


def loss_by_variant(curves: DataFrame) -> go.Figure:
    """Training loss, the mean over seeds; comparable only between variants with one target."""
    return _lines(curves, {"loss": "solid"}, "loss", "Training (mean over seeds)")


def mask_by_variant(curves: DataFrame) -> go.Figure:
    """How far the criteria steer: entropy of the sampling weights over uniform; 1 is random."""
    groups = {"entropy_temporal": "solid", "entropy_spatial": "dot"}
    return _lines(
        curves, groups, "entropy / uniform", "Masks (solid: temporal group, dotted: spatial group)"
    )


def _lines(curves: DataFrame, columns: dict[str, str], axis: str, title: str) -> go.Figure:
    figure, colors = _stacked(curves, axis), _colors(curves)
    for row, (sweep, _), panel in _panels(curves):
        legend = "legend" if row == 1 else f"legend{row}"
        for variant, runs in panel.groupby("variant", sort=False):
            means = {
                column: runs.dropna(subset=[column]).groupby("epoch")[column].mean()
                for column in columns
            }
            drawn = [column for column, mean in means.items() if len(mean)]
            for column in drawn:
                figure.add_scatter(
                    x=means[column].index,
                    y=means[column],
                    **{"name": str(variant), "legendgroup": str(variant), "legend": legend},
                    showlegend=column == drawn[0],
                    mode="lines" if len(means[column]) > 1 else "markers",
                    line={"dash": columns[column], "color": colors[sweep, variant]},
                    **{"row": row, "col": 1},
                )
        top = next(figure.select_yaxes(row=row, col=1)).domain[1]
        figure.update_layout({legend: {"y": top, "yanchor": "top"}})
    figure.update_xaxes(title="epoch", row=row)
    return _styled(figure, curves, title)


def _panels(rows: DataFrame) -> Iterator[tuple[int, tuple[str, str], DataFrame]]:
    """One panel a sweep and data set: its row in the figure, these two names, its runs."""
    for row, (key, group) in enumerate(rows.groupby(["sweep", "data"], sort=False), start=1):
        yield row, key, group


def _stacked(rows: DataFrame, axis: str) -> go.Figure:
    keys = [key for _, key, _ in _panels(rows)]
    if not keys:
        raise HacmError("there is nothing to draw: no run has such results")
    titles = [
        " / ".join(str(part) for part in key if part) + _labels_used(group)
        for _, key, group in _panels(rows)
    ]
    figure = make_subplots(len(keys), 1, subplot_titles=titles, vertical_spacing=0.35 / len(keys))
    return figure.update_yaxes(title=axis)


def _labels_used(runs: DataFrame) -> str:
    """How many sequences' labels the results rest on, where the rows say it."""
    known = runs["train"].dropna().unique() if "train" in runs else []
    return f" ({', '.join(f'{n:g}' for n in sorted(known))} labelled)" if len(known) else ""


def _styled(figure: go.Figure, rows: DataFrame, title: str) -> go.Figure:
    panels = len(list(_panels(rows)))
    theme.style(figure, title, 120 + 260 * panels)
    return figure.update_layout(margin={"t": 80})


def _colors(rows: DataFrame) -> dict[tuple[str, str], str]:
    """A colour a sweep and variant, the same on all data; `hacm` has the first one everywhere."""
    names = rows[["sweep", "variant"]].drop_duplicates()
    names = names.sort_values("variant", key=lambda variant: variant != "hacm", kind="stable")
    order = names.groupby("sweep", sort=False).cumcount() % len(theme.QUALITATIVE)
    pairs = zip(names["sweep"], names["variant"], strict=True)
    return {pair: theme.QUALITATIVE[i] for pair, i in zip(pairs, order, strict=True)}
