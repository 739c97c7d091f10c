"""The packed store: every sequence of a data set in three plain files, opened memory-mapped.

    frames.npy      (F, V, 3) float32 (or float16): each body's T frames contiguous
    sequences.csv   one row a sequence: name, label, ..., start, bodies, frames
    meta.json       layout, label names, splits, units, checksums

Body b of a sequence occupies rows start + b * frames ... start + (b + 1) * frames of `frames.npy`;
frames in which that body is missing are zeros. `writer.py` makes stores; this file reads them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from hacm.data.splits import Ids, fold_ids, split_ids
from hacm.data.text import read_text
from hacm.errors import HacmError
from hacm.skeleton import SkeletonLayout

FRAMES, SEQUENCES, META = "frames.npy", "sequences.csv", "meta.json"
FORMAT = "hacm-store-1"


class SequenceStore:
    """N labelled sequences of skeletons, read only.

    Args:
        path: the store's directory.
        verify: also compare the files' checksums (reads everything once).

    Attributes:
        layout: the joints.
        frames: (F, V, 3), metres, memory-mapped.
        columns: (N,) arrays by column name: name, label, start, bodies, frames and what else the
            data set says of its sequences (subject, camera, ...).
        label_names: what the labels 0..C-1 mean.

    Raises:
        HacmError: a file is missing, damaged or does not fit the others.
    """

    def __init__(self, path: str | Path, *, verify: bool = False) -> None:
        self.path = Path(path)
        for file in (META, SEQUENCES, FRAMES):
            if not (self.path / file).is_file():
                raise HacmError(
                    f"{self.path} is not a store: {file} is missing; "
                    "make one with `hacm prepare` (see `hacm prepare --help`)"
                )
        self.meta = _read_meta(self.path / META)
        try:
            self.layout = SkeletonLayout.from_dict(self.meta["layout"])
        except HacmError as error:
            raise HacmError(f"{self.path / META}: {error}") from error
        self.label_names: list[str] = list(self.meta["label_names"])
        self.columns = _read_columns(self.path / SEQUENCES)
        self.frames: Float[np.ndarray, "F V 3"] = _map_frames(self.path / FRAMES)
        self._check()
        if verify:
            self.verify()

    def __len__(self) -> int:
        return len(self.columns["label"])

    def __getitem__(self, index: int) -> Float[np.ndarray, "B T V 3"]:
        """All bodies of one sequence, as float32."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} holds {len(self)} sequences, not one numbered {index}")
        start, bodies, frames = (int(self.columns[c][index]) for c in ("start", "bodies", "frames"))
        rows = np.asarray(self.frames[start : start + bodies * frames], dtype=np.float32)
        return rows.reshape(bodies, frames, self.layout.V, 3)

    @property
    def labels(self) -> Int[np.ndarray, "N"]:
        """(N,) class of each sequence."""
        return self.columns["label"]

    @property
    def checksum(self) -> str:
        """Identifies the contents: SHA-256 over the checksums of the frames and the table."""
        listed = "".join(self.meta["sha256"][file] for file in (FRAMES, SEQUENCES))
        return hashlib.sha256(listed.encode()).hexdigest()

    @cached_property
    def splits(self) -> dict[str, dict[str, Any]]:
        """The data set's named splits (see `splits.py`)."""
        return dict(self.meta.get("splits", {}))

    def split(self, spec: str) -> tuple[Ids, Ids]:
        """Training and test positions of a named split, or of `COLUMN:odd`, `COLUMN:1,2,3`."""
        return split_ids(spec, self.splits, self.columns)

    def folds(self, spec: str) -> list[tuple[Ids, Ids]]:
        """The training side of a split, divided for validation (see `fold_ids`)."""
        return fold_ids(spec, self.splits, self.columns)

    def verify(self) -> None:
        """Compare the files' checksums with those in meta.json.

        Raises:
            HacmError: a file has changed since the store was written.
        """
        for file, expected in self.meta["sha256"].items():
            if file_sha256(self.path / file) != expected:
                raise HacmError(f"{self.path / file} has changed since the store was written")

    @classmethod
    def from_arrays(
        cls,
        arrays: Iterable[np.ndarray],
        labels: Sequence[int | str],
        layout: SkeletonLayout | str,
        *,
        path: str | Path,
        label_names: Sequence[str] | None = None,
        splits: dict[str, dict[str, Any]] | None = None,
        center: bool = True,
        unit: str | None = None,
        up: str | None = None,
        **columns: Sequence[Any],
    ) -> SequenceStore:
        """Write your own sequences into a store and open it.

        What was not taken as it is, such as labels that do not start at 0, is logged as a warning.

        Args:
            arrays: one array a sequence, (T, V, 3) or (B, T, V, 3); with x and y alone, z is 0.
            labels: N whole numbers or texts, or one-hot (N, C).
            layout: the joints, or a built-in layout's name.
            path: the new store's directory; must not exist.
            label_names: what the labels mean.
            splits: named splits, e.g. `{"xsub": {"column": "subject", "train": [1, 3]}}`.
            center: move the layout's origin joint to zero in each first frame.
            unit: of the coordinates, `mm`, `cm` or `m`; where not given, bones that are far too
                long for metres are refused.
            up: the axis that points up, e.g. `z` or `-y`; y where not given.
            columns: anything else about the sequences, N values each (name, subject, ...).

        Raises:
            HacmError: an array, label or column does not fit; says which.
        """
        from hacm.data.own_arrays import say, write_arrays  # these import this file's names
        from hacm.data.remarks import remarks

        notes = write_arrays(
            path,
            arrays,
            labels,
            layout,
            label_names=label_names,
            splits=splits,
            center=center,
            unit=unit,
            up=up,
            columns=columns,
        )
        store = cls(path)
        say([*notes, *remarks(store)], path)
        return store

    def _check(self) -> None:
        """The three files belong together."""
        needed = ("name", "label", "start", "bodies", "frames")
        for column in needed:
            if column not in self.columns:
                raise HacmError(f"{self.path / SEQUENCES}: column {column!r} is missing")
            if column != "name" and self.columns[column].dtype.kind != "i":
                raise HacmError(f"{self.path / SEQUENCES}: {column!r} must hold whole numbers")
        shape, V = self.frames.shape, self.layout.V
        if len(shape) != 3 or shape[1:] != (V, 3) or self.frames.dtype.kind != "f":
            raise HacmError(
                f"{self.path / FRAMES}: expected floats of shape (F, {V}, 3) for layout "
                f"{self.layout.name!r}, got {self.frames.dtype} {shape}"
            )
        start, bodies, frames = (self.columns[c] for c in ("start", "bodies", "frames"))
        bad = (start < 0) | (bodies < 1) | (frames < 1) | (start + bodies * frames > shape[0])
        if bad.any():
            name = str(self.columns["name"][np.argmax(bad)])
            raise HacmError(f"{self.path / SEQUENCES}: sequence {name!r} points outside {FRAMES}")
        wrong = (self.labels < 0) | (self.labels >= len(self.label_names))
        if wrong.any():
            at = int(np.argmax(wrong))
            name = str(self.columns["name"][at])
            raise HacmError(
                f"{self.path / SEQUENCES}: sequence {name!r} has label {self.labels[at]}, "
                f"expected 0..{len(self.label_names) - 1}"
            )


