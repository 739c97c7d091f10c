"""Zip and tar files, whose members are read without being unpacked into a folder.

Nothing that an archive says of itself is trusted: members that climb out of it, links and devices
are left out, and what has to be unpacked aside (a compressed tar file, an archive in an archive)
goes into a nameless temporary file, up to half of the room that is there; each process has its own.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import tempfile
import weakref
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import IO, Any

from hacm.data.source import Skip
from hacm.errors import HacmError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
OTHER_ARCHIVES = (".7z", ".rar", ".tar.zst")  # not to be read without further programs
_UNPACK: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
_BLOCK = 1 << 20


class Archive:
    """An open archive.

    Args:
        stream: its bytes, seekable; is closed along with the archive.
        name: for messages.

    Attributes:
        members: size and checksum of each file in it, by name; a zip file's checksum is of the
            contents, a tar file's of the entry.
        skips: what is not to be read, by name.

    Raises:
        HacmError: it is damaged, or no archive, or too large to be unpacked aside.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._name = name
        self.members: dict[str, tuple[int, int]] = {}
        self.skips: dict[str, Skip] = {}
        weakref.finalize(self, stream.close)
        try:
            start = stream.read(8)
            stream.seek(0)
            for mark, unpack in _UNPACK.items():
                if start.startswith(mark):
                    with unpack(stream) as unpacked:
                        stream = aside(unpacked, name)
                    weakref.finalize(self, stream.close)
            if tarfile.is_tarfile(stream):
                self._list_tar(stream)
            else:
                self._list_zip(stream)
        except HacmError:
            raise
        except Exception as error:  # damaged archives raise a dozen kinds
            raise HacmError(f"{name} cannot be read as a zip or tar file: {error}") from error

    def open(self, member: str) -> IO[bytes]:
        """A member's contents; a damaged one raises whatever the archive's library does."""
        return self._open(member)

    def _list_zip(self, stream: IO[bytes]) -> None:
        archive = zipfile.ZipFile(stream)
        for info in archive.infolist():
            if not info.is_dir() and self._stays_inside(info.filename):
                self.members[info.filename] = (info.file_size, info.CRC)
        self._open: Callable[[str], IO[bytes]] = archive.open

    def _list_tar(self, stream: IO[bytes]) -> None:
        stream.seek(0)
        archive = tarfile.TarFile(fileobj=stream)
        infos: dict[str, tarfile.TarInfo] = {}
        for info in archive.getmembers():
            if info.isdir() or not self._stays_inside(info.name):
                continue
            if info.isfile():
                infos[info.name] = info
                self.members[info.name] = (info.size, info.chksum)
            else:
                reason = f"{self._name}/{info.name} is a link or a device, not a file"
                self.skips[info.name] = Skip(reason, "no file")

        def open_member(member: str) -> IO[bytes]:
            opened = archive.extractfile(infos[member])  # a name would be searched for
            assert opened is not None  # it is a plain file
            return opened

        self._open = open_member

    def _stays_inside(self, member: str) -> bool:
        path = PurePosixPath(member.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in member:
            reason = f"{self._name}: the path of {member!r} climbs out of the archive"
            self.skips[member] = Skip(reason, "path climbs out")
            return False
        return True


def aside(stream: IO[bytes], name: str) -> IO[bytes]:
    """A copy in a temporary file without a name, in which one can go back and forth.

    Raises:
        HacmError: it would fill the disk.
    """
    room = shutil.disk_usage(tempfile.gettempdir()).free // 2
    with ExitStack() as stack:
        copy = stack.enter_context(tempfile.TemporaryFile())
        while block := stream.read(_BLOCK):
            if copy.tell() + len(block) > room:
                raise HacmError(
                    f"{name}: unpacked it has more than {room:,} bytes, half of the free space in "
                    f"{tempfile.gettempdir()}; unpack it yourself, or set TMPDIR to a larger disk"
                )
            copy.write(block)
        copy.seek(0)
        stack.pop_all()  # all went well: it stays open
    return copy
