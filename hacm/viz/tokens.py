"""An encoder's tokens in the ball: how far out joints lie, and what saturation does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float
from plotly.subplots import make_subplots
from torch import Tensor

from hacm.config import ModelOptions
from hacm.masking.criteria import MaskInputs, tangent_factor, to_space
from hacm.masking.diagnostics import NEAR_RIM, radius_statistics
from hacm.masking.hyperbolic import distance, pairwise_distance
from hacm.skeleton import SkeletonLayout
from hacm.viz import theme
from hacm.viz.skeleton3d import joint_colors


def disk_projection(
    tokens: Float[Tensor, "P J D"],
    root: Float[Tensor, "P D"] | None,
    curvature: float = 1.0,
    space: str = "hyperbolic",
) -> tuple[Float[np.ndarray, "P J 2"], Float[np.ndarray, "P 2"] | None]:
    """Tokens in two dimensions: the radius is true, the angle comes from two principal directions.

    The directions are those of the whole clip, so that frames can be compared. Tangent vectors
    (`space = euclidean`) are scaled so that the longest has length 1.

    Returns:
        The tokens and the virtual root in the unit disk.
    """
    flat = tokens.flatten(0, 1)
    centre = flat.mean(0)
    # The two leading eigenvectors: faster than a singular value decomposition of all tokens.
    axes = torch.linalg.eigh((flat - centre).T @ (flat - centre)).eigenvectors[:, -2:]
    scale = curvature**0.5
    if space == "euclidean":
        scale = 1 / float(flat.norm(dim=-1).max().clamp_min(1e-12))

    def flatten(points: Tensor) -> np.ndarray:
        plane = (points - centre) @ axes
        radius = scale * points.norm(dim=-1, keepdim=True)
        return (plane / plane.norm(dim=-1, keepdim=True).clamp_min(1e-12) * radius).numpy()

    return flatten(tokens), None if root is None else flatten(root)


def radius_by_joint(inputs: MaskInputs, layout: SkeletonLayout, joints: Sequence[int]) -> go.Figure:
    """Radius of each joint's tokens, and their distance to the virtual root, against limb depth.

    Args:
        inputs: tokens in the ball (`Encoder.mask_inputs`).
        layout: the joints.
        joints: which of them became tokens (`Encoder.joints`).
    """
    c = inputs.curvature
    radius = c**0.5 * inputs.tokens.norm(dim=-1)
    values = {"radius in the ball": radius}
    if inputs.root is not None:
        to_root = distance(inputs.tokens, inputs.root[:, :, None], c)
        values["distance to the virtual root"] = to_root
    figure = make_subplots(1, len(values), subplot_titles=list(values), horizontal_spacing=0.12)
    depth = np.array(layout.limb_depth)[list(joints)]
    spread = _side_by_side(depth)
    names = [layout.joints[joint] for joint in joints]
    for column, value in enumerate(values.values(), start=1):
        low, middle, high = np.quantile(value.flatten(0, 1).numpy(), (0.05, 0.5, 0.95), axis=0)
        figure.add_scatter(
            **{"x": depth + spread, "y": middle, "text": names, "mode": "markers"},
            **{"row": 1, "col": column, "showlegend": False},
            error_y={
                **{"array": high - middle, "arrayminus": middle - low, "thickness": 1.2},
                **{"color": theme.TEXT, "width": 0},
            },
            marker={"size": 9, "color": joint_colors(layout, joints)},
            hovertemplate="%{text}<br>median %{y:.3f}<extra></extra>",
        )
    figure.update_xaxes(title="bones from the trunk" if layout.trunk else "bones from the root")
    theme.style(figure, "", 400, margin={"t": 40})
    return figure.update_xaxes(dtick=1, showgrid=False)


def _side_by_side(depth: np.ndarray) -> np.ndarray:
    """Small shifts that keep joints of the same depth apart."""
    shift = np.zeros(len(depth))
    for d in np.unique(depth):
        same = np.flatnonzero(depth == d)
        shift[same] = (np.arange(len(same)) - (len(same) - 1) / 2) * 0.8 / max(len(same), 8)
    return shift


def saturation(
    tangent: Float[Tensor, "B P J D"], options: ModelOptions, scales: Sequence[float]
) -> list[dict[str, float]]:
    """Radius statistics and the spread of distances for several tangent scales.

    Returns:
        For each scale: `scale`, the keys of `radius_statistics`, `distance_mean` between the joints
        of a patch and `norm_explains`: the share of a distance's variance that the two norms alone
        explain (near 1, distances say nothing that norms do not).
    """
    rows = []
    for scale in scales:
        points, between = _scaled(tangent, options, scale)
        radius = torch.atanh((options.curvature**0.5 * points.norm(dim=-1)).clamp(max=1 - 1e-6))
        J = points.shape[2]
        a, b = torch.triu_indices(J, J, 1)
        sums = (radius[..., a] + radius[..., b]).flatten()
        pairs = between[..., a, b].flatten()
        correlation = torch.corrcoef(torch.stack([sums, pairs]))[0, 1]
        rows.append(
            {
                "scale": float(scale),
                **radius_statistics(points, options.curvature),
                "distance_mean": float(pairs.mean()),
                "norm_explains": float(correlation**2),
            }
        )
    return rows


def saturation_figure(
    tangent: Float[Tensor, "B P J D"], options: ModelOptions, scales: Sequence[float]
) -> go.Figure:
    """Radii and distances between joints, with a slider of the tangent scale."""
    figure = make_subplots(
        1, 2, subplot_titles=("radius in the ball", "distance between joints of a patch")
    )
    moments = [_scaled(tangent, options, scale) for scale in scales]
    longest = max(float(between.max()) for _, between in moments)
    pair = torch.triu_indices(tangent.shape[2], tangent.shape[2], 1)
    edges = np.linspace(0, 1, 51), np.linspace(0, longest, 51)

    def frame(i: int) -> go.Frame:
        points, between = moments[i]
        radius = options.curvature**0.5 * points.norm(dim=-1)
        values = radius.numpy(), between[..., pair[0], pair[1]].numpy()
        share = [100 * np.histogram(v, e)[0] / v.size for v, e in zip(values, edges, strict=True)]
        rim = f"tangent scale {scales[i]:g}: {(radius > 1 - NEAR_RIM).float().mean():.0%} of tokens"
        tallest = [{"range": [0, float(s.max()) * 1.1]} for s in share]
        return go.Frame(
            data=[go.Bar(y=share[0]), go.Bar(y=share[1])],
            traces=[0, 1],
            name=str(i),
            layout={
                "title": {"text": f"{rim} within {NEAR_RIM:g} of the rim"},
                "yaxis": tallest[0],
                "yaxis2": tallest[1],
            },
        )

    figure.frames = [frame(i) for i in range(len(moments))]
    start = int(np.argmin([abs(scale - options.tangent_scale) for scale in scales]))
    for column, (color, edge) in enumerate(zip((theme.LEFT, theme.RIGHT), edges, strict=True), 1):
        figure.add_bar(
            **{"x": (edge[:-1] + edge[1:]) / 2, "y": figure.frames[start].data[column - 1].y},
            **{"marker": {"color": color}, "hovertemplate": "%{x:.2f}: %{y:.1f} %<extra></extra>"},
            **{"showlegend": False, "row": 1, "col": column},
        )
        figure.update_xaxes(range=[0, edge[-1]], col=column)
    theme.style(figure, "", 460, margin={"t": 80}, bargap=0)
    figure.update_layout(figure.frames[start].layout)
    figure.update_yaxes(title="% of tokens", col=1)
    figure.update_yaxes(title="% of pairs", col=2)
    theme.add_playback(figure, [f"{scale:g}" for scale in scales], 1.5, "tangent scale ")
    return figure.update_layout(sliders=[{"active": start}])


def _scaled(
    tangent: Float[Tensor, "B P J D"], options: ModelOptions, scale: float
) -> tuple[Float[Tensor, "B P J D"], Float[Tensor, "B P J J"]]:
    """Points of the ball at a tangent scale, and their distances within each patch."""
    points = to_space(tangent * tangent_factor(tangent, options, scale), options)
    return points, pairwise_distance(points, options.curvature)
