"""Spatial hierarchy score: how far a joint lies from the others and from the virtual root.

Paper III-C, eq. 4: in hyperbolic space, joints high in the hierarchy lie near the centre and have
small distances to all others; joints far out on the limbs have large ones.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from hacm.masking import hyperbolic


def hierarchy_score(
    tokens: Float[Tensor, "B P J D"],
    root: Float[Tensor, "B P D"],
    *,
    root_weight: float = 0.01,
    curvature: float = 1.0,
    space: str = "hyperbolic",
) -> Float[Tensor, "B P J"]:
    """s[p, j] = sum_i d(h[p, i], h[p, j]) + lambda d(root[p], h[p, j]).

    Args:
        tokens: points of the ball (`space = hyperbolic`) or tangent vectors (`euclidean`).
        root: the virtual root of each patch, in the same space.
        root_weight: lambda.
        curvature: c of the ball of curvature -c.
        space: which distance to take.

    Returns:
        One score a token, >= 0; larger is farther out.
    """
    if space == "euclidean":
        between = hyperbolic.euclidean_pairwise(tokens)
        to_root = (tokens - root[:, :, None]).norm(dim=-1)
    else:
        between = hyperbolic.pairwise_distance(tokens, curvature)
        to_root = hyperbolic.distance(tokens, root[:, :, None], curvature)
    return between.sum(-2) + root_weight * to_root
