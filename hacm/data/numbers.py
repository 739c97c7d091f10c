"""Numbers in text, a fixed number of values a line: fast where all is well, exact where not.

Values are separated by blanks, tabs, commas or semicolons, with a decimal point or comma.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from hacm.data.text import utf8_or_latin1
from hacm.errors import HacmError

_PLAIN = b"0123456789+-.eE \r\n"
_WIDEST = 22
_POWERS = 10.0 ** np.arange(_WIDEST + 1)
_LARGEST = float(np.finfo(np.float32).max)
_LINE_END = re.compile(rb"[ \t,;]+$", re.MULTILINE)
_EMPTY = re.compile(rb"(?:^|(?<=[,;]))[ \t]*(?=[,;])", re.MULTILINE)
_SEPARATOR = re.compile(rb"[ \t]*[,;][ \t]*|[ \t]+")
_COMMA_SEPARATES = re.compile(rb",[ \t]|[ \t],|,[^ \t;\n]*,|\.")
_OTHER_SEPARATES = re.compile(rb"[ \t;]")


def read_numbers(
    text: bytes, fields: int, keep: int, place: Callable[[int], str]
) -> Float[np.ndarray, "lines keep"]:
    """The first `keep` of `fields` numbers in each line.

    Args:
        text: lines that end in LF or CRLF, values separated by blanks.
        fields: values a line; those beyond `keep` may be NaN or infinite.
        keep: how many to return.
        place: says for people where line i of the text, counted from 0, is.

    Returns:
        float64, finite, within the range of float32.

    Raises:
        HacmError: names the first line with another number of values, with text, or with a NaN or
            infinite value among the first `keep`.
    """
    table = _read_regular(text, fields, keep)
    if table is not None and (np.abs(table) <= _LARGEST).all():
        return table
    rows = [
        _read_line(line, fields, keep, place, i) for i, line in enumerate(text.split(b"\n")[:-1])
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, keep)


def plain_separators(text: bytes) -> bytes:
    """The same values with one blank between them and a decimal point in them.

    A comma is a decimal comma where something else separates the values and no value has a point:
    `0,5 1,5` and `0,5;1,5` are two numbers, and so are `1,2` and `1, 2`. An empty value stays
    visible as `(empty)`.

    Args:
        text: lines that end in LF.
    """
    if not any(mark in text for mark in (b",", b";", b"\t")):
        return text
    text = _LINE_END.sub(b"", text)
    if _OTHER_SEPARATES.search(text) and not _COMMA_SEPARATES.search(text):
        text = text.replace(b",", b".")
    return _SEPARATOR.sub(b" ", _EMPTY.sub(b"(empty)", text))


def values_a_line(text: bytes, allowed: Sequence[int], place: Callable[[int], str]) -> int:
    """How many values the first line holds.

    Args:
        text: lines that end in LF, values separated by blanks.
        allowed: the numbers of values that make sense; the last one where there is no line.
        place: says for people where line i of the text is.

    Raises:
        HacmError: another number than those.
    """
    found = len(text[: text.find(b"\n")].split()) if text else allowed[-1]
    if found not in allowed:
        expected = " or ".join(map(str, allowed))
        raise HacmError(f"{place(0)}: expected {expected} values, found {found}")
    return found


def line_begins(text: bytes) -> list[int]:
    """Where each line begins in a text that ends in a line end, and where the text ends."""
    line_ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))
    return [0, *(line_ends + 1).tolist()]


def whole_lines(data: bytes) -> bytes:
    """A file's text without blank lines at its end, and with a line end there."""
    if len(data) > 1 and data.endswith(b"\n") and not data[-2:-1].isspace():
        return data  # as most files are; saves a copy
    text = data.rstrip()
    return text + b"\n" if text else b""


def shown(text: bytes) -> str:
    """A piece of a file, short and safe to print."""
    piece = utf8_or_latin1(text)
    return repr(piece[:30] + ("..." if len(piece) > 30 else ""))


def _read_regular(text: bytes, fields: int, keep: int) -> np.ndarray | None:
    """All lines at once, or None if there is anything but numbers with one space between them."""
    if text.translate(None, _PLAIN):
        return None
    buffer = np.frombuffer(text, dtype=np.uint8)
    gaps = np.flatnonzero(buffer <= ord(" "))
    if b"\r" in text:
        gaps = gaps[buffer[gaps] != ord("\r")]
    line_ends = gaps[fields - 1 :: fields]
    if len(gaps) != len(line_ends) * fields or (buffer[line_ends] != ord("\n")).any():
        return None
    if text.count(b"\n") != len(line_ends):
        return None
    ends = gaps.reshape(-1, fields)[:, :keep]
    begins = np.empty_like(ends)
    begins[:, 1:] = ends[:, :-1] + 1
    begins[1:, 0] = line_ends[:-1] + 1
    begins[:1, 0] = 0
    try:
        return _decimals(buffer, begins.ravel(), ends.ravel()).reshape(-1, keep)
    except ValueError:
        return None


def _decimals(
    buffer: UInt8[np.ndarray, "bytes"], begins: Int[np.ndarray, "n"], ends: Int[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """Numbers like -12.345, each as its digits divided by a power of ten.

    Whole numbers below 2^53 and powers of ten up to 10^22 are exact in float64, so the quotient is
    what `float` gives; what is longer, or has an exponent, goes through `float`.
    """
    lengths = ends - begins
    digits, dots = np.zeros((2, len(begins)), dtype=np.uint8)
    whole, point = np.zeros(len(begins)), lengths - 1
    for place in range(min(int(lengths.max(initial=0)), _WIDEST)):
        char = buffer.take(begins + place, mode="clip") * (place < lengths)
        digit = char - ord("0")
        is_digit, is_dot = digit < 10, char == ord(".")
        whole = np.where(is_digit, whole * 10 + digit, whole)
        digits += is_digit
        dots += is_dot
        point[is_dot] = place
    negative = buffer[begins] == ord("-")
    values = whole / _POWERS[np.minimum(lengths - 1 - point, _WIDEST)]
    values[negative] *= -1
    simple = (digits + dots + negative == lengths) & (digits >= 1) & (digits <= 15) & (dots <= 1)
    for i in np.flatnonzero(~simple):
        values[i] = float(buffer[begins[i] : ends[i]].tobytes())
    return values


def _read_line(
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
