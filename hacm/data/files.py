"""Raw files in folders and in archives, read without unpacking."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hacm.data.archives import ARCHIVES, OTHER_ARCHIVES, Archive, aside
from hacm.data.source import Skip
from hacm.errors import HacmError

LARGEST = 256 << 20  # bytes; any skeleton file is far smaller, and an archive can promise anything
DEEPEST = 3  # archives in archives; one that holds itself has no end
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class RawFile:
    """A file, or a member of an archive, which may itself be a member of another.

    Attributes:
        path: the file, or the archive that holds it.
        member: its name in the archive.
        size: bytes.
        stamp: changes when its contents do.
    """

    path: str | RawFile
    member: str | None = None
    size: int = 0
    stamp: int = 0

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    @property
    def name(self) -> str:
        """The name without folders."""
        if self.member is None:
            return Path(str(self.path)).name
        return self.member.replace("\\", "/").rpartition("/")[2]  # Windows writes backslashes

    def read(self) -> bytes:
        """All bytes.

        Raises:
            HacmError: it cannot be read, or is too large to be a skeleton file.
        """
        if self.size > LARGEST:
            raise HacmError(f"{self} has {self.size} bytes, more than any skeleton file")
        try:
            if self.member is None:
                return Path(str(self.path)).read_bytes()
            with _archive(self.path).open(self.member) as stream:
                return stream.read()
        except HacmError:
            raise
        except Exception as error:  # damaged archives raise a dozen kinds
            raise HacmError(f"{self} cannot be read: {error}") from error


def find_files(raw: str | Path, *suffixes: str) -> tuple[list[RawFile], list[Skip]]:
    """All files under `raw` with one of these endings, also inside archives, in a fixed order.

    Args:
        raw: a folder, an archive (zip, tar, tar.gz, ...) or a single file.
        suffixes: in lower case, with the dot; files may have them in any case.

    Returns:
        The files, and what cannot be looked into: folders, archives, members whose path climbs
        out of the archive.

    Raises:
        HacmError: there is no such folder or file.
    """
    raw = Path(raw)
    if not raw.exists():
        raise HacmError(f"{raw} does not exist")
    if raw.is_file() and _ends(raw.name, suffixes):
        return [_on_disk(str(raw))], []
    files, skips = _members(str(raw), suffixes) if raw.is_file() else _in_folder(raw, suffixes)
    return sorted(files, key=str), skips


def fingerprint(files: Iterable[RawFile], *options: object) -> str:
    """A checksum that changes when a file or an option does; the contents are not read."""
    digest = hashlib.sha256(repr(options).encode())
    for file in files:
        digest.update(repr(file).encode())
    return digest.hexdigest()


def _in_folder(raw: Path, suffixes: tuple[str, ...]) -> tuple[list[RawFile], list[Skip]]:
    files: list[RawFile] = []
    skips: list[Skip] = []

    def denied(error: OSError) -> None:
        skips.append(Skip(f"{error.filename} cannot be listed: {error.strerror}", "unreadable"))

    for folder, subfolders, names in os.walk(raw, onerror=denied):
        # A folder with a skeleton file's name is listed as one, and reported when it is read.
        for name in [*names, *(name for name in subfolders if _ends(name, suffixes))]:
            path = os.path.join(folder, name)
            if _ends(name, suffixes):
                files.append(_on_disk(path))
            elif _ends(name, ARCHIVES):
                inside, trouble = _members(path, suffixes)
                files += inside
                skips += trouble
            elif _ends(name, OTHER_ARCHIVES):
                skips.append(Skip(f"{path} cannot be looked into: unpack it first", "unreadable"))
    return files, skips


def _ends(name: str, suffixes: tuple[str, ...]) -> bool:
    # macOS adds a file ._NAME to each NAME, with nothing of its contents.
    return name.lower().endswith(suffixes) and not name.startswith("._")


def _on_disk(path: str) -> RawFile:
    try:
        stat = os.stat(path)
    except OSError:
        return RawFile(path)  # e.g. a link to nowhere: reported when it is read
    return RawFile(path, size=stat.st_size, stamp=stat.st_mtime_ns)


def _members(
    container: str | RawFile, suffixes: tuple[str, ...], depth: int = 1
) -> tuple[list[RawFile], list[Skip]]:
    if depth > DEEPEST:
        return [], [Skip(f"{container} lies in {DEEPEST} other archives: unpack them", "too deep")]
    try:
        archive = _archive(container)
    except HacmError as error:
        return [], [Skip(str(error), "unreadable")]
    files: list[RawFile] = []
    skips = [skip for name, skip in archive.skips.items() if _ends(name, (*suffixes, *ARCHIVES))]
    for member, (size, checksum) in archive.members.items():
        file = RawFile(container, member, size, checksum)
        if _ends(file.name, suffixes):
            files.append(file)
        elif _ends(file.name, ARCHIVES):
            inside, trouble = _members(file, suffixes, depth + 1)
            files += inside
            skips += trouble
    return files, skips


def _archive(container: str | RawFile) -> Archive:
    outer = container
    while isinstance(outer, RawFile):
        outer = outer.path
    try:
        return _opened(container, os.stat(outer).st_mtime_ns)
    except OSError as error:
        raise HacmError(f"{container} cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=4)
def _opened(container: str | RawFile, changed: int) -> Archive:
    # An archive of 57,000 members takes half a second to open: once a process, not once a member.
    if isinstance(container, str):
        return Archive(Path(container).open("rb"), container)
    try:
        with _archive(container.path).open(str(container.member)) as stream:
            return Archive(aside(stream, str(container)), str(container))
    except HacmError:
        raise
    except Exception as error:  # damaged archives raise a dozen kinds
        raise HacmError(f"{container} cannot be read: {error}") from error
