"""Open a data set by its path, or the built-in one by no path at all."""

from __future__ import annotations

import os
from pathlib import Path

from hacm.data.store import SequenceStore

BUILTIN = ("", "synthetic")


def open_data(data: str | Path = "") -> SequenceStore:
    """A store.

    Args:
        data: a store's directory; empty or `synthetic` for the built-in data set, which is written
            once into the user's cache (`HACM_CACHE`, default `~/.cache/hacm`).

    Raises:
        HacmError: there is no store at that path.
    """
    if str(data) not in BUILTIN:
        return SequenceStore(data)
    from hacm.data.synthetic import VERSION, write_synthetic

    cache = Path(os.environ.get("HACM_CACHE", Path.home() / ".cache" / "hacm"))
    path = cache / f"synthetic-{VERSION}"
    if not path.exists():
        write_synthetic(path)
    return SequenceStore(path)
