"""Write a packed store, one sequence at a time, in constant memory; see `store.py` for the format.

Everything is written into a hidden neighbour of the target and renamed at the very end, so a store
is either complete or not there. A writer with a `resume` key leaves that neighbour behind when it
is interrupted, and the next one with the same key goes on from its last mark.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsIndex

import numpy as np

from hacm.data.coordinates import Coordinates
from hacm.data.marks import Marks
from hacm.data.store import FORMAT, FRAMES, META, SEQUENCES, file_sha256
from hacm.errors import HacmError
from hacm.skeleton import SkeletonLayout

PLACES = ("start", "bodies", "frames")


class WriteError(HacmError):
    """The store itself cannot be written (disk full, no permission): no use in going on."""


class StoreWriter:
    """A context manager; the store appears when the block ends without an exception.

    Args:
        path: the new store's directory.
        layout: the joints.
        label_names: what the labels 0..C-1 mean.
        splits: named splits, each `{"column": ..., "train": [...]}`.
        center: subtract from every joint of every body the position of the layout's origin joint
            of body 0 in the first frame in which body 0 is there; missing frames stay zero.
        dtype: `float32`, or `float16` for half the space.
        meta: anything else worth keeping in meta.json (source, units, frames per second).
        overwrite: replace an existing store when the new one is complete.
        resume: identifies what the sequences are made from. An interrupted writer leaves its
            work behind, and one with the same arguments goes on where `notes` ends.
        unit, up: of the coordinates that come, see `Coordinates`; the store's are metres, y up.

    Attributes:
        notes: the notes of all marks so far, those of an interrupted writer first.
        rounding: the largest difference that `dtype` has made so far, metres.

    Raises:
        HacmError: the target exists and is not to be overwritten, or another run is writing it.
    """

    def __init__(
        self,
        path: str | Path,
        layout: SkeletonLayout,
        label_names: Sequence[str],
        *,
        splits: dict[str, dict[str, Any]] | None = None,
        center: bool = True,
        dtype: str = "float32",
        meta: dict[str, Any] | None = None,
        overwrite: bool = False,
        resume: str | None = None,
        unit: str | None = None,
        up: str | None = None,
    ) -> None:
        self.path, self.layout, self.label_names = Path(path), layout, list(label_names)
        self.center, self.dtype = center, np.dtype(dtype)
        if self.dtype not in (np.float32, np.float16):
            raise HacmError(f"a store holds float32 or float16, not {dtype}")
        self.overwrite, self.resume = overwrite, resume
        self.coordinates = Coordinates(unit, up)
        described = self.coordinates.described()
        self.meta = {"units": "metres", **described, **(meta or {}), "splits": splits or {}}
        if self.path.exists() and not overwrite:
            raise HacmError(
                f"{self.path} exists; remove it, choose another name or use --overwrite"
            )
        if self.path.exists() and not (self.path / META).is_file():
            raise HacmError(f"{self.path} is not a store and is not replaced: choose another name")
        self.rounding = 0.0
        self._aside = self.path.parent / f".{self.path.name}.partial"
        self._names: set[str] = set()
        self._columns: list[str] | None = None
        self._rows = 0

    def __len__(self) -> int:
        return len(self._names)

    def __enter__(self) -> StoreWriter:
        with self._writing():
            self._marks = Marks(self._aside, self._key())
            self._frames = (self._aside / FRAMES).open("a+b")
            self._table = (self._aside / SEQUENCES).open("a+", newline="", encoding="utf-8")
            self._csv = csv.writer(self._table, lineterminator="\n")
            self._go_on()
        return self

    @property
    def notes(self) -> list[Any]:
        """What `mark` was given, in order."""
        return self._marks.notes

    def add(self, joints: np.ndarray, *, name: str, label: int, **columns: Any) -> None:
        """Append one sequence.

        Args:
            joints: (T, V, 3) or (B, T, V, 3) coordinates; a missing body's frames are zeros.
            name: distinct within the store.
            label: 0 <= label < number of classes.
            columns: further columns of sequences.csv, the same for every sequence.

        Raises:
            HacmError: wrong shape, no frame, no body, NaN or infinite coordinates, a label that is
                no whole number or out of range, a name used twice, other columns than the
                sequences before.
            UnitError: the bones are far too long for metres, and no unit was given.
            WriteError: the disk is full.
        """
        if name in self._names:
            raise HacmError(f"sequence {name!r} occurs twice")
        if isinstance(label, bool) or not isinstance(label, SupportsIndex):
            raise HacmError(f"sequence {name!r}: label {label!r} is no whole number")
        if not 0 <= label < len(self.label_names):
            raise HacmError(
                f"sequence {name!r}: label {label} is not in 0..{len(self.label_names) - 1}"
            )
        header = ["name", "label", *columns, *PLACES]
        if self._columns is not None and header != self._columns:
            raise HacmError(f"sequence {name!r}: columns {header}, expected {self._columns}")
        joints = checked_joints(joints, self.layout, f"sequence {name!r}")
        if not joints.any():
            raise HacmError(f"sequence {name!r} has no body: all its coordinates are zero")
        joints = self.coordinates.to_store(joints, self.layout, f"sequence {name!r}")
        if self.center:
            joints = center_on_origin(joints, self.layout)
        with np.errstate(over="ignore"):
            stored = joints.astype(self.dtype)
        if not np.isfinite(stored).all():
            largest = np.abs(joints).max()
            raise HacmError(
                f"sequence {name!r}: {largest:.3g} metres is too large for {self.dtype}"
            )
        if self.dtype == np.float16:
            self.rounding = max(self.rounding, float(np.abs(stored - joints).max()))
        bodies, frames = joints.shape[:2]
        values = [int(v) if isinstance(v, bool | np.bool_) else v for v in columns.values()]
        with self._writing():
            if self._columns is None:
                self._columns = header
                self._csv.writerow(header)
            self._frames.write(stored.tobytes())
            self._csv.writerow([name, int(label), *values, self._rows, bodies, frames])
        self._rows += bodies * frames
        self._names.add(name)

    def mark(self, note: Any) -> None:
        """Make what was added so far survive an interruption; `note` is kept along with it."""
        with self._writing():
            self._frames.flush()
            self._table.flush()
            sizes = [os.fstat(file.fileno()).st_size for file in (self._frames, self._table)]
            self._marks.add({"sizes": sizes, "rounding": self.rounding, "note": note})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        keep = interrupted and self.resume is not None
        try:
            if kind is None:
                if not self._names:
                    raise HacmError(f"nothing to write: no sequence was added to {self.path}")
                with self._writing():
                    self._finish()
        finally:
            for file in (self._frames, self._table, self._marks):
                with suppress(OSError):  # a full disk again, while the first failure is reported
                    file.close()
            if not keep:
                shutil.rmtree(self._aside, ignore_errors=True)

    def _key(self) -> str:
        """Two writers that would write the same have the same key; without `resume` none has."""
        told = [self.resume, self.layout.to_dict(), self.label_names, self.meta, self.center]
        text = json.dumps([*told, self.dtype.str])
        return hashlib.sha256(text.encode()).hexdigest() if self.resume is not None else ""

    def _go_on(self) -> None:
        """Cut both files back to the last mark that they still hold, or start them."""
        files = (self._frames, self._table)
        last = self._marks.keep_fitting([os.fstat(file.fileno()).st_size for file in files])
        if last is None:
            self._frames.truncate(0)
            self._table.truncate(0)
            self._write_header(self._frames)
            return
        self._frames.truncate(last["sizes"][0])
        self._table.truncate(last["sizes"][1])
        self.rounding = last["rounding"]
        self._table.seek(0)
        header, *rows = csv.reader(self._table) if last["sizes"][1] else [[]]
        self._columns = header or None
        self._names = {row[0] for row in rows}
        self._rows = sum(int(row[-2]) * int(row[-1]) for row in rows)

    def _finish(self) -> None:
        self._frames.close()
        self._table.close()
        with (self._aside / FRAMES).open("r+b") as frames:
            self._write_header(frames)
        meta = {
            "format": FORMAT,
            **self.meta,
            "layout": self.layout.to_dict(),
            "label_names": self.label_names,
            "sequences": len(self._names),
            "sha256": {file: file_sha256(self._aside / file) for file in (FRAMES, SEQUENCES)},
        }
        (self._aside / META).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
        self._marks.remove()
        if self.path.exists():
            old = self._aside.with_suffix(".old")
            self.path.rename(old)
            self._aside.rename(self.path)
            shutil.rmtree(old)
        else:
            self._aside.rename(self.path)

    def _write_header(self, file: Any) -> None:
        # numpy pads a version-1 header so that its length does not change as the first axis grows.
        shape = (self._rows, self.layout.V, 3)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WriteError(
                f"{self.path} cannot be written: {error.strerror or error} (after {len(self)} "
                "sequences; nothing was kept)"
            ) from error


def checked_joints(joints: np.ndarray, layout: SkeletonLayout, what: str) -> np.ndarray:
    """Coordinates as (B, T, V, 3) float64.

    Raises:
        HacmError: no numbers, another shape, no frame, or a NaN or infinite coordinate.
    """
    joints, V = np.asarray(joints), layout.V
    if joints.dtype.kind not in "fiu":
        raise HacmError(f"{what}: expected numbers, got {joints.dtype}")
    shape = joints.shape
    joints = joints[None] if joints.ndim == 3 else joints
    if joints.ndim != 4 or joints.shape[2:] != (V, 3):
        raise HacmError(
            f"{what}: expected (T, {V}, 3) or (B, T, {V}, 3) for layout {layout.name!r}, "
            f"got {shape}"
        )
    if joints.shape[0] == 0 or joints.shape[1] == 0:
        raise HacmError(f"{what} is empty")
    joints = joints.astype(np.float64)
    if not np.isfinite(joints).all():
        body, frame, joint, _ = np.argwhere(~np.isfinite(joints))[0]
        raise HacmError(
            f"{what}: NaN or infinite coordinate in body {body}, frame {frame}, "
            f"joint {layout.joints[joint]!r}"
        )
    return joints


def center_on_origin(joints: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """(B, T, V, 3) moved so that body 0's origin joint starts at zero; missing frames stay zero."""
    there = np.asarray(joints.any(axis=(2, 3)))
    if not there[0].any():
        return joints
    first = int(np.argmax(there[0]))
    moved = joints - joints[0, first, layout.origin]
    return np.where(there[:, :, None, None], moved, 0)
