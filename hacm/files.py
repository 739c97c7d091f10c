"""Small files, read and written whole: never half-written, and never a traceback.

A file is written aside and renamed, so that whoever reads it finds the old contents or the new
ones; what the operating system refuses becomes one sentence.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from hacm.errors import HacmError

ASIDE = ".aside"
"""How the names of files end that are not complete yet; a process that was killed leaves them."""

_ADVICE = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free space within your quota",
    errno.EFBIG: "files of this size are not allowed there",
    errno.EACCES: "choose a place you may write to",
    errno.EPERM: "choose a place you may write to",
    errno.EROFS: "choose a place you may write to",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a part of that path is a file",
    errno.EEXIST: "that path is a file or a broken link",
    errno.EISDIR: "there is a directory of that name",
    errno.ELOOP: "a link in that path leads to itself",
}


@contextmanager
def saying(path: str | Path, done: str = "written") -> Iterator[None]:
    """Turn what the operating system refuses into one sentence.

    Args:
        path: what the sentence names.
        done: what cannot be: `written`, `read`, ...

    Raises:
        HacmError: instead of an OSError, or of a ValueError for a path that no system accepts.
    """
    try:
        yield
    except HacmError:
        raise
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        reason = getattr(error, "strerror", None) or str(error)
        advice = f"; {_ADVICE[number]}" if number in _ADVICE else ""
        raise HacmError(f"{path} cannot be {done}: {reason}{advice}") from error


def make_folder(path: str | Path) -> Path:
    """A directory, made with its parents if it is missing.

    Raises:
        HacmError: it cannot be made, or the path is a file.
    """
    with saying(path, "made a directory"):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def write_with(
    path: str | Path, writer: Callable[[BinaryIO], object], *, previous: str | Path | None = None
) -> None:
    """Write a file atomically; if that fails, nothing is left of it and the old file stays.

    Args:
        path: the file, in an existing directory.
        writer: writes the contents to the open file it is given.
        previous: what the file there before is renamed to; None replaces it.

    Raises:
        HacmError: a full disk, no permission, a name that is too long, ...
    """
    path = Path(path)
    with saying(path):
        aside = path.with_name(f".{path.name[:100]}.{os.getpid()}{ASIDE}")
        try:
            with aside.open("wb") as file:
                writer(file)
                file.flush()
                # Else a crash of the machine could leave the new name with nothing under it.
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                os.replace(path, previous)
            os.replace(aside, path)
        except BaseException:
            with suppress(OSError):
                aside.unlink()
            raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8) atomically; raises what `write_with` does."""
    write_with(path, lambda file: file.write(text.encode()))


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically; raises what `write_with` does."""
    write_text(path, to_json(content, indent=1) + "\n")


def to_json(content: Any, indent: int | None = None) -> str:
    """JSON text; numbers that are not finite become null, since JSON has no others."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def read_json(path: str | Path) -> dict[str, Any]:
    """A JSON object from a file; NaN and Infinity, which are no JSON, are read as null.

    Raises:
        HacmError: the file is missing, cannot be read or holds anything else.
    """
    with saying(path, "read"):
        return parse_json(Path(path).read_text(encoding="utf-8"), str(path))


def parse_json(text: str, where: str) -> dict[str, Any]:
    """A JSON object from text; see `read_json`.

    Args:
        text: the JSON.
        where: what the text comes from, for the error message.

    Raises:
        HacmError: it is no JSON, or no object.
    """
    try:
        content = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise HacmError(f"{where} cannot be read: it is no JSON ({error})") from None
    if not isinstance(content, dict):
        raise HacmError(f"{where}: expected a JSON object, got {type(content).__name__}")
    return content


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing; call it while no other process writes there."""
    with suppress(OSError):
        for file in folder.glob(f".*{ASIDE}"):
            file.unlink()


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
