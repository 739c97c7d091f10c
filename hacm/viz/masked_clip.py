"""A moving skeleton beside joint x time maps, with a cursor that follows the playback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Bool, Float
from plotly.subplots import make_subplots

from hacm.skeleton import SkeletonLayout
from hacm.viz import theme
from hacm.viz.masks import joint_axis, map_trace
from hacm.viz.scene import legend_above
from hacm.viz.skeleton3d import MovingSkeleton


@dataclass(frozen=True)
class Map:
    """One joint x time map.

    Attributes:
        title: above it.
        values: one value a token of one body.
        label: what the values are; `mask` shows 0 / 1 as visible / masked.
    """

    title: str
    values: Float[np.ndarray, "P J"]
    label: str = "score"


def cursors(frame: float, axes: Sequence[str]) -> list[dict[str, Any]]:
    """Lines that mark a frame in maps, as shapes: animated traces would wipe out heatmaps."""
    return [
        {
            **{"type": "line", "x0": frame, "x1": frame, "xref": f"x{axis}"},
            **{"y0": 0, "y1": 1, "yref": f"y{axis} domain"},
            "line": {"color": theme.CURSOR, "width": 2},
        }
        for axis in axes
    ]


def clip_with_maps(
    x: Float[np.ndarray, "B T V 3"],
    layout: SkeletonLayout,
    maps: Sequence[Map],
    joints: Sequence[int],
    *,
    hidden: Float[np.ndarray, "B P J"] | None = None,
    present: Bool[np.ndarray, "B T"] | None = None,
    every: int | None = None,
    frames_per_second: float = 6,
) -> go.Figure:
    """The skeleton on the left, one or two maps of the same clip on the right.

    Args:
        x: coordinates, metres.
        layout: the joints.
        maps: of the same tokens.
        joints: which of the layout's joints are the maps' rows (`Encoder.joints`).
        hidden: 1 where a token is masked; ghosts those joints.
        present: frames in which a body is there.
        every: show each n-th frame; default: one a patch.
        frames_per_second: of the frames shown.
    """
    rows = len(maps)
    figure = make_subplots(
        **{"rows": rows, "cols": 2, "column_widths": [0.4, 0.6]},
        **{"horizontal_spacing": 0.14, "vertical_spacing": 0.1},
        specs=[
            [{"type": "scene", "rowspan": rows} if row == 0 else None, {"type": "xy"}]
            for row in range(rows)
        ],
        subplot_titles=["", *(map_.title for map_ in maps)],
    )
    skeleton = MovingSkeleton(x, layout, hidden=hidden, present=present)
    patch_frames = skeleton.T // len(maps[0].values)
    figure.add_traces(skeleton.traces())
    moving = list(range(len(skeleton.frame(0))))
    for row, map_ in enumerate(maps, start=1):
        part: Any = next(figure.select_yaxes(row=row, col=2)).domain
        heat = map_trace(
            map_.values, _names(layout, joints), patch_frames=patch_frames, label=map_.label
        )
        heat.update(colorbar={"len": part[1] - part[0], "y": sum(part) / 2, "x": 1.0})
        figure.add_trace(heat, row=row, col=2)
    theme.style(figure, "", 500 if rows == 1 else 700, margin={"t": 50})
    figure.update_layout(legend=legend_above())
    figure.update_yaxes(**joint_axis(_names(layout, joints)))
    figure.update_xaxes(showgrid=False)

    shown = range(0, skeleton.T, every or patch_frames)
    axes = ["" if row == 0 else str(row + 1) for row in range(rows)]
    return _play(figure, [skeleton], moving, axes, shown, frames_per_second)


def compare_masks(
    x: Float[np.ndarray, "B T V 3"],
    layout: SkeletonLayout,
    masks: Mapping[str, tuple[Float[np.ndarray, "B P J"], Sequence[int]]],
    *,
    body: int = 0,
    present: Bool[np.ndarray, "B T"] | None = None,
    frames_per_second: float = 6,
) -> go.Figure:
    """Several masks of the same clip side by side, playing together.

    Args:
        x: coordinates, metres.
        layout: the joints.
        masks: by name, which tokens are masked and which of the layout's joints are tokens.
        body: whose mask the maps show.
        present: frames in which a body is there.
        frames_per_second: one frame a patch is shown.
    """
    columns = len(masks)
    figure = make_subplots(
        **{"rows": 2, "cols": columns, "row_heights": [0.5, 0.5], "vertical_spacing": 0.06},
        specs=[[{"type": "scene"}] * columns, [{"type": "xy"}] * columns],
        subplot_titles=list(masks),
        horizontal_spacing=0.09,
    )
    skeletons: list[MovingSkeleton] = []
    moving: list[int] = []
    patches = 1
    for column, (hidden, joints) in enumerate(masks.values(), start=1):
        scene = f"scene{column}" if column > 1 else "scene"
        skeleton = MovingSkeleton(x, layout, hidden=hidden, present=present, scene=scene)
        first = len(figure.data)
        figure.add_traces(skeleton.traces(legend=column == 1))
        moving += range(first, first + len(skeleton.frame(0)))
        patches = max(patches, hidden.shape[1])
        names = _names(layout, joints)
        figure.add_trace(
            map_trace(
                hidden[body], names, patch_frames=skeleton.T // hidden.shape[1], label="mask"
            ),
            row=2,
            col=column,
        )
        figure.update_yaxes(**joint_axis(names), row=2, col=column)
        skeletons.append(skeleton)
    theme.style(figure, "", 720, margin={"t": 70}, legend={**legend_above(), "y": 1.04})
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(tickfont={"size": 9})

    T, axes = skeletons[0].T, ["" if column == 0 else str(column + 1) for column in range(columns)]
    return _play(figure, skeletons, moving, axes, range(0, T, T // patches), frames_per_second)


def _names(layout: SkeletonLayout, joints: Sequence[int]) -> list[str]:
    return [layout.joints[joint] for joint in joints]


def _play(
    figure: go.Figure,
    skeletons: Sequence[MovingSkeleton],
    moving: Sequence[int],
    axes: Sequence[str],
    shown: range,
    frames_per_second: float,
) -> go.Figure:
    figure.frames = [
        go.Frame(
            data=[go.Scatter3d(**points) for one in skeletons for points in one.frame(t)],
            traces=moving,
            layout={"shapes": cursors(t, axes)},
            name=str(i),
        )
        for i, t in enumerate(shown)
    ]
    figure.update_layout(shapes=cursors(shown[0], axes))
    theme.add_playback(figure, [str(t) for t in shown], frames_per_second)
    for one in skeletons:
        figure.update_layout(one.stage(figure))
    return figure
