"""Temporal attention score: how much attention a patch receives along its joint's time line.

Paper III-C, eq. 5-6.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def attention_score(
    query: Float[Tensor, "B P J H d"], key: Float[Tensor, "B P J H d"]
) -> Float[Tensor, "B P J"]:
    """s[u, j] = sum_p A[j][p, u], with A[j] = softmax_u(q[p, j] . k[u, j] / sqrt(d)).

    Args:
        query: queries of the group's patches, per head (H = 1 for a single global attention).
        key: keys of the same patches.

    Returns:
        One score a token, averaged over heads; a joint's scores sum to P.
    """
    q, k = (x.permute(0, 2, 3, 1, 4) for x in (query, key))  # B J H P d
    received = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1).sum(-2)  # B J H P
    return received.mean(2).transpose(1, 2)
