"""The 3-D scene around a clip: upright, equal axes that stay, a floor and a camera."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from hacm.viz import theme

MARGIN = 0.05
"""Metres around everything that is shown."""
VIEW = math.tan(math.pi / 8)
"""Half the height of what plotly's camera sees at distance 1."""
FILLED = 0.9
"""Share of a scene's width or height that people may fill."""
NARROW = 800
"""Pixels: a page in which a figure without a width of its own must still show everybody."""


def upright(x: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    """Kinect's axes (x, y up, z away from the camera) turned to the figure's (z up)."""
    # A rotation, not a swap of two axes: left must stay left.
    return np.stack([x[..., 0], -x[..., 2], x[..., 1]], axis=-1)


def there(x: Float[np.ndarray, "B T V 3"]) -> Float[np.ndarray, "K 3"]:
    """All points that are there (not NaN); the origin if nobody ever is."""
    points = x[~np.isnan(x[..., 0])]
    return points if len(points) else np.zeros((1, 3))


def box(x: Float[np.ndarray, "B T V 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates of all that is there, with a margin."""
    points = there(x)
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
        **{"line": {"width": 1, "color": theme.TEXT}},
        **{"hoverinfo": "skip", "showlegend": False, **where},
    )


def scene_layout(x: Float[np.ndarray, "B T V 3"], aspect: float) -> dict[str, Any]:
    """Equal axes with ranges fixed over the whole clip, and a camera that stays where it is put.

    Args:
        x: everything that is shown, metres, z up; NaN where nobody is.
        aspect: width of the scene over its height (`aspect_of`).
    """
    low, high = box(x)
    span = high - low
    longest = span.max()
    return {
        **{
            f"{axis}axis": {"range": [float(low[i]), float(high[i])], "visible": False}
            for i, axis in enumerate("xyz")
        },
        "aspectmode": "manual",
        "aspectratio": dict(zip("xyz", map(float, span / longest), strict=True)),
        "camera": _camera(x, (low + high) / 2, longest, aspect),
        "uirevision": "keep",
    }


def aspect_of(figure: go.Figure, scene: str = "scene") -> float:
    """Width over height of a figure's scene, in a narrow page if the figure has no width."""
    layout, part = figure.layout, figure.layout[scene].domain
    (left, right), (bottom, top) = part.x or (0, 1), part.y or (0, 1)
    width = (layout.width or NARROW) - layout.margin.l - layout.margin.r
    height = layout.height - layout.margin.t - layout.margin.b
    return width * (right - left) / (height * (top - bottom))


def _camera(
    x: Float[np.ndarray, "B T V 3"], middle: np.ndarray, unit: float, aspect: float
) -> dict[str, Any]:
    """The nearest point of view from which the whole clip is seen.

    Args:
        x: the clip.
        middle: where the camera looks, the middle of the axes.
        unit: metres of one unit of plotly's scene.
        aspect: width of the scene over its height.
    """
    towards = np.array([*_side(x), 0.21])
    towards /= np.linalg.norm(towards)
    right = np.array([-towards[1], towards[0], 0]) / np.hypot(*towards[:2])
    points = (there(x) - middle) / unit
    sideways, upwards = np.abs(points @ right), np.abs(points @ np.cross(towards, right))
    # A point nearer to the camera needs a larger distance: it is seen larger.
    needed = np.maximum(sideways / aspect, upwards) / (FILLED * VIEW) + points @ towards
    eye = towards * max(float(needed.max()), 0.5)
    up = {"x": 0, "y": 0, "z": 1}
    return {"eye": dict(zip("xyz", map(float, eye), strict=True)), "up": up}


def _side(x: Float[np.ndarray, "B T V 3"]) -> Float[np.ndarray, "2"]:
    """From the sensor's side, a little from the left; two people are seen from their side."""
    view = np.array([0.5, 1.0])
    if len(x) > 1 and not np.isnan(x[:2]).all(axis=(1, 2, 3)).any():
        first, second = np.nanmean(x[:2], axis=(1, 2))[:, :2]
        apart = float(np.linalg.norm(second - first))
        if apart > 0.1:
            line = (second - first) / apart
            across = np.array([-line[1], line[0]])
            view = across * (-1 if across[1] < 0 else 1) + 0.3 * line
    return view / np.linalg.norm(view)


def legend_above() -> dict[str, Any]:
    """A legend in one line above the scene."""
    return {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "itemsizing": "constant"}
