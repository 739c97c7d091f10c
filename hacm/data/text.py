"""The one way in which text files are opened, whatever program wrote them.

UTF-8 with or without a byte-order mark, UTF-16 and UTF-32 in both orders, and what else is left, as
Latin-1; lines that end in LF, CRLF or CR.
"""

from __future__ import annotations

import codecs
import re
import string
from pathlib import Path

from hacm.errors import HacmError

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_LINE_END = re.compile(rb"\r+\n|\r")


def plain_text(data: bytes, file: str) -> bytes:
    """A text file's contents as UTF-8 without a byte-order mark, its lines ended by LF.

    Args:
        data: what the file holds.
        file: for messages.

    Raises:
        HacmError: it is not text; says in which line.
    """
    mark = next((mark for mark in _MARKS if data.startswith(mark)), None)
    if mark is not None:
        data = _decoded(data[len(mark) :], _MARKS[mark], file).encode()
    elif b"\0" in data:
        data = _without_mark(data, file).encode()
    elif not data.isascii():
        data = utf8_or_latin1(data).encode()
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise HacmError(f"{file}, line {line}: expected text, found binary data (a zero byte)")
    data = data.replace(b"\r\n", b"\n")
    return _LINE_END.sub(b"\n", data) if b"\r" in data else data


def read_text(path: str | Path, what: str = "") -> str:
    """A text file on disk.

    Args:
        path: the file.
        what: what it is, for messages, e.g. "the skip list".

    Raises:
        HacmError: it cannot be read or is not text.
    """
    name = f"{what} {path}".strip()
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise HacmError(f"{name} cannot be read: {error.strerror}") from error
    return plain_text(data, name).decode()


def _decoded(data: bytes, encoding: str, file: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise HacmError(
            f"{file} begins with the mark of {encoding.upper()} but is damaged: {error.reason} at "
            f"byte {error.start}"
        ) from error


def _without_mark(data: bytes, file: str) -> str:
    """Wide characters without a mark: told by being mostly ASCII, and whole, in one encoding."""
    for encoding in _WIDE:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        head = text[:4096]
        if "\0" not in text and 2 * sum(c in string.printable for c in head) > len(head):
            return text
    return data.decode("latin-1")


def utf8_or_latin1(data: bytes) -> str:
    """Text without a mark that would tell its encoding; any bytes are something in Latin-1."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
