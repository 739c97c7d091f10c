"""Write a packed store, one sequence at a time, in constant memory; see `store.py` for the format.

Everything is written into a hidden neighbour of the target and renamed at the very end, so a store
is either complete or not there.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hacm.data.store import FORMAT, FRAMES, META, SEQUENCES, file_sha256
from hacm.errors import HacmError
from hacm.skeleton import SkeletonLayout

_PLACES = ("start", "bodies", "frames")


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

    Raises:
        HacmError: the target exists and is not to be overwritten.
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
    ) -> None:
        self.path, self.layout, self.label_names = Path(path), layout, list(label_names)
        self.center, self.dtype = center, np.dtype(dtype)
        if self.dtype not in (np.float32, np.float16):
            raise HacmError(f"a store holds float32 or float16, not {dtype}")
        self.overwrite = overwrite
        self.meta = {"units": "metres", **(meta or {}), "splits": splits or {}}
        if self.path.exists() and not overwrite:
            raise HacmError(f"{self.path} exists; remove it, choose another name or use --overwrite")
        self._names: set[str] = set()
        self._columns: list[str] | None = None
        self._rows = 0

    def __len__(self) -> int:
        return len(self._names)

    def __enter__(self) -> StoreWriter:
        self._aside = self.path.parent / f".{self.path.name}.{os.getpid()}.partial"
        self._aside.mkdir(parents=True)
        self._frames = (self._aside / FRAMES).open("wb")
        self._write_header()
        self._table = (self._aside / SEQUENCES).open("w", newline="", encoding="utf-8")
        self._csv = csv.writer(self._table, lineterminator="\n")
        return self

    def add(self, joints: np.ndarray, *, name: str, label: int, **columns: Any) -> None:
        """Append one sequence.

        Args:
            joints: (T, V, 3) or (B, T, V, 3) coordinates; a missing body's frames are zeros.
            name: distinct within the store.
            label: 0 <= label < number of classes.
            columns: further columns of sequences.csv, the same for every sequence.

        Raises:
            HacmError: wrong shape, no frame, NaN or infinite coordinates, label out of range,
                a name used twice, other columns than the sequences before.
        """
        V = self.layout.V
        joints = np.asarray(joints)
        if joints.dtype.kind not in "fiu":
            raise HacmError(f"sequence {name!r}: expected numbers, got {joints.dtype}")
        shape = joints.shape
        joints = joints[None] if joints.ndim == 3 else joints
        if joints.ndim != 4 or joints.shape[2:] != (V, 3):
            raise HacmError(
                f"sequence {name!r}: expected (T, {V}, 3) or (B, T, {V}, 3) for layout "
                f"{self.layout.name!r}, got {shape}"
            )
        if joints.shape[0] == 0 or joints.shape[1] == 0:
            raise HacmError(f"sequence {name!r} is empty")
        joints = joints.astype(np.float64)
        if not np.isfinite(joints).all():
            body, frame, joint, _ = np.argwhere(~np.isfinite(joints))[0]
            raise HacmError(
                f"sequence {name!r}: NaN or infinite coordinate in body {body}, frame {frame}, "
                f"joint {self.layout.joints[joint]!r}"
            )
        if not 0 <= label < len(self.label_names):
            raise HacmError(
                f"sequence {name!r}: label {label} is not in 0..{len(self.label_names) - 1}"
            )
        if name in self._names:
            raise HacmError(f"sequence {name!r} occurs twice")
        header = ["name", "label", *columns, *_PLACES]
        if self._columns is None:
            self._columns = header
            self._csv.writerow(header)
        elif header != self._columns:
            raise HacmError(f"sequence {name!r}: columns {header}, expected {self._columns}")
        if self.center:
            joints = center_on_origin(joints, self.layout)
        bodies, frames = joints.shape[:2]
        self._frames.write(np.ascontiguousarray(joints, dtype=self.dtype).tobytes())
        values = [int(v) if isinstance(v, bool | np.bool_) else v for v in columns.values()]
        self._csv.writerow([name, int(label), *values, self._rows, bodies, frames])
        self._rows += bodies * frames
        self._names.add(name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                if not self._names:
                    raise HacmError(f"nothing to write: no sequence was added to {self.path}")
                self._finish()
        finally:
            self._frames.close()
            self._table.close()
            shutil.rmtree(self._aside, ignore_errors=True)

    def _finish(self) -> None:
        self._frames.seek(0)
        self._write_header()
        self._frames.close()
        self._table.close()
        meta = {
            "format": FORMAT,
            **self.meta,
            "layout": self.layout.to_dict(),
            "label_names": self.label_names,
            "sequences": len(self._names),
            "sha256": {file: file_sha256(self._aside / file) for file in (FRAMES, SEQUENCES)},
        }
        (self._aside / META).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
        if self.path.exists():
            old = self._aside.with_suffix(".old")
            self.path.rename(old)
            self._aside.rename(self.path)
            shutil.rmtree(old)
        else:
            self._aside.rename(self.path)

    def _write_header(self) -> None:
        # numpy pads a version-1 header so that its length does not change as the first axis grows.
        shape = (getattr(self, "_rows", 0), self.layout.V, 3)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._frames, header)


def center_on_origin(joints: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """(B, T, V, 3) moved so that body 0's origin joint starts at zero; missing frames stay zero."""
    there = joints.any(axis=(2, 3))
    if not there[0].any():
        return joints
    first = int(np.argmax(there[0]))
    moved = joints - joints[0, first, layout.origin]
    return np.where(there[:, :, None, None], moved, 0)
