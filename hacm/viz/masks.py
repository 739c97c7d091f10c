"""Joint x time maps of scores, weights and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from hacm.errors import HacmError
from hacm.viz import theme

MASK_SCALE = [[0, theme.VISIBLE], [0.5, theme.VISIBLE], [0.5, theme.MASKED], [1, theme.MASKED]]


def map_trace(
    values: Float[np.ndarray, "P J"],
    joints: Sequence[str],
    *,
    patch_frames: int = 1,
    label: str = "score",
    **options: Any,
) -> go.Heatmap:
    """One joint x time heatmap; `label = mask` shows 0 / 1 as visible / masked.

    Raises:
        HacmError: the values do not have one column a joint.
    """
    values = np.asarray(values, dtype=np.float32)
    if values.ndim != 2 or values.shape[1] != len(joints):
        raise HacmError(
            f"expected values of shape (patches, {len(joints)} joints), got {values.shape}"
        )
    P = len(values)
    first = np.arange(P) * patch_frames
    when = [
        f"frames {t}-{t + patch_frames - 1}" if patch_frames > 1 else f"frame {t}" for t in first
    ]
    look: dict[str, Any] = {
        **{"colorscale": theme.SEQUENTIAL, "colorbar": colorbar(label)},
        **color_range(values),
    }
    shown = "%{z:.4g}"
    if label == "mask":
        look = {"colorscale": MASK_SCALE, "zmin": 0, "zmax": 1, "showscale": False}
        shown = "%{z:.0f} (0 visible, 1 masked)"
    return go.Heatmap(
        z=values.T,
        x=first + (patch_frames - 1) / 2,
        y=list(range(len(joints))),
        customdata=np.array(
            [[f"{joint}<br>{w}, patch {p}" for p, w in enumerate(when)] for joint in joints]
        ),
        hovertemplate="%{customdata}<br>" + label + ": " + shown + "<extra></extra>",
        xgap=0.5,
        ygap=0.5,
        **{**look, **options},
    )


def color_range(values: Float[np.ndarray, "P J"]) -> dict[str, float]:
    """Up to the 99th percentile: one extreme token must not darken all others."""
    low, high = float(values.min()), float(np.quantile(values, 0.99))
    return {"zmin": low, "zmax": high if high > low else float(values.max())}


def colorbar(label: str) -> dict[str, Any]:
    """A thin colour bar with its name on top."""
    title = {"text": label, "side": "top", "font": {"size": 12}}
    return {"title": title, "tickfont": {"size": 11}, "thickness": 12, "len": 1, "nticks": 5}


def joint_axis(joints: Sequence[str]) -> dict[str, Any]:
    """A y axis with one row a joint, the first on top."""
    names = [joint.replace("_", " ") for joint in joints]
    return {
        **{"tickvals": list(range(len(joints))), "ticktext": names, "showgrid": False},
        **{"range": [len(joints) - 0.5, -0.5], "tickfont": {"size": 11}},
    }


def mask_map(
    values: Float[np.ndarray, "P J"],
    joints: Sequence[str],
    *,
    patch_frames: int = 1,
    label: str = "score",
    title: str = "",
    height: int | None = None,
) -> go.Figure:
    """A joint x time map of a score, of sampling weights, of keep frequencies or of a mask.

    Args:
        values: one value a token, e.g. `tokens_to_grid(mask.score, J)[body]`.
        joints: J names.
        patch_frames: r, so that the axis counts frames.
        label: what the values are; `mask` shows 0 / 1 as visible / masked in two colours.
        title: above the figure.
        height: pixels; by default as much as the joints need.
    """
    figure = go.Figure(map_trace(values, joints, patch_frames=patch_frames, label=label))
    theme.style(figure, title, height or 110 + 18 * len(joints))
    figure.update_xaxes(title="frame", showgrid=False)
    return figure.update_yaxes(**joint_axis(joints))


def frequency_histogram(frequencies: Mapping[str, Float[np.ndarray, "P J"]]) -> go.Figure:
    """How often tokens stay visible, one curve a mask: a peak is a random mask, a spread is not.

    Args:
        frequencies: from `keep_frequency`, by the mask's name.
    """
    edges = np.linspace(0, 1, 51)
    longest = max(float(values.max()) for values in frequencies.values())
    figure = go.Figure()
    for name, values in frequencies.items():
        share = 100 * np.histogram(values, edges)[0] / values.size
        figure.add_scatter(
            **{"x": (edges[:-1] + edges[1:]) / 2, "y": share, "name": name, "mode": "lines"},
            **{"line": {"shape": "hvh", "width": 2.5}},
            hovertemplate="visible in %{x:.0%} of the draws: %{y:.1f} % of tokens",
        )
    figure.update_xaxes(
        title="visible in this share of the draws",
        tickformat=".0%",
        range=[0, min(1, longest + 0.1)],
    )
    figure.update_yaxes(title="% of tokens", rangemode="tozero")
    return theme.style(figure, "", 360, showlegend=True)
