"""Encoders with a head: the linear probe's and the fine-tuning classifier."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hacm.masking.tokens import tokens_to_grid
from hacm.models.blocks import init_linear
from hacm.models.encoder import Encoder


def mean_of_bodies(
    values: Float[Tensor, "B *D"], sequence: Int[Tensor, "B"], N: int
) -> Float[Tensor, "N *D"]:
    """Average what belongs to the same sequence; `sequence` says which one each body is in."""
    total = values.new_zeros(N, *values.shape[1:]).index_add_(0, sequence, values)
    count = torch.zeros(N, device=values.device).index_add_(
        0, sequence, torch.ones_like(sequence, dtype=torch.float)
    )
    return total / count.clamp_min(1).view(-1, *[1] * (values.ndim - 1))


class LinearHead(nn.Module):
    """Mean of all tokens and bodies, batch norm without affine part, one linear map.

    Args:
        width: D.
        classes: C.
        norm: leave out the batch norm for heads that were trained without.
    """

    def __init__(self, width: int, classes: int, *, norm: bool = True) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, affine=False, eps=1e-6) if norm else nn.Identity()
        self.linear = nn.Linear(width, classes)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def pool(
        self, tokens: Float[Tensor, "B L D"], sequence: Int[Tensor, "B"], N: int
    ) -> Float[Tensor, "N D"]:
        """One feature vector a sequence."""
        return mean_of_bodies(tokens.mean(1), sequence, N)

    def forward(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N C"]:
        return self.linear(self.norm(features))


class FinetuneHead(nn.Module):
    """Mean over time and bodies, joints side by side, a hidden layer of 2048.

    Args:
        width: D.
        joints: J.
        classes: C.
        dropout: of the tokens that come in, in training.
    """

    HIDDEN = 2048

    def __init__(self, width: int, joints: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.joints = joints
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(joints * width, self.HIDDEN)
        self.bn = nn.BatchNorm1d(self.HIDDEN)
        self.fc2 = nn.Linear(self.HIDDEN, classes)
        init_linear(self)

    def pool(
        self, tokens: Float[Tensor, "B L D"], sequence: Int[Tensor, "B"], N: int
    ) -> Float[Tensor, "N J*D"]:
        """One feature vector a sequence, joint by joint."""
        grid = tokens_to_grid(self.dropout(tokens), self.joints)
        return mean_of_bodies(grid.mean(1).flatten(1), sequence, N)

    def forward(self, features: Float[Tensor, "N J*D"]) -> Float[Tensor, "N C"]:
        return self.fc2(self.bn(self.fc1(features)).relu())


class Classifier(nn.Module):
    """An encoder and a head, from bodies to one row of class scores a sequence.

    Args:
        encoder: gives the tokens.
        head: a `LinearHead` or `FinetuneHead`.
    """

    def __init__(self, encoder: Encoder, head: LinearHead | FinetuneHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(
        self, x: Float[Tensor, "B T V 3"], sequence: Int[Tensor, "B"], N: int
    ) -> Float[Tensor, "N C"]:
        """Scores (logits).

        Args:
            x: bodies of N sequences.
            sequence: which sequence each body belongs to.
            N: number of sequences.
        """
        return self.head(self.head.pool(self.encoder(x), sequence, N))
