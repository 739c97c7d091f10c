"""Which sequences train and which test: a column of the store and the values that train.

A split is data, not code: `{"column": "subject", "train": [1, 3, 5]}`. All other sequences test,
unless `"test": [...]` says which do. A store carries the splits of its data set by name; any other
can be written as `COLUMN:odd`, `COLUMN:even` or `COLUMN:1,2,3` (the values that train).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hacm.errors import HacmError

Ids = np.ndarray
FOLDS = 4
"""Parts of the training side for validation."""
_SHOWN = 8


class Sides(NamedTuple):
    """The two sides of a split: positions, and what is wrong if one of them is empty."""

    train: Ids
    test: Ids
    fault: str | None


def split_ids(
    spec: str, splits: Mapping[str, Mapping[str, Any]], columns: Mapping[str, np.ndarray]
) -> tuple[Ids, Ids]:
    """Training and test positions of a split.

    Args:
        spec: the name of one of `splits`, or `COLUMN:odd`, `COLUMN:even`, `COLUMN:V1,V2,...`.
        splits: named splits, each `{"column": ..., "train": [...]}`.
        columns: (N,) arrays by column name.

    Raises:
        HacmError: no such split or column, or one of the two sides is empty.
    """
    sides = split_sides(spec, splits, columns)
    if sides.fault:
        raise HacmError(sides.fault)
    return sides.train, sides.test


def split_sides(
    spec: str, splits: Mapping[str, Mapping[str, Any]], columns: Mapping[str, np.ndarray]
) -> Sides:
    """As `split_ids`, but an empty side is told, not raised."""
    tested = None
    if spec in splits:
        column, train = splits[spec]["column"], splits[spec]["train"]
        values = _column(column, columns)
        chosen = np.isin(values.astype(str), [str(value) for value in train])
        if "test" in splits[spec]:
            tested = np.isin(values.astype(str), [str(value) for value in splits[spec]["test"]])
            tested &= ~chosen
    elif ":" in spec:
        column, _, rule = spec.partition(":")
        values = _column(column, columns)
        train = [value.strip() for value in rule.split(",")]
        if rule in ("odd", "even"):
            if values.dtype.kind not in "iu":
                raise HacmError(f"split {spec!r}: column {column!r} does not hold whole numbers")
            chosen = values % 2 == (1 if rule == "odd" else 0)
        else:
            chosen = np.isin(values.astype(str), train)
    else:
        known = ", ".join(splits) or "none"
        raise HacmError(
            f"unknown split {spec!r}; this store has: {known}; or write COLUMN:odd, COLUMN:1,2,3"
        )
    tested = ~chosen if tested is None else tested
    fault = None
    if not (chosen.any() and tested.any()):
        side = "test" if chosen.any() else "training"
        fault = (
            f"split {spec!r} leaves no {side} sequence: it trains on {_some(train)}, and "
            f"{column!r} holds {_some(np.unique(values))}"
        )
    return Sides(np.flatnonzero(chosen), np.flatnonzero(tested), fault)


def fold_ids(
    spec: str, splits: Mapping[str, Mapping[str, Any]], columns: Mapping[str, np.ndarray]
) -> list[tuple[Ids, Ids]]:
    """The training side of a split once more divided, to choose settings without its test side.

    Parts share no value of the split's column: no subject, or no camera. Each sequence of the
    training side is held out once.

    Args:
        spec, splits, columns: as for `split_ids`.

    Returns:
        for each of at most `FOLDS` parts: positions of the rest, and of the part held out.

    Raises:
        HacmError: as `split_ids`, or the training side has a single subject (or camera).
    """
    from sklearn.model_selection import GroupKFold

    train_ids, _ = split_ids(spec, splits, columns)
    column = splits[spec]["column"] if spec in splits else spec.partition(":")[0]
    groups = columns[column][train_ids]
    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        raise HacmError(
            f"split {spec!r} trains on a single value of {column!r}, so none can be held out for "
            "validation"
        )
    folds = GroupKFold(count).split(train_ids, groups=groups)
    return [(train_ids[rest], train_ids[held_out]) for rest, held_out in folds]


def _column(name: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    if name not in columns:
        raise HacmError(f"the store has no column {name!r}; columns: {', '.join(columns)}")
    return columns[name]


def _some(values: Sequence[Any] | np.ndarray) -> str:
    """The first of many values, for a sentence."""
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    return shown + (f", ... ({len(values)} in all)" if len(values) > _SHOWN else "")


def semi_supervised_ids(
    train_ids: Ids,
    labels: np.ndarray,
    fraction: float,
    rng: np.random.Generator,
    draw: str = "balanced",
) -> Ids:
    """A draw of a fraction of the training sequences.

    Args:
        train_ids: positions of the training sequences.
        labels: (N,) labels of the whole store.
        fraction: 0 < fraction <= 1, e.g. 0.01 and 0.1 in the semi-supervised protocol.
        rng: where the draw comes from.
        draw: `published`: int(N * fraction) sequences of N, whatever their class; `balanced`: the
            fraction of every class, rounded, at least one.

    Raises:
        HacmError: the fraction is out of range.
    """
    if not 0 < fraction <= 1:
        raise HacmError(f"a semi-supervised fraction lies in (0, 1], not {fraction}")
    if draw == "published":
        return np.sort(rng.permutation(train_ids)[: int(len(train_ids) * fraction)])
    drawn = []
    for label in np.unique(labels[train_ids]):
        members = train_ids[labels[train_ids] == label]
        count = max(1, round(fraction * len(members)))
        drawn.append(rng.permutation(members)[:count])
    return np.sort(np.concatenate(drawn))
