"""The Poincare disk: the joint tree growing in it, beside the plane, and seen from any joint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float
from plotly.subplots import make_subplots

from hacm.skeleton import SkeletonLayout
from hacm.viz import theme
from hacm.viz.embedding import Space, TreeEmbedding, geodesics, recentre
from hacm.viz.skeleton3d import SIDE_COLORS, joint_colors, part


def rim(curvature: float = 1.0, **where: Any) -> go.Scatter:
    """The circle at infinity."""
    angle = np.linspace(0, 2 * np.pi, 181, dtype=np.float32)
    radius = curvature**-0.5
    return go.Scatter(
        **{"x": radius * np.cos(angle), "y": radius * np.sin(angle), "mode": "lines"},
        **{"line": {"color": theme.TEXT, "width": 1.5}, "fill": "toself"},
        **{"fillcolor": "rgba(128,128,128,0.08)", "hoverinfo": "skip", "showlegend": False},
        **where,
    )


def tree_traces(
    points: Float[np.ndarray, "V 2"],
    layout: SkeletonLayout,
    space: Space = "hyperbolic",
    *,
    legend: bool = False,
    **where: Any,
) -> list[go.Scatter]:
    """Bones as shortest paths, one trace a part of the body, and the joints.

    The number of traces depends on the layout alone, so they can be frames of one figure.
    """
    traces = []
    for name, color in SIDE_COLORS.items():
        bones = [bone for bone in layout.bones if part(layout, bone[1]) == name]
        if not bones and not any(part(layout, joint) == name for joint in range(layout.V)):
            continue
        ends = np.array(bones, dtype=int).reshape(-1, 2)
        paths = geodesics(points[ends[:, 0]], points[ends[:, 1]], space)
        gaps = np.full((len(paths), 1, 2), np.nan)
        line = np.concatenate([paths, gaps], axis=1).reshape(-1, 2).astype(np.float32)
        traces.append(
            go.Scatter(
                **{"x": line[:, 0], "y": line[:, 1], "mode": "lines", "name": name},
                **{"line": {"color": color, "width": 3}, "hoverinfo": "skip"},
                **{"showlegend": legend, "legendgroup": name, **where},
            )
        )
    depth = layout.depth
    hover = [f"{name}<br>depth {depth[joint]}" for joint, name in enumerate(layout.joints)]
    x, y = np.asarray(points, np.float32).T
    traces.append(
        go.Scatter(
            **{"x": x, "y": y, "mode": "markers", "text": hover, "hoverinfo": "text"},
            marker={"size": 10, "color": joint_colors(layout), "line": {"width": 0}},
            **{"showlegend": False, **where},
        )
    )
    return traces


def poincare_disk(
    points: Float[np.ndarray, "S V 2"],
    layout: SkeletonLayout,
    *,
    labels: Sequence[str] | None = None,
    prefix: str = "step ",
    title: str = "",
    height: int = 620,
) -> go.Figure:
    """The joint tree in the Poincare disk, bones as geodesic arcs, names on hover.

    Args:
        points: positions in the disk; (V, 2) for a still picture.
        layout: the joints.
        labels: what the slider says of each of the S positions.
        prefix: before the label.
        title: above the figure.
        height: pixels.
    """
    points = np.asarray(points)
    moments = points[None] if points.ndim == 2 else points
    figure = go.Figure([rim(), *tree_traces(moments[-1], layout, legend=True)])
    square = {"range": [-1.05, 1.05], "visible": False}
    figure.update_xaxes(**square)
    figure.update_yaxes(**square, scaleanchor="x")
    theme.style(figure, title, height)
    if len(moments) == 1:
        return figure
    figure.frames = [
        go.Frame(
            data=tree_traces(moment, layout, legend=True),
            traces=list(range(1, len(figure.data))),
            name=str(i),
        )
        for i, moment in enumerate(moments)
    ]
    theme.add_playback(figure, labels or [str(i) for i in range(len(moments))], 5, prefix)
    return figure.update_layout(sliders=[{"active": len(moments) - 1}])


def compare_embeddings(
    hyperbolic: TreeEmbedding, euclidean: TreeEmbedding, layout: SkeletonLayout, height: int = 560
) -> go.Figure:
    """Both embeddings growing side by side; they must hold the same steps."""
    figure = make_subplots(
        1, 2, subplot_titles=("Poincaré disk", "Euclidean plane"), horizontal_spacing=0.02
    )
    second = {"xaxis": "x2", "yaxis": "y2"}

    def moment(i: int) -> list[go.Scatter]:
        return [
            *tree_traces(hyperbolic.history[i], layout, "hyperbolic", legend=True),
            *tree_traces(euclidean.history[i], layout, "euclidean", **second),
        ]

    last = len(hyperbolic.history) - 1
    figure.add_traces([rim(), *moment(last)])
    figure.frames = [
        go.Frame(data=moment(i), traces=list(range(1, len(figure.data))), name=str(i))
        for i in range(last + 1)
    ]
    reach = float(np.abs(euclidean.history).max()) * 1.05
    for column, half in ((1, 1.05), (2, reach)):
        figure.update_xaxes(range=[-half, half], visible=False, row=1, col=column)
        anchor = "x" if column == 1 else "x2"
        figure.update_yaxes(
            range=[-half, half], visible=False, scaleanchor=anchor, row=1, col=column
        )
    theme.style(figure, "", height, margin={"t": 40})
    figure.update_layout(legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": 0})
    theme.add_playback(figure, [str(step) for step in hyperbolic.steps], 5, "step ")
    return figure.update_layout(
        sliders=[{"active": last}], legend={"y": -0.02, "yanchor": "top"}, margin={"b": 110}
    )


def depth_and_radius(
    hyperbolic: TreeEmbedding, euclidean: TreeEmbedding, layout: SkeletonLayout
) -> go.Figure:
    """Distance to the root in each embedding, in bones, against the depth in the tree."""
    rng = np.random.default_rng(0)  # only spreads markers that would hide each other
    depth = np.array(layout.depth)
    shift = rng.uniform(-0.12, 0.12, layout.V)
    figure = go.Figure()
    pairs = ((hyperbolic, theme.LEFT, "circle"), (euclidean, theme.RIGHT, "diamond"))
    for embedding, color, symbol in pairs:
        to_root = embedding.distances[layout.root]
        # One unit for both: the mean over joints is as in the tree.
        figure.add_scatter(
            **{"x": depth + shift, "y": to_root * depth.sum() / to_root.sum()},
            **{"mode": "markers", "name": embedding.space, "text": layout.joints},
            marker={"color": color, "size": 9, "symbol": symbol},
            hovertemplate="%{text}<br>%{y:.2f} bones from the root<extra></extra>",
        )
    longest = int(depth.max())
    figure.add_scatter(
        **{"x": [0, longest], "y": [0, longest], "mode": "lines", "name": "perfect"},
        **{"line": {"color": theme.TEXT, "dash": "dot"}, "hoverinfo": "skip"},
    )
    figure.update_xaxes(title="depth in the tree (bones)", dtick=1)
    figure.update_yaxes(title="distance to the root (bones)", dtick=1)
    return theme.style(figure, "Depth and distance to the root", 400)


def seen_from(
    points: Float[np.ndarray, "V 2"], joint: int, space: Space = "hyperbolic"
) -> Float[np.ndarray, "V 2"]:
    """The same tree with one joint in the middle."""
    whole = torch.as_tensor(points, dtype=torch.float64)
    return recentre(whole, whole[joint], space).numpy()


def recentred_disk(points: Float[np.ndarray, "V 2"], layout: SkeletonLayout) -> go.Figure:
    """A slider over the joints: each in turn is moved to the middle of the disk."""
    names = [name.replace("_", " ") for name in layout.joints]
    views = np.stack([seen_from(points, joint) for joint in range(layout.V)])
    figure = poincare_disk(views, layout, labels=names, prefix="in the middle: ")
    for number, trace in enumerate(figure.frames[layout.root].data, start=1):
        figure.data[number].update(trace)
    return figure.update_layout(sliders=[{"active": layout.root}])


def clickable_disk(points: Float[np.ndarray, "V 2"], layout: SkeletonLayout) -> go.FigureWidget:
    """A disk in which a click on a joint moves it to the middle; needs a running kernel."""
    widget = go.FigureWidget(poincare_disk(points, layout))
    joints = widget.data[-1]

    def move(trace: go.Scatter, clicked: Any, state: Any) -> None:
        if not clicked.point_inds:
            return
        view = seen_from(np.stack([joints.x, joints.y], axis=-1), clicked.point_inds[0])
        with widget.batch_update():
            for old, new in zip(widget.data[1:], tree_traces(view, layout), strict=True):
                old.x, old.y = new.x, new.y

    joints.on_click(move)
    return widget
