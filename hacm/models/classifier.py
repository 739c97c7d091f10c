"""Encoders with a head: the linear probe's and the fine-tuning classifier."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from hacm.masking.tokens import tokens_to_grid
from hacm.models.blocks import init_linear
from hacm.models.encoder import Encoder


def mean_of_tokens(
    tokens: Float[Tensor, "B K *D"], there: Bool[Tensor, "B K"] | None = None
) -> Float[Tensor, "B *D"]:
    """Average over the tokens (or patches) that are there, None: all; 0 for a body without any."""
    if there is None:
        return tokens.mean(1)
    weight = _like(there.to(tokens.dtype), tokens)
    return (tokens * weight).sum(1) / weight.sum(1).clamp_min(1)


def mean_of_bodies(
    values: Float[Tensor, "B *D"],
    sequence: Int[Tensor, "B"],
    N: int,
    there: Bool[Tensor, "B"] | None = None,
) -> Float[Tensor, "N *D"]:
    """Average what belongs to the same sequence.

    Args:
        values: of every body.
        sequence: which of the N sequences each body is in.
        N: number of sequences.
        there: bodies that count, None: all; a sequence without any is 0.
    """
    counts = torch.ones_like(sequence) if there is None else there
    weight = counts.to(values.dtype)
    total = values.new_zeros(N, *values.shape[1:])
    total = total.index_add_(0, sequence, values * _like(weight, values))
    count = weight.new_zeros(N).index_add_(0, sequence, weight)
    return total / _like(count.clamp_min(1), total)


def _like(weight: Shaped[Tensor, "*some"], values: Shaped[Tensor, "*more"]) -> Tensor:
    """Singleton dimensions at the end, so that one multiplies the other."""
    return weight.view(*weight.shape, *[1] * (values.ndim - weight.ndim))


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

    @staticmethod
    def pool(
        tokens: Float[Tensor, "B L D"],
        sequence: Int[Tensor, "B"],
        N: int,
        there: Bool[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "N D"]:
        """One feature vector a sequence, of the tokens that are there."""
        here = None if there is None else there.any(1)
        return mean_of_bodies(mean_of_tokens(tokens, there), sequence, N, here)

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
        self,
        tokens: Float[Tensor, "B L D"],
        sequence: Int[Tensor, "B"],
        N: int,
        there: Bool[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "N J*D"]:
        """One feature vector a sequence, joint by joint, of the tokens that are there."""
        grid = tokens_to_grid(self.dropout(tokens), self.joints)
        # All joints of a patch are there, or none.
        patches = None if there is None else tokens_to_grid(there, self.joints)[..., 0]
        here = None if patches is None else patches.any(1)
        return mean_of_bodies(mean_of_tokens(grid, patches).flatten(1), sequence, N, here)

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
        self,
        x: Float[Tensor, "B T V 3"],
        sequence: Int[Tensor, "B"],
        N: int,
        present: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "N C"]:
        """Scores (logits).

        Args:
            x: bodies of N sequences.
            sequence: which sequence each body belongs to.
            N: number of sequences.
            present: frames in which a body is there (`Batch.gaps`); None: all.
        """
        tokens = self.encoder(x, present)
        return self.head(self.head.pool(tokens, sequence, N, self.encoder.tokens_there(present)))
