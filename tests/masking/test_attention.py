"""The temporal attention score against plain loops over the paper's formula."""

from __future__ import annotations

import math

import pytest
import torch

from hacm.masking.attention import attention_score


def plain(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """s[u, j] = sum_p softmax_u(q[p, j] . k[u, j] / sqrt(d)), mean over heads."""
    B, P, J, H, d = query.shape
    score = torch.zeros(B, P, J, dtype=torch.float64)
    for b in range(B):
        for j in range(J):
            for h in range(H):
                for p in range(P):
                    logits = [
                        sum(
                            float(a) * float(k)
                            for a, k in zip(query[b, p, j, h], key[b, u, j, h], strict=True)
                        )
                        / math.sqrt(d)
                        for u in range(P)
                    ]
                    total = sum(math.exp(value) for value in logits)
                    for u in range(P):
                        score[b, u, j] += math.exp(logits[u]) / total / H
    return score


@pytest.mark.parametrize("heads", [1, 3])
def test_score_is_the_formula(heads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 5, 3, heads, 4)
    query, key = torch.randn(2, *shape, generator=generator, dtype=torch.float64) * 2
    expected = plain(query, key)
    torch.testing.assert_close(attention_score(query, key), expected)
    single = attention_score(query.float(), key.float())
    torch.testing.assert_close(single, expected.float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(expected.sum(1), torch.full((2, 3), 5.0).double())


def test_the_patch_that_all_look_at_scores_highest() -> None:
    query = torch.ones(1, 6, 2, 1, 4)
    key = torch.zeros(1, 6, 2, 1, 4)
    key[0, 3, 1] = 5  # joint 1: everyone attends to patch 3
    score = attention_score(query, key)
    assert int(score[0, :, 1].argmax()) == 3
    assert float(score[0, 3, 1]) > 5.9
    torch.testing.assert_close(score[0, :, 0], torch.ones(6))


def test_joints_do_not_mix() -> None:
    generator = torch.Generator().manual_seed(1)
    query, key = torch.randn(2, 1, 4, 3, 2, 5, generator=generator)
    before = attention_score(query, key)
    key[:, :, 2] *= -3
    after = attention_score(query, key)
    assert torch.equal(before[..., :2], after[..., :2])
    assert not torch.equal(before[..., 2], after[..., 2])
