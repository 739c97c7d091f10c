"""What else is known of the sequences: one value each, under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hacm.data.writer import PLACES
from hacm.errors import HacmError

OWN = ("name", "label", "joints", *PLACES)
"""Names that a store or its writer uses itself."""


def free_names(columns: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The columns under names that are free in a store, and sentences on those renamed."""
    renamed = {key: f"{key}_given" for key in columns if key in OWN}
    notes = [
        f"column {old!r} is kept as {new!r}: the store has its own" for old, new in renamed.items()
    ]
    return {renamed.get(key, key): values for key, values in columns.items()}, notes


def plain_value(value: Any) -> Any:
    """A cell as a number or text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def column_list(values: Any, key: str, N: int) -> list[Any]:
    """One value a sequence.

    Raises:
        HacmError: no list, or another number of values.
    """
    if isinstance(values, str | bytes | dict) or not hasattr(values, "__len__"):
        raise HacmError(f"column {key!r} should be a list of {N} values, one a sequence")
    if len(values) != N:
        raise HacmError(f"{N} labels, but column {key!r} has {len(values)}; give one a sequence")
    return [plain_value(value) for value in values]


def checked_splits(splits: Any, columns: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Named splits that a store can hold.

    Raises:
        HacmError: no dict of `{"column": ..., "train": [...]}`, or there is no such column.
    """
    form = '{NAME: {"column": COLUMN, "train": [VALUES]}}'
    if not isinstance(splits, Mapping):
        raise HacmError(f"splits should be {form}, not a {type(splits).__name__}")
    for name, split in splits.items():
        if not isinstance(split, Mapping) or not {"column", "train"} <= split.keys():
            raise HacmError(f"split {name!r}: splits should be {form}")
        if isinstance(split["train"], str) or not hasattr(split["train"], "__iter__"):
            raise HacmError(f"split {name!r}: 'train' should be the list of values that train")
        if split["column"] not in columns and split["column"] not in ("name", "label"):
            known = ", ".join(columns) or "none"
            raise HacmError(
                f"split {name!r}: there is no column {split['column']!r}; columns: {known}"
            )
    return {
        str(name): {
            key: [plain_value(v) for v in value] if key in ("train", "test") else value
            for key, value in split.items()
        }
        for name, split in splits.items()
    }
