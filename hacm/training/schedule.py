"""The steps of an epoch and their learning rate: linear warm-up, then a half cosine."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor


def equal_parts(order: Int[Tensor, "N"], batch_size: int) -> list[Int[Tensor, "n"]]:
    """An epoch's batches: as few as can be of at most `batch_size`, of about equal size.

    A single one that would be left over is left out: batch norm has no spread to divide by.
    """
    parts = order.tensor_split(max(1, math.ceil(len(order) / batch_size)))
    return [part for part in parts if len(part) > 1 or len(order) == 1]


def warmup_cosine(step: int, *, warmup: int, total: int, lr: float, min_lr: float = 0.0) -> float:
    """Learning rate of a step: 0 -> lr over `warmup` steps, then lr -> min_lr at `total`."""
    if step < warmup:
        return lr * (step + 1) / warmup
    share = (step - warmup) / max(1, total - warmup)
    return min_lr + (lr - min_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group this rate, times its own `lr_scale` if it has one."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
