"""Pre-norm transformer blocks (ViT): attention with qkv bias, MLP with exact GELU."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: D.
        heads: number of heads; divides D.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "B K D"],
        first: int = 0,
        attend: Bool[Tensor, "B 1 1 K"] | None = None,
    ) -> Float[Tensor, "B K-first D"]:
        """Tokens from number `first` on attend to all tokens, or to those marked in `attend`."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query[:, :, first:], key, value, attn_mask=attend)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        width: D.
        heads: attention heads.
        mlp_ratio: hidden width of the MLP over D.
        drop_path: probability that a body skips a branch in training (stochastic depth).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = int(width * mlp_ratio)
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.drop_path = drop_path

    def forward(
        self,
        x: Float[Tensor, "B K D"],
        first: int = 0,
        attend: Bool[Tensor, "B 1 1 K"] | None = None,
    ) -> Float[Tensor, "B K-first D"]:
        """Renew the tokens from number `first` on; those before it are only attended to.

        Args:
            x: tokens.
            first: the first one to renew.
            attend: which tokens may be attended to, from `attend_to`; None: all.
        """
        x = x[:, first:] + self._skip(self.attn(self.norm1(x), first, attend))
        return x + self._skip(self.mlp(self.norm2(x)))

    def _skip(self, branch: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        alive = torch.rand(branch.shape[0], 1, 1, device=branch.device) < keep
        return branch * alive / keep


def attend_to(there: Bool[Tensor, "B K"] | None) -> Bool[Tensor, "B 1 1 K"] | None:
    """An attention mask: only to tokens that are there.

    A body without any attends to all of them: its results, which nobody uses, stay finite.
    """
    if there is None:
        return None
    return (there | ~there.any(1, keepdim=True))[:, None, None]


def init_linear(module: nn.Module) -> None:
    """Truncated normal 0.02 for linear maps, zero biases (the field's usual ViT start)."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            nn.init.zeros_(part.bias)
