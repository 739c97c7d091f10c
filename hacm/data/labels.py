"""Labels as people have them, and as a store has them: whole numbers from 0 with a name each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hacm.errors import HacmError

Label = int | str
_NUMBER = re.compile(r" *[+-]?[0-9]+(\.[0-9]*)? *")
_SHOWN = 8


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Attributes:
        names: what the labels 0..C-1 mean.
        numbers: the source's own labels -> 0..C-1.
        notes: sentences on what was not taken as it is.
    """

    names: list[str]
    numbers: dict[Label, int]
    notes: list[str] = field(default_factory=list)

    def number(self, label: Label, what: str) -> int:
        """The store's label for the source's.

        Raises:
            HacmError: there is no such class.
        """
        if label in self.numbers:
            return self.numbers[label]
        if isinstance(label, str):
            raise HacmError(f"{what}: label {label!r} is none of {shown(self.numbers)}")
        if label < 0:
            raise HacmError(f"{what}: label {label} is no class; labels are whole numbers from 0")
        raise HacmError(f"{what}: label {label} has no name; there are {len(self.names)} names")


def classes_of(labels: Iterable[Label], names: Sequence[str] | None = None) -> Classes:
    """Which classes there are.

    Without names, whole numbers that do not count up from 0 are numbered anew, so that no class
    is empty. Names for labels 1..C are taken as such.

    Args:
        labels: as `one_label` gives them; negative ones belong to no class.
        names: what the labels mean, where it is known.
    """
    found = set(labels)
    texts = sorted(label for label in found if isinstance(label, str))
    whole = sorted(label for label in found if isinstance(label, int) and label >= 0)
    if names is not None:
        names = [str(name) for name in names]
        if whole and whole[0] >= 1 and whole[-1] == len(names):
            note = f"labels count from 1 to {len(names)}, as many as names: moved to start from 0"
            return Classes(names, {i + 1: i for i in range(len(names))}, [note])
        known: dict[Label, int] = {i: i for i in range(len(names))}
        return Classes(names, known | {name: i for i, name in enumerate(names)})
    # Among numbers, a text is a mistake rather than a class.
    own: list[Label] = [*whole] if whole or not texts else [*texts]
    notes = []
    if whole and whole != list(range(len(whole))):
        notes = [
            f"labels {shown(whole)} do not count up from 0 without gaps: numbered anew from 0 to "
            f"{len(whole) - 1}, and named after the old numbers"
        ]
    return Classes([str(label) for label in own], {label: i for i, label in enumerate(own)}, notes)


def label_list(values: Any, what: str) -> tuple[list[Label], int | None]:
    """N labels in any of the usual forms: numbers or texts, (N,) or (N, 1), or one-hot (N, C).

    Returns:
        the labels, and C if they are one-hot.

    Raises:
        HacmError: another form, or a value that is no label.
    """
    array = as_array(values, what)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "fiub":
        if not ((array != 0).sum(axis=1) == 1).all():
            raise HacmError(
                f"{what} should be N whole numbers or texts, or one-hot: its rows are not one-hot"
            )
        return array.argmax(axis=1).tolist(), array.shape[1]
    if array.ndim != 1:
        raise HacmError(f"{what} should be N whole numbers or texts, not {array.shape}")
    if array.dtype.kind in "iu":
        return array.tolist(), None
    return [one_label(value, f"{what}[{i}]") for i, value in enumerate(array.tolist())], None


def one_label(value: Any, what: str) -> Label:
    """One label: a whole number, however it is written, or a text.

    Raises:
        HacmError: a broken number, nothing, or something else.
    """
    while isinstance(value, list | tuple | np.ndarray) and np.size(value) == 1:
        value = value[0] if isinstance(value, list | tuple) else value.reshape(-1)[0]
    value = value.item() if isinstance(value, np.generic) else value
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if isinstance(value, str):
        if not value.strip():
            raise HacmError(f"{what}: the label is empty")
        if not _NUMBER.fullmatch(value) or len(value) > 20:
            return value
        value = float(value) if "." in value else int(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise HacmError(f"{what}: labels should be whole numbers or texts, not {_short(value)}")


def as_array(values: Any, what: str) -> np.ndarray:
    """A list, tuple, array, tensor or column of a table as an array.

    Raises:
        HacmError: it is nothing of the kind.
    """
    if values is None or isinstance(values, str | bytes | dict | set):
        raise HacmError(f"{what} should be a list or an array, not {_short(values)}")
    try:
        array = np.asarray(values)
    except Exception as error:  # whatever an object's own conversion raises
        raise HacmError(f"{what} cannot be read as an array: {str(error)[:150]}") from error
    if array.ndim == 0:
        raise HacmError(f"{what} should be a list or an array, not {_short(values)}")
    return array


def shown(values: Iterable[Label]) -> str:
    """The first few, for a sentence."""
    listed = [str(value) for value in values]
    return ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}..."
