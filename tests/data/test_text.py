"""Text files, whatever program wrote them: encodings, marks, line ends, and what is no text."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacm.data.text import plain_text, read_text
from hacm.errors import HacmError

TEXT = "1.5 2\n3 Grüße\n"
MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_any_encoding_and_line_end_is_the_same_text(encoding, marked, end):
    data = TEXT.replace("\n", end).encode(encoding)
    assert plain_text(MARKS[encoding] * marked + data, "file") == TEXT.encode()


@given(st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20), min_size=1))
def test_wide_ascii_is_told_without_a_mark(text):
    for encoding in MARKS:
        assert plain_text(text.encode(encoding), "file").decode() == text


def test_what_is_not_utf_8_is_latin_1():
    assert plain_text("Grüße".encode("latin-1"), "file").decode() == "Grüße"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(100), "file, line 1: expected text, found binary data"),
        (b"1 2\n3\0 4\n", "file, line 2: expected text, found binary data"),
        (b"1 2\n\n" + bytes(range(256)), "file, line 3: expected text, found binary data"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(99)), "line 3: expected text, found"),
        (codecs.BOM_UTF16_LE + b"1", "file begins with the mark of UTF-16-LE but is damaged"),
        (codecs.BOM_UTF8 + b"1\xff", "file begins with the mark of UTF-8 but is damaged"),
        (codecs.BOM_UTF16_LE + "1\n2\0".encode("utf-16-le"), "line 2: expected text, found"),
    ],
)
def test_what_is_no_text_is_one_sentence(data, message):
    with pytest.raises(HacmError, match=message) as error:
        plain_text(data, "file")
    assert "\n" not in str(error.value)


@given(st.binary(max_size=80))
def test_any_bytes_are_text_or_a_sentence(data):
    try:
        text = plain_text(data, "file")
    except HacmError:
        return
    text.decode("utf-8")
    assert b"\0" not in text and b"\r" not in text


def test_files_on_disk(tmp_path):
    (tmp_path / "list.txt").write_bytes(TEXT.encode("utf-16"))
    assert read_text(tmp_path / "list.txt") == TEXT
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(HacmError, match=f"the list {path} cannot be read"):
            read_text(path, "the list")
