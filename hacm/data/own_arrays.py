"""Your own sequences, from Python's memory into a store."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hacm.data.columns import checked_splits, column_list, free_names
from hacm.data.coordinates import as_xyz
from hacm.data.labels import as_array, classes_of, label_list
from hacm.data.writer import StoreWriter
from hacm.errors import HacmError
from hacm.skeleton import SkeletonLayout, as_layout

LOG = logging.getLogger("hacm")


def write_arrays(
    path: str | Path,
    arrays: Iterable[np.ndarray],
    labels: Sequence[int | str],
    layout: SkeletonLayout | str,
    *,
    label_names: Sequence[str] | None,
    splits: dict[str, dict[str, Any]] | None,
    center: bool,
    unit: str | None,
    up: str | None,
    columns: dict[str, Any],
) -> list[str]:
    """Write a store; see `SequenceStore.from_arrays`.

    Returns:
        Sentences on what was not taken as it is.

    Raises:
        HacmError: something does not fit; says what.
    """
    layout = as_layout(layout)
    if not isinstance(path, str | os.PathLike):
        raise HacmError(f"path should be the new store's directory, not {path!r}")
    single = isinstance(arrays, str | bytes | dict) or getattr(arrays, "ndim", 1) == 0
    if single or not isinstance(arrays, Iterable):
        raise HacmError(f"arrays should be a list of arrays, not a {type(arrays).__name__}")
    numbers, one_hot = label_list(labels, "labels")
    N = len(numbers)
    if label_names is None and one_hot is not None:
        label_names = [str(i) for i in range(one_hot)]
    if label_names is not None:
        label_names = [str(name) for name in as_array(label_names, "label_names").tolist()]
    classes = classes_of(numbers, label_names)
    default = [f"sequence_{i:05d}" for i in range(N)]
    names = [str(name) for name in column_list(columns.pop("name", default), "name", N)]
    columns, notes = free_names(columns)
    columns = {key: column_list(values, key, N) for key, values in columns.items()}
    splits = checked_splits({} if splits is None else splits, columns)
    writer = StoreWriter(
        path, layout, classes.names, splits=splits, center=center, unit=unit, up=up
    )
    with writer:
        for i, joints in enumerate(arrays):
            if i >= N:
                raise HacmError(f"more arrays than labels ({N})")
            what = f"sequence {names[i]!r}"
            joints = as_array(joints, what)
            joints = as_xyz(joints, 2) if joints.shape[-1] == 2 else joints
            row = {column: values[i] for column, values in columns.items()}
            writer.add(joints, name=names[i], label=classes.number(numbers[i], what), **row)
        if len(writer) != N:
            raise HacmError(f"{len(writer)} arrays but {N} labels")
    return [*classes.notes, *notes]


def say(notes: Iterable[str], path: str | Path) -> None:
    """Tell a Python user; the command line prints the same."""
    for note in notes:
        LOG.warning("%s: %s", path, note)
