"""Which NTU files are found and used: names, skip lists, zip files, splits."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from ntu_reference import person, skeleton_text

from hacm.data import ntu
from hacm.data.files import RawFile
from hacm.data.ntu import ntu_source, read_skip_list, sample_ids
from hacm.data.prepare import prepare
from hacm.data.store import SequenceStore
from hacm.errors import HacmError

NAME = "S001C002P003R002A013"
GOOD = skeleton_text([[("7", row)] for row in person(np.random.default_rng(0), 5)])


def write(folder: Path, name=NAME) -> Path:
    path = folder / f"{name}.skeleton"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(GOOD)
    return path


def test_names():
    for name in (
        f"{NAME}.skeleton",
        f"{NAME.lower()}.SKELETON",
        f"{NAME}_skel.skeleton",
        f"{NAME} (1).skeleton.txt",
        f"copy of {NAME}.skeleton",
    ):
        assert sample_ids(name) == (1, 2, 3, 2, 13), name
    wrong = [
        "S001C004P003R002A013",
        "S033C001P003R002A013",
        "S001C001P003R002A000",
        "x",
        f"{NAME}x",
    ]
    wrong += [
        "S001C001P107R002A013",
        "S001C001P001R003A013",
        "S001C001P001R001A121",
        f"{NAME}1",
        f"x{NAME}",
    ]
    assert [sample_ids(name) for name in wrong] == [None] * len(wrong)


def test_names_in_other_forms_give_the_owners_names(tmp_path):
    raw = tmp_path / "raw"
    for name in (
        f"{NAME}_skel.skeleton",
        "s001c001p001r001a001.skeleton",
        "S001C001P001R001A002 (1).SKELETON",
        "S001C001P001R001A003.skeleton.txt",
        "s001c001p001r001a003 (2).skeleton",
    ):
        write(raw, name.removesuffix(".skeleton"))
        (raw / f"{name.removesuffix('.skeleton')}.skeleton").rename(raw / name)
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfMissing\rs001c001p001r001a002.skeleton\r")
    source = ntu_source(raw, skip_list=tmp_path / "list.txt")
    assert sorted(skip.kind for skip in source.skips) == ["duplicate", "skip list"]
    prepare(source, tmp_path / "store")
    names = SequenceStore(tmp_path / "store").columns["name"].tolist()
    assert sorted(names) == ["S001C001P001R001A001", "S001C001P001R001A003", NAME]


def test_an_archive_that_cannot_be_read_is_said(tmp_path):
    (tmp_path / "raw.zip").write_bytes(b"garbage")
    with pytest.raises(
        HacmError, match=r"no usable .*raw\.zip cannot be read as a zip or tar file"
    ):
        ntu_source(tmp_path / "raw.zip")


def test_which_benchmark(tmp_path):
    write(tmp_path / "sixty")
    assert ntu_source(tmp_path / "sixty").title == "NTU RGB+D 60"
    write(tmp_path / "more", "S018C001P008R001A061")
    write(tmp_path / "more", "S001C001P001R001A060")
    source = ntu_source(tmp_path / "more")
    assert source.title == "NTU RGB+D 120"
    assert len(source.label_names) == 120 and set(source.splits) == {"xsub", "xset"}
    forced = ntu_source(tmp_path / "more", classes=60)
    assert forced.count == 1
    assert [(skip.kind, skip.wanted) for skip in forced.skips] == [("other set", True)]
    forced = ntu_source(tmp_path / "sixty", classes=120)
    assert len(forced.label_names) == 120


def test_splits_are_the_published_ones():
    performers = ntu.XSUB_120
    assert len(ntu.XSUB_60) == 20 and len(performers) == len(set(performers)) == 53
    assert sum(ntu.PUBLISHED[60]["xsub"]) == sum(ntu.PUBLISHED[60]["xview"]) == 56_578
    assert sum(ntu.PUBLISHED[120]["xsub"]) == sum(ntu.PUBLISHED[120]["xset"]) == 113_945


def test_split_sides(tmp_path):
    for setup, camera, subject in [(1, 1, 1), (2, 2, 3), (32, 3, 103), (31, 1, 106)]:
        write(tmp_path / "raw", f"S{setup:03}C{camera:03}P{subject:03}R001A001")
    prepare(ntu_source(tmp_path / "raw"), tmp_path / "store")
    store = SequenceStore(tmp_path / "store")
    subjects, setups = store.columns["subject"], store.columns["setup"]
    assert sorted(subjects[store.split("xsub")[0]]) == [1, 103]
    assert sorted(setups[store.split("xset")[0]]) == [2, 32]


def test_skip_list(tmp_path):
    write(tmp_path / "raw")
    write(tmp_path / "raw", "S001C001P001R001A001")
    listed = tmp_path / "missing.txt"
    listed.write_text(f"The following skeletons are missing\n\n{NAME}\nS001C001P001R001A059\n")
    assert read_skip_list(listed) == {NAME, "S001C001P001R001A059"}
    source = ntu_source(tmp_path / "raw", skip_list=listed)
    assert source.count == 1 and [skip.kind for skip in source.skips] == ["skip list"]
    prepare(source, tmp_path / "store", strict=True)
    for text in ("", "no names here"):
        listed.write_text(text)
        with pytest.raises(HacmError, match="names no sample"):
            read_skip_list(listed)
    with pytest.raises(HacmError, match="cannot be read"):
        read_skip_list(tmp_path / "none.txt")


def test_wrong_names_duplicates_and_unreadable_files_are_reported(tmp_path):
    raw = tmp_path / "raw"
    write(raw / "a")
    write(raw / "b")
    write(raw, "my own recording")
    (raw / "S001C001P001R001A002.skeleton").mkdir()
    (raw / "S001C001P001R001A003.skeleton").symlink_to(raw / "nowhere")
    (raw / "notes.txt").write_text("other files are no business of ours")
    report = prepare(ntu_source(raw), tmp_path / "store")
    assert len(SequenceStore(tmp_path / "store")) == 1
    reasons = sorted(skip.reason for skip in report.skips)
    assert len(reasons) == 4
    assert "A002.skeleton cannot be read" in reasons[0]
    assert "A003.skeleton cannot be read" in reasons[1]
    assert "occurs twice" in reasons[2]
    assert "expected a name like" in reasons[3]


def test_a_file_without_permission_is_reported(tmp_path, monkeypatch):
    write(tmp_path)

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(HacmError, match="Permission denied"):
        prepare(ntu_source(tmp_path), tmp_path / "store")


def test_nothing_to_read(tmp_path):
    with pytest.raises(HacmError, match="does not exist"):
        ntu_source(tmp_path / "none")
    with pytest.raises(HacmError, match="no usable"):
        ntu_source(tmp_path)
    write(tmp_path, "odd name")
    with pytest.raises(HacmError, match="expected a name like"):
        ntu_source(tmp_path)


def test_zip_files_are_read_without_unpacking(tmp_path):
    raw = tmp_path / "raw"
    write(raw)
    with zipfile.ZipFile(raw / "more.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("nturgb+d_skeletons/S001C001P001R001A001.skeleton", GOOD)
        archive.writestr("nturgb+d_skeletons/S001C001P001R001A002.skeleton", b"")
        archive.writestr("../../S001C001P001R001A003.skeleton", GOOD)
        archive.writestr("/etc/S001C001P001R001A004.skeleton", GOOD)
        archive.writestr("..\\S001C001P001R001A005.skeleton", GOOD)
    report = prepare(ntu_source(raw), tmp_path / "store")
    store = SequenceStore(tmp_path / "store")
    assert sorted(store.columns["name"]) == ["S001C001P001R001A001", NAME]
    assert sorted(skip.kind for skip in report.skips) == ["damaged"] + ["path climbs out"] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "store"]
    alone = prepare(ntu_source(raw / "more.zip"), tmp_path / "alone")
    assert alone.sequences == 1


def test_damaged_zip_files_are_reported(tmp_path):
    raw = tmp_path / "raw"
    write(raw)
    (raw / "garbage.zip").write_bytes(b"PK garbage")
    with zipfile.ZipFile(raw / "cut.zip", "w") as archive:
        archive.writestr("S001C001P001R001A001.skeleton", GOOD)
    data = bytearray((raw / "cut.zip").read_bytes())
    data[1000:1010] = b"##########"
    (raw / "cut.zip").write_bytes(data)
    report = prepare(ntu_source(raw), tmp_path / "store")
    assert report.sequences == 1
    assert sorted(skip.kind for skip in report.skips) == ["damaged", "unreadable"]
    assert any("Bad CRC-32" in skip.reason for skip in report.skips)


def test_files_larger_than_any_skeleton_are_not_opened():
    with pytest.raises(HacmError, match="more than any skeleton file"):
        RawFile("huge.skeleton", size=1 << 40).read()
