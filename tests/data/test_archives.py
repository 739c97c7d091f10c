"""Files are found and read in folders and in archives of any kind; archives are not trusted."""

import io
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacm.data import files
from hacm.data.archives import ARCHIVES
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.errors import HacmError

CONTENTS = {"a/one.txt": b"first", "a/b/two.TXT": b"second" * 1000, "other.md": b"unwanted"}


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(members: dict[str, bytes], mode="w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def archived(members: dict[str, bytes], suffix: str) -> bytes:
    if suffix == ".zip":
        return zipped(members)
    packing = {"gz": "gz", "tgz": "gz", "bz2": "bz2", "tbz2": "bz2", "xz": "xz", "txz": "xz"}
    return tarred(members, f"w:{packing.get(suffix.rpartition('.')[2], '')}")


def found(raw: Path) -> dict[str, bytes]:
    """Contents by name, without skips."""
    there, skips = find_files(raw, ".txt")
    assert not skips
    return {file.name: file.read() for file in there}


WANTED = {"one.txt": b"first", "two.TXT": b"second" * 1000}


@pytest.mark.parametrize("suffix", [*ARCHIVES, ".ZIP", ".Tar.GZ"])
def test_every_kind_of_archive_alone_and_in_a_folder(tmp_path, suffix):
    raw = tmp_path / f"raw{suffix}"
    raw.write_bytes(archived(CONTENTS, suffix.lower()))
    assert found(raw) == found(tmp_path) == WANTED
    assert [path.name for path in tmp_path.iterdir()] == [raw.name]


@pytest.mark.parametrize("inner", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("outer", [".zip", ".tar", ".tar.xz"])
def test_archives_in_archives(tmp_path, inner, outer):
    members = {f"set/part{inner}": archived(CONTENTS, inner), "three.txt": b"third"}
    (tmp_path / f"raw{outer}").write_bytes(archived(members, outer))
    assert found(tmp_path) == {**WANTED, "three.txt": b"third"}


def test_a_single_file_is_found(tmp_path):
    (tmp_path / "one.txt").write_bytes(b"first")
    assert found(tmp_path / "one.txt") == {"one.txt": b"first"}


def test_backslashes_separate_folders(tmp_path):
    (tmp_path / "raw.zip").write_bytes(zipped({"a\\b\\one.txt": b"first"}))
    assert found(tmp_path) == {"one.txt": b"first"}


def test_what_macos_adds_is_not_seen(tmp_path):
    (tmp_path / "raw.zip").write_bytes(zipped({"one.txt": b"1", "__MACOSX/._one.txt": b"\0"}))
    (tmp_path / "._two.txt").write_bytes(b"\0")
    assert found(tmp_path) == {"one.txt": b"1"}


def test_members_that_climb_out_links_and_devices_are_reported(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"secret")
    raw = tmp_path / "raw"
    raw.mkdir()
    with tarfile.open(raw / "evil.tar", "w") as archive:
        for name in ("../secret.txt", "/etc/x.txt", "a/../../x.txt", "..\\x.txt", "C:\\x.txt"):
            archive.addfile(tarfile.TarInfo(name))
        for name, kind in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(f"{name}.txt")
            info.type, info.linkname = kind, str(secret)
            archive.addfile(info)
        pipe = tarfile.TarInfo("pipe.txt")
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    there, skips = find_files(raw, ".txt")
    assert not there
    assert sorted(skip.kind for skip in skips) == ["no file"] * 3 + ["path climbs out"] * 5
    assert all("evil.tar" in skip.reason for skip in skips)


def test_an_archive_that_holds_itself_has_an_end(tmp_path):
    data = zipped({"one.txt": b"1"})
    for depth in range(5):
        data = zipped({f"{depth}.zip": data})
    (tmp_path / "raw.zip").write_bytes(data)
    there, skips = find_files(tmp_path, ".txt")
    assert not there and [skip.kind for skip in skips] == ["too deep"]


def test_a_promise_of_too_many_bytes_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "raw.tar").write_bytes(tarred({"one.txt": bytes(2000)}))
    monkeypatch.setattr(files, "LARGEST", 1000)
    (file,), _ = find_files(tmp_path, ".txt")
    with pytest.raises(HacmError, match=r"one\.txt has 2000 bytes, more than any skeleton file"):
        file.read()


def test_a_bomb_does_not_fill_the_disk(tmp_path, monkeypatch):
    (tmp_path / "raw.tar.gz").write_bytes(archived({"one.txt": bytes(5_000_000)}, ".tar.gz"))
    usage = shutil.disk_usage(tmp_path)._replace(free=4_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    there, (skip,) = find_files(tmp_path, ".txt")
    assert not there
    assert "half of the free space" in skip.reason and "TMPDIR" in skip.reason


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    aside = tmp_path / "aside"
    aside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(aside))
    (tmp_path / "raw.tar.gz").write_bytes(archived(CONTENTS, ".tar.gz"))
    assert found(tmp_path / "raw.tar.gz") == WANTED
    assert not list(aside.iterdir())


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_damaged_archives_are_reported(tmp_path, suffix):
    whole = archived(CONTENTS, suffix)
    for number, data in enumerate((b"", b"garbage" * 99, whole[: len(whole) // 2], whole[:20])):
        (tmp_path / f"{number}{suffix}").write_bytes(data)
    there, skips = find_files(tmp_path, ".txt")
    told = {skip.reason.removeprefix(f"{tmp_path}/")[0] for skip in skips}
    for file in there:  # the first members may be whole
        try:
            assert file.read() == WANTED[file.name]
        except HacmError:
            told.add(Path(str(file.path)).name[0])
    assert told == {"0", "1", "2", "3"}


def test_archives_that_need_other_programs_are_reported(tmp_path):
    for name in ("a.7z", "b.rar", "c.tar.zst"):
        (tmp_path / name).write_bytes(b"Rar!")
    _, skips = find_files(tmp_path, ".txt")
    assert sorted("unpack it first" in skip.reason for skip in skips) == [True] * 3


def test_a_changed_archive_is_opened_anew_and_changes_the_fingerprint(tmp_path):
    raw = tmp_path / "raw.zip"
    prints = []
    for text in (b"first", b"other"):
        raw.write_bytes(zipped({"one.txt": text}))
        prints.append(fingerprint(find_files(raw, ".txt")[0]))
        assert found(raw) == {"one.txt": text}
    assert prints[0] != prints[1]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_damage_is_a_sentence(data):
    suffix = data.draw(st.sampled_from(ARCHIVES))
    bytes_ = bytearray(archived({"a.zip": zipped(CONTENTS), **CONTENTS}, suffix))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 10_000)) % len(bytes_)  # the length may vary with the time
        junk = data.draw(st.binary(max_size=8))
        bytes_[at : at + len(junk)] = junk
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / f"raw{suffix}"
        raw.write_bytes(bytes_)
        there, skips = find_files(raw, ".txt")
        assert all("\n" not in skip.reason for skip in skips)
        for file in there:
            try:
                file.read()
            except HacmError as error:
                assert str(raw) in str(error)


def test_a_member_is_named_by_all_that_holds_it():
    file = RawFile(RawFile("raw.tar", "part.zip"), "a/one.txt")
    assert str(file) == "raw.tar/part.zip/a/one.txt" and file.name == "one.txt"
