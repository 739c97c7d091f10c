"""Prepared `.npz` files in circulation (`NTU60_XSub.npz` and its like), read as a stream.

    x_train (N, T_max, 150)  two bodies of 25 joints a frame, zero padded at the end, metres
    y_train (N, C)           one-hot, or (N,) labels; likewise x_test, y_test

Such a file takes 10 GB for NTU-60, so its rows are read one at a time. The script in circulation
for NTU-120 repeats a lone actor as the second body; such a copy is left out.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from hacm.data import class_names
from hacm.data.files import UNREADABLE, RawFile, fingerprint
from hacm.data.source import Result, Sample, Skip, Source
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

BODIES = 2
PARTS = ("train", "test")
WIDTH = BODIES * KINECT_V2.V * 3
KNOWN_CLASSES = {60: class_names.NTU[:60], 120: class_names.NTU, 51: class_names.PKUMMD}
SPLIT_NAMES = {"xsub": "xsub", "csub": "xsub", "cs": "xsub", "xview": "xview", "cv": "xview"}
SPLIT_NAMES |= {"xset": "xset", "cset": "xset"}


@dataclass(frozen=True)
class Row:
    """One padded sequence of the file."""

    name: str
    part: str
    label: int
    frames: np.ndarray


def prepared_source(file: str | Path) -> Source:
    """The rows of a prepared file; its own split is named after the file, or `given`.

    Raises:
        HacmError: the file cannot be read, or an array is missing or has another shape.
    """
    file = Path(file)
    labels, shapes = {}, {}
    try:
        with zipfile.ZipFile(file) as archive:
            for part in PARTS:
                shapes[part] = _shape(archive, f"x_{part}", file)
                labels[part] = _labels(archive, f"y_{part}", file, len_=shapes[part][0])
    except UNREADABLE as error:
        raise HacmError(f"{file} cannot be read as an .npz file: {error}") from error
    count = sum(shape[0] for shape in shapes.values())
    if count == 0:
        raise HacmError(f"{file} holds no sequence")
    classes = max(classes for _, classes in labels.values())
    split = SPLIT_NAMES.get(file.stem.lower().split("_")[-1], "given")
    stat = file.stat()
    return Source(
        title=file.name,
        layout=KINECT_V2,
        label_names=KNOWN_CLASSES.get(classes, tuple(str(label) for label in range(classes))),
        items=_rows(file, {part: labels[part][0] for part in PARTS}),
        count=count,
        read=partial(read_row, file=file.name),
        fingerprint=fingerprint([RawFile(str(file), None, stat.st_size, stat.st_mtime_ns)]),
        splits={split: {"column": "part", "train": ["train"]}},
        center=False,
        meta={"source": file.name},
    )


def read_row(row: Row, file: str) -> Result:
    """A row without its padding, and without bodies that are absent or a copy of the first."""
    joints = row.frames.reshape(-1, BODIES, KINECT_V2.V, 3).transpose(1, 0, 2, 3)
    there = np.flatnonzero((joints != 0).any(axis=(0, 2, 3)))
    if len(there) == 0:
        return Result(skips=[Skip(f"{file}: {row.name} is all zeros", "no body")])
    joints = joints[:, : there[-1] + 1]
    counts: Counter[str] = Counter()
    if not joints[1].any():
        joints = joints[:1]
    elif np.array_equal(joints[0], joints[1]):
        joints = joints[:1]
        counts["second bodies that repeat the first"] = 1
    return Result([Sample(row.name, row.label, joints, {"part": row.part})], counts=counts)


def _rows(file: Path, labels: dict[str, np.ndarray]) -> Iterator[Row]:
    try:
        with zipfile.ZipFile(file) as archive:
            for part in PARTS:
                with archive.open(f"x_{part}.npy") as stream:
                    shape, dtype = _header(stream, f"{file}: 'x_{part}'")
                    size = int(np.prod(shape[1:])) * dtype.itemsize
                    for i in range(shape[0]):
                        data = stream.read(size)
                        if len(data) < size:
                            raise HacmError(f"{file}: 'x_{part}' ends after {i} sequences")
                        frames = np.frombuffer(data, dtype=dtype).reshape(shape[1:])
                        yield Row(f"{part}_{i:06d}", part, int(labels[part][i]), frames)
    except UNREADABLE as error:
        raise HacmError(f"{file} is damaged: {error}") from error


def _shape(archive: zipfile.ZipFile, key: str, file: Path) -> tuple[int, ...]:
    member = _member(archive, key, file)
    with archive.open(member) as stream:
        shape, dtype = _header(stream, f"{file}: {key!r}")
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if len(shape) != 3 or shape[2] != WIDTH or dtype.kind != "f":
            raise HacmError(
                f"{file}: {key!r} should be floats (N, T, {WIDTH}), not {dtype} {shape}"
            )
        if size != member.file_size - stream.tell():
            raise HacmError(f"{file}: {key!r} does not hold {shape[0]} sequences as it says")
    return shape


def _labels(archive: zipfile.ZipFile, key: str, file: Path, len_: int) -> tuple[np.ndarray, int]:
    """(N,) labels and the number of classes."""
    member = _member(archive, key, file)
    with archive.open(member) as stream:
        shape, dtype = _header(stream, f"{file}: {key!r}")
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if len(shape) not in (1, 2) or shape[0] != len_ or dtype.kind not in "fiub":
            raise HacmError(f"{file}: {key!r} should hold {len_} labels, not {dtype} {shape}")
        if size != member.file_size - stream.tell():
            raise HacmError(f"{file}: {key!r} is shorter than it says")
        y = np.frombuffer(stream.read(), dtype=dtype).reshape(shape)
    if len(shape) == 2:
        if shape[1] == 0 or not ((y != 0).sum(axis=1) == 1).all():
            raise HacmError(f"{file}: the rows of {key!r} should be one-hot")
        return y.argmax(axis=1), shape[1]
    if not np.isfinite(y).all() or (y < 0).any() or (y != np.floor(y)).any() or (y > 99_999).any():
        raise HacmError(f"{file}: {key!r} should hold whole numbers from 0")
    return y.astype(np.int64), int(y.max(initial=-1)) + 1


def _member(archive: zipfile.ZipFile, key: str, file: Path) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(f"{key}.npy")
    except KeyError as error:
        needed = ", ".join(f"x_{part}, y_{part}" for part in PARTS)
        raise HacmError(f"{file}: {key!r} is missing; needed: {needed}") from error


def _header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(stream)
    except ValueError as error:
        raise HacmError(f"{what} is no plain array: {error}") from error
    if fortran or dtype.hasobject:
        raise HacmError(f"{what} should hold plain numbers in C order")
    return shape, dtype
