"""What else is known of the sequences: one value each, under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hacm.data.writer import PLACES
from hacm.errors import HacmError

OWN = ("name", "label", "joints", *PLACES)
OWN_META = (
    *("format", "units", "source", "source_unit", "source_up", "splits", "layout", "label_names"),
    *("sequences", "sha256"),
)
"""Names that a store or its writer uses itself, as columns and in meta.json."""


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


def file_columns(
    arrays: Mapping[str, np.ndarray], N: int, F: int, file: Path
) -> tuple[dict[str, np.ndarray], dict[str, Any], list[str]]:
    """What an `.npz` file says of its sequences, and of all of them.

    Args:
        arrays: by key.
        N, F: sequences and frames.
        file: for messages.

    Returns:
        columns (N,); single values and lists of names, for the store's meta; sentences on what is
        left out.

    Raises:
        HacmError: a list has another length, or a subject is NaN.
    """
    columns: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {}
    notes = []
    for key, array in arrays.items():
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8", "replace")
        if array.shape in ((N,), (N, 1)):
            columns[key] = _column(array.reshape(N), key, file)
        elif array.ndim == 0 or array.shape == (1,) or key.endswith("_names"):
            kept = array if array.dtype.kind in "fiubU" else array.astype(str)
            kept = kept.reshape(()) if array.shape == (1,) else kept
            meta[f"{key}_given" if key in OWN_META else key] = kept.tolist()
        elif array.ndim == 1 and len(array) != F:
            raise HacmError(
                f"{file}: key {key!r} has {len(array)} values for {N} sequences; give it one a "
                "sequence, or remove it"
            )
        else:
            notes.append(f"{file}: key {key!r} {array.shape} is left out: no value a sequence")
    columns, renamed = free_names(columns)
    return columns, meta, [*notes, *renamed]


def _column(values: np.ndarray, key: str, file: Path) -> np.ndarray:
    if key != "subject" or values.dtype.kind != "f":
        return values
    if not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values)))
        raise HacmError(f"{file}: 'subject' of sequence {at} is {values[at]}; name every subject")
    return values.astype(np.int64) if (values == np.floor(values)).all() else values


def odd_subjects(
    columns: Mapping[str, np.ndarray],
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The split in which subjects with odd numbers train, or a sentence on why there is none."""
    if "subject" not in columns:
        return {}, []
    subjects = np.unique(columns["subject"])
    if subjects.dtype.kind in "iu":
        odd = subjects[subjects % 2 == 1].tolist()
        if 0 < len(odd) < len(subjects):
            return {"xsub": {"column": "subject", "train": odd}}, []
        why = "subjects are all odd or all even"
    else:
        why = "subjects are no whole numbers"
    first = ",".join(str(subject) for subject in subjects[: max(1, len(subjects) // 2)][:4])
    cure = f"--split xsub=subject:{first} names those who train"
    return {}, [f"{why}, so none of them is chosen to train; {cure}"]


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
