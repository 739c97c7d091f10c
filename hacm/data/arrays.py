"""Sequences in one `.npz` file: the plainest way to bring your own skeletons.

    joints    (F, V, 3)  all sequences one after another, metres
    offsets   (N+1,)     sequence i is joints[offsets[i] : offsets[i + 1]]
    label     (N,)       whole numbers from 0

and, where there, `subject`, `name` and any other (N,) column, `label_names`, `joint_names`, and
`parent` (V,) with -1 for the root. Single values (`fps`) and other `*_names` go to the store's
meta.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hacm.data.files import RawFile, fingerprint
from hacm.data.prepare import prepare
from hacm.data.source import Result, Sample, Skip, Source
from hacm.data.splits import split_ids
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import LAYOUTS, SkeletonLayout

NEEDED = ("joints", "offsets", "label")


def prepare_arrays(
    file: str | Path,
    out: str | Path,
    *,
    layout: SkeletonLayout | None = None,
    center: bool = True,
    overwrite: bool = False,
    splits: dict[str, dict[str, Any]] | None = None,
    drop: str | None = None,
) -> SequenceStore:
    """Turn an `.npz` file of sequences into a store; the first damaged sequence stops it.

    Args:
        file: the arrays, as the module's text lists them.
        out: the new store's directory.
        layout: the joints; found from the file's `parent` where not given.
        center: move the layout's origin joint to zero in each first frame.
        overwrite: replace an existing store.
        splits: named splits; without any, a column `subject` of whole numbers gives
            `{"xsub": odd subjects train}`.
        drop: a column; sequences for which it is true are left out.

    Raises:
        HacmError: a key is missing or does not fit the others, or a sequence is damaged; says
            which.
    """
    source = arrays_source(file, layout=layout, splits=splits, drop=drop)
    prepare(source, out, center=center, overwrite=overwrite, strict=True)
    return SequenceStore(out)


def arrays_source(
    file: str | Path,
    *,
    layout: SkeletonLayout | None = None,
    splits: dict[str, dict[str, Any]] | None = None,
    more_splits: list[str] | None = None,
    drop: str | None = None,
) -> Source:
    """The sequences of an `.npz` file; see `prepare_arrays`.

    Args:
        file: the arrays.
        layout: the joints.
        splits: named splits.
        more_splits: further ones as text, `NAME=COLUMN:odd` or `NAME=COLUMN:1,2,3`.
        drop: a column; sequences for which it is true are left out.
    """
    file = Path(file)
    arrays = load_npz(file)
    if missing := [key for key in NEEDED if key not in arrays]:
        raise HacmError(f"{file}: key {missing[0]!r} is missing; needed: {', '.join(NEEDED)}")
    joints, offsets, label = (arrays.pop(key) for key in NEEDED)
    _check(file, joints, offsets, label)
    N = len(label)
    layout = layout or layout_of(arrays, joints.shape[1], file)
    label_names = arrays.pop("label_names", np.arange(max(int(label.max()) + 1, 1)))
    names = arrays.pop("name", np.array([f"sequence_{i:05d}" for i in range(N)]))
    if label_names.ndim != 1 or names.shape != (N,):
        raise HacmError(f"{file}: 'label_names' should be a list, and 'name' one of {N} names")
    arrays = {key: array for key, array in arrays.items() if key not in ("parent", "joint_names")}
    columns = {key: array for key, array in arrays.items() if array.shape == (N,)}
    if drop is not None and drop not in columns:
        raise HacmError(f"{file} has no column {drop!r}; columns: {', '.join(columns)}")
    splits = dict(odd_subjects(columns) if splits is None else splits)
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
        row = {key: column[i].item() for key, column in columns.items()}
        sequence = joints[None, offsets[i] : offsets[i + 1]]
        return Result(samples=[Sample(str(names[i]), int(label[i]), sequence, row)])

    return Source(
        title=file.name,
        layout=layout,
        label_names=[str(name) for name in label_names],
        items=range(N),
        count=N,
        read=read,
        fingerprint=fingerprint([stamp], drop),
        splits=splits,
        meta={"source": file.name, **_meta(arrays, columns)},
    )


def load_npz(file: Path) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file, never unpickling.

    Raises:
        HacmError: the file is missing, damaged or holds Python objects.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # a damaged zip raises a dozen kinds
        raise HacmError(
            f"{file} cannot be read as an .npz file of plain arrays: {error}"
        ) from error


def layout_of(arrays: dict[str, np.ndarray], V: int, file: Path) -> SkeletonLayout:
    """The built-in layout with the file's parents, or a new one made of them."""
    if "parent" not in arrays:
        raise HacmError(f"{file}: key 'parent' is missing; give it, or name a layout with --layout")
    if arrays["parent"].shape != (V,) or arrays["parent"].dtype.kind not in "iu":
        raise HacmError(f"{file}: 'parent' should be {V} whole numbers, -1 for the root")
    parents = tuple(arrays["parent"].tolist())
    for layout in LAYOUTS.values():
        if layout.parents == parents:
            return layout
    joint_names = arrays.get("joint_names", np.array([f"joint_{i}" for i in range(V)]))
    return SkeletonLayout.from_parents(file.stem, joint_names.tolist(), parents)


def odd_subjects(columns: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """The split in which subjects with odd numbers train, where there is such a column."""
    if "subject" not in columns or columns["subject"].dtype.kind not in "iu":
        return {}
    subjects = np.unique(columns["subject"])
    return {"xsub": {"column": "subject", "train": subjects[subjects % 2 == 1].tolist()}}


def _check(file: Path, joints: np.ndarray, offsets: np.ndarray, label: np.ndarray) -> None:
    if joints.ndim != 3 or joints.shape[2] != 3:
        raise HacmError(f"{file}: 'joints' should be (F, V, 3), not {joints.shape}")
    if label.ndim != 1 or len(label) == 0 or label.dtype.kind not in "iu":
        raise HacmError(f"{file}: 'label' should be N whole numbers")
    N = len(label)
    if offsets.shape != (N + 1,) or offsets.dtype.kind not in "iu":
        raise HacmError(f"{file}: 'offsets' should be {N + 1} whole numbers for {N} labels")
    rising = (offsets[1:] >= offsets[:-1]).all()
    if offsets[0] != 0 or offsets[-1] != len(joints) or not rising:
        raise HacmError(f"{file}: 'offsets' should rise from 0 to {len(joints)}")


def _meta(arrays: dict[str, np.ndarray], columns: dict[str, np.ndarray]) -> dict[str, Any]:
    """Single values and lists of names; a few numbers a sequence are columns, not meta."""
    return {
        key: array.tolist()
        for key, array in arrays.items()
        if key not in columns and (array.ndim == 0 or key.endswith("_names"))
    }
