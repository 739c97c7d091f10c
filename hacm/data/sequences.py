"""Batches on the device, without a DataLoader: one gather, one interpolation, one rotation.

All of NTU-60's frames are under 2 GB, so they move to the training device whole where they fit;
otherwise the gather happens in host memory and the batch is copied. Which frames a batch needs is
worked out on the CPU from a CPU generator, so a seed means the same on every device.

Where bodies are there is known on the host (`Presence`), so a batch in which all are there
throughout, the usual case, says so without asking the device (`Batch.complete`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from hacm.data.presence import Presence
from hacm.data.store import SequenceStore

Crop = Literal["random", "center", "whole"]
MIN_CROP_FRAMES = 64
TEST_CROP = 0.95


@dataclass(frozen=True)
class Batch:
    """Bodies of N sequences.

    Attributes:
        x: coordinates, or differences of them (`modality`); zeros where a body is missing.
        present: frames in which the body is there.
        sequence: which of the N sequences a body belongs to.
        labels: class of each sequence.
        complete: every body is there in every frame; known without reading `present`.
    """

    x: Float[Tensor, "B T V 3"]
    present: Bool[Tensor, "B T"]
    sequence: Int[Tensor, "B"]
    labels: Int[Tensor, "N"]
    complete: bool

    @property
    def gaps(self) -> Bool[Tensor, "B T"] | None:
        """`present`, or None if there are no gaps: what networks take to skip all masking."""
        return None if self.complete else self.present

    @property
    def N(self) -> int:
        """Number of sequences."""
        return self.labels.shape[0]


class Sequences:
    """A store's sequences as batches of tensors.

    Args:
        store: where they come from.
        frames: T, frames of a batch.
        device: where batches live.
        modality: `joint`; `bone`: difference to the parent joint (0 at the root); `motion`:
            difference to the next frame (0 at the last).
        absent_bodies: `skip` leaves out bodies a sequence does not have; `encode` fills every
            sequence up to the store's largest number of bodies with zeros.
        resident: keep all frames on the device; by default, if it is not the CPU and they fit in
            half of its free memory.
    """

    def __init__(
        self,
        store: SequenceStore,
        frames: int,
        device: torch.device | str = "cpu",
        *,
        modality: str = "joint",
        absent_bodies: str = "skip",
        resident: bool | None = None,
    ) -> None:
        self.frames, self.device, self.modality = frames, torch.device(device), modality
        self.layout = store.layout
        self.start, self.bodies, self.length = (
            torch.from_numpy(store.columns[column]) for column in ("start", "bodies", "frames")
        )
        self.presence = Presence(store)
        self.labels = torch.from_numpy(store.labels)
        self.names = store.columns["name"]
        self.fill = int(self.bodies.max()) if absent_bodies == "encode" else 0
        self.memory = torch.from_numpy(store.frames)
        if resident is None:
            resident = self.device.type == "cuda" and (
                self.memory.nbytes < torch.cuda.mem_get_info(self.device)[0] // 2
            )
        if resident:
            self.memory = self.memory.to(self.device)
        parents = [p if p >= 0 else v for v, p in enumerate(self.layout.parents)]
        self._parents = torch.tensor(parents, device=self.device)

    def batch(
        self,
        ids: Int[np.ndarray, "N"] | Int[Tensor, "N"],
        *,
        crop: Crop = "center",
        min_crop: float = 0.5,
        rotation: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """Crop, resize to T frames and rotate the sequences `ids`.

        Args:
            ids: positions in the store.
            crop: `random`: a random span (see `random_crop`); `center`: the middle 95 %, for tests;
                both of the frames between the first and the last in which anybody is there, so that
                empty frames at the ends change nothing. `whole`: all frames as stored.
            min_crop: smallest share of the frames a random crop keeps.
            rotation: one random rotation a sequence, angles uniform in +- this, radians.
            generator: a CPU generator; needed for random crops and rotations.
        """
        ids = torch.as_tensor(ids)
        N = len(ids)
        begin, length = self.presence.span(ids)
        if crop == "whole" or self.fill:  # as published, empty frames are frames like any other
            begin, length = torch.zeros_like(begin), self.length[ids]
        first = torch.zeros_like(begin)
        if crop == "random":
            first, length = random_crop(length, min_crop, generator)
        elif crop == "center":
            first, length = center_crop(length)
        first = begin + first
        bodies = self.bodies[ids]
        slots = torch.full_like(bodies, self.fill) if self.fill else bodies
        sequence = torch.repeat_interleave(torch.arange(N), slots)
        body = torch.arange(len(sequence)) - (slots.cumsum(0) - slots)[sequence]
        here = body < bodies[sequence]
        # A filled-up slot reads its sequence's first body; its frames are zeroed below.
        offset = self.start[ids][sequence] + body * here * self.length[ids][sequence]
        low, high, weight = resize_positions(length, self.frames)
        base = (offset + first[sequence])[:, None]
        rows = torch.stack([base + low[sequence], base + high[sequence]])
        weight = weight[sequence]
        # Both frames that are mixed must hold the body; one of weight 0 is not looked at.
        low_there, high_there = self.presence.at(rows)
        here = here[:, None] & low_there & (high_there | (weight == 0))
        complete = bool(here.all())

        matrices = None
        if rotation:
            angles = (torch.rand(N, 3, generator=generator) * 2 - 1) * rotation
            matrices = self._send(rotation_matrices(angles)[sequence])
        x, present = self._gather(rows, weight), self._send(here)
        if not complete:
            # As published, a filled-up body is zeros but one that comes or goes fades.
            kept = self._send(body < bodies[sequence])[:, None] if self.fill else present
            x = x * kept[..., None, None]
        if matrices is not None:
            x = rotate(x, matrices)
        return self._as_modality(
            Batch(x, present, self._send(sequence), self._send(self.labels[ids]), complete)
        )

    def _gather(
        self, rows: Int[Tensor, "2 B T"], weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, "B T V 3"]:
        """Linear interpolation between two stored frames."""
        on_device = self.memory.device == self.device
        if on_device:
            rows, weight = self._send(rows), self._send(weight)
        two = self.memory.index_select(0, rows.flatten()).float().view(*rows.shape, -1)
        x = torch.lerp(two[0], two[1], weight[..., None]).unflatten(-1, (self.layout.V, 3))
        return x if on_device else self._send(x)

    def _as_modality(self, batch: Batch) -> Batch:
        if self.modality == "bone":
            return replace(batch, x=batch.x - batch.x[:, :, self._parents])
        if self.modality == "motion":
            # A step is there where both its frames are; as released, one to a filled-up frame too.
            gaps = None if self.fill else batch.gaps
            both = batch.present & later(batch.present, 1)
            return replace(batch, x=motion(batch.x, present=gaps), present=both)
        return batch

    def _send(self, tensor: Tensor) -> Tensor:
        """To the device, without waiting for it."""
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)


def later(x: Shaped[Tensor, "B T *rest"], stride: int) -> Shaped[Tensor, "B T *rest"]:
    """x[t + stride]; the last frame where there is none so late."""
    missing = min(stride, x.shape[1])
    return torch.cat([x[:, stride:], x[:, -1:].expand(-1, missing, *x.shape[2:])], dim=1)


def motion(
    x: Float[Tensor, "B T V 3"], stride: int = 1, present: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B T V 3"]:
    """m[t] = x[t + stride] - x[t]; towards the end, and 0 at it, x[T - 1] - x[t].

    Args:
        x: coordinates.
        stride: frames between the two positions.
        present: frames in which the body is there; a step from or to any other frame is 0. None:
            all are.
    """
    moved = later(x, stride) - x
    if present is None:
        return moved
    return moved * (present & later(present, stride))[..., None, None]


def random_crop(
    length: Int[Tensor, "N"], min_crop: float, generator: torch.Generator | None
) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    """First frame and length of a random span of each sequence.

    The length is min(max(floor(n u), 64), n) for u uniform in [min_crop, 1], the start uniform.
    """
    u, v = torch.rand(2, len(length), generator=generator, dtype=torch.float64)
    share = min_crop + (1 - min_crop) * u
    span = (length * share).floor().long().clamp(min=MIN_CROP_FRAMES).minimum(length)
    first = (v * (length - span + 1)).floor().long()
    return first, span


def center_crop(length: Int[Tensor, "N"]) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    """The middle 95 %: int(0.05 n / 2) frames fewer at each end."""
    first = ((1 - TEST_CROP) * length / 2).long()
    return first, length - 2 * first


def resize_positions(
    length: Int[Tensor, "N"], frames: int
) -> tuple[Int[Tensor, "N T"], Int[Tensor, "N T"], Float[Tensor, "N T"]]:
    """The two frames between which each of T new frames lies, and the weight of the second.

    Half-pixel centres, as `torch.nn.functional.interpolate(mode="linear", align_corners=False)`.
    """
    at = (torch.arange(frames) + 0.5) * (length[:, None].float() / frames) - 0.5
    at = at.clamp(min=0)
    low = at.long()
    high = (low + 1).minimum(length[:, None] - 1)
    return low, high, at - low


def rotation_matrices(angles: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3 3"]:
    """R = Rz Ry Rx of angles (x, y, z) in radians, with the signs of the published augmentation."""
    c, s = angles.cos(), angles.sin()
    one, zero = torch.ones_like(c[:, 0]), torch.zeros_like(c[:, 0])

    def matrix(*rows: Tensor) -> Tensor:
        return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))

    rx = matrix(one, zero, zero, zero, c[:, 0], s[:, 0], zero, -s[:, 0], c[:, 0])
    ry = matrix(c[:, 1], zero, -s[:, 1], zero, one, zero, s[:, 1], zero, c[:, 1])
    rz = matrix(c[:, 2], s[:, 2], zero, -s[:, 2], c[:, 2], zero, zero, zero, one)
    return rz @ ry @ rx


def rotate(
    x: Float[Tensor, "B T V 3"], matrices: Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B T V 3"]:
    """x' = R x for every joint and frame.

    The result lies in memory coordinate by coordinate: R times all points as columns is much faster
    than all points as rows times R^T.
    """
    return (matrices @ x.flatten(1, 2).mT).mT.unflatten(1, x.shape[1:3])
