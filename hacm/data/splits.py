"""Which sequences train and which test: a column of the store and the values that train.

A split is data, not code: `{"column": "subject", "train": [1, 3, 5]}`. All other sequences test,
unless `"test": [...]` says which do. A store carries the splits of its data set by name; any other
can be written as `COLUMN:odd`, `COLUMN:even` or `COLUMN:1,2,3` (the values that train).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hacm.errors import HacmError

Ids = np.ndarray
FOLDS = 4
"""Parts of the training side for validation."""


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
    if spec in splits:
        chosen, tested = split_sides(splits[spec], columns)
    elif ":" in spec:
        column, _, rule = spec.partition(":")
        values = _column(column, columns)
        if rule in ("odd", "even"):
            if values.dtype.kind not in "iu":
                raise HacmError(f"split {spec!r}: column {column!r} does not hold whole numbers")
            chosen = values % 2 == (1 if rule == "odd" else 0)
        else:
            chosen = np.isin(values.astype(str), [value.strip() for value in rule.split(",")])
        tested = ~chosen
    else:
        known = ", ".join(splits) or "none"
        raise HacmError(
            f"unknown split {spec!r}; this store has: {known}; or write COLUMN:odd, COLUMN:1,2,3"
        )
    train_ids, test_ids = np.flatnonzero(chosen), np.flatnonzero(tested)
    for side, ids in (("training", train_ids), ("test", test_ids)):
        if len(ids) == 0:
            raise HacmError(f"split {spec!r} leaves no {side} sequence")
    return train_ids, test_ids


def split_sides(
    split: Mapping[str, Any], columns: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the N sequences train, and which test, by a split in a store's own words."""
    values = _column(split["column"], columns).astype(str)
    train = np.isin(values, [str(value) for value in split["train"]])
    if "test" not in split:
        return train, ~train
    return train, np.isin(values, [str(value) for value in split["test"]]) & ~train


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


def semi_supervised_ids(
    train_ids: Ids, labels: np.ndarray, fraction: float, rng: np.random.Generator
) -> Ids:
    """A class-balanced draw of a fraction of the training sequences, at least one a class.

    Args:
        train_ids: positions of the training sequences.
        labels: (N,) labels of the whole store.
        fraction: 0 < fraction <= 1, e.g. 0.01 and 0.1 in the semi-supervised protocol.
        rng: where the draw comes from.

    Raises:
        HacmError: the fraction is out of range.
    """
    if not 0 < fraction <= 1:
        raise HacmError(f"a semi-supervised fraction lies in (0, 1], not {fraction}")
    drawn = []
    for label in np.unique(labels[train_ids]):
        members = train_ids[labels[train_ids] == label]
        count = max(1, round(fraction * len(members)))
        drawn.append(rng.permutation(members)[:count])
    return np.sort(np.concatenate(drawn))
