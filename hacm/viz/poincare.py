"""The Poincare disk: the joint tree in it, growing, and seen from any joint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float

from hacm.skeleton import SkeletonLayout
from hacm.viz import theme
from hacm.viz.embedding import Space, geodesics, recentre
from hacm.viz.live import live_figure
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
    axes: tuple[str, str] = ("x", "y"),
) -> list[go.Scatter]:
    """Bones as shortest paths, one trace a part of the body, and the joints.

    The number of traces depends on the layout alone, so they can be frames of one figure.
    """
    where = {"xaxis": axes[0], "yaxis": axes[1]}
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


def clickable_disk(points: Float[np.ndarray, "V 2"], layout: SkeletonLayout) -> go.Figure:
    """A disk in which a click on a joint moves it to the middle; needs a running kernel."""
    widget = live_figure(poincare_disk(points, layout))
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
