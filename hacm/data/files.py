"""Raw files in folders and in zip files, read without unpacking."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from hacm.data.source import Skip
from hacm.errors import HacmError

LARGEST = 256 << 20  # bytes; any skeleton file is far smaller, and a zip file can promise anything
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class RawFile:
    """A file, or a member of a zip file; `stamp` changes when its contents do."""

    path: str
    member: str | None = None
    size: int = 0
    stamp: int = 0

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}/{self.member}"

    @property
    def name(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.member).name if self.member else Path(self.path).name

    def read(self) -> bytes:
        """All bytes.

        Raises:
            HacmError: it cannot be read, or is too large to be a skeleton file.
        """
        if self.size > LARGEST:
            raise HacmError(f"{self} has {self.size} bytes, more than any skeleton file")
        try:
            if self.member is None:
                return Path(self.path).read_bytes()
            return _archive(self.path).read(self.member)
        except UNREADABLE as error:
            raise HacmError(f"{self} cannot be read: {error}") from error


def find_files(raw: str | Path, suffix: str) -> tuple[list[RawFile], list[Skip]]:
    """All files under `raw` whose name ends in `suffix`, also inside zip files, in a fixed order.

    Args:
        raw: a folder or a zip file.
        suffix: with the dot.

    Returns:
        The files, and what cannot be looked into: folders, zip files, members whose path climbs
        out of the zip file.

    Raises:
        HacmError: there is no such folder or file.
    """
    raw = Path(raw)
    if not raw.exists():
        raise HacmError(f"{raw} does not exist")
    if raw.is_file():
        return _members(str(raw), suffix)
    files: list[RawFile] = []
    skips: list[Skip] = []

    def denied(error: OSError) -> None:
        skips.append(Skip(f"{error.filename} cannot be listed: {error.strerror}", "unreadable"))

    for folder, subfolders, names in os.walk(raw, onerror=denied):
        # A folder with a skeleton file's name is listed as one, and reported when it is read.
        for name in [*names, *(name for name in subfolders if name.endswith(suffix))]:
            path = os.path.join(folder, name)
            if name.endswith(suffix):
                files.append(_on_disk(path))
            elif name.endswith(".zip"):
                inside, trouble = _members(path, suffix)
                files += inside
                skips += trouble
    return sorted(files, key=lambda file: (file.path, file.member or "")), skips


def fingerprint(files: Iterable[RawFile], *options: object) -> str:
    """A checksum that changes when a file or an option does; the contents are not read."""
    digest = hashlib.sha256(repr(options).encode())
    for file in files:
        digest.update(repr((file.path, file.member, file.size, file.stamp)).encode())
    return digest.hexdigest()


def _on_disk(path: str) -> RawFile:
    try:
        stat = os.stat(path)
    except OSError:
        return RawFile(path)  # e.g. a link to nowhere: reported when it is read
    return RawFile(path, size=stat.st_size, stamp=stat.st_mtime_ns)


def _members(path: str, suffix: str) -> tuple[list[RawFile], list[Skip]]:
    try:
        infos = _archive(path).infolist()
    except UNREADABLE as error:
        return [], [Skip(f"{path} cannot be read as a zip file: {error}", "unreadable")]
    files, skips = [], []
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in info.filename:
            reason = f"{path}: the path of {info.filename!r} climbs out of the zip file"
            skips.append(Skip(reason, "path climbs out"))
        elif info.filename.endswith(suffix):
            files.append(RawFile(path, info.filename, info.file_size, info.CRC))
    return files, skips


def _archive(path: str) -> zipfile.ZipFile:
    return _opened(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=4)
def _opened(path: str, changed: int) -> zipfile.ZipFile:
    # A zip file of 57,000 members takes half a second to open: once a process, not once a member.
    return zipfile.ZipFile(path)
