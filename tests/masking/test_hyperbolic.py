"""The Poincare ball against geoopt in float64, and float32 against 50 digits near the rim."""

from __future__ import annotations

import itertools

import geoopt
import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hacm.masking import hyperbolic
from hacm.masking.hyperbolic import distance, exp_0, midpoint, pairwise_distance, project

CURVATURES = [0.3, 1.0, 2.5]
RADII = [0.0, 1e-8, 1e-3, 0.3, 0.9, 0.99, 0.999]


def directions(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return x / x.norm(dim=-1, keepdim=True)


def points(c: float, radii: list[float], D: int = 8, seed: int = 0) -> torch.Tensor:
    """One point per radius (as a share of the ball's), float64."""
    radius = torch.tensor(radii, dtype=torch.float64)[:, None]
    return directions(len(radii), D, seed=seed) * radius / c**0.5


def geoopt_ball(c: float) -> geoopt.PoincareBall:
    """In float64, its curvature too: from a float it would be rounded to float32."""
    return geoopt.PoincareBall(c=torch.tensor(c, dtype=torch.float64))


def exact_distance(u: torch.Tensor, v: torch.Tensor, c: float) -> float:
    """The paper's arcosh with 60 digits."""
    with mpmath.workdps(60):
        a, b = ([mpmath.mpf(float(value)) for value in point] for point in (u, v))
        gap = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        inside = [1 - c * sum(x * x for x in point) for point in (a, b)]
        return float(mpmath.acosh(1 + 2 * c * gap / (inside[0] * inside[1])) / mpmath.sqrt(c))


# geoopt in float64.


@pytest.mark.parametrize("c", CURVATURES)
def test_exp_0_is_geoopt_s(c: float) -> None:
    ball = geoopt_ball(c)
    tangent = directions(7, 8) * torch.tensor([0, 1e-12, 1e-3, 0.5, 1, 2, 5]).double()[:, None]
    expected = ball.expmap0(tangent, project=False)
    torch.testing.assert_close(exp_0(tangent, c), expected, atol=1e-14, rtol=1e-12)


@pytest.mark.parametrize("c", CURVATURES)
def test_distance_is_geoopt_s(c: float) -> None:
    ball = geoopt_ball(c)
    x = points(c, RADII)
    expected = ball.dist(x[:, None], x[None])
    torch.testing.assert_close(distance(x[:, None], x[None], c), expected, atol=1e-7, rtol=1e-7)
    torch.testing.assert_close(pairwise_distance(x, c), expected, atol=1e-6, rtol=1e-6)
    assert (pairwise_distance(x, c).diagonal() == 0).all()


@pytest.mark.parametrize("c", CURVATURES)
@pytest.mark.parametrize("K", [1, 2, 7])
def test_midpoint_is_geoopt_s(c: float, K: int) -> None:
    ball = geoopt_ball(c)
    radii = (RADII * 2)[1 : K + 1]
    x = torch.stack([points(c, radii, seed=seed) for seed in range(5)])
    expected = ball.weighted_midpoint(x, reducedim=[-2])
    torch.testing.assert_close(midpoint(x, c), expected, atol=1e-9, rtol=1e-7)


def test_midpoint_is_in_the_middle() -> None:
    a, b = points(1.0, [0.9, 0.5])
    m = midpoint(torch.stack([a, b]))
    half = distance(a, b) / 2
    torch.testing.assert_close(distance(a, m), half)
    torch.testing.assert_close(distance(b, m), half)
    assert torch.equal(midpoint(torch.zeros(3, 4)), torch.zeros(4))


@pytest.mark.parametrize("c", CURVATURES)
def test_project_moves_only_what_is_on_the_rim_or_beyond(c: float) -> None:
    radii = [0, 0.5, 0.99999, 1 - 1e-9, 1.0 + 1e-12, 1.5, 100]
    x = points(c, radii)
    moved = project(x, c)
    assert torch.equal(moved[:4], x[:4])
    rim = (1 - 1e-5) / c**0.5
    torch.testing.assert_close(moved[4:].norm(dim=-1), torch.full((3,), rim).double())
    same = torch.nn.functional.cosine_similarity(moved[4:], x[4:])
    torch.testing.assert_close(same, torch.ones(3).double())


# float32 near the rim.


@pytest.mark.parametrize("c", CURVATURES)
@pytest.mark.parametrize("radius", [0.9, 0.999, 0.9999, 1 - 1e-5])
def test_float32_distances_near_the_rim(c: float, radius: float) -> None:
    # What a norm rounded to float32 leaves of the margin to the rim.
    tolerance = 4 * 2**-24 / (1 - radius)
    D = 256
    near = directions(4, D) + 1e-3 * directions(4, D, seed=1)  # close pairs and far ones
    x = torch.cat([directions(4, D), near / near.norm(dim=-1, keepdim=True)])
    x = (x * radius / c**0.5).float()
    single = pairwise_distance(x[None], c)[0]
    for i, j in itertools.combinations(range(len(x)), 2):
        exact = exact_distance(x[i], x[j], c)
        assert float(single[i, j]) == pytest.approx(exact, rel=tolerance)
        assert float(distance(x[i], x[j], c)) == pytest.approx(exact, rel=tolerance)


@pytest.mark.parametrize("c", CURVATURES)
@pytest.mark.parametrize("radius", [0.5, 0.9999, 1 - 1e-5, 1 - 1e-6, 1 - 1e-7])
def test_identical_points_have_distance_0(c: float, radius: float) -> None:
    x = (directions(40, 25, 64) * radius / c**0.5).float()
    x[:, 7], x[:, 24] = x[:, 0], x[:, 0]
    between = pairwise_distance(x, c)
    for i, j in itertools.product([0, 7, 24], repeat=2):
        assert (between[:, i, j] == 0).all()
        assert (distance(x[:, i], x[:, j], c) == 0).all()
    others = torch.tensor([j for j in range(25) if j not in (0, 7, 24)])
    assert (between[:, 0, others] > 0).all()


@pytest.mark.parametrize("c", CURVATURES)
def test_exp_0_never_leaves_the_ball(c: float) -> None:
    for dtype in (torch.float32, torch.float64):
        size = torch.tensor([0, 1e-30, 1e-3, 1, 3, 5, 9, 20, 1e4, 1e30], dtype=dtype)
        h = exp_0((directions(10, 256).to(dtype) * size[:, None]), c)
        assert torch.isfinite(h).all()
        assert (c**0.5 * h.double().norm(dim=-1) < 1).all()
        assert torch.isfinite(pairwise_distance(h, c)).all()
        assert torch.isfinite(midpoint(h, c)).all()
        assert (c**0.5 * midpoint(h, c).norm(dim=-1) <= 1).all()


def test_gradients_are_finite_at_the_origin_and_the_rim() -> None:
    for size in (0.0, 1e-20, 1.0, 30.0):
        tangent = (directions(3, 8) * size).float().requires_grad_()
        exp_0(tangent).sum().backward()
        assert tangent.grad is not None
        assert torch.isfinite(tangent.grad).all()


@settings(max_examples=60, deadline=None)
@given(
    radii=st.lists(st.floats(0, 0.9999), min_size=3, max_size=3),
    c=st.sampled_from(CURVATURES),
    seed=st.integers(0, 1000),
)
def test_distances_are_a_metric(radii, c, seed) -> None:
    x = points(c, radii, D=3, seed=seed).float()
    d = pairwise_distance(x, c)
    torch.testing.assert_close(d, d.T)
    assert (d >= 0).all()
    for a, b, m in itertools.permutations(range(3)):
        assert d[a, b] <= (d[a, m] + d[m, b]) * (1 + 1e-3) + 1e-3


def test_pairwise_distance_keeps_to_its_batch() -> None:
    x = directions(2, 3, 5, 16).float() * 0.8
    together = pairwise_distance(x)
    assert together.shape == (2, 3, 5, 5)
    for b, p in itertools.product(range(2), range(3)):
        torch.testing.assert_close(together[b, p], pairwise_distance(x[b, p]))


def test_euclidean_pairwise() -> None:
    x = directions(4, 6, 16).float() * 3
    expected = (x[:, :, None] - x[:, None]).norm(dim=-1)
    between = hyperbolic.euclidean_pairwise(x)
    torch.testing.assert_close(between, expected, atol=1e-6, rtol=1e-5)
    assert (between.diagonal(dim1=1, dim2=2) == 0).all()
