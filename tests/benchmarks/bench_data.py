"""Batches against a loader that works sample by sample, and what reads frozen features."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hacm.data.sequences import Sequences
from hacm.data.store import SequenceStore
from hacm.skeleton import KINECT_V2
from hacm.training.features import fit_linear_probe, nearest_labels

from .measure import in_turns, spread, times_faster
from .plain_released import PlainLoader

BATCH, FRAMES = 64, 72


@contextmanager
def one_thread():
    """torch computes on one thread inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def typical_store(folder: Path, sequences: int) -> SequenceStore:
    """60 to 150 frames, half of the sequences with two bodies."""
    rng = np.random.default_rng(0)
    shapes = [(1 + i % 2, int(rng.integers(60, 150)), KINECT_V2.V, 3) for i in range(sequences)]
    arrays = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return SequenceStore.from_arrays(arrays, [0] * sequences, KINECT_V2, path=folder)


def batches(rounds: int) -> list[dict[str, Any]]:
    """Milliseconds a sequence on one thread: random crop, resize and rotation."""
    generator = torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        store = typical_store(Path(folder) / "store", 512)
        sequences, loader = Sequences(store, FRAMES), PlainLoader(store, FRAMES)

        def drawn() -> torch.Tensor:
            return torch.randperm(len(store), generator=generator)[:BATCH]

        def sample_by_sample() -> None:
            samples = [loader[int(i)] for i in drawn()]
            torch.utils.data.default_collate(samples)

        def whole_batch() -> None:
            sequences.batch(drawn(), crop="random", rotation=0.3, generator=generator)

        steps = {"sample by sample": sample_by_sample, "whole batch": whole_batch}
        seconds = in_turns(steps, rounds, warmup=3)
    faster = times_faster(seconds, "sample by sample")
    return [
        {
            "batches": name,
            "ms_a_sequence": spread([1e3 * value / BATCH for value in values]),
            "times_faster": faster[name],
        }
        for name, values in seconds.items()
    ]


def probes(quick: bool) -> list[dict[str, Any]]:
    """Seconds of a linear probe and of a nearest-neighbour search on features at hand."""
    generator = torch.Generator().manual_seed(0)
    gallery, queries = (5_000, 1_000) if quick else (40_000, 5_000)
    labels = torch.randint(60, (gallery,), generator=generator)
    features = torch.randn(gallery, 256, generator=generator)
    asked = torch.randn(queries, 256, generator=generator)
    began = time.perf_counter()
    fit_linear_probe([features[:1000]], labels[:1000], 60, epochs=100)
    probed = time.perf_counter()
    nearest_labels(features, labels, asked)
    searched = time.perf_counter()
    return [
        {"reader": "linear probe, 100 epochs, 1,000 sequences", "seconds": probed - began},
        {
            "reader": f"nearest neighbour, {queries:,} in {gallery:,}",
            "seconds": searched - probed,
        },
    ]
