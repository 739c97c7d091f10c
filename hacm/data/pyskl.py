"""Pickles of PYSKL and MMAction2 (`ntu60_3danno.pkl` and its like).

A dict with `split`, {name: [frame_dir, ...]}, and `annotations`, a list of dicts with `frame_dir`,
`label` and `keypoint`, (M, T, V, 3). The file is read whole, by `restricted_pickle.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from hacm.data import class_names, ntu
from hacm.data.files import RawFile, fingerprint
from hacm.data.restricted_pickle import Array, load_plain_pickle
from hacm.data.source import Result, Sample, Skip, Source
from hacm.errors import HacmError
from hacm.skeleton import LAYOUTS, SkeletonLayout

TEST_SIDES = ("val", "test")


def pyskl_source(file: str | Path, *, layout: SkeletonLayout | None = None) -> Source:
    """The annotations of a pickle.

    Args:
        file: the pickle.
        layout: the joints; by default the built-in layout with as many.

    Raises:
        HacmError: the pickle is damaged, asks to run code, or has another layout.
    """
    file = Path(file)
    content = load_plain_pickle(file)
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not annotations:
        raise HacmError(f"{file}: expected a dict with a list 'annotations'")
    parts = _parts(content.get("split", {}), file)
    layout = layout or _layout(annotations[0], file)
    names = [_field(annotation, "frame_dir", str) for annotation in annotations]
    labels = [_field(annotation, "label", int) for annotation in annotations]
    is_ntu = all(name is not None and ntu.sample_ids(name) for name in names)
    classes = 1 + max((label for label in labels if label is not None), default=0)
    if is_ntu:
        known: tuple[str, ...] = class_names.NTU[: 60 if classes <= 60 else 120]
    else:
        known = tuple(str(label) for label in range(min(classes, 10_000)))
    stat = file.stat()
    return Source(
        title=file.name,
        layout=layout,
        label_names=known,
        items=list(enumerate(annotations)),
        count=len(annotations),
        read=partial(read_annotation, file=file.name, parts=parts, is_ntu=is_ntu),
        fingerprint=fingerprint(
            [RawFile(str(file), None, stat.st_size, stat.st_mtime_ns)], layout.name
        ),
        splits={name: {"column": name, "train": ["train"]} for name in parts},
        meta={"source": file.name},
    )


def read_annotation(
    item: tuple[int, Any], file: str, parts: dict[str, dict[str, str]], is_ntu: bool
) -> Result:
    """One annotation's bodies that are there.

    Raises:
        HacmError: a key is missing or holds something else, or a split does not know the sample.
    """
    number, annotation = item
    what = f"{file}, annotation {number}"
    name, label = _field(annotation, "frame_dir", str), _field(annotation, "label", int)
    keypoint = _field(annotation, "keypoint", Array)
    if name is None or label is None or keypoint is None or keypoint.values is None:
        raise HacmError(f"{what}: expected 'frame_dir', 'label' and an array 'keypoint'")
    joints = keypoint.values
    if joints.ndim != 4:
        raise HacmError(f"{what}: 'keypoint' should be (M, T, V, 3), not {joints.shape}")
    there = joints.any(axis=(1, 2, 3))
    if not there.any():
        return Result(skips=[Skip(f"{what}: {name!r} has no body", "no body")])
    columns: dict[str, Any] = {}
    if is_ntu:
        ids = ntu.sample_ids(name) or ()
        columns = dict(zip(ntu.COLUMNS, ids[:-1], strict=True))
    for split, part_of in parts.items():
        if name not in part_of:
            raise HacmError(f"{what}: {name!r} is on neither side of split {split!r}")
        columns[split] = part_of[name]
    return Result(samples=[Sample(name, label, joints[there], columns)])


def _parts(split: Any, file: Path) -> dict[str, dict[str, str]]:
    """For each split that has both sides, which side each sample is on."""
    if not isinstance(split, dict) or not all(
        isinstance(name, str) and isinstance(listed, list) for name, listed in split.items()
    ):
        raise HacmError(f"{file}: 'split' should be a dict of lists")
    parts: dict[str, dict[str, str]] = {}
    for name in split:
        base, _, side = name.rpartition("_")
        tests = [f"{base}_{test}" if base else test for test in TEST_SIDES]
        test = next((listed for listed in tests if listed in split), None)
        if side == "train" and test is not None:
            sides = {"train": split[name], "test": split[test]}
            parts[base or "given"] = {str(n): s for s, listed in sides.items() for n in listed}
    return parts


def _layout(annotation: Any, file: Path) -> SkeletonLayout:
    keypoint = _field(annotation, "keypoint", Array)
    shape = () if keypoint is None or keypoint.values is None else keypoint.values.shape
    if len(shape) != 4 or shape[3] != 3:
        raise HacmError(f"{file}: 'keypoint' should be (M, T, V, 3) in metres, not {shape}")
    for layout in LAYOUTS.values():
        if shape[2] == layout.V:
            return layout
    raise HacmError(f"{file}: no built-in layout has {shape[2]} joints; name one with --layout")


def _field(annotation: Any, key: str, kind: type) -> Any:
    value = annotation.get(key) if isinstance(annotation, dict) else None
    return value if isinstance(value, kind) else None
