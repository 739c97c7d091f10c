"""The splits of a PYSKL pickle: lists of names, two or three of which belong together.

`xsub_train` and `xsub_val` are the split `xsub`, `train` and `test` the split `given`, `train1` and
`test1` the split `split1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hacm.data.labels import shown
from hacm.data.restricted_pickle import plain
from hacm.errors import HacmError

_SIDE = re.compile(
    r"(?<![a-z])(train(?:ing|_?val)?|val(?:id(?:ation)?)?|test(?:ing)?|eval)(?![a-z])",
    re.IGNORECASE,
)
NOWHERE = "none"


@dataclass
class Splits:
    """Who trains and who tests.

    Attributes:
        sides: for each split, which side each sample is on: `train`, `val` or `test`.
        notes: sentences on lists that were not used.
    """

    sides: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def described(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """As a store describes them, for the samples there are.

        A column of the split's name holds the side. `val` is unused where there is a `test`.
        """
        there = set(names)
        described: dict[str, dict[str, Any]] = {}
        for split, side_of in self.sides.items():
            found = {side for name, side in side_of.items() if name in there}
            test = "test" if "test" in found else "val"
            if not {"train", test} <= found:
                self.notes.append(f"split {split!r} is left out: one of its sides has no sample")
                continue
            described[split] = {"column": split, "train": ["train"]}
            if found > {"train", test} or not there <= side_of.keys():
                described[split]["test"] = [test]
            if unknown := len(side_of.keys() - there):
                self.notes.append(
                    f"split {split!r} lists names that have no annotation: {unknown:,}"
                )
        return described


def read_splits(split: Any, taken: Iterable[str], file: Path) -> Splits:
    """The lists of the pickle's `split` that have two sides.

    Args:
        split: a dict of lists, also of tuples, sets, arrays, or of such dicts; None.
        taken: names of columns that no split may have.
        file: for messages.

    Raises:
        HacmError: it is nothing of the kind.
    """
    result = Splits()
    groups: dict[str, dict[str, list[str]]] = {}
    for name, listed in _flat(split, file).items():
        base, side = _base_and_side(name)
        if side is None:
            result.notes.append(f"{name!r} of 'split' is left out: it names no side, train or test")
            continue
        base += "_split" if base in taken else ""
        groups.setdefault(base, {}).setdefault(side, []).extend(listed)
    for base, sides in groups.items():
        if "train" not in sides or len(sides) < 2:
            result.notes.append(f"split {base!r} is left out: it has only {shown(sides)}")
            continue
        if len(sides) == 3:
            result.notes.append(f"split {base!r} trains on train and tests on test; val is unused")
        # The later entry counts, so nobody is trained on who is tested.
        order = [side for side in ("train", "val", "test") if side in sides]
        result.sides[base] = {name: side for side in order for name in sides[side]}
        if twice := sum(map(len, map(set, sides.values()))) - len(result.sides[base]):
            result.notes.append(
                f"split {base!r} lists names on more than one side, which do not train: {twice:,}"
            )
    return result


def _base_and_side(name: str) -> tuple[str, str | None]:
    match = _SIDE.search(name)
    if match is None:
        return name, None
    word = match[1].lower()
    side = "train" if word.startswith("train") else "val" if word.startswith("val") else "test"
    rest = [part.strip("_-. /") for part in (name[: match.start()], name[match.end() :])]
    base = "_".join(part for part in rest if part) or "given"
    return (f"split{base}" if base.isdigit() else base), side


def _flat(split: Any, file: Path) -> dict[str, list[str]]:
    """{name: names}; `{"xsub": {"train": ...}}` becomes `xsub_train`."""
    if split is None:
        return {}
    flat: dict[str, list[str]] = {}
    for name, listed in split.items() if isinstance(split, dict) else [(None, None)]:
        if isinstance(listed, dict):
            inner = _flat(listed, file)
            flat |= {f"{name}_{side}": names for side, names in inner.items()}
            continue
        values = plain(listed)
        values = values.tolist() if hasattr(values, "tolist") else values
        if not isinstance(name, str) or not isinstance(values, list | tuple | set | frozenset):
            raise HacmError(f"{file}: 'split' should be a dict of lists of names")
        flat[name] = [str(plain(value)) for value in values]
    return flat
