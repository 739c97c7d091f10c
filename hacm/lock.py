"""One writer a directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hacm.errors import HacmError
from hacm.files import remove_leftovers, saying

LOCK = ".lock"


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold an existing directory for oneself; the system frees it when the process ends, however.

    Raises:
        HacmError: another process, or another call in this one, holds it.
    """
    file = folder / LOCK
    # Not bound to a thread: a generator may be closed by another one than it was started in.
    lock = FileLock(file, thread_local=False)
    with saying(file):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise HacmError(
                f"{folder} is being written by another process, or by another call in this one: "
                "wait until it has finished, stop it, or choose another directory"
            ) from None
    try:
        remove_leftovers(folder)
        yield
    finally:
        with suppress(OSError):  # Windows keeps files that are open
            file.unlink()
        lock.release()
