"""The baselines' criteria: random masks (MAE) and motion-aware masks (MAMP)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def motion_score(motion: Float[Tensor, "B P J r*3"]) -> Float[Tensor, "B P J"]:
    """Mean absolute motion of a joint within a patch, metres.

    Args:
        motion: patches of steps from frame to frame (the criterion `motion`), or of differences to
            the patch before (`patch_motion`: what MAMP's released code takes for eq. 4).
    """
    return motion.abs().mean(-1)


def constant_score(motion: Float[Tensor, "B P J r*3"]) -> Float[Tensor, "B P J"]:
    """The same score for every token: sampling is uniform."""
    return torch.ones_like(motion[..., 0])
