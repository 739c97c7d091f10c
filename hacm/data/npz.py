"""Arrays of an `.npz` file, never unpickling; the big ones as a stream of rows."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from hacm.data.files import UNREADABLE
from hacm.data.lookalike import what_else
from hacm.errors import HacmError

BLOCK = 1 << 29  # bytes that a block of rows may take
_SUFFIX = ".npy"


@dataclass(frozen=True)
class Member:
    """One array of the file, as its header describes it."""

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    def __str__(self) -> str:
        return f"{self.file}: {self.key!r}"

    def whole(self) -> np.ndarray:
        """All of it.

        Raises:
            HacmError: the file is damaged.
        """
        order = "F" if self.fortran else "C"
        with self._data() as stream:
            return np.frombuffer(_read(stream, self._bytes(self.shape), self), self.dtype).reshape(
                self.shape,
                order=order,  # type: ignore[call-overload]
            )

    def rows(self) -> Iterator[np.ndarray]:
        """One after another, in memory that does not grow with their number.

        In Fortran order the values of a row lie all over the file, which is then read once for
        every `BLOCK` bytes of rows.

        Raises:
            HacmError: the file is damaged.
        """
        if self.fortran and len(self.shape) > 1:
            yield from self._rows_of_columns()
            return
        with self._data() as stream:
            size = self._bytes(self.shape[1:])
            for _ in range(self.shape[0]):
                yield np.frombuffer(_read(stream, size, self), self.dtype).reshape(self.shape[1:])

    def _rows_of_columns(self) -> Iterator[np.ndarray]:
        N, width = self.shape[0], int(np.prod(self.shape[1:], dtype=object))
        block = max(1, BLOCK // max(1, self._bytes(self.shape[1:])))
        for first in range(0, N, block):
            rows = np.empty((min(block, N - first), width), self.dtype)
            with self._data() as stream:
                for column in range(width):
                    data = np.frombuffer(_read(stream, self._bytes((N,)), self), self.dtype)
                    rows[:, column] = data[first : first + block]
            for row in rows:
                yield row.reshape(self.shape[1:], order="F")

    def _bytes(self, shape: tuple[int, ...]) -> int:
        return int(np.prod(shape, dtype=object)) * self.dtype.itemsize

    def _data(self) -> _Data:
        return _Data(self)


class _Data:
    """The bytes behind the header; whatever a damaged file raises becomes a sentence."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def __enter__(self) -> IO[bytes]:
        try:
            self._archive = zipfile.ZipFile(self._member.file)
            self._stream = self._archive.open(self._member.key + _SUFFIX)
            _header(self._stream, str(self._member))
        except (*UNREADABLE, KeyError) as error:
            raise HacmError(f"{self._member.file} is damaged: {error}") from error
        return self._stream

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._archive.close()


def members(file: Path) -> dict[str, Member]:
    """What is in the file, by key; only the headers are read.

    Raises:
        HacmError: it is no `.npz` file, or an array is shorter than its header says.
    """
    found = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(_SUFFIX):
                    continue
                key = info.filename.removesuffix(_SUFFIX)
                with archive.open(info) as stream:
                    shape, fortran, dtype = _header(stream, f"{file}: {key!r}")
                    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
                    if not dtype.hasobject and size != info.file_size - stream.tell():
                        raise HacmError(
                            f"{file}: {key!r} does not hold {_count(shape)} as its header says"
                        )
                found[key] = Member(file, key, shape, dtype, fortran)
    except HacmError:
        raise
    except Exception as error:  # a damaged zip raises a dozen kinds
        reason = what_else(file) if not isinstance(error, OSError) else error.strerror
        if not reason or reason.startswith("it is a zip"):
            reason = (
                f"it is damaged, perhaps cut off ({' '.join(str(error).split())}); get it again"
            )
        raise HacmError(f"{file} cannot be read as an .npz file: {reason}") from error
    return found


def no_objects(member: Member) -> None:
    """Refuse Python objects, which only unpickling would give.

    Raises:
        HacmError: the array holds them.
    """
    if member.dtype.hasobject:
        raise HacmError(
            f"{member} holds Python objects, not plain numbers or texts, and none is ever "
            "unpickled: save plain arrays, texts as np.array(values, dtype=str) and sequences of "
            "several lengths one after another or zero padded"
        )


def _count(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} sequences" if shape else "a value"


def _read(stream: IO[bytes], size: int, member: Member) -> bytes:
    try:
        data = stream.read(size)
    except UNREADABLE as error:
        raise HacmError(f"{member.file} is damaged: {error}") from error
    except MemoryError as error:
        raise HacmError(f"{member} needs more memory than there is") from error
    if len(data) < size:
        raise HacmError(f"{member} ends early; the file is damaged")
    return data


def _header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            return read(stream)
    except (ValueError, TypeError, SyntaxError) as error:
        raise HacmError(f"{what} is no plain array: {' '.join(str(error).split())}") from error
