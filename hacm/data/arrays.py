"""Sequences in one `.npz` file: the plainest way to bring your own skeletons.

    joints    (F, V, 3)  all sequences one after another, metres; (F, B, V, 3) for B bodies
    offsets   (N+1,)     sequence i is joints[offsets[i] : offsets[i + 1]]
    label     (N,)       whole numbers or texts

and, where there, `subject`, `name` and any other (N,) column, `label_names`, and of the joints
`joint_names`, `parent` (V,) with -1 for the root, `trunk` and `origin`. Single values (`fps`) and
other `*_names` go to the store's meta.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from hacm.data.arrays_layout import LAYOUT_KEYS, layout_of
from hacm.data.columns import checked_splits, file_columns, odd_subjects, plain_value
from hacm.data.coordinates import as_xyz, coordinates_of
from hacm.data.files import RawFile, fingerprint
from hacm.data.labels import Classes, Label, classes_of, label_list
from hacm.data.npz import members, no_objects
from hacm.data.own_arrays import say
from hacm.data.prepare import prepare
from hacm.data.source import Result, Sample, Skip, Source
from hacm.data.splits import split_ids
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import COCO17, SkeletonLayout, as_layout

NEEDED = ("joints", "offsets", "label")


def prepare_arrays(
    file: str | Path,
    out: str | Path,
    *,
    layout: SkeletonLayout | str | None = None,
    center: bool = True,
    overwrite: bool = False,
    splits: dict[str, dict[str, Any]] | None = None,
    drop: str | None = None,
    coordinates: int | None = None,
    unit: str | None = None,
    up: str | None = None,
) -> SequenceStore:
    """Turn an `.npz` file of sequences into a store; the first damaged sequence stops it.

    What was taken for granted is logged as a warning.

    Args:
        file: the arrays, as the module's text lists them.
        out: the new store's directory.
        layout: the joints, or a built-in layout's name; found from the file's `parent` where not
            given.
        center: move the layout's origin joint to zero in each first frame.
        overwrite: replace an existing store.
        splits: named splits; without any, a column `subject` of whole numbers gives
            `{"xsub": odd subjects train}`.
        drop: a column; sequences for which it is true are left out.
        coordinates: how many of a joint's values are coordinates, 2 or 3; by default all.
        unit: of the coordinates, `mm`, `cm` or `m`; where not given, bones that are far too long
            for metres are refused.
        up: the axis that points up, e.g. `z` or `-y`; y where not given.

    Raises:
        HacmError: a key is missing or does not fit the others, or a sequence is damaged; says
            which.
    """
    source = arrays_source(file, layout=layout, splits=splits, drop=drop, coordinates=coordinates)
    report = prepare(source, out, center=center, overwrite=overwrite, strict=True, unit=unit, up=up)
    say(report.notes, out)
    return SequenceStore(out)


def arrays_source(
    file: str | Path,
    *,
    layout: SkeletonLayout | str | None = None,
    splits: dict[str, dict[str, Any]] | None = None,
    more_splits: list[str] | None = None,
    drop: str | None = None,
    coordinates: int | None = None,
) -> Source:
    """The sequences of an `.npz` file; see `prepare_arrays`.

    Args:
        file: the arrays.
        layout: the joints.
        splits: named splits.
        more_splits: further ones as text, `NAME=COLUMN:odd` or `NAME=COLUMN:1,2,3`.
        drop: a column; sequences for which it is true are left out.
        coordinates: how many of a joint's values are coordinates.
    """
    file = Path(file)
    layout = None if layout is None else as_layout(layout)
    arrays = load_npz(file)
    if missing := [key for key in NEEDED if key not in arrays]:
        raise HacmError(
            f"{file}: key {missing[0]!r} is missing; needed: {', '.join(NEEDED)}; there: "
            f"{', '.join(arrays) or 'nothing'}"
        )
    joints, offsets, label = (arrays.pop(key) for key in NEEDED)
    labels, one_hot = label_list(label, f"{file}: 'label'")
    N = len(labels)
    if N == 0:
        raise HacmError(f"{file}: 'label' should be N whole numbers or texts, but there is none")
    joints = _bodies(joints, layout, file)
    layout, notes = layout_of(arrays, joints.shape[2], file, layout)
    values = joints.shape[3]
    chosen = coordinates or (values if values in (2, 3) else None)
    count, said = coordinates_of(values, layout, chosen, f"{file}: 'joints'")
    offsets, more = _offsets(offsets, N, len(joints), file)
    notes += [*said, *more, *_score_like(joints, layout, count, file)]
    classes = _classes(arrays.pop("label_names", None), labels, one_hot, file)
    names = arrays.pop("name", np.array([f"sequence_{i:05d}" for i in range(N)]))
    if names.shape != (N,):
        raise HacmError(f"{file}: 'label_names' should be a list, and 'name' one of {N} names")
    rest = {key: array for key, array in arrays.items() if key not in LAYOUT_KEYS}
    columns, meta, more = file_columns(rest, N, len(joints), file)
    notes += [*classes.notes, *more]
    if drop is not None and drop not in columns:
        raise HacmError(f"{file} has no column {drop!r}; columns: {', '.join(columns)}")
    if splits is None:
        splits, more = odd_subjects(columns)
        notes += more
    splits = checked_splits(splits, columns)
    for text in more_splits or []:
        name, _, spec = text.partition("=")
        train, _ = split_ids(spec, {}, columns)
        column = spec.partition(":")[0]
        splits[name] = {"column": column, "train": np.unique(columns[column][train]).tolist()}
    stat = file.stat()
    stamp = RawFile(str(file), None, stat.st_size, stat.st_mtime_ns)

    def read(i: int) -> Result:
        if drop is not None and columns[drop][i]:
            reason = f"{file}: {names[i]!s} is left out for its {drop!r}"
            return Result(skips=[Skip(reason, drop, wanted=True)])
        name = str(names[i])
        row = {key: plain_value(column[i]) for key, column in columns.items()}
        bodies = as_xyz(joints[offsets[i] : offsets[i + 1]].swapaxes(0, 1), count)
        there = bodies.any(axis=(1, 2, 3))
        label = classes.number(labels[i], f"{file}: sequence {name!r}")
        # Without any body, the writer says what is wrong.
        return Result([Sample(name, label, bodies[there] if there.any() else bodies, row)])

    return Source(
        title=file.name,
        layout=layout,
        label_names=classes.names,
        items=range(N),
        count=N,
        read=read,
        fingerprint=fingerprint([stamp], drop, count),
        splits=splits,
        meta={"source": file.name, **meta},
        notes=notes,
    )


def load_npz(file: Path) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file, never unpickling.

    Raises:
        HacmError: the file is missing, damaged or holds Python objects.
    """
    arrays = {}
    for key, member in members(file).items():
        no_objects(member)
        arrays[key] = member.whole()
    return arrays


