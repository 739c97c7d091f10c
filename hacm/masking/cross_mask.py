"""Cross masking: odd/even grouping of patches, then Gumbel-max sampling within each group.

Paper III-C. Even patches are the temporal group, odd patches the spatial group; each group is
scored by its own criterion and keeps the same share of its tokens. The baselines use one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hacm.config import MaskOptions
from hacm.errors import HacmError
from hacm.masking.criteria import MaskInputs, Score, group_score
from hacm.masking.tokens import grid_to_tokens

_ROUNDING = 1e-6  # of 1 - 0.9 and the like


@dataclass(frozen=True)
class Mask:
    """Which tokens of each body stay visible. Conventions of MAE: 0 = visible, 1 = masked.

    Attributes:
        ids_keep: visible tokens, the temporal group's first.
        ids_masked: the others.
        ids_restore: argsort of ids_keep followed by ids_masked.
        mask: 0 visible, 1 masked (or of a patch in which the body is not there).
        score: what the criteria said.
        log_weight: logarithms of the sampling weights, which sum to 1 within each group; -inf where
            the body is not there.
        group: 0 temporal, 1 spatial, per patch.
        kept: visible tokens of each group of a body that is there throughout.
        visible: which of `ids_keep` are visible: a body with gaps has fewer, and what else stands
            in its `ids_keep` only fills the rows up. None: all.
    """

    ids_keep: Int[Tensor, "B K"]
    ids_masked: Int[Tensor, "B L-K"]
    ids_restore: Int[Tensor, "B L"]
    mask: Float[Tensor, "B L"]
    score: Float[Tensor, "B L"]
    log_weight: Float[Tensor, "B L"]
    group: Int[Tensor, "P"]
    kept: tuple[int, ...]
    visible: Bool[Tensor, "B K"] | None = None

    @property
    def weight(self) -> Float[Tensor, "B L"]:
        """Sampling weights, for pictures: far below the largest they round to 0."""
        return self.log_weight.exp()


@dataclass(frozen=True)
class MaskNoise:
    """The randomness of one batch's masks, drawn outside the computation.

    Attributes:
        tokens: standard Gumbel noise, one value a token.
        patches: uniform values that order the patches for `grouping = random`.
    """

    tokens: Float[Tensor, "B L"]
    patches: Float[Tensor, "P"]


def mask_noise(
    bodies: int, patches: int, joints: int, generator: torch.Generator | None = None
) -> MaskNoise:
    """Draw the noise for `bodies` masks of (patches x joints) tokens, on the generator's device."""
    device = "cpu" if generator is None else generator.device
    tokens = torch.empty(bodies, patches * joints, device=device)
    # -log of a standard exponential is a standard Gumbel variable.
    tokens = -tokens.exponential_(generator=generator).log()
    return MaskNoise(tokens, torch.rand(patches, generator=generator, device=device))


