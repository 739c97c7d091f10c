"""Masks from scores that a test chooses."""

from __future__ import annotations

import torch

from hacm.config import MaskOptions
from hacm.masking.criteria import MaskInputs
from hacm.masking.cross_mask import Mask, cross_mask, mask_noise


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
