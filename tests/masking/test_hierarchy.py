"""The spatial hierarchy score against plain loops over the paper's formula."""

from __future__ import annotations

import math

import pytest
import torch

from hacm.masking.hierarchy import hierarchy_score
from hacm.masking.hyperbolic import exp_0


def plain(h, root, weight, c, hyperbolic) -> torch.Tensor:
    """s[p, j] = sum_i d(h[p, i], h[p, j]) + lambda d(root[p], h[p, j]), one pair at a time."""

    def d(u: list[float], v: list[float]) -> float:
        gap = math.fsum((a - b) ** 2 for a, b in zip(u, v, strict=True))
        if not hyperbolic:
            return math.sqrt(gap)
        inside = [1 - c * math.fsum(a * a for a in point) for point in (u, v)]
        return math.acosh(1 + 2 * c * gap / (inside[0] * inside[1])) / math.sqrt(c)

    B, P, J, _ = h.shape
    score = torch.zeros(B, P, J, dtype=torch.float64)
    for b in range(B):
        for p in range(P):
            joints, centre = h[b, p].tolist(), root[b, p].tolist()
            for j in range(J):
                total = sum(d(joints[i], joints[j]) for i in range(J) if i != j)
                score[b, p, j] = total + weight * d(centre, joints[j])
    return score


@pytest.mark.parametrize("space", ["hyperbolic", "euclidean"])
@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("weight", [0.0, 0.01, 3.0])
def test_score_is_the_formula(space: str, c: float, weight: float) -> None:
    generator = torch.Generator().manual_seed(0)
    tangent = torch.randn(2, 3, 6, 8, generator=generator, dtype=torch.float64) * 0.4
    root = torch.randn(2, 3, 8, generator=generator, dtype=torch.float64) * 0.1
    h, centre = (exp_0(tangent, c), exp_0(root, c)) if space == "hyperbolic" else (tangent, root)
    options = {"root_weight": weight, "curvature": c, "space": space}
    expected = plain(h, centre, weight, c, space == "hyperbolic")
    torch.testing.assert_close(hierarchy_score(h, centre, **options), expected)
    single = hierarchy_score(h.float(), centre.float(), **options)
    torch.testing.assert_close(single, expected.float(), rtol=1e-4, atol=1e-4)


def test_joints_far_out_score_higher() -> None:
    """A chain from the centre outwards: the farther out, the larger the sum of distances."""
    along = torch.linspace(0, 2.5, 6, dtype=torch.float64)
    branches = torch.eye(4, dtype=torch.float64)[:3]
    h = exp_0((along[:, None, None] * branches).flatten(0, 1))[None, None]
    score = hierarchy_score(h, torch.zeros(1, 1, 4).double())[0, 0].view(6, 3)
    assert (score.diff(dim=0) > 0).all()
    torch.testing.assert_close(score, score[:, :1].expand(-1, 3))
