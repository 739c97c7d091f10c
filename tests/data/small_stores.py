"""Small random stores, and torch's own resize of what is in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from hacm.data.store import SequenceStore
from hacm.data.writer import StoreWriter
from hacm.skeleton import SkeletonLayout

STICK = SkeletonLayout.from_parents("stick", ["base", "mid", "tip"], [-1, 0, 1], trunk=["base"])
SHAPES = [(1, 80), (2, 7), (1, 1), (2, 120), (3, 70)]


def make_store(path: Path, arrays: list[np.ndarray], layout=STICK, dtype="float32"):
    with StoreWriter(path, layout, ["x", "y"], center=False, dtype=dtype) as writer:
        for i, array in enumerate(arrays):
            writer.add(array, name=str(i), label=i % 2)
    return SequenceStore(path)


def clip(bodies: int, frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(bodies, frames, 3, 3)).astype(np.float32)


def write(path: Path, **options) -> SequenceStore:
    """Three sequences: 1 body x 4 frames, 2 x 3, 1 x 1."""
    arrays = [clip(1, 4), clip(2, 3, 1), clip(1, 1, 2)]
    columns = {"name": ["a", "b", "c"], "subject": [1, 2, 3], "side": ["left", "right", "left"]}
    options = {"label_names": ["sit", "stand"], "center": False, **columns, **options}
    return SequenceStore.from_arrays(arrays, [0, 1, 1], STICK, path=path, **options)


def interpolated(span: np.ndarray, frames: int) -> torch.Tensor:
    """torch's own resize of one body's (t, V, 3), in float64."""
    lines = torch.from_numpy(span).double().flatten(1).T[None]
    resized = F.interpolate(lines, size=frames, mode="linear", align_corners=False)
    return resized[0].T.unflatten(1, span.shape[1:]).float()
