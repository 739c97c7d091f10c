"""How far an unfinished store came: a file of marks beside its data, so that a run can go on.

Each mark holds the sizes its data files had when it was set. After an interruption the files may
be longer (work behind the last mark) or shorter (lost by the system), so only marks that the files
still reach count.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hacm.errors import HacmError

try:
    import fcntl
except ImportError:  # Windows: two runs that write one store are not noticed there
    fcntl = None  # type: ignore[assignment]

MARKS = "marks.jsonl"
_FIELDS = {"sizes", "rounding", "note"}


class Marks:
    """The marks in `folder`; those of another key, and all data beside them, are removed.

    Args:
        folder: is made if needed.
        key: whose marks to go on from; an empty key never goes on.

    Attributes:
        notes: what each mark was given as `note`.

    Raises:
        HacmError: another run is writing in this folder.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / MARKS
        folder.mkdir(parents=True, exist_ok=True)
        # A crash of the system may leave any bytes: what is no mark ends the marks.
        self._file = self._path.open("a+", encoding="utf-8", errors="replace")
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self._file.close()
                raise HacmError(f"another run is writing {folder}") from error
        self._file.seek(0)
        first, *lines = self._file.read().split("\n")
        self._marks: list[dict[str, Any]] = []
        self._key = json.dumps({"key": key})
        if key and first == self._key:
            self._marks = _readable(lines)
        else:
            _empty(folder, keep=self._path)

    @property
    def notes(self) -> list[Any]:
        """What each mark was given as `note`."""
        return [mark["note"] for mark in self._marks]

    def keep_fitting(self, sizes: Sequence[int]) -> dict[str, Any] | None:
        """Forget marks beyond files of these sizes; the last one left, if any."""
        for count, mark in enumerate(self._marks):
            if any(size < needed for size, needed in zip(sizes, mark["sizes"], strict=True)):
                del self._marks[count:]
                break
        self._file.truncate(0)
        self._file.write("\n".join([self._key, *map(json.dumps, self._marks), ""]))
        self._file.flush()
        return self._marks[-1] if self._marks else None

    def add(self, mark: dict[str, Any]) -> None:
        """Append a mark with `sizes`, `rounding` and `note`."""
        self._marks.append(mark)
        self._file.write(json.dumps(mark) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; it stays."""
        self._file.close()

    def remove(self) -> None:
        """The store is complete: marks are of no more use."""
        self._file.close()
        self._path.unlink()


def _readable(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The marks up to the first line that an interruption cut short."""
    marks = []
    for line in lines:
        try:
            mark = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(mark, dict) or not mark.keys() >= _FIELDS:
            break
        marks.append(mark)
    return marks


def _empty(folder: Path, keep: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != keep:
            path.unlink()
