"""The losses of pretraining: reconstruction of masked tokens and cross-contrast (paper III-D)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from hacm.config import LossOptions
from hacm.data.sequences import motion
from hacm.masking.hyperbolic import exp_0
from hacm.masking.tokens import patchify


def reconstruction_target(
    x: Float[Tensor, "B T J 3"], patch_frames: int, target: str
) -> Float[Tensor, "B P J r*3"]:
    """What the decoder predicts: patches of motion (or position), each normalised.

    Every patch has zero mean and unit variance over its r * 3 values. `hyperbolic_motion` maps each
    motion vector by exp_0 in 3-D first.
    """
    values = x if target == "position" else motion(x)
    if target == "hyperbolic_motion":
        values = exp_0(values)
    mean, std = patch_statistics(patches := patchify(values, patch_frames))
    return (patches - mean) / std


def patch_statistics(patches: Float[Tensor, "B P J r*3"]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every patch, (B, P, J, 1) each."""
    variance = patches.var(-1, keepdim=True)
    return patches.mean(-1, keepdim=True), (variance + 1e-6).sqrt()


def target_is_there(
    present: Bool[Tensor, "B T"], patch_frames: int, target: str
) -> Bool[Tensor, "B P"]:
    """Patches whose target rests only on frames in which the body is there."""
    if target != "position":  # m[t] needs frame t + 1 too; the last one is 0 by definition
        present = present & torch.cat([present[:, 1:], present[:, -1:]], dim=1)
    return present.unflatten(1, (-1, patch_frames)).all(-1)


def reconstruction_loss(
    prediction: Float[Tensor, "B M r*3"],
    target: Float[Tensor, "B M r*3"],
    there: Bool[Tensor, "B M"],
) -> Float[Tensor, ""]:
    """Mean squared error over the decoded tokens whose body and frames are there (eq. 9)."""
    error = (prediction - target).square().mean(-1)
    return (error * there).sum() / there.sum().clamp_min(1)


def contrast_loss(
    a: Float[Tensor, "B D"],
    b: Float[Tensor, "B D"],
    there: Bool[Tensor, "B"],
    options: LossOptions,
) -> Float[Tensor, ""]:
    """Each body of `a` should match the same body of `b` and no other.

    `mse`: MSE(softmax(a b^T / t), I) as published (eq. 10); `cross_entropy`: the matching body as
    the class. Bodies that are not there take no part.
    """
    if options.contrast_normalize:
        a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    logits = a @ b.T / options.contrast_temperature
    # Not -inf: a batch in which nobody is there would be NaN instead of 0.
    logits = logits.masked_fill(~there[None], torch.finfo(logits.dtype).min)
    n = there.sum().clamp_min(1)
    if options.contrast_loss == "cross_entropy":
        own = logits.log_softmax(1).diagonal()
        return -torch.where(there, own, 0.0).sum() / n
    gap = (logits.softmax(1) - torch.eye(len(a), device=a.device)).square()
    return (gap * there[:, None]).sum() / n.square()


def cross_contrast(
    even: Float[Tensor, "B D"],
    odd: Float[Tensor, "B D"],
    both: Float[Tensor, "B D"],
    there: Bool[Tensor, "B"],
    options: LossOptions,
) -> Float[Tensor, ""]:
    """Loss_cc: both groups' mean features against the mean of all (eq. 10), and each other."""
    loss = contrast_loss(even, both, there, options) + contrast_loss(odd, both, there, options)
    if options.inter:
        loss = loss + contrast_loss(odd, even, there, options)
    return loss