def group_patches(grouping: str, order: Float[Tensor, "P"]) -> list[Int[Tensor, "G"]]:
    """Patch numbers of each group: temporal, then spatial (or one group of all).

    Args:
        grouping: `odd_even`: even patches are temporal, odd ones spatial; `halves`: the first half
            is temporal; `random`: a random half is temporal; `none`: one group.
        order: uniform values, one a patch; used by `random` only.
    """
    P = order.shape[0]
    patches = torch.arange(P, device=order.device)
    if grouping == "odd_even":
        return [patches[0::2], patches[1::2]]
    if grouping == "halves":
        return [patches[: (P + 1) // 2], patches[(P + 1) // 2 :]]
    if grouping == "random":
        shuffled = order.argsort()
        return [shuffled[: (P + 1) // 2].sort().values, shuffled[(P + 1) // 2 :].sort().values]
    return [patches]


def visible_count(tokens: int, mask_ratio: float, *, rounded: bool = False) -> int:
    """floor((1 - mask_ratio) * tokens), without the error of 1 - 0.9 in floating point.

    Args:
        tokens: of one group.
        mask_ratio: share that is hidden.
        rounded: with that error, as the released code of MAMP and MAE counts (`rounded_count`).
    """
    return int((1 - mask_ratio) * tokens + (0 if rounded else _ROUNDING))


def visible_counts(tokens: Int[Tensor, "B"], options: MaskOptions) -> Int[Tensor, "B"]:
    """`visible_count` body by body, but at least one of the tokens that a body has."""
    share = (1 - options.mask_ratio) * tokens.double() + (0 if options.rounded_count else _ROUNDING)
    return share.long().clamp_min(1).minimum(tokens)


def sampling_logits(
    score: Float[Tensor, "B G"],
    *,
    tau: float,
    score_norm: str,
    there: Bool[Tensor, "B G"] | None = None,
) -> Float[Tensor, "B G"]:
    """Logarithms of the sampling weights of one group (paper eq. 7).

    `max`: softmax(s / (tau max s)), as published; nearly uniform whatever the score says.
    `zscore`: softmax((s - mean) / (std tau)).

    Args:
        score: one a token.
        tau: temperature.
        score_norm: `max` or `zscore`.
        there: tokens of patches that are there; the others have weight 0 and count nowhere. A body
            without any keeps -inf everywhere. None: all.
    """
    if there is None:
        known, largest = score, score.amax(-1, keepdim=True)
        mean = score.mean(-1, keepdim=True)
        spread = score.std(-1, keepdim=True, correction=0)
    else:
        known = score.masked_fill(~there, 0)  # whatever a criterion says of what is not there
        count = there.sum(-1, keepdim=True).clamp_min(1)
        largest = known.masked_fill(~there, -torch.inf).amax(-1, keepdim=True)
        mean = known.sum(-1, keepdim=True) / count
        spread = (((known - mean).square() * there).sum(-1, keepdim=True) / count).sqrt()
    if score_norm == "max":
        # A score without any positive value (no motion at all) leaves the weights uniform.
        scaled = known / largest.clamp_min(1e-12)
    else:
        # Rounding alone must not steer the mask of a constant score.
        flat = spread <= 1e-6 * known.abs().amax(-1, keepdim=True)
        scaled = torch.where(
            flat, torch.zeros_like(known), (known - mean) / spread.clamp_min(1e-30)
        )
    scaled = scaled / tau
    if there is None:
        return scaled.log_softmax(-1)
    # A finite lowest value: without any token, log_softmax of -inf would be NaN.
    scaled = scaled.masked_fill(~there, torch.finfo(scaled.dtype).min)
    return scaled.log_softmax(-1).masked_fill(~there, -torch.inf)


@torch.no_grad()
def cross_mask(
    inputs: MaskInputs,
    options: MaskOptions,
    noise: MaskNoise,
    criteria: Sequence[str | Score] | None = None,
) -> Mask:
    """Sample which tokens stay visible.

    Args:
        inputs: what the criteria look at (`build_inputs`, or the encoder's `mask_inputs`).
        options: criteria, grouping, mask ratio, temperature, which end to keep.
        noise: from `mask_noise`.
        criteria: criteria of the temporal and the spatial group, by name or as functions;
            default: those of `options`.

    Returns:
        Each group keeps exactly `visible_count` of its tokens. A body with gaps keeps the same
        share of the tokens of patches in which it is there, at least one in each group that has
        any, and a body that is nowhere keeps none.

    Raises:
        HacmError: a group would keep none.
    """
    J = inputs.tokens.shape[2]
    device = inputs.tokens.device
    noise_tokens, order = noise.tokens.to(device), noise.patches.to(device)
    criteria = criteria or (options.temporal, options.spatial)
    high = options.keep == "high"
    ids, scores, logits, kept, masked, counts, visible = [], [], [], [], [], [], []
    groups = group_patches(options.grouping, order)
    for patches, criterion in zip(groups, criteria, strict=False):
        token_ids = (patches[:, None] * J + torch.arange(J, device=device)).flatten()
        K = visible_count(len(token_ids), options.mask_ratio, rounded=options.rounded_count)
        if K == 0:
            raise HacmError(
                f"mask_ratio = {options.mask_ratio} leaves none of a group's {len(token_ids)} "
                "tokens visible: lower it, or take more frames"
            )
        group = inputs.patches(patches)
        there = None if group.there is None else group.there.repeat_interleave(J, dim=1)
        score = grid_to_tokens(group_score(criterion, group, options))
        log_weight = sampling_logits(
            score, tau=options.tau, score_norm=options.score_norm, there=there
        )
        key = log_weight + noise_tokens[:, token_ids]
        if there is not None:
            # What is not there ranks last, whichever end is kept.
            key = key.masked_fill(~there, -torch.inf if high else torch.inf)
            own = visible_counts(there.sum(1), options)
            visible.append(torch.arange(K, device=device) < own[:, None])
        ranked = token_ids[key.argsort(dim=1, descending=high)]
        ids.append(token_ids)
        scores.append(score)
        logits.append(log_weight)
        kept.append(ranked[:, :K])
        masked.append(ranked[:, K:])
        counts.append(K)
    ids_keep, ids_masked = torch.cat(kept, 1), torch.cat(masked, 1)
    ids_restore = torch.cat([ids_keep, ids_masked], 1).argsort(dim=1)
    hidden = (ids_restore >= ids_keep.shape[1]).float()
    shown = torch.cat(visible, 1) if visible else None
    if shown is not None:
        hidden = hidden.scatter(1, ids_keep, (~shown).float())
    # Scores were computed group by group; back to the one token order.
    back = torch.cat(ids).argsort()
    number = torch.zeros(order.shape[0], dtype=torch.long, device=device)
    for i, patches in enumerate(groups):
        number[patches] = i
    return Mask(
        ids_keep=ids_keep,
        ids_masked=ids_masked,
        ids_restore=ids_restore,
        mask=hidden,
        score=torch.cat(scores, 1)[:, back],
        log_weight=torch.cat(logits, 1)[:, back],
        group=number,
        kept=tuple(counts),
        visible=shown,
    )


def relative_entropy(mask: Mask, joints: int) -> Float[Tensor, "B G"]:
    """Entropy of each group's sampling weights relative to uniform: 1 steers nothing, 0 everything.

    The one number that says how much a criterion shapes the mask. Of a body with gaps, over the
    tokens of patches in which it is there; NaN with fewer than two of them.
    """
    weight = mask.weight.unflatten(1, (-1, joints))
    log_weight = mask.log_weight.unflatten(1, (-1, joints))
    rows = []
    for number in range(len(mask.kept)):
        w = weight[:, mask.group == number].flatten(1)
        log = log_weight[:, mask.group == number].flatten(1)
        count = torch.isfinite(log).sum(1).float()
        rows.append(-(w * log.clamp_min(-1e4)).sum(1) / count.log())
    return torch.stack(rows, 1)
