"""Numbers in text, a fixed number of values a line: fast where all is well, exact where not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np

from hacm.errors import HacmError

_PLAIN = b"0123456789+-.eE \n"
_LARGEST = float(np.finfo(np.float32).max)


def read_numbers(
    lines: Sequence[bytes], fields: int, keep: int, place: Callable[[int], str]
) -> np.ndarray:
    """The first `keep` of `fields` numbers a line.

    Args:
        lines: without line ends.
        fields: values a line; those beyond `keep` may be NaN or infinite.
        keep: how many to return.
        place: says for people where `lines[i]` is.

    Returns:
        (len(lines), keep) float64, finite, within the range of float32.

    Raises:
        HacmError: names the first line with another number of values, with text, or with a NaN or
            infinite value among the first `keep`.
    """
    text = b"\n".join([*lines, b""])
    if _is_regular(text, len(lines), fields):
        import pandas

        try:
            table = pandas.read_csv(
                io.BytesIO(text),
                sep=" ",
                header=None,
                usecols=range(keep),
                dtype=np.float64,
                engine="c",
                na_filter=False,
            ).to_numpy()
        except ValueError:
            table = np.full(1, np.nan)
        if table.shape == (len(lines), keep) and (np.abs(table) <= _LARGEST).all():
            return table
    return np.array(
        [_numbers(line, fields, keep, place, i) for i, line in enumerate(lines)], dtype=np.float64
    ).reshape(-1, keep)


def shown(text: bytes) -> str:
    """A piece of a file, short and safe to print."""
    return repr(text[:30].decode("latin-1") + ("..." if len(text) > 30 else ""))


def _is_regular(text: bytes, lines: int, fields: int) -> bool:
    """Only characters of numbers, one space between values, `fields` values in every line."""
    if text.translate(None, _PLAIN):
        return False
    buffer = np.frombuffer(text, dtype=np.uint8)
    gaps = np.flatnonzero(buffer <= ord(" "))
    if len(gaps) != lines * fields or (np.diff(gaps, prepend=-1) == 1).any():
        return False
    return bool((buffer[gaps[fields - 1 :: fields]] == ord("\n")).all())


def _numbers(
    line: bytes, fields: int, keep: int, place: Callable[[int], str], i: int
) -> list[float]:
    values = line.split()
    if len(values) != fields:
        raise HacmError(f"{place(i)}: expected {fields} values, found {len(values)}")
    numbers = []
    for value in values:
        try:
            numbers.append(float(value))
        except ValueError:
            raise HacmError(f"{place(i)}: expected a number, found {shown(value)}") from None
    for value, number in zip(values[:keep], numbers, strict=False):
        if not abs(number) <= _LARGEST:
            raise HacmError(f"{place(i)}: {shown(value)} is not a finite coordinate")
    return numbers[:keep]
