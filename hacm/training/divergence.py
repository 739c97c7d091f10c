"""A loss that is not finite: where it began, on which sequences, and what to do."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from hacm.errors import HacmError

_NAMED = 3


def check_losses(
    losses: Sequence[float],
    batches: Sequence[Tensor],
    names: np.ndarray,
    *,
    epoch: int,
    lr: float,
    precision: str,
) -> None:
    """Stop at an epoch with a loss that is NaN or infinite.

    Args:
        losses: of the epoch's steps in order, read from the device once.
        batches: positions of the sequences of each step.
        names: of all sequences.
        epoch, lr, precision: of the training, for the message.

    Raises:
        HacmError: names the first such step and its sequences.
    """
    for step, loss in enumerate(losses):
        if math.isfinite(loss):
            continue
        ids = batches[step].tolist()
        shown = ", ".join(str(names[i]) for i in ids[:_NAMED])
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        raise HacmError(
            f"the loss of epoch {epoch} is not finite from step {step + 1} of {len(losses)} on, "
            f"with {len(ids)} sequences: {shown}{more}; {_advice(epoch, step, lr, precision)}; "
            "no checkpoint of it was written"
        )


def _advice(epoch: int, step: int, lr: float, precision: str) -> str:
    look = "look at these sequences' coordinates"
    if precision != "float32":
        return f"use precision float32, lower lr (now {lr}), or {look}"
    if epoch == step == 0:  # nothing has been learned that could have gone astray
        return look
    return f"lower lr (now {lr}), or {look}"
