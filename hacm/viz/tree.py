"""The joint tree: its distances, and two embeddings of it side by side."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hacm.skeleton import SkeletonLayout
from hacm.viz import theme
from hacm.viz.embedding import TreeEmbedding
from hacm.viz.poincare import rim, tree_traces
from hacm.viz.skeleton3d import joint_colors


def distance_map(layout: SkeletonLayout) -> go.Figure:
    """Bones between any two joints."""
    names = [name.replace("_", " ") for name in layout.joints]
    figure = go.Figure(
        go.Heatmap(
            **{"z": layout.graph_distances, "x": names, "y": names, "xgap": 1, "ygap": 1},
            **{"colorscale": theme.SEQUENTIAL, "colorbar": {"title": "bones", "thickness": 14}},
            hovertemplate="%{x} - %{y}: %{z} bones<extra></extra>",
        )
    )
    figure.update_xaxes(tickangle=-60, tickfont={"size": 11}, showgrid=False, dtick=1)
    figure.update_yaxes(
        tickfont={"size": 11}, showgrid=False, dtick=1, autorange="reversed", scaleanchor="x"
    )
    figure.update_xaxes(constrain="domain")
    return theme.style(figure, "", 620)


def compare_embeddings(
    hyperbolic: TreeEmbedding, euclidean: TreeEmbedding, layout: SkeletonLayout
) -> go.Figure:
    """Both embeddings growing side by side; they must hold the same steps."""
    figure = make_subplots(
        1, 2, subplot_titles=("Poincaré disk", "Euclidean plane"), horizontal_spacing=0.02
    )

    def moment(i: int) -> list[go.Scatter]:
        return [
            *tree_traces(hyperbolic.history[i], layout, "hyperbolic", legend=True),
            *tree_traces(euclidean.history[i], layout, "euclidean", axes=("x2", "y2")),
        ]

    last = len(hyperbolic.history) - 1
    figure.add_traces([rim(), *moment(last)])
    figure.frames = [
        go.Frame(data=moment(i), traces=list(range(1, len(figure.data))), name=str(i))
        for i in range(last + 1)
    ]
    reach = float(np.abs(euclidean.history).max()) * 1.05
    for column, half, anchor in ((1, 1.05, "x"), (2, reach, "x2")):
        hidden = {"range": [-half, half], "visible": False, "row": 1, "col": column}
        figure.update_xaxes(**hidden)
        figure.update_yaxes(**hidden, scaleanchor=anchor)
    theme.style(figure, "", 580, margin={"t": 40})
    theme.add_playback(figure, [str(step) for step in hyperbolic.steps], 5, "step ")
    below = {"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.02, "yanchor": "top"}
    return figure.update_layout(sliders=[{"active": last}], legend=below, margin={"b": 110})


def embedding_quality(
    hyperbolic: TreeEmbedding, euclidean: TreeEmbedding, layout: SkeletonLayout
) -> go.Figure:
    """Depth against radius in the disk, and how each embedding renders the tree's distances."""
    figure = make_subplots(
        **{"rows": 1, "cols": 2, "horizontal_spacing": 0.1},
        subplot_titles=("depth and radius in the disk", "all pairs of joints"),
    )
    figure.add_scatter(
        **{"x": layout.depth, "y": np.linalg.norm(hyperbolic.points, axis=1), "row": 1, "col": 1},
        **{"mode": "markers", "text": layout.joints, "showlegend": False},
        marker={"size": 10, "color": joint_colors(layout), "opacity": 0.8},
        hovertemplate="%{text}<br>depth %{x}, radius %{y:.3f}<extra></extra>",
    )
    pairs = np.triu_indices(layout.V, 1)
    graph = layout.graph_distances[pairs]
    for embedding, color in ((hyperbolic, theme.LEFT), (euclidean, theme.RIGHT)):
        ratio = embedding.distances[pairs] / graph
        figure.add_box(
            **{"x": graph, "y": ratio / ratio.mean(), "name": embedding.space, "row": 1, "col": 2},
            **{"marker": {"color": color, "size": 3}, "line": {"width": 1.5}, "hoverinfo": "y"},
        )
    theme.style(figure, "", 420, margin={"t": 40}, boxmode="group")
    figure.update_xaxes(dtick=1)
    figure.update_xaxes(title="depth in the tree (bones)", col=1)
    figure.update_yaxes(title="radius", col=1, range=[-0.05, 1.05])
    figure.update_xaxes(title="distance in the tree (bones)", col=2)
    figure.update_yaxes(title="embedded / tree (mean 1)", col=2)
    return figure.update_layout(legend={"x": 0.98, "xanchor": "right", "y": 0.98})
