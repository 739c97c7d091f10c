"""Prepared `.npz` files in circulation (`NTU60_XSub.npz` and its like), read as a stream.

    x_train (N, T_max, 150)  two bodies of 25 joints a frame, zero padded at the end, metres
    y_train (N, C)           one-hot, or (N,) labels; likewise x_test, y_test

`x_val` and `y_val` serve where there is no test side, and the usual other orders of the axes are
known by their sizes (see `prepared_axes.py`). Such a file takes 10 GB for NTU-60, so its rows are
read one at a time. The script in circulation for NTU-120 repeats a lone actor as the second body;
such a copy is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from hacm.data import class_names
from hacm.data.coordinates import as_xyz, coordinates_of
from hacm.data.files import RawFile, fingerprint
from hacm.data.labels import Classes, Label, classes_of, label_list
from hacm.data.npz import Member, members, no_objects
from hacm.data.prepared_axes import FORMS, Axes, axes_of
from hacm.data.source import Result, Sample, Skip, Source
from hacm.errors import HacmError
from hacm.skeleton import SkeletonLayout, as_layout

PARTS = ("train", "val", "test")
KNOWN_CLASSES = {
    60: ("NTU RGB+D 60", class_names.NTU[:60]),
    120: ("NTU RGB+D 120", class_names.NTU),
    51: ("PKU-MMD", class_names.PKUMMD),
}
SPLIT_NAMES = {"xsub": "xsub", "csub": "xsub", "cs": "xsub", "xview": "xview", "cv": "xview"}
SPLIT_NAMES |= {"xset": "xset", "cset": "xset"}


@dataclass(frozen=True)
class Side:
    """The sequences of one side, `train` or `test`, and their labels."""

    part: str
    x: Member
    axes: Axes
    labels: list[Label]
    one_hot: int | None


@dataclass(frozen=True)
class Row:
    """One padded sequence of the file."""

    name: str
    part: str
    label: int
    joints: Shaped[np.ndarray, "M T V C"]


def prepared_source(
    file: str | Path,
    *,
    layout: SkeletonLayout | str | None = None,
    coordinates: int | None = None,
) -> Source:
    """The rows of a prepared file; its own split is named after the file, or `given`.

    Args:
        file: the arrays.
        layout: the joints; by default the built-in layout that fits.
        coordinates: how many of a joint's values are coordinates, 2 or 3; by default all, but for
            COCO's joints, whose third value is a score.

    Raises:
        HacmError: the file cannot be read, or an array is missing or has another shape.
    """
    file = Path(file)
    given = None if layout is None else as_layout(layout)
    sides = _sides(file, given)
    used = sides[0].axes.layout
    notes = [] if given else [f"{used.V} joints: taken for {used.name} by their number alone"]
    values = sides[0].axes.values
    count, said = coordinates_of(values, used, coordinates, str(sides[0].x))
    classes = _classes(sides, file)
    split, more = _split(sides, SPLIT_NAMES.get(file.stem.lower().split("_")[-1], "given"))
    stat = file.stat()
    stamp = RawFile(str(file), None, stat.st_size, stat.st_mtime_ns)
    return Source(
        title=file.name,
        layout=used,
        label_names=classes.names,
        items=_rows(sides, classes),
        count=sum(len(side.labels) for side in sides),
        read=partial(read_row, file=file.name, count=count),
        fingerprint=fingerprint([stamp], used.name, count),
        splits=split,
        center=False,
        meta={"source": file.name},
        notes=[*notes, *said, *classes.notes, *more],
    )


def read_row(row: Row, file: str, count: int = 3) -> Result:
    """A row without its padding, and without bodies that are absent or a copy of another."""
    joints = as_xyz(row.joints, count)
    there = np.flatnonzero((joints != 0).any(axis=(0, 2, 3)))
    if len(there) == 0:
        return Result(skips=[Skip(f"{file}: {row.name} is all zeros", "no body")])
    joints = joints[:, : there[-1] + 1]
    bodies: list[np.ndarray] = []
    counts: Counter[str] = Counter()
    for body in joints[joints.any(axis=(1, 2, 3))]:
        if any(np.array_equal(body, other) for other in bodies):
            counts["second bodies that repeat the first"] = 1
        else:
            bodies.append(body)
    sample = Sample(row.name, row.label, np.stack(bodies), {"part": row.part})
    return Result([sample], counts=counts)


def _rows(sides: list[Side], classes: Classes) -> Iterator[Row]:
    for side in sides:
        for i, row in enumerate(side.x.rows()):
            name = f"{side.part}_{i:06d}"
            label = classes.number(side.labels[i], f"{side.x.file}: {name}")
            yield Row(name, side.part, label, side.axes.sequence(row))


def _sides(file: Path, layout: SkeletonLayout | None) -> list[Side]:
    """The sides that have sequences; all have the same joints."""
    found = {key.lower(): member for key, member in members(file).items()}
    there = [part for part in PARTS if {f"x_{part}", f"y_{part}"} & found.keys()]
    for part in there or PARTS[:1]:
        for key in (f"x_{part}", f"y_{part}"):
            if key not in found:
                raise HacmError(
                    f"{file}: {key!r} is missing; needed: x_train, y_train and, for the test side, "
                    f"x_test and y_test or x_val and y_val; there: {', '.join(found) or 'nothing'}"
                )
    sides = [_side(part, found[f"x_{part}"], found[f"y_{part}"], layout) for part in there]
    for side in sides[1:]:
        first = sides[0]
        if (side.axes.layout, side.axes.values) != (first.axes.layout, first.axes.values):
            raise HacmError(
                f"{side.x} {side.x.shape} has other joints than {first.x.key!r} {first.x.shape}"
            )
    sides = [side for side in sides if side.labels]
    if not sides:
        raise HacmError(f"{file} holds no sequence")
    return sides


def _side(part: str, x: Member, y: Member, layout: SkeletonLayout | None) -> Side:
    no_objects(x)
    no_objects(y)
    try:
        axes = axes_of(x.shape, layout)
    except HacmError as error:
        raise HacmError(f"{x}: {error}") from error
    if axes is None or x.dtype.kind not in "fiu":
        joints = "" if layout is None else f" with {layout.V} joints"
        raise HacmError(f"{x} should be numbers {FORMS}{joints}, not {x.dtype} {x.shape}")
    N = x.shape[0]
    if y.shape[:1] != (N,) or len(y.shape) > 2 or y.dtype.kind not in "fiubUS":
        raise HacmError(f"{y} should hold {N} labels, not {y.dtype} {y.shape}")
    labels, one_hot = label_list(y.whole(), str(y))
    if wrong := [label for label in labels if isinstance(label, int) and label < 0]:
        raise HacmError(f"{y} should hold whole numbers from 0, not {wrong[0]}")
    return Side(part, x, axes, labels, one_hot)


def _classes(sides: list[Side], file: Path) -> Classes:
    """The classes of all sides, with the public sets' names where their number is known."""
    widths = {side.one_hot for side in sides if side.one_hot is not None}
    if len(widths) > 1:
        raise HacmError(f"{file}: the sides are one-hot of {sorted(widths)} classes; expected one")
    labels = [label for side in sides for label in side.labels]
    texts = {isinstance(label, str) for label in labels}
    if len(texts) > 1:
        raise HacmError(f"{file}: some labels are texts and others numbers; give all of one kind")
    largest = max((label for label in labels if isinstance(label, int)), default=-1)
    count = widths.pop() if widths else largest + 1
    if largest >= count:
        raise HacmError(f"{file}: label {largest} is none of the {count} that are one-hot")
    known, names = KNOWN_CLASSES.get(count, ("", None))
    one_hot = any(side.one_hot for side in sides)
    if names is None and one_hot:
        names = tuple(str(label) for label in range(count))
    classes = classes_of(labels, names)
    if known:
        classes.notes.append(f"{count} classes: named as those of {known} by their number alone")
    return classes


def _split(sides: list[Side], name: str) -> tuple[dict, list[str]]:
    """Training against test, or validation where there is no test side."""
    parts = [side.part for side in sides]
    test = parts[-1]
    if parts[0] != "train" or test == "train":
        return {}, [f"there are sequences of {test!r} alone, so there is no split"]
    split: dict = {"column": "part", "train": ["train"]}
    if len(parts) == 2:
        return {name: split}, []
    return {name: split | {"test": [test]}}, [f"split {name!r} tests on {test}; val is unused"]
