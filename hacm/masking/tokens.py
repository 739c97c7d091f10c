"""Patches and tokens: the one place that knows their order.

A token is r consecutive frames of one joint. Order is time-major everywhere: token p * J + j is
patch p of joint j, in scores, masks, position embeddings, decoder and targets alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor


def take_joints(x: Float[Tensor, "B T V C"], joints: Sequence[int]) -> Float[Tensor, "B T J C"]:
    """The given joints, in ascending order.

    Cut out as slices: a list as index would be sent to the device at every step, and the host would
    wait for that.
    """
    chosen = set(joints)
    starts = sorted(v for v in chosen if v - 1 not in chosen)
    ends = sorted(v + 1 for v in chosen if v + 1 not in chosen)
    runs = [x[:, :, start:end] for start, end in zip(starts, ends, strict=True)]
    return torch.cat(runs, dim=2) if runs else x[:, :, :0]


def patchify(x: Float[Tensor, "B T J C"], patch_frames: int) -> Float[Tensor, "B P J r*C"]:
    """Cut T = P * r frames into P patches of r frames; a patch's values are frame-major (r, C).

    Raises:
        ValueError: T is not a multiple of r.
    """
    T = x.shape[1]
    if T % patch_frames:
        raise ValueError(f"{T} frames cannot be cut into patches of {patch_frames}")
    return x.unflatten(1, (-1, patch_frames)).transpose(2, 3).flatten(3)


def unpatchify(patches: Float[Tensor, "B P J r*C"], patch_frames: int) -> Float[Tensor, "B T J C"]:
    """The inverse of `patchify`."""
    return patches.unflatten(3, (patch_frames, -1)).transpose(2, 3).flatten(1, 2)


def patches_there(present: Bool[Tensor, "B T"], patch_frames: int) -> Bool[Tensor, "B P"]:
    """Patches in all of whose frames the body is there: only those have tokens."""
    return present.unflatten(1, (-1, patch_frames)).all(-1)


def grid_to_tokens(grid: Shaped[Tensor, "B P J *D"]) -> Shaped[Tensor, "B L *D"]:
    """(patch, joint) grid to a list of L = P * J tokens."""
    return grid.flatten(1, 2)


def tokens_to_grid(tokens: Shaped[Tensor, "B L *D"], joints: int) -> Shaped[Tensor, "B P J *D"]:
    """The inverse of `grid_to_tokens`."""
    return tokens.unflatten(1, (-1, joints))


def take_tokens(
    tokens: Shaped[Tensor, "B L D"], ids: Shaped[Tensor, "B K"]
) -> Shaped[Tensor, "B K D"]:
    """The tokens at `ids`, body by body."""
    return tokens.gather(1, ids[..., None].expand(-1, -1, tokens.shape[-1]))
