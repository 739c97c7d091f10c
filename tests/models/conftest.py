"""What several tests of the networks share: a small skeleton and a slow transformer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hacm.models.blocks import Block
from hacm.skeleton import SkeletonLayout


@pytest.fixture(scope="session")
def stick() -> SkeletonLayout:
    """Six joints, the trunk not in one piece: kept are 1, 3, 4 and 5."""
    return SkeletonLayout.from_parents(
        "stick",
        ["pelvis", "left_foot", "chest", "right_foot", "left_hand", "right_hand"],
        [-1, 0, 0, 0, 2, 2],
        trunk=[0, 2],
    )


@pytest.fixture(scope="session")
def plain_block() -> Callable[[Block, Tensor], Tensor]:
    """A pre-norm ViT block from its formulas, in float64, one head and one query at a time."""

    def weights(linear: nn.Linear) -> tuple[Tensor, Tensor]:
        return linear.weight.double(), linear.bias.double()

    def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        variance = ((x - mean) ** 2).mean(-1, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * layer.weight.double() + layer.bias.double()

    def linear(layer: nn.Linear, x: Tensor) -> Tensor:
        weight, bias = weights(layer)
        return x @ weight.T + bias

    def attention(block: Block, x: Tensor) -> Tensor:
        K, D = x.shape[1:]
        d = D // block.attn.heads
        mixed = torch.zeros_like(x)
        whole = linear(block.attn.qkv, x)
        for head in range(block.attn.heads):
            q, k, v = (
                whole[..., part * D + head * d : part * D + (head + 1) * d] for part in range(3)
            )
            for token in range(K):
                logits = (q[:, token : token + 1] * k).sum(-1) / d**0.5
                share = logits.exp() / logits.exp().sum(-1, keepdim=True)
                mixed[:, token, head * d : (head + 1) * d] = (share[..., None] * v).sum(1)
        return linear(block.attn.proj, mixed)

    def mlp(block: Block, x: Tensor) -> Tensor:
        hidden = linear(block.mlp[0], x)
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        return linear(block.mlp[2], hidden)

    @torch.no_grad()
    def run(block: Block, x: Tensor) -> Tensor:
        x = x.double()
        x = x + attention(block, norm(block.norm1, x))
        return x + mlp(block, norm(block.norm2, x))

    run.norm, run.linear = norm, linear  # type: ignore[attr-defined]
    return run
