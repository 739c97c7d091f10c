"""Numbers from text agree with `float`, digit for digit, and faults name their line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacm.data.numbers import (
    _read_regular,
    plain_separators,
    read_numbers,
    shown,
    values_a_line,
    whole_lines,
)
from hacm.errors import HacmError


def place(i):
    return f"line {i + 1}"


texts = st.one_of(
    st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{0,20})?", fullmatch=True),
    st.from_regex(r"[-+]?[0-9]{0,3}\.[0-9]{1,9}([eE][-+]?[0-9])?", fullmatch=True),
    st.floats(-1e30, 1e30).map(repr),
    st.floats(-5, 5).map(lambda x: f"{x:.7g}"),
)


@given(st.lists(st.lists(texts, min_size=3, max_size=3), min_size=1, max_size=5), st.booleans())
def test_numbers_are_those_of_float(rows, carriage):
    end = "\r\n" if carriage else "\n"
    text = "".join(" ".join(row) + end for row in rows).encode()
    assert _read_regular(text, 3, 2) is not None
    table = read_numbers(text, 3, 2, place)
    np.testing.assert_array_equal(table, [[float(value) for value in row[:2]] for row in rows])


@given(st.text("0123456789.-+eE \r\n", max_size=40))
def test_whatever_is_accepted_is_what_float_accepts(text):
    data = whole_lines(text.encode())
    try:
        table = read_numbers(data, 3, 3, place)
    except HacmError:
        return
    lines = [line.split() for line in data.split(b"\n")[:-1]]
    np.testing.assert_array_equal(table, np.array(lines, dtype=float).reshape(-1, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1 2 3\n1 2\n", "line 2: expected 3 values, found 2"),
        (b"1 2 3\n1 2 3 4\n", "line 2: expected 3 values, found 4"),
        (b"1 2\n1 2 3 4\n", "line 1: expected 3 values, found 2"),
        (b"1 2 3\n\n1 2 3\n", "line 2: expected 3 values, found 0"),
        (b"1 2 x\n", "line 1: expected a number, found 'x'"),
        (b"1 -- 3\n", "line 1: expected a number, found '--'"),
        (b"1 2.3.4 3\n", "line 1: expected a number, found '2.3.4'"),
        (b"1 nan 3\n", "line 1: 'nan' is not a finite coordinate"),
        (b"1 1e300 3\n", "line 1: '1e300' is not a finite coordinate"),
        (b"1 2 3\n1 \x00\xff 3\n", "line 2: expected a number"),
    ],
)
def test_faults(text, message):
    with pytest.raises(HacmError, match=message):
        read_numbers(text, 3, 2, place)


NUMBERS = [["1.5", "-2", "30"], ["0", "0.25", "-7.125"]]


@pytest.mark.parametrize("between", [" ", "  ", "\t", " \t", ",", ", ", " , ", ";", " ; "])
@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize("last", ["", " ", ";", "\t"])
def test_separators_and_decimal_commas(between, comma, last):
    if comma and "," in between:
        return
    text = "".join(between.join(row) + last + "\n" for row in NUMBERS)
    plain = plain_separators(text.replace(".", "," if comma else ".").encode())
    np.testing.assert_array_equal(read_numbers(plain, 3, 3, place), np.array(NUMBERS, dtype=float))


@given(
    st.lists(st.lists(st.integers(-99, 99), min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from([",", ", ", ";", "\t", " "]),
)
def test_whole_numbers_are_never_taken_for_fractions(rows, between):
    text = "".join(between.join(map(str, row)) + "\n" for row in rows).encode()
    assert read_numbers(plain_separators(text), 3, 3, place).tolist() == rows


@pytest.mark.parametrize("text", [b"1,,3\n", b",2,3\n", b"1; ;3\n", b"1 2,,3\n"])
def test_an_empty_value_is_no_value(text):
    with pytest.raises(HacmError, match=r"'\(empty\)'|found [24]"):
        read_numbers(plain_separators(text), 3, 3, place)


def test_values_a_line():
    assert values_a_line(b"1 2 3\n1 2\n", (3, 12), place) == 3
    assert values_a_line(b"", (3, 12), place) == 12
    with pytest.raises(HacmError, match="line 1: expected 3 or 12 values, found 2"):
        values_a_line(b"1 2\n", (3, 12), place)


def test_columns_behind_those_kept_may_be_infinite():
    table = read_numbers(b"1 2 nan\n3 4 -inf\n", 3, 2, place)
    assert table.tolist() == [[1, 2], [3, 4]]


def test_nothing_gives_nothing():
    assert read_numbers(b"", 3, 2, place).shape == (0, 2)
    assert whole_lines(b" \r\n\n") == b""
    assert whole_lines(b"1 2\r\n3\r\n\r\n") == b"1 2\r\n3\n"


def test_pieces_are_short_and_printable():
    assert shown(b"\x00\xff\n") == r"'\x00ÿ\n'"
    assert len(shown(b"9" * 1000)) < 40
