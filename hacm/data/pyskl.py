"""Pickles of PYSKL and MMAction2 (`ntu60_3danno.pkl` and its like).

A dict with `split`, {name: [frame_dir, ...]}, and `annotations`, a list of dicts with `frame_dir`,
`label` and `keypoint`, (M, T, V, 3). The file is read whole, by `restricted_pickle.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from hacm.data import class_names, ntu
from hacm.data.coordinates import as_xyz, coordinates_of
from hacm.data.files import RawFile, fingerprint
from hacm.data.labels import Classes, Label, classes_of, one_label
from hacm.data.pyskl_splits import NOWHERE, read_splits
from hacm.data.restricted_pickle import load_plain_pickle, plain
from hacm.data.source import Result, Sample, Skip, Source
from hacm.data.writer import PLACES
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2, SkeletonLayout, as_layout, guessed_layout

KEYPOINT = "'keypoint'"


@dataclass(frozen=True)
class Reading:
    """What is the same for all annotations of a file."""

    file: str
    classes: Classes
    sides: dict[str, dict[str, str]]
    count: int
    is_ntu: bool


def pyskl_source(
    file: str | Path,
    *,
    layout: SkeletonLayout | str | None = None,
    coordinates: int | None = None,
) -> Source:
    """The annotations of a pickle.

    Args:
        file: the pickle.
        layout: the joints; by default the built-in layout with as many.
        coordinates: how many of a joint's values are coordinates, 2 or 3; by default all, but for
            COCO's joints, whose third value is a score.

    Raises:
        HacmError: the pickle is damaged, asks to run code, or has another layout.
    """
    file = Path(file)
    annotations, split = _content(load_plain_pickle(file), file)
    shape = _first_shape(annotations, file)
    names = [_name(annotation) for annotation in annotations]
    known = [name for name in names if name is not None]
    is_ntu = len(known) == len(names) and all(ntu.sample_ids(name) for name in known)
    notes: list[str] = []
    if layout is None:
        layout, note = guessed_layout(shape[2], f"{file}: {KEYPOINT}")
        notes = [] if is_ntu and layout == KINECT_V2 else [note]
    layout = as_layout(layout)
    count, said = coordinates_of(shape[3], layout, coordinates, f"{file}: {KEYPOINT}")
    classes = _classes(annotations, names, is_ntu)
    splits = read_splits(split, {*PLACES, "name", "label", *ntu.COLUMNS}, file)
    described = splits.described(known)
    sides = {name: splits.sides[name] for name in described}
    stat = file.stat()
    return Source(
        title=file.name,
        layout=layout,
        label_names=classes.names,
        items=list(enumerate(annotations)),
        count=len(annotations),
        read=partial(read_annotation, reading=Reading(file.name, classes, sides, count, is_ntu)),
        fingerprint=fingerprint(
            [RawFile(str(file), None, stat.st_size, stat.st_mtime_ns)], layout.name, count
        ),
        splits=described,
        meta={"source": file.name},
        notes=[*notes, *said, *classes.notes, *splits.notes],
    )


def read_annotation(item: tuple[int, Any], reading: Reading) -> Result:
    """One annotation's bodies that are there.

    Raises:
        HacmError: a key is missing or holds something else, or no split knows the sample.
    """
    number, annotation = item
    what = f"{reading.file}, annotation {number}"
    name = _name(annotation)
    if name is None or any(annotation.get(key) is None for key in ("label", "keypoint")):
        raise HacmError(f"{what}: expected 'frame_dir', 'label' and an array 'keypoint'")
    label = reading.classes.number(one_label(plain(annotation["label"]), what), what)
    joints = as_xyz(_keypoint(annotation, what), reading.count)
    there = joints.any(axis=(1, 2, 3))
    if not there.any():
        return Result(skips=[Skip(f"{what}: {name!r} has no body", "no body")])
    columns: dict[str, Any] = {}
    if reading.is_ntu:
        ids = ntu.sample_ids(name) or ()
        columns = dict(zip(ntu.COLUMNS, ids[:-1], strict=True))
    columns |= {split: side_of.get(name, NOWHERE) for split, side_of in reading.sides.items()}
    if reading.sides and not any(name in side_of for side_of in reading.sides.values()):
        first = next(iter(reading.sides))
        raise HacmError(f"{what}: {name!r} is on neither side of split {first!r}, nor of any other")
    result = Result(samples=[Sample(name, label, joints[there], columns)])
    frames = plain(annotation.get("total_frames"))
    if isinstance(frames, int) and frames != joints.shape[1]:
        result.counts["arrays of another length than 'total_frames' says"] += 1
    return result


def _content(content: Any, file: Path) -> tuple[list[Any], Any]:
    """The annotations and the splits; a list of annotations alone has none."""
    split = content.get("split") if isinstance(content, dict) else None
    annotations = plain(content.get("annotations") if isinstance(content, dict) else content)
    if isinstance(annotations, tuple) or (isinstance(annotations, np.ndarray) and annotations.ndim):
        annotations = list(annotations)
    alone = annotations is content
    if not isinstance(annotations, list) or (alone and not _are_annotations(annotations)):
        annotations = []
    if not annotations:
        raise HacmError(f"{file}: expected a dict with a list 'annotations'")
    return annotations, split


def _are_annotations(items: list[Any]) -> bool:
    return any(isinstance(item, dict) and "keypoint" in item for item in items)


def _keypoint(annotation: dict[str, Any], what: str) -> Shaped[np.ndarray, "M T V C"]:
    """The joints of all bodies; a single body may come without its axis."""
    value = plain(annotation["keypoint"])
    try:
        joints = np.asarray(value)
        joints = joints.astype(np.float64) if joints.dtype == object else joints
    except (TypeError, ValueError) as error:
        raise HacmError(f"{what}: {KEYPOINT} is no array of numbers") from error
    joints = joints[None] if joints.ndim == 3 else joints
    if joints.ndim != 4 or joints.dtype.kind not in "fiu":
        found = f"{joints.dtype} {joints.shape}"
        raise HacmError(f"{what}: {KEYPOINT} should be (M, T, V, 3) numbers, not {found}")
    return joints


def _first_shape(annotations: list[Any], file: Path) -> tuple[int, ...]:
    """Of the first annotation that has a proper array; the others are told when they are read."""
    fault = HacmError(f"{file}: {KEYPOINT} should be (M, T, V, 3), but no annotation has one")
    for annotation in annotations:
        if isinstance(annotation, dict) and annotation.get("keypoint") is not None:
            try:
                return _keypoint(annotation, str(file)).shape
            except HacmError as error:
                fault = error
    raise fault


def _name(annotation: Any) -> str | None:
    value = annotation.get("frame_dir") if isinstance(annotation, dict) else None
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return str(value) if isinstance(value, str | int) else None


def _classes(annotations: list[Any], names: list[str | None], is_ntu: bool) -> Classes:
    """NTU's classes where names and labels say the same; what is no label is told when it is read.

    A sample's name ends in its action, which counts from 1.
    """
    labels: list[Label | None] = []
    for annotation in annotations:
        try:
            labels.append(one_label(plain(annotation["label"]), ""))
        except (HacmError, TypeError, KeyError):
            labels.append(None)
    if is_ntu:
        pairs = zip(labels, names, strict=True)
        fine = [(label, name) for label, name in pairs if isinstance(label, int) and label >= 0]
        ahead = {label - (ntu.sample_ids(str(name)) or (0,))[-1] for label, name in fine}
        if ahead in ({-1}, {0}):
            first = 1 + ahead.pop()
            largest = max(label for label, _ in fine) - first
            known = class_names.NTU[: 60 if largest < 60 else 120]
            notes = ["labels count from 1, as the names' actions do: moved to start from 0"]
            numbers: dict[Label, int] = {first + i: i for i in range(len(known))}
            return Classes(list(known), numbers, notes if first else [])
    return classes_of(label for label in labels if label is not None)
