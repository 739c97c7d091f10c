"""The whole method in one forward pass: tokens, scores, mask, encoder, decoder, losses."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hacm.config import Config, LossOptions
from hacm.data.sequences import later
from hacm.losses import (
    cross_contrast,
    reconstruction_loss,
    reconstruction_target,
    target_is_there,
    target_patches,
    target_statistics,
)
from hacm.masking.cross_mask import Mask, MaskNoise, cross_mask, mask_noise, visible_count
from hacm.masking.tokens import (
    grid_to_tokens,
    patches_there,
    patchify,
    take_joints,
    take_tokens,
    tokens_to_grid,
    unpatchify,
)
from hacm.models.decoder import Decoder
from hacm.models.encoder import Encoder
from hacm.randomness import seeded
from hacm.skeleton import SkeletonLayout


@dataclass(frozen=True)
class Noise:
    """All randomness of one step.

    Attributes:
        mask: for the masks.
        decode: uniform values that choose which masked tokens are decoded.
    """

    mask: MaskNoise
    decode: Float[Tensor, "B L"]


@dataclass(frozen=True)
class Losses:
    """One step's result; `total` has the gradient.

    Attributes:
        total: alpha * contrast + (1 - alpha) * reconstruction.
        reconstruction, contrast: the two terms.
        mask: the masks that were drawn.
    """

    total: Float[Tensor, ""]
    reconstruction: Float[Tensor, ""]
    contrast: Float[Tensor, ""]
    mask: Mask


class Pretrainer(nn.Module):
    """HA-CM, and with other options MAMP and MAE.

    A body's tokens are those of patches in all of whose frames it is there. Where bodies come and
    go (`present`), rows of token numbers are filled up to the length of a body that is always
    there, and what only fills up is neither attended to nor counted.

    Args:
        layout: the joints of the data.
        config: the experiment.
    """

    def __init__(self, layout: SkeletonLayout, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(layout, config)
        self.decoder = Decoder(config, self.encoder.J)
        # Random queries and keys that never learn, as in the released code.
        self.frozen_query_key: nn.Linear | None = None
        if config.attention == "frozen":
            self.frozen_query_key = frozen_projections(config.width, config.seed)

    def draw_noise(self, bodies: int, generator: torch.Generator | None = None) -> Noise:
        """The randomness of one step with B bodies."""
        P, J = self.config.patches, self.encoder.J
        mask = mask_noise(bodies, P, J, generator)
        shape = mask.tokens.shape
        return Noise(mask, torch.rand(shape, generator=generator, device=mask.tokens.device))

    def encode_visible(
        self,
        x: Float[Tensor, "B T V 3"],
        noise: Noise,
        present: Bool[Tensor, "B T"] | None = None,
    ) -> tuple[Float[Tensor, "B K D"], Mask]:
        """Draw a mask and encode the tokens it leaves visible."""
        tangent = self.encoder.embed(x)
        # Distances near the rim need all digits, whatever the network computes in.
        with _full_precision(x.device.type):
            inputs = self.encoder.mask_inputs(x, tangent.float(), self.frozen_query_key, present)
            mask = cross_mask(inputs, self.config, noise.mask)
        there = None if present is None else patches_there(present, self.config.patch_frames)
        tokens = grid_to_tokens(self.encoder.block_input(tangent, there))
        return self.encoder.encode(take_tokens(tokens, mask.ids_keep), mask.visible), mask

    def forward(
        self, x: Float[Tensor, "B T V 3"], present: Bool[Tensor, "B T"] | None, noise: Noise
    ) -> Losses:
        """One step's losses.

        Args:
            x: all joints of the bodies in the batch.
            present: frames in which a body is there (`Batch.gaps`): only tokens of patches in which
                it is are scored, encoded and predicted. None: all frames of all bodies, the faster
                way.
            noise: from `draw_noise`.
        """
        config, J = self.config, self.encoder.J
        if config.absent_bodies == "encode":  # the released code takes absent bodies for people
            present = None
        visible, mask = self.encode_visible(x, noise, present)
        joints = take_joints(x, self.encoder.joints)
        everywhere = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        target, known = reconstruction_target(
            joints, everywhere if present is None else present, config
        )
        known = known.repeat_interleave(J, dim=1)
        ids_decode, asked = choose_decoded(
            mask, noise.decode, config, None if present is None else known
        )
        tokens_there = None
        if mask.visible is not None and asked is not None:
            tokens_there = torch.cat([mask.visible, asked], dim=1)
        prediction = self.decoder(visible, mask.ids_keep, ids_decode, tokens_there)
        counts = known.gather(1, ids_decode) if asked is None else asked
        reconstruction = reconstruction_loss(
            prediction.float(), take_tokens(grid_to_tokens(target), ids_decode), counts
        )

        alpha = config.contrast_weight
        contrast = torch.zeros_like(reconstruction)
        if alpha > 0:
            contrast = cross_contrast(*self._group_means(visible.float(), mask), config)
        total = alpha * contrast + (1 - alpha) * reconstruction
        return Losses(total, reconstruction, contrast, mask)

    def _group_means(
        self, visible: Float[Tensor, "B K D"], mask: Mask
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean features of the even group, the odd group and both, and which bodies have them."""
        there = torch.ones_like(mask.ids_keep) if mask.visible is None else mask.visible
        weight = there.to(visible.dtype)[..., None]
        sums = [part.sum(1) for part in (visible * weight).split(mask.kept, dim=1)]
        counts = [part.sum(1) for part in weight.split(mask.kept, dim=1)]
        even, odd = (a / n.clamp_min(1) for a, n in zip(sums, counts, strict=True))
        both = (sums[0] + sums[1]) / (counts[0] + counts[1]).clamp_min(1)
        return even, odd, both, ((counts[0] > 0) & (counts[1] > 0))[:, 0]

    @torch.no_grad()
    def reconstruct(
        self,
        x: Float[Tensor, "B T V 3"],
        noise: Noise,
        present: Bool[Tensor, "B T"] | None = None,
    ) -> tuple[Float[Tensor, "B T J 3"], Mask]:
        """Kept joints with every masked patch as the decoder imagines it, for pictures.

        Predictions are normalised patches: the true mean and spread bring them back to metres, and
        predicted motion, a frame's share of it, is added up from the true first frame of the patch.
        Patches in which a body is not there stay 0.
        """
        config, r, J = self.config, self.config.patch_frames, self.encoder.J
        if present is None or config.absent_bodies == "encode":
            present = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        visible, mask = self.encode_visible(x, noise, present)
        # All tokens are asked for: which of them a body with gaps hides differs from body to body.
        tokens = torch.arange(mask.mask.shape[1], device=x.device).expand(len(x), -1)
        hidden = (mask.mask > 0) & patches_there(present, r).repeat_interleave(J, dim=1)
        assert mask.visible is not None  # `present` was given
        there = torch.cat([mask.visible, hidden], dim=1)
        ordered = self.decoder(visible, mask.ids_keep, tokens, there)

        joints = take_joints(x, self.encoder.joints)
        truth = target_patches(joints, config, present)
        known = target_is_there(present, config)
        mean, std = target_statistics(truth, known, config.target_norm)
        imagined = tokens_to_grid(ordered, J) * std + mean
        position = patchify(joints, r)
        if config.target != "position":
            frame = torch.arange(config.frames, device=x.device)[None]
            span = (later(frame, config.target_stride) - frame).clamp_min(1)
            steps = imagined.unflatten(-1, (r, 3)) / span.view(1, -1, 1, r, 1)
            walked = torch.cat([torch.zeros_like(steps[..., :1, :]), steps[..., :-1, :]], dim=-2)
            first = position.unflatten(-1, (r, 3))[..., :1, :]
            imagined = (first + walked.cumsum(-2)).flatten(-2)
        hidden = tokens_to_grid(hidden[..., None], J)
        return unpatchify(torch.where(hidden, imagined, position), r), mask


