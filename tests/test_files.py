"""Files are old or new, never half; what the system refuses is a sentence."""

import errno
import json
import os
import stat
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacm import files
from hacm.errors import HacmError
from hacm.files import (
    make_folder,
    parse_json,
    read_json,
    remove_leftovers,
    to_json,
    write_json,
    write_text,
    write_with,
)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), KeyError("x")]
)
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    write_text(tmp_path / "a.txt", "old")

    def writer(file):
        file.write(b"half of the n")
        raise error

    with pytest.raises((HacmError, KeyboardInterrupt, KeyError)) as caught:
        write_with(tmp_path / "a.txt", writer, previous=tmp_path / "b.txt")
    if isinstance(error, OSError):
        assert str(caught.value) == (
            f"{tmp_path / 'a.txt'} cannot be written: No space left on device; "
            "free space on that disk"
        )
    assert names(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_a_real_limit_is_a_sentence(tmp_path):
    """The system refuses to write more than 1000 bytes."""
    code = textwrap.dedent(
        """
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        from hacm.errors import HacmError
        from hacm.files import write_text
        try:
            write_text(sys.argv[1], "x" * 5000)
        except HacmError as error:
            print(error)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True
    )
    assert done.stdout.startswith(f"{tmp_path / 'a'} cannot be written: File too large"), done
    assert names(tmp_path) == []


def test_the_file_before_is_kept_where_it_is_wanted(tmp_path):
    for text in ("1", "2", "3"):
        write_with(tmp_path / "a", lambda f, t=text: f.write(t.encode()), previous=tmp_path / "b")
    assert (tmp_path / "a").read_text() == "3" and (tmp_path / "b").read_text() == "2"


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_places_that_cannot_be_written_are_sentences(tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path, word in {
        tmp_path / "file" / "x": "a part of that path is a file",
        tmp_path / "absent" / "x": "No such file",
        tmp_path / "folder": "directory",
        tmp_path / ("n" * 300): "choose a shorter name",
        tmp_path / "a\0b": "null",
    }.items():
        with pytest.raises(HacmError, match=word) as caught:
            write_text(path, "x")
        assert "\n" not in str(caught.value)
    for path, word in {
        tmp_path / "file": "is a file",
        tmp_path / "file" / "x" / "y": "is a file",
        tmp_path / "link": "broken link",
        tmp_path / ("n" * 300) / "x": "shorter",
    }.items():
        with pytest.raises(HacmError, match=word):
            make_folder(path)
    assert names(tmp_path) == ["file", "folder", "link"]


def test_no_permission_is_a_sentence(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.os, "replace", refused)
    with pytest.raises(HacmError, match="Permission denied; choose a place you may write to"):
        write_text(tmp_path / "a", "x")
    assert names(tmp_path) == []


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    for name in (".checkpoint.pt.123.aside", ".run.json.9.aside", "mine.aside", ".hidden"):
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".hidden", "mine.aside"]


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_json(content):
    """NaN and Infinity become null; all else comes back as it was."""
    again = strict(to_json({"x": content}))["x"]
    assert again == files._finite(content)
    if "Infinity" not in json.dumps(content) and "NaN" not in json.dumps(content):
        assert again == content


def test_numbers_that_are_not_finite_become_null(tmp_path):
    write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5], "b": {"c": float("-inf")}})
    assert strict((tmp_path / "a.json").read_text()) == {"a": [None, 1.5], "b": {"c": None}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is no JSON"),
        (b"[1, 2]", "expected a JSON object, got list"),
        (b"3", "expected a JSON object, got int"),
        (b"null", "expected a JSON object, got NoneType"),
        (b'{"a": ', "it is no JSON"),
        (b"\xff\xfe\x00", "codec can't decode"),
        (b"\x00" * 50, "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b'{"a": 1} {"b": 2}', "it is no JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "it is no JSON"),
    ],
)
def test_what_is_no_object_is_a_sentence(tmp_path, content, sentence):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(HacmError, match=sentence) as caught:
        read_json(tmp_path / "a.json")
    assert "a.json" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_are_sentences_and_old_nans_are_null(tmp_path):
    with pytest.raises(HacmError, match="cannot be read: No such file"):
        read_json(tmp_path / "absent.json")
    with pytest.raises(HacmError, match="cannot be read: Is a directory"):
        read_json(tmp_path)
    assert parse_json('{"a": NaN, "b": -Infinity}', "x") == {"a": None, "b": None}
