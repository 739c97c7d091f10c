"""The losses of pretraining: reconstruction of masked tokens and cross-contrast (paper III-D)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from hacm.config import Config, LossOptions
from hacm.data.sequences import later, motion
from hacm.masking.hyperbolic import exp_0
from hacm.masking.tokens import patchify


def reconstruction_target(
    x: Float[Tensor, "B T J 3"], present: Bool[Tensor, "B T"], options: Config
) -> tuple[Float[Tensor, "B P J r*3"], Bool[Tensor, "B P"]]:
    """What the decoder predicts, and the patches in which that is known.

    Normalised patches of motion or position. `hyperbolic_motion` maps each motion vector by exp_0
    in 3-D first.
    """
    patches = target_patches(x, options, present)
    if options.target == "hyperbolic_motion":
        patches = exp_0(patches.unflatten(-1, (-1, 3))).flatten(-2)
    there = target_is_there(present, options)
    mean, std = target_statistics(patches, there, options.target_norm)
    return (patches - mean) / std, there


def target_patches(
    x: Float[Tensor, "B T J 3"], options: Config, present: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B P J r*3"]:
    """Patches of position, or of motion over `target_stride` frames, metres."""
    values = x if options.target == "position" else motion(x, options.target_stride, present)
    return patchify(values, options.patch_frames)


def target_is_there(present: Bool[Tensor, "B T"], options: Config) -> Bool[Tensor, "B P"]:
    """Patches whose target rests only on frames in which the body is there."""
    if options.target != "position":  # m[t] needs a later frame too
        present = present & later(present, options.target_stride)
    return present.unflatten(1, (-1, options.patch_frames)).all(-1)


def target_statistics(
    patches: Float[Tensor, "B P J r*3"], there: Bool[Tensor, "B P"], norm: str
) -> tuple[Tensor, Tensor]:
    """What is taken off a target, and what it is divided by.

    `patch`: mean and standard deviation of every patch, (B, P, J, 1) each; `body`: 0 and the root
    mean square over all of a body's patches that are there, (B, 1, 1, 1) each.
    """
    if norm == "patch":
        variance = patches.var(-1, keepdim=True)
        return patches.mean(-1, keepdim=True), (variance + 1e-6).sqrt()
    known = there[:, :, None, None]
    count = (known.sum((1, 2, 3), keepdim=True) * patches[0, 0].numel()).clamp_min(1)
    energy = (patches.square() * known).sum((1, 2, 3), keepdim=True) / count
    return torch.zeros_like(energy), (energy + 1e-12).sqrt()


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