def frozen_projections(width: int, seed: int) -> nn.Linear:
    """The random maps D -> 2 D to queries and keys of a run with this seed; they never learn."""
    with seeded("pretrain/frozen", seed):
        return nn.Linear(width, 2 * width).requires_grad_(False)


def _full_precision(device: str) -> contextlib.AbstractContextManager[Any]:
    """No autocast inside, on devices that know it."""
    if not torch.amp.is_autocast_available(device):
        return contextlib.nullcontext()
    return torch.autocast(device, enabled=False)


def choose_decoded(
    mask: Mask,
    uniform: Float[Tensor, "B L"],
    options: LossOptions,
    known: Bool[Tensor, "B L"] | None = None,
) -> tuple[Int[Tensor, "B M"], Bool[Tensor, "B M"] | None]:
    """The masked tokens that are decoded, a share of `decode_ratio`, drawn by Gumbel-max.

    All alike, or (`decode = score`) with the weights of the criteria: what stands out is predicted
    more often.

    Args:
        mask: which tokens are masked.
        uniform: uniform noise, one value a token.
        options: the share and how it is drawn.
        known: tokens whose target is known; others are not asked for. None: all.

    Returns:
        Token numbers, and which of them are really asked for: a body with gaps has fewer masked
        tokens, of which it is asked the same share. None: all of them.
    """
    whole = mask.ids_masked.shape[1]
    count = whole
    if options.decode_ratio < 1:
        count = max(1, visible_count(whole, 1 - options.decode_ratio))
    if known is None and options.decode_ratio == 1:
        return mask.ids_masked, None
    # Also what fills up the `ids_keep` of bodies with gaps.
    tokens = mask.ids_masked if known is None else torch.cat([mask.ids_masked, mask.ids_keep], 1)
    key = -(-uniform[:, : tokens.shape[1]].to(tokens.device).log()).log()
    if options.decode == "score":
        key = key + mask.log_weight.gather(1, tokens)
    if known is None:
        return tokens.gather(1, key.argsort(dim=1, descending=True)[:, :count]), None
    candidates = ((mask.mask > 0) & known).gather(1, tokens)
    key = key.masked_fill(~candidates, -torch.inf)
    ids = tokens.gather(1, key.argsort(dim=1, descending=True)[:, :count])
    own = candidates.sum(1)
    if options.decode_ratio < 1:
        share = (options.decode_ratio * own.double() + 1e-6).long()
        own = share.clamp_min(1).minimum(own)
    return ids, torch.arange(count, device=ids.device) < own[:, None]
