"""What is in a store, for `hacm info` and for reports."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from hacm.data.store import SequenceStore

if TYPE_CHECKING:
    from rich.table import Table


def split_sizes(store: SequenceStore) -> dict[str, tuple[int, int]]:
    """(train, test) sequences of each of the store's named splits; a side may be empty."""
    sizes = {}
    for name, split in store.splits.items():
        values = store.columns[split["column"]]
        train = int(np.isin(values.astype(str), [str(value) for value in split["train"]]).sum())
        sizes[name] = (train, len(store) - train)
    return sizes


def describe(store: SequenceStore, split: str | None = None) -> Table:
    """A table of a store's contents.

    Args:
        store: the store.
        split: also the sequences and classes on both sides of this split, named or written as
            `COLUMN:odd`, `COLUMN:1,2,3`.

    Raises:
        HacmError: no such split.
    """
    from rich.table import Table

    lengths, bodies = store.columns["frames"], store.columns["bodies"]
    table = Table(title=str(store.path), show_header=False, title_justify="left")
    if "source" in store.meta:
        table.add_row("source", str(store.meta["source"]))
    table.add_row("sequences", f"{len(store):,}")
    table.add_row("joints", f"{store.layout.V}, {store.layout.name}")
    shortest, middle, longest = np.percentile(lengths, [0, 50, 100])
    table.add_row("frames", f"{shortest:.0f} to {longest:.0f}, median {middle:.0f}")
    by_bodies = Counter(bodies.tolist())
    table.add_row(
        "bodies", ", ".join(f"{b}: {n:,} sequences" for b, n in sorted(by_bodies.items()))
    )
    used = len(np.unique(store.labels))
    table.add_row("classes", f"{used} of {len(store.label_names)}")
    table.add_row("stored as", f"{store.frames.dtype}, {store.frames.nbytes / 1e6:,.1f} MB")
    columns = store.columns.keys() - {"name", "label", "start", "bodies", "frames"}
    table.add_row("columns", ", ".join(sorted(columns)) or "none")
    for name, (train, test) in split_sizes(store).items():
        table.add_row(f"split {name}", f"{train:,} train, {test:,} test")
    table.add_row("checksum", store.checksum[:16])
    if split is not None:
        for side, ids in zip(("train", "test"), store.split(split), strict=True):
            counts = np.bincount(store.labels[ids], minlength=len(store.label_names))
            there = counts[counts > 0]
            table.add_row(
                f"{split}, {side}",
                f"{len(ids):,} sequences, {len(there)} classes of {there.min():,} to "
                f"{there.max():,} sequences",
            )
    return table
