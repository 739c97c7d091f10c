"""Cross masking: exact counts, groups, MAE's conventions, and no model needed."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from told_scores import by_score, draw

from hacm.config import MaskOptions, ModelOptions
from hacm.errors import HacmError
from hacm.masking.criteria import MaskInputs, build_inputs
from hacm.masking.cross_mask import (
    group_patches,
    visible_count,
)
from hacm.skeleton import SkeletonLayout

GROUPINGS = ["odd_even", "halves", "random", "none"]
STICK = SkeletonLayout.from_parents(
    "stick", ["base", "chest", "left_hand", "right_hand", "head"], [-1, 0, 1, 1, 1], trunk=[0, 1]
)


def some_inputs(B: int, P: int, J: int, seed: int = 0) -> MaskInputs:
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(5, B, P, J, 4, generator=generator)
    tokens = random[2] * 0.2
    return MaskInputs(
        position=random[0],
        motion=random[1],
        tokens=tokens,
        root=tokens.mean(2),
        query=random[3][..., None, :],
        key=random[4][..., None, :],
    )


# Exact counts and MAE's conventions.


@settings(max_examples=120, deadline=None)
@given(
    B=st.integers(1, 3),
    P=st.integers(2, 9),
    J=st.integers(1, 7),
    grouping=st.sampled_from(GROUPINGS),
    keep=st.sampled_from(["high", "low"]),
    norm=st.sampled_from(["max", "zscore"]),
    criteria=st.tuples(*[st.sampled_from(["hierarchy", "attention", "motion", "random"])] * 2),
    ratio=st.floats(0.05, 0.95),
    tau=st.floats(0.05, 5),
    seed=st.integers(0, 100),
)
def test_counts_and_conventions(B, P, J, grouping, keep, norm, criteria, ratio, tau, seed) -> None:
    options = MaskOptions(
        grouping=grouping,
        keep=keep,
        score_norm=norm,
        temporal=criteria[0],
        spatial=criteria[1],
        mask_ratio=ratio,
        tau=tau,
    )
    inputs = some_inputs(B, P, J, seed)
    smallest = P if grouping == "none" else P // 2
    if visible_count(smallest * J, ratio) == 0:
        with pytest.raises(HacmError, match=f"mask_ratio = {ratio} leaves none"):
            draw(inputs, options, seed)
        return
    mask = draw(inputs, options, seed)
    L = P * J
    groups = [[p for p in range(P) if mask.group[p] == g] for g in range(len(mask.kept))]
    assert len(groups) == (1 if grouping == "none" else 2)
    assert sorted(itertools.chain(*groups)) == list(range(P))
    expected = tuple(math.floor(round((1 - ratio) * len(g) * J, 6)) for g in groups)
    assert mask.kept == expected

    K = sum(expected)
    assert mask.ids_keep.shape == (B, K)
    assert mask.ids_masked.shape == (B, L - K)
    for b in range(B):
        keep_ids, masked = mask.ids_keep[b].tolist(), mask.ids_masked[b].tolist()
        assert sorted(keep_ids + masked) == list(range(L))
        # 0 visible, 1 masked.
        assert [int(mask.mask[b, token]) for token in range(L)] == [
            int(token not in keep_ids) for token in range(L)
        ]
        # The temporal group's visible tokens first.
        begin = 0
        for group, count in zip(groups, mask.kept, strict=True):
            assert all(t // J in group for t in keep_ids[begin : begin + count])
            begin += count
    shuffled = torch.cat([mask.ids_keep, mask.ids_masked], 1)
    assert torch.equal(shuffled.gather(1, mask.ids_restore), torch.arange(L).expand(B, L))
    # The mask as MAE computes it: ones, zeros in front, un-shuffled.
    mae = torch.ones(B, L)
    mae[:, :K] = 0
    assert torch.equal(mae.gather(1, mask.ids_restore), mask.mask)
    # Weights sum to one in each group, in the one token order.
    grid = mask.weight.view(B, P, J)
    for group in groups:
        torch.testing.assert_close(grid[:, group].sum((1, 2)), torch.ones(B))
    assert torch.isfinite(mask.score).all()


def test_the_defaults_keep_42_of_432() -> None:
    mask = draw(some_inputs(2, 24, 18), MaskOptions())
    assert mask.kept == (21, 21)
    assert visible_count(216, 0.9) == 21
    assert visible_count(750, 0.9) == 75
    assert [visible_count(10, ratio) for ratio in (0.9, 0.8, 0.7, 0.3, 0.1)] == [1, 2, 3, 7, 9]


def test_two_groups_need_two_patches() -> None:
    with pytest.raises(HacmError, match="none of a group's 0 tokens"):
        draw(some_inputs(1, 1, 30), MaskOptions())
    assert draw(some_inputs(1, 1, 30), MaskOptions(grouping="none")).kept == (3,)


@given(st.integers(1, 500), st.integers(1, 99))
def test_visible_count_is_the_floor_of_exact_arithmetic(tokens: int, per_cent: int) -> None:
    assert visible_count(tokens, per_cent / 100) == tokens * (100 - per_cent) // 100


@pytest.mark.parametrize("P", [2, 7, 24])
def test_groupings(P: int) -> None:
    order = torch.rand(P, generator=torch.Generator().manual_seed(0))
    half = (P + 1) // 2
    even, odd = group_patches("odd_even", order)
    assert (even.tolist(), odd.tolist()) == (list(range(0, P, 2)), list(range(1, P, 2)))
    first, second = group_patches("halves", order)
    assert (first.tolist(), second.tolist()) == (list(range(half)), list(range(half, P)))
    one, two = group_patches("random", order)
    assert len(one) == half
    assert sorted([*one.tolist(), *two.tolist()]) == list(range(P))
    assert [group.tolist() for group in group_patches("none", order)] == [list(range(P))]


def test_random_groups_are_fair_and_follow_the_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(6)
    for _ in range(600):
        counts[group_patches("random", torch.rand(6, generator=generator))[0]] += 1
    assert (abs(counts - 300) < 60).all()  # five standard deviations


def test_each_group_is_scored_by_its_own_criterion() -> None:
    """The temporal criterion never sees an odd patch, and the spatial one no even patch."""
    seen = []

    def criterion(number: int):
        def score(inputs: MaskInputs, options: MaskOptions) -> torch.Tensor:
            seen.append((number, inputs.position[0, :, 0, 0].tolist()))
            return torch.full_like(inputs.position[..., 0], 10.0 + number)

        return score

    position = torch.arange(6.0).view(1, 6, 1, 1).expand(1, 6, 3, 3)
    inputs, _ = by_score(torch.zeros(6, 3))
    inputs = MaskInputs(**{**vars(inputs), "position": position})
    mask = draw(inputs, MaskOptions(mask_ratio=0.5), criteria=(criterion(0), criterion(1)))
    assert seen == [(0, [0, 2, 4]), (1, [1, 3, 5])]
    assert mask.score[0].view(6, 3)[:, 0].tolist() == [10, 11, 10, 11, 10, 11]


def test_scores_come_back_in_the_one_token_order() -> None:
    score = torch.rand(2, 8, 5, generator=torch.Generator().manual_seed(3))
    for grouping in GROUPINGS:
        inputs, criteria = by_score(score)
        mask = draw(inputs, MaskOptions(grouping=grouping), criteria=criteria)
        assert torch.equal(mask.score.view(2, 8, 5), score)


@pytest.mark.parametrize("keep", ["high", "low"])
@pytest.mark.parametrize("norm", ["max", "zscore"])
def test_a_sharp_temperature_keeps_that_end_of_the_score(keep: str, norm: str) -> None:
    score = torch.rand(1, 6, 5, generator=torch.Generator().manual_seed(0))
    inputs, criteria = by_score(score)
    options = MaskOptions(keep=keep, score_norm=norm, tau=1e-5, mask_ratio=0.6)
    mask = draw(inputs, options, criteria=criteria)
    for start in (0, 1):  # even, odd patches
        tokens = [p * 5 + j for p in range(start, 6, 2) for j in range(5)]
        ranked = sorted(tokens, key=lambda t: float(score.flatten()[t]), reverse=keep == "high")
        visible = {t for t in mask.ids_keep[0].tolist() if t in tokens}
        assert visible == set(ranked[:6])


# Inputs from coordinates alone.


@pytest.mark.parametrize("space", ["hyperbolic", "euclidean"])
@pytest.mark.parametrize("norm", ["mean", "none"])
def test_a_mask_needs_no_model(space: str, norm: str) -> None:
    x = torch.randn(2, 12, STICK.V, 3, generator=torch.Generator().manual_seed(0))
    options = ModelOptions(frames=12, patch_frames=3, space=space, tangent_norm=norm)
    inputs = build_inputs(x, STICK, options)
    assert inputs.tokens.shape == (2, 4, 3, 9)
    assert inputs.root is not None
    mask = draw(inputs, MaskOptions(mask_ratio=0.5))
    assert mask.kept == (3, 3)
    if space == "hyperbolic" and norm == "mean":
        tangent = torch.atanh(inputs.tokens.double().norm(dim=-1)).mean((1, 2))
        torch.testing.assert_close(tangent, torch.full((2,), options.tangent_scale).double())


def test_scores_have_no_gradient() -> None:
    x = torch.randn(1, 12, STICK.V, 3, requires_grad=True)
    mask = draw(build_inputs(x, STICK, ModelOptions(frames=12)), MaskOptions(mask_ratio=0.5))
    assert not mask.score.requires_grad
    assert not mask.weight.requires_grad


def test_the_hierarchy_needs_a_virtual_root() -> None:
    bare = SkeletonLayout.from_parents("bare", ["a", "b"], [-1, 0])
    inputs = build_inputs(torch.randn(1, 6, 2, 3), bare, ModelOptions(frames=6, prune=False))
    assert inputs.root is None
    with pytest.raises(HacmError, match="needs a virtual root"):
        draw(inputs, MaskOptions(mask_ratio=0.5))
    draw(inputs, MaskOptions(spatial="motion", mask_ratio=0.5))
