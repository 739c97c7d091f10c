"""The learning rate: linear warm-up, then a half cosine."""

from __future__ import annotations

import math

import torch


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
