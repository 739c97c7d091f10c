"""Cross masking: exact counts, MAE's conventions, and sampling that follows its weights."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hacm.config import MaskOptions, ModelOptions
from hacm.errors import HacmError
from hacm.masking.criteria import MaskInputs, build_inputs
from hacm.masking.cross_mask import (
    Mask,
    cross_mask,
    group_patches,
    mask_noise,
    relative_entropy,
    sampling_logits,
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


def draw(inputs: MaskInputs, options: MaskOptions, seed: int = 0, criteria=None) -> Mask:
    B, P, J, _ = inputs.tokens.shape
    noise = mask_noise(B, P, J, torch.Generator().manual_seed(seed))
    return cross_mask(inputs, options, noise, criteria)


def by_score(score: torch.Tensor):
    """A criterion that says what it is told: (P, J) or (B, P, J) scores, carried as positions."""

    def criterion(inputs: MaskInputs, options: MaskOptions) -> torch.Tensor:
        return inputs.position[..., 0]

    B = 1 if score.ndim == 2 else score.shape[0]
    grid = score.expand(B, *score.shape[-2:])[..., None]
    fields = dict.fromkeys(["position", "motion", "tokens"], grid)
    inputs = MaskInputs(**fields, root=None, query=grid[..., None], key=grid[..., None])
    return inputs, (criterion, criterion)


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


# Sampling weights.


def test_weights_are_the_formula() -> None:
    score = np.array([0.3, 1.2, 0.9, 2.0])

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum()

    for tau in (0.2, 0.9):
        log_max = sampling_logits(torch.tensor(score)[None], tau=tau, score_norm="max")
        np.testing.assert_allclose(log_max.exp()[0], softmax(score / (tau * 2.0)))
        log_z = sampling_logits(torch.tensor(score)[None], tau=tau, score_norm="zscore")
        z = (score - score.mean()) / score.std()
        np.testing.assert_allclose(log_z.exp()[0], softmax(z / tau))


@pytest.mark.parametrize("norm", ["max", "zscore"])
@pytest.mark.parametrize("value", [0.0, 1.0, 1e-20, 1e6, 0.1])
def test_a_constant_score_samples_uniformly(norm: str, value: float) -> None:
    log_weight = sampling_logits(torch.full((2, 108), value), tau=0.01, score_norm=norm)
    torch.testing.assert_close(log_weight.exp(), torch.full((2, 108), 1 / 108))


def test_rounding_alone_does_not_steer() -> None:
    """A score that is constant but for the last bit, as attention's is for equal patches."""
    score = torch.full((1, 50), 3.0)
    score[0, ::2] = torch.nextafter(score[0, 0], torch.tensor(4.0))
    weight = sampling_logits(score, tau=0.1, score_norm="zscore").exp()
    torch.testing.assert_close(weight, torch.full((1, 50), 0.02))


def inclusion(weight: np.ndarray, count: int) -> np.ndarray:
    """Plackett-Luce: probability that each item is among the first `count`, by enumeration."""
    probability = np.zeros(len(weight))
    for order in itertools.permutations(range(len(weight)), count):
        p, rest = 1.0, 1.0
        for item in order:
            p, rest = p * weight[item] / rest, rest - weight[item]
        probability[list(order)] += p
    return probability


@pytest.mark.parametrize("keep", ["high", "low"])
@pytest.mark.parametrize("grouping", ["none", "odd_even"])
def test_sampling_follows_plackett_luce(keep: str, grouping: str) -> None:
    """keep = high draws the visible tokens by their weights, keep = low the masked ones."""
    trials = 20_000
    score = torch.tensor([[0.0, 1.0, 3.0], [0.5, 2.0, 2.5]])
    inputs, criteria = by_score(score.expand(trials, 2, 3))
    options = MaskOptions(keep=keep, grouping=grouping, mask_ratio=0.4, tau=0.7)
    mask = draw(inputs, options, seed=11, criteria=criteria)
    visible = 1 - mask.mask.double().mean(0).view(2, 3).numpy()
    groups = [[0, 1]] if grouping == "none" else [[0], [1]]
    for rows, kept in zip(groups, mask.kept, strict=True):
        values = score.double().numpy()[rows].ravel()
        z = (values - values.mean()) / values.std() / 0.7
        weight = np.exp(z) / np.exp(z).sum()
        count = kept if keep == "high" else len(values) - kept
        drawn = inclusion(weight, count)
        expected = drawn if keep == "high" else 1 - drawn
        spread = np.sqrt(expected * (1 - expected) / trials)
        assert (np.abs(visible[rows].ravel() - expected) < 5 * spread + 1e-9).all()


def test_bodies_are_drawn_independently() -> None:
    inputs, criteria = by_score(torch.zeros(4000, 2, 4))
    mask = draw(inputs, MaskOptions(grouping="none", mask_ratio=0.5), criteria=criteria)
    a, b = mask.mask[0::2, 0], mask.mask[1::2, 0]
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.1
    assert len({tuple(row) for row in mask.mask.tolist()}) == math.comb(8, 4)


def test_noise_is_standard_gumbel_from_the_generator() -> None:
    noise = mask_noise(40, 50, 20, torch.Generator().manual_seed(0))
    values = noise.tokens.double()
    assert torch.isfinite(values).all()
    assert abs(float(values.mean()) - np.euler_gamma) < 0.03
    assert abs(float(values.std()) - math.pi / math.sqrt(6)) < 0.03
    again = mask_noise(40, 50, 20, torch.Generator().manual_seed(0))
    assert torch.equal(noise.tokens, again.tokens)
    assert torch.equal(noise.patches, again.patches)
    state = torch.get_rng_state()
    mask_noise(2, 2, 2, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_noise_gives_the_same_mask() -> None:
    inputs = some_inputs(3, 6, 4)
    first, again = draw(inputs, MaskOptions(), 5), draw(inputs, MaskOptions(), 5)
    assert torch.equal(first.ids_keep, again.ids_keep)
    assert not torch.equal(first.ids_keep, draw(inputs, MaskOptions(), 6).ids_keep)


# Entropy.


def test_relative_entropy() -> None:
    score = torch.tensor([[0.0, 1.0, 3.0], [0.0, 0.0, 0.0], [0.5, 2.0, 2.5], [0.0, 0.0, 0.0]])
    inputs, criteria = by_score(score)
    mask = draw(inputs, MaskOptions(tau=0.5, mask_ratio=0.5), criteria=criteria)
    entropy = relative_entropy(mask, 3)
    weight = mask.weight.double().view(4, 3).numpy()
    for g, rows in enumerate(([0, 2], [1, 3])):
        w = weight[rows].ravel()
        assert float(entropy[0, g]) == pytest.approx(-(w * np.log(w)).sum() / np.log(6), rel=1e-5)
    assert float(entropy[0, 1]) == pytest.approx(1)
    assert float(entropy[0, 0]) < 0.9


def test_entropy_of_a_certain_mask_is_0() -> None:
    inputs, criteria = by_score(torch.eye(4)[None].expand(2, 4, 4) * torch.eye(4)[0])
    mask = draw(inputs, MaskOptions(tau=1e-6, grouping="none"), criteria=criteria)
    torch.testing.assert_close(relative_entropy(mask, 4), torch.zeros(2, 1))


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
