"""Pictures of training and of what was learned: curves, confusion matrices, feature maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int

from hacm.errors import HacmError
from hacm.viz import theme


def loss_curves(
    metrics: Sequence[Mapping[str, Any]],
    keys: Sequence[str] = ("loss", "reconstruction", "contrast"),
    x: str = "epoch",
    title: str = "Training",
    log: bool = False,
) -> go.Figure:
    """Lines of some of the metrics a run has logged.

    Args:
        metrics: one mapping a line of metrics.jsonl.
        keys: what to draw; keys that were never logged are left out.
        x: the key along the axis.
        title: above the figure.
        log: logarithmic axis.

    Raises:
        HacmError: none of the keys was logged.
    """
    figure = go.Figure()
    for key in keys:
        rows = [row for row in metrics if isinstance(row.get(key), int | float) and x in row]
        if rows:
            figure.add_scatter(
                x=[row[x] for row in rows],
                y=[row[key] for row in rows],
                mode="lines" if len(rows) > 1 else "markers",
                name=key,
            )
    if not figure.data:
        logged = sorted({key for row in metrics for key in row})
        raise HacmError(
            f"none of {', '.join(keys)} was logged with {x!r}; logged: {', '.join(logged) or '-'}"
        )
    figure.update_xaxes(title=x)
    if log:
        figure.update_yaxes(type="log")
    return theme.style(figure, title, 380, showlegend=True, hovermode="x unified")


def confusion(
    matrix: Int[np.ndarray, "C C"], label_names: Sequence[str], title: str = "Confusion matrix"
) -> go.Figure:
    """Which classes are taken for which: rows are the truth, columns the prediction.

    Args:
        matrix: counts.
        label_names: C names.
        title: above the figure.

    Raises:
        HacmError: the matrix is not C x C.
    """
    counts = np.asarray(matrix)
    C = len(label_names)
    if counts.shape != (C, C):
        raise HacmError(f"expected a {C} x {C} matrix for {C} classes, got {counts.shape}")
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # Numbers, not names, on the axes: two classes may have the same name, and names are long.
    names = [str(name) for name in label_names]
    figure = go.Figure(
        go.Heatmap(
            z=100 * share,
            zmin=0,
            zmax=100,
            colorscale=theme.SEQUENTIAL,
            customdata=np.stack(
                [
                    np.repeat(names, C).reshape(C, C),
                    np.tile(names, (C, 1)),
                    counts.astype(str),
                ],
                axis=-1,
            ),
            hovertemplate="%{customdata[0]} taken for %{customdata[1]}<br>"
            "%{customdata[2]} sequences, %{z:.0f} %<extra></extra>",
            colorbar={"title": {"text": "% of row"}, "thickness": 14},
            text=np.where(share >= 0.005, np.round(100 * share).astype(int).astype(str), ""),
            texttemplate="%{text}" if C <= 20 else None,
        )
    )
    short = [name if len(name) <= 22 else name[:21] + "…" for name in names]
    ticks = {"tickvals": list(range(C)), "ticktext": short, "showgrid": False}
    figure.update_xaxes(title="predicted", tickangle=-40, **ticks)
    figure.update_yaxes(title="true", autorange="reversed", **ticks)
    return theme.style(figure, title, max(420, 160 + 22 * C))


def project_features(
    features: Float[np.ndarray, "N D"], method: Literal["pca", "tsne"] = "pca", seed: int = 0
) -> Float[np.ndarray, "N 2"]:
    """Two dimensions of N feature vectors, by principal components or t-SNE.

    Raises:
        HacmError: another method, or fewer than 3 vectors.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or len(features) < 3:
        raise HacmError(f"expected features (N, D) of at least 3 sequences, got {features.shape}")
    if method == "pca":
        from sklearn.decomposition import PCA

        return PCA(2, svd_solver="full").fit_transform(features)
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(features) - 1) / 3)
        return TSNE(
            2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed
        ).fit_transform(features)
    raise HacmError(f"unknown projection {method!r}; known: pca, tsne")


def feature_map(
    points: Float[np.ndarray, "N 2"],
    labels: Int[np.ndarray, "N"],
    label_names: Sequence[str],
    title: str = "Features",
    names: Sequence[str] | None = None,
) -> go.Figure:
    """A scatter of sequences, coloured by class.

    Args:
        points: from `project_features`.
        labels: class of each point.
        label_names: what the classes are called.
        title: above the figure.
        names: of the sequences, on hover.
    """
    points, labels = np.asarray(points, dtype=np.float32), np.asarray(labels)
    hover = np.array(names if names is not None else [""] * len(points))
    symbols = ("circle", "diamond", "square", "cross", "triangle-up")
    figure = go.Figure()
    for label in np.unique(labels):
        here, name = labels == label, str(label_names[label])
        color = theme.QUALITATIVE[label % len(theme.QUALITATIVE)]
        symbol = symbols[label // len(theme.QUALITATIVE) % len(symbols)]
        figure.add_scatter(
            x=points[here, 0],
            y=points[here, 1],
            mode="markers",
            name=name,
            text=[f"{name}<br>{which}" for which in hover[here]],
            hoverinfo="text",
            marker={"size": 7, "opacity": 0.8, "color": color, "symbol": symbol},
        )
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False, scaleanchor="x")
    return theme.style(figure, title, 520, showlegend=True)
