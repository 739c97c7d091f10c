"""The whole method in one forward pass: tokens, scores, mask, encoder, decoder, losses."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hacm.config import Config, LossOptions
from hacm.data.sequences import later
from hacm.losses import (
    cross_contrast,
    reconstruction_loss,
    reconstruction_target,
    target_patches,
    target_statistics,
)
from hacm.masking.cross_mask import Mask, MaskNoise, cross_mask, mask_noise, visible_count
from hacm.masking.tokens import (
    grid_to_tokens,
    patchify,
    take_joints,
    take_tokens,
    tokens_to_grid,
    unpatchify,
)
from hacm.models.decoder import Decoder
from hacm.models.encoder import Encoder
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
            self.frozen_query_key = nn.Linear(config.width, 2 * config.width).requires_grad_(False)

    def draw_noise(self, bodies: int, generator: torch.Generator | None = None) -> Noise:
        """The randomness of one step with B bodies."""
        P, J = self.config.patches, self.encoder.J
        mask = mask_noise(bodies, P, J, generator)
        shape = mask.tokens.shape
        return Noise(mask, torch.rand(shape, generator=generator, device=mask.tokens.device))

    def encode_visible(
        self, x: Float[Tensor, "B T V 3"], noise: Noise
    ) -> tuple[Float[Tensor, "B K D"], Mask]:
        """Draw a mask and encode the tokens it leaves visible."""
        tangent = self.encoder.embed(x)
        # Distances near the rim need all digits, whatever the network computes in.
        with _full_precision(x.device.type):
            inputs = self.encoder.mask_inputs(x, tangent.float(), self.frozen_query_key)
            mask = cross_mask(inputs, self.config, noise.mask)
        tokens = grid_to_tokens(self.encoder.block_input(tangent))
        return self.encoder.encode(take_tokens(tokens, mask.ids_keep)), mask

    def forward(
        self, x: Float[Tensor, "B T V 3"], present: Bool[Tensor, "B T"], noise: Noise
    ) -> Losses:
        """One step's losses.

        Args:
            x: all joints of the bodies in the batch.
            present: frames in which a body is there.
            noise: from `draw_noise`.
        """
        config = self.config
        if config.absent_bodies == "encode":  # the released code takes absent bodies for people
            present = torch.ones_like(present)
        visible, mask = self.encode_visible(x, noise)
        ids_decode = choose_decoded(mask, noise.decode, config)
        prediction = self.decoder(visible, mask.ids_keep, ids_decode)
        joints = take_joints(x, self.encoder.joints)
        target, there = reconstruction_target(joints, present, config)
        reconstruction = reconstruction_loss(
            prediction.float(),
            take_tokens(grid_to_tokens(target), ids_decode),
            there.gather(1, ids_decode // self.encoder.J),
        )

        alpha = config.contrast_weight
        contrast = torch.zeros_like(reconstruction)
        if alpha > 0:
            # Cross-contrast: mean features of the even group, of the odd group and of both.
            even, odd = visible.float().split(mask.kept, dim=1)
            means = even.mean(1), odd.mean(1), visible.float().mean(1)
            contrast = cross_contrast(*means, present.any(1), config)
        total = alpha * contrast + (1 - alpha) * reconstruction
        return Losses(total, reconstruction, contrast, mask)

    @torch.no_grad()
    def reconstruct(
        self, x: Float[Tensor, "B T V 3"], noise: Noise
    ) -> tuple[Float[Tensor, "B T J 3"], Mask]:
        """Kept joints with every masked patch as the decoder imagines it, for pictures.

        Predictions are normalised patches: the true mean and spread bring them back to metres, and
        predicted motion, a frame's share of it, is added up from the true first frame of the patch.
        """
        config, r = self.config, self.config.patch_frames
        visible, mask = self.encode_visible(x, noise)
        predicted = self.decoder(visible, mask.ids_keep, mask.ids_masked)
        empty = predicted.new_zeros(x.shape[0], mask.ids_keep.shape[1], predicted.shape[-1])
        ordered = take_tokens(torch.cat([empty, predicted], dim=1), mask.ids_restore)

        joints = take_joints(x, self.encoder.joints)
        truth = target_patches(joints, config)
        everywhere = torch.ones(truth.shape[:2], dtype=torch.bool, device=x.device)
        mean, std = target_statistics(truth, everywhere, config.target_norm)
        imagined = tokens_to_grid(ordered, self.encoder.J) * std + mean
        position = patchify(joints, r)
        if config.target != "position":
            frame = torch.arange(config.frames, device=x.device)[None]
            span = (later(frame, config.target_stride) - frame).clamp_min(1)
            steps = imagined.unflatten(-1, (r, 3)) / span.view(1, -1, 1, r, 1)
            walked = torch.cat([torch.zeros_like(steps[..., :1, :]), steps[..., :-1, :]], dim=-2)
            first = position.unflatten(-1, (r, 3))[..., :1, :]
            imagined = (first + walked.cumsum(-2)).flatten(-2)
        hidden = tokens_to_grid(mask.mask[..., None], self.encoder.J)
        return unpatchify(torch.where(hidden > 0, imagined, position), r), mask


def _full_precision(device: str) -> contextlib.AbstractContextManager[Any]:
    """No autocast inside, on devices that know it."""
    if not torch.amp.is_autocast_available(device):
        return contextlib.nullcontext()
    return torch.autocast(device, enabled=False)


def choose_decoded(mask: Mask, uniform: Float[Tensor, "B L"], options: LossOptions) -> Tensor:
    """The masked tokens that are decoded, a share of `decode_ratio`, drawn by Gumbel-max, (B, M).

    All alike, or (`decode = score`) with the weights of the criteria: what stands out is predicted
    more often.
    """
    masked = mask.ids_masked
    if options.decode_ratio == 1:
        return masked
    count = max(1, visible_count(masked.shape[1], 1 - options.decode_ratio))
    key = -(-uniform[:, : masked.shape[1]].to(masked.device).log()).log()
    if options.decode == "score":
        key = key + mask.weight.gather(1, masked).log()
    return masked.gather(1, key.argsort(dim=1, descending=True)[:, :count])