def _bodies(
    joints: np.ndarray, layout: SkeletonLayout | None, file: Path
) -> Shaped[np.ndarray, "F B V C"]:
    if joints.ndim not in (3, 4) or joints.dtype.kind not in "fiu":
        cure = "; joints.reshape(len(joints), -1, 3) makes it so" if joints.ndim == 2 else ""
        raise HacmError(
            f"{file}: 'joints' should be (F, V, 3), or (F, B, V, 3) for several bodies, not "
            f"{joints.dtype} {joints.shape}{cure}"
        )
    joints = joints[:, None] if joints.ndim == 3 else joints
    if layout is not None and joints.shape[2] != layout.V:
        raise HacmError(
            f"{file}: 'joints' has {joints.shape[2]} joints, layout {layout.name!r} {layout.V}"
        )
    return joints


def _score_like(joints: np.ndarray, layout: SkeletonLayout, count: int, file: Path) -> list[str]:
    third = joints[..., 2:3] if count == 3 and layout == COCO17 else joints[:0]
    if third.size == 0 or third.min() < 0 or third.max() > 1:
        return []
    return [
        f"{file}: the third values of 'joints' all lie in 0..1 like scores, but are taken for z; "
        "--coordinates 2 leaves them out"
    ]


def _offsets(offsets: np.ndarray, N: int, F: int, file: Path) -> tuple[np.ndarray, list[str]]:
    """N + 1 of them; where the first or the last is missing it is added."""
    notes = []
    if offsets.shape == (N,) and N and offsets.dtype.kind in "iu":
        begins = offsets[0] == 0 and offsets[-1] < F
        if begins or (offsets[0] > 0 and offsets[-1] == F):
            offsets = np.append(offsets, F) if begins else np.insert(offsets, 0, 0)
            side = "begins" if begins else "ends"
            notes = [f"{file}: 'offsets' has {N} values: taken for where the sequences {side}"]
    cure = "np.concatenate([[0], np.cumsum(lengths)]) gives them"
    if offsets.shape != (N + 1,) or offsets.dtype.kind not in "iu":
        raise HacmError(
            f"{file}: 'offsets' should be {N + 1} whole numbers for {N} labels, not "
            f"{offsets.dtype} {offsets.shape}; {cure}"
        )
    rising = (offsets[1:] >= offsets[:-1]).all()
    if offsets[0] != 0 or offsets[-1] != F or not rising:
        raise HacmError(
            f"{file}: 'offsets' should rise from 0 to {F}, the frames there are; {cure}"
        )
    return offsets.astype(np.int64), notes


def _classes(
    names: np.ndarray | None, labels: list[Label], one_hot: int | None, file: Path
) -> Classes:
    if names is not None and names.ndim != 1:
        raise HacmError(f"{file}: 'label_names' should be a list, and 'name' one a sequence")
    if names is not None:
        return classes_of(labels, [str(plain_value(name)) for name in names])
    return classes_of(labels, None if one_hot is None else [str(i) for i in range(one_hot)])
