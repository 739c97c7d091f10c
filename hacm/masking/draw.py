"""Masks of a store's sequences, without a model: to look at, to count and to test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from hacm.config import Config, MaskOptions
from hacm.data.sequences import Sequences
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.masking.criteria import MaskInputs, Score, build_inputs
from hacm.masking.cross_mask import Mask, cross_mask, mask_noise
from hacm.masking.tokens import patches_there
from hacm.randomness import stream

_AT_ONCE = 64  # sequences, so that memory stays bounded


@dataclass(frozen=True)
class BodyMask:
    """One body's mask.

    Attributes:
        sequence: the sequence's position in the store.
        body: which of its bodies.
        mask: 1 where a token is masked or not there, 0 where it is visible.
        present: patches in all of whose frames the body is there.
        score: what the criteria said of each token; the two groups have units of their own, and
            scores of patches that are not there mean nothing.
    """

    sequence: int
    body: int
    mask: Float[np.ndarray, "P J"]
    present: Bool[np.ndarray, "P"]
    score: Float[np.ndarray, "P J"]


def draw_masks(
    store: SequenceStore,
    ids: Sequence[int] | np.ndarray,
    config: Config,
    seed: int = 0,
    criteria: Sequence[str | Score] | None = None,
) -> list[BodyMask]:
    """Draw a mask for every body of some sequences, whole clips resized to `config.frames` frames.

    Criteria that compare tokens compare the patches' own motion or coordinates (`score_tokens`),
    as before any learning; queries and keys of an encoder (`attention`) have these in their place.

    Args:
        store: the data.
        ids: positions in the store.
        config: layout of the tokens and options of the masks.
        seed: of the draws.
        criteria: criteria of the two groups instead of `config`'s, as in `cross_mask`.

    Returns:
        one mask a body, in the store's order: all bodies of ids[0], then those of ids[1], ...

    Raises:
        HacmError: a position that the store does not have, or masks that leave nothing visible.
    """
    ids = np.asarray(ids, dtype=np.int64).reshape(-1)
    if len(wrong := ids[(ids < 0) | (ids >= len(store))]):
        raise HacmError(
            f"{store.path} holds the sequences 0..{len(store) - 1}, not one numbered {wrong[0]}"
        )
    sequences = Sequences(store, config.frames, modality=config.modality)
    generator = stream("cpu", "draw_masks", seed)
    drawn: list[BodyMask] = []
    for start in range(0, len(ids), _AT_ONCE):
        block = ids[start : start + _AT_ONCE]
        batch = sequences.batch(block, crop="whole")
        # The published code masks bodies that are not there like all others.
        gaps = None if config.absent_bodies == "encode" else batch.gaps
        inputs = build_inputs(batch.x, store.layout, config, present=gaps)
        mask = draw_mask(inputs, config, generator, criteria)
        P, J = inputs.tokens.shape[1:3]
        hidden, score = (x.unflatten(1, (P, J)).numpy() for x in (mask.mask, mask.score))
        there = patches_there(batch.present, config.patch_frames).numpy()
        owner = batch.sequence.numpy()
        body = np.arange(len(owner)) - np.searchsorted(owner, owner)
        drawn += [
            BodyMask(int(block[owner[b]]), int(body[b]), hidden[b], there[b], score[b])
            for b in range(len(owner))
        ]
    return drawn


def draw_mask(
    inputs: MaskInputs,
    options: MaskOptions,
    generator: torch.Generator,
    criteria: Sequence[str | Score] | None = None,
) -> Mask:
    """One mask a body from a criterion's inputs and a generator; see `cross_mask`."""
    bodies, patches, joints = inputs.tokens.shape[:3]
    return cross_mask(inputs, options, mask_noise(bodies, patches, joints, generator), criteria)
