"""Temporal attention score: how much attention a patch receives along its joint's time line.

Paper III-C, eq. 5-6.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def attention_score(
    query: Float[Tensor, "B P J H d"],
    key: Float[Tensor, "B P J H d"],
    there: Bool[Tensor, "B P"] | None = None,
) -> Float[Tensor, "B P J"]:
    """s[u, j] = sum_p A[j][p, u], with A[j] = softmax_u(q[p, j] . k[u, j] / sqrt(d)).

    Args:
        query: queries of the group's patches, per head (H = 1 for a single global attention).
        key: keys of the same patches.
        there: patches in which the body is there; the others neither attend nor receive. None: all.

    Returns:
        One score a token, averaged over heads; a joint's scores sum to the number of patches that
        are there.
    """
    q, k = (x.permute(0, 2, 3, 1, 4) for x in (query, key))  # B J H P d
    logits = q @ k.mT / q.shape[-1] ** 0.5
    if there is None:
        attention = logits.softmax(-1)
    else:
        pairs = there[:, None, None, :, None] & there[:, None, None, None, :]
        lowest = torch.finfo(logits.dtype).min  # not -inf: a body may have no patch at all
        attention = logits.masked_fill(~pairs, lowest).softmax(-1) * pairs
    return attention.sum(-2).mean(2).transpose(1, 2)