def _read_meta(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HacmError(f"{path} cannot be read: {error}") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise HacmError(f"{path}: expected format {FORMAT!r}")
    if missing := {"layout", "label_names", "sha256"} - meta.keys():
        raise HacmError(f"{path}: key {sorted(missing)[0]!r} is missing")
    return meta


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    """Columns of whole numbers become int64; names and all others stay text."""
    cells: list[str] = []
    try:
        rows = csv.reader(io.StringIO(read_text(path), newline=""))
        header = next(rows, [])
        for line, row in enumerate(rows, start=2):
            if len(row) != len(header):
                raise HacmError(f"{path}, line {line}: expected {len(header)} values")
            cells += row
    except csv.Error as error:
        raise HacmError(f"{path} cannot be read: {error}") from error
    if not cells:
        raise HacmError(f"{path} lists no sequence")
    # One flat list, since a hundred thousand lists keep the garbage collector busy.
    columns = {column: cells[i :: len(header)] for i, column in enumerate(header)}
    return {column: _typed(values, column) for column, values in columns.items()}


def _typed(values: list[str], column: str) -> np.ndarray:
    # Python would also take 1_1 for 11.
    if column != "name" and "_" not in "".join(values):
        with suppress(ValueError, OverflowError):
            return np.fromiter(map(int, values), dtype=np.int64, count=len(values))
    return np.array(values)


def _map_frames(path: Path) -> np.ndarray:
    # Copy-on-write: torch may share the memory, and the file can never be changed through it.
    try:
        return np.lib.format.open_memmap(path, mode="c")
    except (OSError, ValueError, EOFError) as error:
        raise HacmError(f"{path} cannot be opened: {error}") from error


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
