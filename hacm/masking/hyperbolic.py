"""The Poincare ball of curvature -c: maps, midpoint and distances, in plain tensor operations.

geoopt has all of these; the distance is our own because in float32 the usual arcosh form loses
17 % at norm 0.9999. The tests compare every function with geoopt in float64.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

RIM = 1e-5
"""Points that float arithmetic puts on the rim move to radius (1 - RIM) / sqrt(c)."""


def exp_0(tangent: Float[Tensor, "... D"], c: float = 1.0) -> Float[Tensor, "... D"]:
    """Tangent vectors at the origin to points of the ball (paper eq. 3).

    exp_0(e) = tanh(sqrt(c) |e|) e / (sqrt(c) |e|), moved inside where rounding reaches the rim.
    """
    norm = c**0.5 * tangent.norm(dim=-1, keepdim=True)
    safe = norm.clamp_min(1e-15)  # the limit of tanh(n) / n at 0 is 1
    return project(torch.tanh(safe) / safe * tangent, c)


def project(point: Float[Tensor, "... D"], c: float = 1.0) -> Float[Tensor, "... D"]:
    """Points on or beyond the rim move to radius (1 - 1e-5) / sqrt(c); others stay."""
    norm = c**0.5 * point.norm(dim=-1, keepdim=True)
    return point * torch.where(norm >= 1, (1 - RIM) / norm.clamp_min(0.5), 1)


def distance(
    u: Float[Tensor, "... D"], v: Float[Tensor, "... D"], c: float = 1.0
) -> Float[Tensor, "..."]:
    """Geodesic distance (paper eq. 1), as 2 asinh instead of arcosh: exact near the rim too.

    d = 2 / sqrt(c) asinh( sqrt(c) |u - v| / sqrt((1 - c |u|^2) (1 - c |v|^2)) )
    """
    return _from_gap((u - v).norm(dim=-1), _margin(u, c) * _margin(v, c), c)


def pairwise_distance(h: Float[Tensor, "... J D"], c: float = 1.0) -> Float[Tensor, "... J J"]:
    """Distances between all pairs of J points, never building (..., J, J, D).

    The squared gaps come from a Gram matrix in float64: near the rim a float32 one turns a distance
    of 0 into one of up to 7.
    """
    margin = _margin(h, c)
    return _from_gap(_pairwise_gap(h), margin[..., :, None] * margin[..., None, :], c)


def midpoint(points: Float[Tensor, "... K D"], c: float = 1.0) -> Float[Tensor, "... D"]:
    """Gyro-midpoint of K points with equal weights (geoopt's `weighted_midpoint`).

    The gamma-weighted mean sum g x / sum (g - 1), g = 2 / (1 - c |x|^2), halved along its geodesic
    to the origin.
    """
    gamma = 2 / _margin(points, c)[..., None]
    # The sum of (gamma - 1) cannot vanish: gamma >= 2 everywhere in the ball.
    mean = (gamma * points).sum(-2) / (gamma - 1).sum(-2)
    square = c * (mean * mean).sum(-1, keepdim=True)
    return mean / (1 + (1 - square).clamp_min(0).sqrt())


def euclidean_pairwise(e: Float[Tensor, "... J D"]) -> Float[Tensor, "... J J"]:
    """Euclidean distances between all pairs: the ablation without hyperbolic space."""
    return _pairwise_gap(e)


def _margin(h: Float[Tensor, "... D"], c: float) -> Float[Tensor, "..."]:
    """1 - c |h|^2 as (1 - n)(1 + n), never 0 for a projected point."""
    norm = c**0.5 * h.norm(dim=-1)
    return ((1 - norm) * (1 + norm)).clamp_min(torch.finfo(h.dtype).tiny ** 0.25)


def _from_gap(gap: Tensor, margins: Tensor, c: float) -> Tensor:
    return 2 / c**0.5 * torch.asinh(c**0.5 * gap / margins.sqrt())


def _pairwise_gap(x: Float[Tensor, "... J D"]) -> Float[Tensor, "... J J"]:
    """|x_i - x_j| from a Gram matrix; exactly 0 on the diagonal and between equal points."""
    wide = x if x.device.type == "mps" else x.double()
    gram = wide @ wide.mT
    square = gram.diagonal(dim1=-2, dim2=-1)
    both = square[..., :, None] + square[..., None, :]
    gap = both - 2 * gram
    # Near the rim even rounding would look like a distance.
    rounding = 64 * torch.finfo(wide.dtype).eps * both
    return gap.where(gap > rounding, 0).sqrt().to(x.dtype)
