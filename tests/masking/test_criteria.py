"""What the criteria are shown: built from coordinates or from an encoder's tokens."""

from __future__ import annotations

import dataclasses

import geoopt
import pytest
import torch

from hacm.config import MaskOptions, ModelOptions
from hacm.masking.criteria import CRITERIA, build_inputs, group_score
from hacm.masking.hierarchy import hierarchy_score
from hacm.skeleton import SkeletonLayout

STICK = SkeletonLayout.from_parents(
    "stick", ["pelvis", "left_foot", "chest", "left_hand", "head"], [-1, 0, 0, 2, 2], trunk=[0, 2]
)
KEPT, TRUNK, P, r = [1, 3, 4], [0, 2], 4, 3


def clips() -> torch.Tensor:
    return torch.randn(2, P * r, STICK.V, 3, generator=torch.Generator().manual_seed(0))


def options(**fields) -> ModelOptions:
    return ModelOptions(frames=P * r, patch_frames=r, **fields)


@pytest.mark.parametrize("prune", [True, False])
def test_positions_and_motion_are_those_of_the_tokens_joints(prune: bool) -> None:
    x = clips()
    inputs = build_inputs(x, STICK, options(prune=prune))
    joints = KEPT if prune else list(range(STICK.V))
    later = torch.cat([x[:, 1:], x[:, -1:]], dim=1)
    for p in range(P):
        span = slice(p * r, p * r + r)
        for j, joint in enumerate(joints):
            assert torch.equal(inputs.position[:, p, j], x[:, span, joint].flatten(1))
            steps = (later - x)[:, span, joint].flatten(1)
            assert torch.equal(inputs.motion[:, p, j], steps)


@pytest.mark.parametrize("c", [1.0, 1.8])
@pytest.mark.parametrize("norm", ["mean", "none"])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_tokens_and_root_are_mapped_with_one_factor(c: float, norm: str, scale) -> None:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(2, P, 3, 6, generator=generator, dtype=torch.float64) * 0.4
    trunk = torch.randn(2, P, 2, 6, generator=generator, dtype=torch.float64) * 0.4
    chosen = options(curvature=c, tangent_norm=norm, tangent_scale=0.8)
    inputs = build_inputs(clips().double(), STICK, chosen, tokens, trunk, scale=scale)
    factor = torch.full((2, 1, 1, 1), scale or 0.8).double()
    if norm == "mean":
        factor /= tokens.norm(dim=-1).mean((1, 2))[:, None, None, None]
    ball = geoopt.PoincareBall(c=torch.tensor(c, dtype=torch.float64))
    torch.testing.assert_close(inputs.tokens, ball.expmap0(tokens * factor), atol=1e-7, rtol=1e-7)
    root = ball.weighted_midpoint(ball.expmap0(trunk * factor), reducedim=[2])
    torch.testing.assert_close(inputs.root, root, atol=1e-7, rtol=1e-7)
    assert (inputs.space, inputs.curvature) == ("hyperbolic", c)


def test_the_euclidean_root_is_the_mean() -> None:
    x = clips()
    inputs = build_inputs(
        x, STICK, options(space="euclidean", tangent_norm="none", score_tokens="position")
    )
    trunk = x.unflatten(1, (P, r))[:, :, :, TRUNK].transpose(2, 3).flatten(3)
    torch.testing.assert_close(inputs.root, 0.7 * trunk.mean(2))
    torch.testing.assert_close(inputs.tokens, 0.7 * inputs.position)


@pytest.mark.parametrize("seen", ["position", "motion"])
def test_without_projections_attention_compares_the_tokens(seen: str) -> None:
    """The logit of two tokens is their product in units of the body's mean norm."""
    inputs = build_inputs(clips(), STICK, options(score_tokens=seen))
    tokens = getattr(inputs, seen)
    unit = tokens.norm(dim=-1).mean((1, 2))[:, None, None] ** 2
    logits = (inputs.query[:, 2] * inputs.key[:, 1]).sum((-1, -2)) / tokens.shape[-1] ** 0.5
    torch.testing.assert_close(logits, (tokens[:, 2] * tokens[:, 1]).sum(-1) / unit[..., 0])


def test_a_body_at_rest_has_motion_tokens_without_nan() -> None:
    x = clips()[:, :1].expand(-1, P * r, -1, -1)
    inputs = build_inputs(x, STICK, options(score_tokens="motion"))
    for name in ("hierarchy", "attention"):
        score = group_score(name, inputs, MaskOptions())
        assert score.isfinite().all() and float(score.std()) < 1e-6


def test_patches_takes_all_fields_alike() -> None:
    query, key = torch.randn(2, 2, P, 3, 2, 4)
    inputs = build_inputs(clips(), STICK, options(curvature=1.5), query_key=(query, key))
    ids = torch.tensor([3, 1])
    some = inputs.patches(ids)
    for field in dataclasses.fields(inputs):
        whole, part = getattr(inputs, field.name), getattr(some, field.name)
        if isinstance(whole, torch.Tensor):
            assert torch.equal(part, whole[:, ids]), field.name
        else:
            assert part == whole


def test_the_hierarchy_uses_the_options() -> None:
    inputs = build_inputs(clips(), STICK, options(curvature=1.5))
    assert inputs.root is not None
    score = group_score("hierarchy", inputs, MaskOptions(root_weight=2.0))
    expected = hierarchy_score(inputs.tokens, inputs.root, root_weight=2.0, curvature=1.5)
    assert torch.equal(score, expected)
    assert not torch.equal(score, group_score("hierarchy", inputs, MaskOptions()))


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_scores_every_token(name: str) -> None:
    inputs = build_inputs(clips().requires_grad_(), STICK, options())
    score = group_score(name, inputs, MaskOptions())
    assert score.shape == (2, P, 3)
    assert torch.isfinite(score).all()
    assert not score.requires_grad
