"""What the notebooks and the Mask Lab look at: one sequence, seen by one encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hacm.data.sequences import Sequences
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.models.encoder import Encoder
from hacm.presets import make_config
from hacm.skeleton import SkeletonLayout
from hacm.training.checkpoint import load_encoder
from hacm.training.pretrain import build_pretrainer


@dataclass(frozen=True)
class Clip:
    """One sequence, resized to the encoder's T frames.

    Attributes:
        x: coordinates, metres; zeros where a body is missing.
        present: frames in which each body is there.
        name: of the sequence.
        label: name of its class.
        recorded: its frames before resizing.
    """

    x: Float[Tensor, "B T V 3"]
    present: Bool[Tensor, "B T"]
    name: str
    label: str
    recorded: int

    @property
    def gaps(self) -> Bool[Tensor, "B T"] | None:
        """`present`, or None if every body is there throughout."""
        return None if bool(self.present.all()) else self.present


def load_clip(store: SequenceStore, index: int, frames: int) -> Clip:
    """Read one sequence of a store, and nothing else.

    Raises:
        HacmError: the store has no sequence of that number.
    """
    if not 0 <= index < len(store):
        raise HacmError(
            f"{store.path} holds the sequences 0..{len(store) - 1}, not one numbered {index}"
        )
    batch = Sequences(store, frames).batch(torch.tensor([index]))
    name, frames = (store.columns[column][index] for column in ("name", "frames"))
    label = store.label_names[store.labels[index]]
    return Clip(batch.x, batch.present, str(name), label, int(frames))


def open_encoder(run_dir: str | Path, layout: SkeletonLayout, seed: int = 0) -> Encoder:
    """The encoder of a run, or an untrained one if `run_dir` is empty.

    The untrained one has the sizes of the published configuration; it prunes if the layout can be
    pruned.

    Raises:
        HacmError: there is no such run, or its encoder belongs to another layout.
    """
    if not str(run_dir):
        prune = bool(layout.trunk and layout.kept)
        config = make_config("hacm", "base", seed=seed, prune=prune)
        return build_pretrainer(layout, config).encoder.eval()
    encoder = load_encoder(run_dir)
    if encoder.layout != layout:
        theirs = encoder.layout
        raise HacmError(
            f"the encoder of {run_dir} was trained on layout {theirs.name!r} ({theirs.V} joints), "
            f"but these sequences have layout {layout.name!r} ({layout.V} joints)"
        )
    return encoder
