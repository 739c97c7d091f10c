"""What a reader tells of its data set, and what it hands over: the driver in `prepare.py` and the
readers (`ntu.py`, `pkummd.py`, ...) meet here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from hacm.skeleton import SkeletonLayout


@dataclass
class Sample:
    """One labelled sequence; `columns` is what else is known of it, the same keys for all."""

    name: str
    label: int
    joints: Float[np.ndarray, "B T V 3"]
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass
class Skip:
    """Something that was left out.

    Attributes:
        reason: one sentence that names the file and, where there is one, the line.
        kind: a few words to count it under.
        wanted: the user or the data set's own rules leave it out, so `--strict` lets it pass.
    """

    reason: str
    kind: str = "damaged"
    wanted: bool = False


def first_reason(skips: Sequence[Skip]) -> str:
    """The end of a sentence that says that nothing is left."""
    return f"; the first of {len(skips)} that were left out: {skips[0].reason}" if skips else ""


@dataclass
class Result:
    """What reading one item gave."""

    samples: list[Sample] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Source:
    """A data set in its raw form.

    Attributes:
        title: for people.
        layout: the joints.
        label_names: what the labels 0..C-1 mean.
        items: the units of work in a fixed order, e.g. files; small, they travel to processes.
        count: how many items.
        read: reads one item; for several processes a function of a module. A `HacmError` skips
            the item.
        fingerprint: changes whenever an item or an option does; see `StoreWriter`'s `resume`.
        splits: named splits, each `{"column": ..., "train": [...]}`.
        published: (train, test) sequences of a split as published, where they are known.
        center: whether the set's common procedure moves the origin joint to zero.
        meta: kept in the store.
        skips: what was left out before any reading.
        notes: sentences on what the reader took for granted, for the user to check.
    """

    title: str
    layout: SkeletonLayout
    label_names: Sequence[str]
    items: Iterable[Any]
    count: int
    read: Callable[[Any], Result]
    fingerprint: str
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    published: dict[str, tuple[int, int]] = field(default_factory=dict)
    center: bool = True
    meta: dict[str, Any] = field(default_factory=dict)
    skips: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
