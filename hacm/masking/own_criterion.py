"""A criterion of your own: a function of `MaskInputs` and the options, checked before it is used.

    def hands_first(inputs, options):
        return inputs.position.norm(dim=-1)        # (B, P, J): one score a token

P is the number of patches of the *group* that is scored, not of the whole clip.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hacm.config import MaskOptions
from hacm.errors import HacmError
from hacm.masking.criteria import MaskInputs, Score


def checked(name: str, criterion: Score) -> Score:
    """The same criterion, with every mistake turned into one sentence.

    Args:
        name: how messages call it.
        criterion: returns one finite score a token, (B, P, J), not all alike.

    Returns:
        A criterion for `cross_mask` that raises HacmError if the function fails, or returns no
        tensor, another shape, NaN or infinity, or a constant.
    """

    def score(inputs: MaskInputs, options: MaskOptions) -> Tensor:
        expected = tuple(inputs.position.shape[:3])
        wanted = f"expected scores of shape (B, P, J) = {expected}"
        try:
            result = criterion(inputs, options)
        except Exception as error:  # whatever a user's function may raise
            raise HacmError(
                f"criterion {name!r} failed: {type(error).__name__}: {error}; {wanted}"
            ) from error
        if not isinstance(result, Tensor):
            raise HacmError(
                f"criterion {name!r} returned {type(result).__name__}, not a torch tensor; {wanted}"
            )
        if tuple(result.shape) != expected:
            raise HacmError(f"criterion {name!r} returned shape {tuple(result.shape)}; {wanted}")
        result = result.to(inputs.position.dtype)
        if not torch.isfinite(result).all():
            raise HacmError(f"criterion {name!r} returned NaN or infinite scores; {wanted}, finite")
        if (result == result[:1, :1, :1]).all():
            raise HacmError(
                f"criterion {name!r} gave every token the same score, so it chooses nothing; "
                f"{wanted} that differ (`random` is the criterion without preference)"
            )
        return result

    return score
