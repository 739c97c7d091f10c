"""Sampling: weights from scores, draws that follow the weights, and their entropy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from told_scores import by_score, draw

from hacm.config import MaskOptions
from hacm.masking.cross_mask import (
    mask_noise,
    relative_entropy,
    sampling_logits,
)

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
    inputs, criteria = by_score(torch.rand(3, 6, 4, generator=torch.Generator().manual_seed(0)))
    first, again, other = (
        draw(inputs, MaskOptions(), seed, criteria).ids_keep for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


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
