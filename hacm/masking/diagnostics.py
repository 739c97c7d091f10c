"""Does the geometry say anything, and does the mask follow it? Numbers for logs and notebooks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hacm.masking.cross_mask import Mask, relative_entropy
from hacm.masking.hyperbolic import distance

NEAR_RIM = 1e-3
QUANTILES = (5, 25, 50, 75, 95)
GROUPS = ("temporal", "spatial")


@torch.no_grad()
def radius_statistics(points: Float[Tensor, "... D"], curvature: float = 1.0) -> dict[str, float]:
    """How far out the points of the ball lie, relative to its radius.

    Args:
        points: points of the ball of curvature -c.
        curvature: c.

    Returns:
        `radius_q05` ... `radius_q95`: quantiles of sqrt(c) |h|, 0..1; `share_at_rim`: share within
        1e-3 of the rim, where distances say little; `distance_q50`: median distance to the centre.
    """
    flat = points.detach().reshape(-1, points.shape[-1]).float()
    radius = curvature**0.5 * flat.norm(dim=-1)
    # numpy-free and without the size limit of torch.quantile
    ordered = radius.sort().values
    at = [round((len(ordered) - 1) * q / 100) for q in QUANTILES]
    middle = distance(flat, torch.zeros_like(flat), curvature).median()
    return {
        **{f"radius_q{q:02d}": float(ordered[i]) for q, i in zip(QUANTILES, at, strict=True)},
        "share_at_rim": float((radius > 1 - NEAR_RIM).float().mean()),
        "distance_q50": float(middle),
    }


@torch.no_grad()
def mask_statistics(mask: Mask, joints: int) -> dict[str, float]:
    """How much the scores steer the mask, averaged over bodies.

    Args:
        mask: from `cross_mask`.
        joints: J, tokens of one patch.

    Returns:
        For each group: `entropy_GROUP`, entropy of the sampling weights relative to uniform (1
        steers nothing), and `weight_ratio_GROUP`, largest over smallest sampling weight (1 steers
        nothing). With one group its name is `temporal`.
    """
    entropy = relative_entropy(mask, joints).mean(0)
    weight = mask.weight.unflatten(1, (-1, joints))
    result = {}
    for number in range(len(mask.kept)):
        w = weight[:, mask.group == number].flatten(1)
        ratio = w.amax(1) / w.amin(1).clamp_min(torch.finfo(w.dtype).tiny)
        result[f"entropy_{GROUPS[number]}"] = float(entropy[number])
        result[f"weight_ratio_{GROUPS[number]}"] = float(ratio.mean())
    return result


@torch.no_grad()
def keep_frequency(
    mask: Mask, *, draws: int, keep: str = "high", generator: torch.Generator | None = None
) -> Float[Tensor, "B L"]:
    """How often each token stays visible when the same weights are sampled many times.

    Args:
        mask: its weights and groups are drawn from; the grouping stays as it is.
        draws: how often.
        keep: which end of the score tends to stay visible, as in the mask's options.
        generator: on the mask's device.
    """
    B, L = mask.weight.shape
    joints = L // len(mask.group)
    group = mask.group.repeat_interleave(joints)
    noise = torch.empty(draws, B, L, device=mask.weight.device)
    noise = -noise.exponential_(generator=generator).log()
    keys = mask.weight.log() + noise
    frequency = torch.empty_like(mask.weight)
    for number, count in enumerate(mask.kept):
        tokens = (group == number).nonzero()[:, 0]
        visible = keys[..., tokens].topk(count, largest=keep == "high").indices
        counts = torch.zeros(B, len(tokens), device=keys.device)
        visible = visible.transpose(0, 1).flatten(1)
        counts.scatter_add_(1, visible, torch.ones_like(visible, dtype=counts.dtype))
        frequency[:, tokens] = counts / draws
    return frequency
