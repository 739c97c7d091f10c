"""The 3-D scene around a clip: upright, equal axes that stay, a floor and a point of view."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from hacm.viz import theme

MARGIN = 0.05
"""Metres around everything that is shown."""
DISTANCE = 1.4
"""Of the camera, in units of plotly's scene."""


def upright(x: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    """Kinect's axes (x, y up, z away from the camera) turned to the figure's (z up)."""
    # A rotation, not a swap of two axes: left must stay left.
    return np.stack([x[..., 0], -x[..., 2], x[..., 1]], axis=-1)


def box(x: Float[np.ndarray, "B T V 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates of all that is there (not NaN), with a margin."""
    points = x[~np.isnan(x[..., 0])]
    if not len(points):
        points = np.zeros((1, 3))
    return points.min(0) - MARGIN, points.max(0) + MARGIN


def floor(x: Float[np.ndarray, "B T V 3"], **where: Any) -> go.Scatter3d:
    """Lines half a metre apart; plotly's own 3-D grid would not suit both themes."""
    low, high = box(x)
    across, along = (np.arange(low[i], high[i] + 0.25, 0.5) for i in range(2))
    lines = [[(x, along[0]), (x, along[-1])] for x in across]
    lines += [[(across[0], y), (across[-1], y)] for y in along]
    points = np.array([[*ends, (np.nan, np.nan)] for ends in lines], np.float32).reshape(-1, 2)
    # Slightly above the lowest value: at the very end of the range nothing is drawn.
    height = np.full(len(points), low[2] + 0.8 * MARGIN, np.float32)
    return go.Scatter3d(
        **{"x": points[:, 0], "y": points[:, 1], "z": height, "mode": "lines"},
        **{"line": {"width": 1.5, "color": theme.TEXT}, "opacity": 0.3},
        **{"hoverinfo": "skip", "showlegend": False, **where},
    )


def scene_layout(x: Float[np.ndarray, "B T V 3"]) -> dict[str, Any]:
    """Equal axes with ranges fixed over the whole clip, and a camera that stays where it is put."""
    low, high = box(x)
    span = high - low
    # People apart from each other may fill a wide picture, but not grow small.
    ratio = 1.2 * span / max(span[2], 0.6 * span.max())
    return {
        **{
            f"{axis}axis": {"range": [float(low[i]), float(high[i])], "visible": False}
            for i, axis in enumerate("xyz")
        },
        "aspectmode": "manual",
        "aspectratio": dict(zip("xyz", map(float, ratio), strict=True)),
        "camera": {"eye": _eye(x), "up": {"x": 0, "y": 0, "z": 1}},
        "uirevision": "keep",
    }


def _eye(x: Float[np.ndarray, "B T V 3"]) -> dict[str, float]:
    """From the sensor's side, a little from the left; two people are seen from their side."""
    view = np.array([0.5, 1.0])
    if len(x) > 1 and not np.isnan(x[:2]).all(axis=(1, 2, 3)).any():
        first, second = np.nanmean(x[:2], axis=(1, 2))[:, :2]
        apart = float(np.linalg.norm(second - first))
        if apart > 0.1:
            line = (second - first) / apart
            across = np.array([-line[1], line[0]])
            view = across * (-1 if across[1] < 0 else 1) + 0.3 * line
    east, north = DISTANCE * view / np.linalg.norm(view)
    return {"x": float(east), "y": float(north), "z": 0.3}


def legend_above() -> dict[str, Any]:
    """A legend in one line above the scene."""
    return {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "itemsizing": "constant"}
