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
        nothing). With one group its name is `temporal`. Bodies with fewer than two tokens are left
        out; without any other body both are 1.
    """
    entropy = relative_entropy(mask, joints)
    log_weight = mask.log_weight.unflatten(1, (-1, joints))
    result = {}
    for number in range(len(mask.kept)):
        log = log_weight[:, mask.group == number].flatten(1)
        there = torch.isfinite(log)
        bodies = there.sum(1) > 1  # a single token has no choice
        log, there = log[bodies], there[bodies]
        lowest = log.masked_fill(~there, torch.inf).amin(1)
        # So far apart is one to infinity for any purpose, and JSON has no infinity.
        ratio = (log.amax(1) - lowest).clamp_max(80).exp()
        result[f"entropy_{GROUPS[number]}"] = _mean(entropy[bodies, number])
        result[f"weight_ratio_{GROUPS[number]}"] = _mean(ratio)
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
    B, L = mask.log_weight.shape
    joints = L // len(mask.group)
    group = mask.group.repeat_interleave(joints)
    noise = torch.empty(draws, B, L, device=mask.log_weight.device)
    noise = -noise.exponential_(generator=generator).log()
    keys = (mask.log_weight + noise) * (1 if keep == "high" else -1)
    keys = keys.masked_fill(~torch.isfinite(mask.log_weight), -torch.inf)
    frequency = torch.empty_like(mask.log_weight)
    shown = torch.ones_like(mask.ids_keep) if mask.visible is None else mask.visible
    for number, slots in enumerate(shown.split(mask.kept, dim=1)):
        tokens = (group == number).nonzero()[:, 0]
        visible = keys[..., tokens].topk(slots.shape[1]).indices.transpose(0, 1)
        counts = torch.zeros(B, len(tokens), device=keys.device)
        there = slots[:, None].expand_as(visible).to(counts.dtype)
        counts.scatter_add_(1, visible.flatten(1), there.flatten(1))
        frequency[:, tokens] = counts / draws
    return frequency


def _mean(values: Float[Tensor, "B"]) -> float:
    return float(values.mean()) if len(values) else 1.0
