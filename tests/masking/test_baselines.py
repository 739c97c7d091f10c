"""The baselines' criteria: motion (MAMP) and nothing at all (MAE)."""

from __future__ import annotations

import torch

from hacm.masking.baselines import constant_score, motion_score
from hacm.masking.tokens import patchify


def test_motion_score_is_the_mean_absolute_step() -> None:
    steps = torch.randn(2, 12, 5, 3, generator=torch.Generator().manual_seed(0))
    score = motion_score(patchify(steps, 4))
    for b in range(2):
        for p in range(3):
            for j in range(5):
                values = steps[b, p * 4 : p * 4 + 4, j].flatten().tolist()
                expected = sum(abs(value) for value in values) / len(values)
                torch.testing.assert_close(float(score[b, p, j]), expected, rtol=1e-5, atol=0)


def test_constant_score() -> None:
    score = constant_score(torch.randn(2, 3, 4, 6))
    assert score.shape == (2, 3, 4)
    assert score.unique().numel() == 1
