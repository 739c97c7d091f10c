"""What is in a store, for `hacm info` and for reports."""

from __future__ import annotations

from collections import Counter

import numpy as np

from hacm.data.splits import split_sides
from hacm.data.store import SequenceStore


def split_sizes(store: SequenceStore) -> dict[str, tuple[int, int]]:
    """(train, test) sequences of each of the store's named splits; a side may be empty."""
    sizes = {}
    for name, split in store.splits.items():
        train, test = split_sides(split, store.columns)
        sizes[name] = (int(train.sum()), int(test.sum()))
    return sizes


def describe(store: SequenceStore, split: str | None = None) -> str:
    """A store's contents, a line each.

    Args:
        store: the store.
        split: also the sequences and classes on both sides of this split, named or written as
            `COLUMN:odd`, `COLUMN:1,2,3`.

    Raises:
        HacmError: no such split.
    """
    shortest, middle, longest = np.percentile(store.columns["frames"], [0, 50, 100])
    by_bodies = sorted(Counter(store.columns["bodies"].tolist()).items())
    columns = store.columns.keys() - {"name", "label", "start", "bodies", "frames"}
    facts = {
        "store": str(store.path),
        "source": str(store.meta.get("source", "unknown")),
        "sequences": f"{len(store):,}",
        "joints": f"{store.layout.V}, {store.layout.name}",
        "frames": f"{shortest:.0f} to {longest:.0f}, median {middle:.0f}",
        "bodies": ", ".join(f"{bodies} in {n:,} sequences" for bodies, n in by_bodies),
        "classes": f"{len(np.unique(store.labels))} of {len(store.label_names)}",
        "stored as": f"{store.frames.dtype}, {store.frames.nbytes / 1e6:,.1f} MB",
        "columns": ", ".join(sorted(columns)) or "none",
        "checksum": store.checksum[:16],
    }
    for name, (train, test) in split_sizes(store).items():
        facts[f"split {name}"] = f"{train:,} train, {test:,} test"
    if split is not None:
        for side, ids in zip(("train", "test"), store.split(split), strict=True):
            counts = np.unique(store.labels[ids], return_counts=True)[1]
            facts[f"{split}, {side}"] = (
                f"{len(ids):,} sequences, {len(counts)} classes of {counts.min():,} to "
                f"{counts.max():,} sequences"
            )
    width = max(map(len, facts))
    return "\n".join(f"{name:<{width}}  {fact}" for name, fact in facts.items())
