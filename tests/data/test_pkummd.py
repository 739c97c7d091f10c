"""PKU-MMD: clips cut from videos by label files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacm.data.pkummd import parse_labels, parse_video, pkummd_source
from hacm.data.prepare import prepare
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

V = KINECT_V2.V


def video(frames=60, bodies=2, seed=0):
    """(frames, 150) with the frame's number as the first coordinate."""
    values = np.round(np.random.default_rng(seed).normal(size=(frames, 2, V, 3)), 6)
    values[:, 0, 0, 0] = np.arange(frames)
    values[:, bodies:] = 0
    return values.reshape(frames, -1)


def text(values) -> bytes:
    return "\n".join(" ".join(f"{x:.6f}" for x in row) for row in values).encode() + b"\n"


def write(raw: Path, labels: dict[str, bytes], phase=2, frames=60, bodies=2) -> Path:
    (raw / "skeleton").mkdir(parents=True)
    (raw / "label").mkdir()
    for i, (name, label) in enumerate(labels.items()):
        (raw / "skeleton" / f"{name}.txt").write_bytes(text(video(frames, bodies, seed=i)))
        (raw / "label" / f"{name}.txt").write_bytes(label)
    first, *rest = labels
    files = ["cross_subject_v2.txt", "cross_view_v2.txt"]
    if phase == 1:
        files = ["cross-subject.txt", "cross-view.txt"]
    for file in files if rest else []:  # a single video would leave a side empty
        (raw / file).write_text(
            f"Training videos\n{first}, A99N99-M\nValidation\n{','.join(rest)}\n"
        )
    return raw


def faults(report) -> list[str]:
    return [skip.reason for skip in report.skips if skip.kind != "split file"]


def prepared(raw, tmp_path, phase=2, **options):
    report = prepare(pkummd_source(raw, phase), tmp_path / "store", **options)
    return report, SequenceStore(tmp_path / "store", verify=True)


def test_each_label_line_is_a_sequence(tmp_path):
    raw = write(tmp_path, {"A01N01-L": b"51,0,10,2\r\n1,10,25,1\r\n", "A01N02-R": b"7,30,60,2"})
    report, store = prepared(raw, tmp_path)
    assert not report.skips
    assert store.labels.tolist() == [50, 0, 6]
    assert store.columns["frames"].tolist() == [10, 15, 30]
    assert store.columns["video"].tolist() == ["A01N01-L", "A01N01-L", "A01N02-R"]
    assert store.columns["view"].tolist() == ["L", "L", "R"]
    np.testing.assert_array_equal(store[1][0, :, 0, 0], np.arange(10, 25))  # and not centred
    expected = video().reshape(60, 2, V, 3)[10:25].transpose(1, 0, 2, 3)
    np.testing.assert_array_equal(store[1], expected.astype(np.float32))
    assert [ids.tolist() for ids in store.split("xsub")] == [[0, 1], [2]]
    assert (store.label_names[0], store.label_names[50]) == ("bow", "writing")


def test_phase_one_and_centring(tmp_path):
    raw = write(tmp_path, {"0002-L": b"1,5,25,2\n", "0003-M": b"2,5,25,2\n"}, phase=1, bodies=1)
    _, store = prepared(raw, tmp_path, phase=1, center=True)
    assert store.columns["bodies"].tolist() == [1, 1]
    assert (store[0][0, 0, KINECT_V2.origin] == 0).all()
    assert set(store.splits) == {"xsub", "xview"}
    with pytest.raises(HacmError, match="phases 1 and 2"):
        pkummd_source(raw, 3)


def test_the_real_video(shared_data, tmp_path):
    raw = write(tmp_path, {"A10N08-L": b"3,100,150,1\n4,1000,1100,1\n5,2000,2001,1\n"})
    real = (shared_data / "raw" / "PKUMMD_A10N08-L.txt").read_bytes()
    (raw / "skeleton" / "A10N08-L.txt").write_bytes(real)
    table = np.loadtxt(shared_data / "raw" / "PKUMMD_A10N08-L.txt", dtype=np.float32)
    report, store = prepared(raw, tmp_path)
    expected = table[100:150].reshape(50, 2, V, 3).transpose(1, 0, 2, 3)
    np.testing.assert_array_equal(store[0], expected[: len(store[0])])
    assert not expected[len(store[0]) :].any()
    assert store.columns["frames"].tolist() == [50, 40]
    assert report.counts["clips cut at the video's end"] == 1
    assert len(faults(report)) == 1 and "no body" in faults(report)[0]


def test_clips_of_zeros_are_dropped_and_a_missing_body_is_none(tmp_path):
    raw = write(tmp_path, {"A01N01-L": b"1,0,10,2\n2,10,20,2\n3,20,30,2\n"})
    values = video(30)
    values[:10] = 0
    values[10:20, V * 3 :] = 0
    (raw / "skeleton" / "A01N01-L.txt").write_bytes(text(values))
    report, store = prepared(raw, tmp_path)
    assert store.columns["bodies"].tolist() == [1, 2]
    assert "line 1: no body in frames 0 to 9" in faults(report)[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"0,1,5,2", "class 0 is not in 1..51"),
        (b"52,1,5,2", "class 52 is not in 1..51"),
        (b"1,5,5,2", "frames 5 to 5 are no interval"),
        (b"1,-1,5,2", "frames -1 to 5 are no interval"),
        (b"1,5", "expected class, start, end, confidence, found 2 values"),
        (b"1,5,9,2,0,0", "expected class, start, end, confidence, found 6 values"),
        (b"1,,5,9", "expected a number, found '(empty)'"),
        (b";1;5;9", "expected a number, found '(empty)'"),
        (b"1.5,1,5,2", "class, start and end should be whole numbers"),
        (b"1,5 7,5 9,5 2", "class, start and end should be whole numbers"),
        (b"nothing", "expected class, start, end, confidence, found 1 values"),
        (b"1,5,2", "frames 5 to 2 are no interval"),
        (b"1,x,5,2", "expected a number, found 'x'"),
        (b"nan,1,5,2", "'nan' is not a finite"),
        (b"\xff", "expected class, start, end, confidence"),
    ],
)
def test_a_bad_label_line_costs_its_clip_only(tmp_path, line, message):
    raw = write(tmp_path, {"A01N01-L": b"1,0,10,2\n" + line + b"\n2,10,20,2\n"})
    report, store = prepared(raw, tmp_path)
    assert store.labels.tolist() == [0, 1]
    assert "A01N01-L.txt, line 2: " in faults(report)[0]
    assert message in faults(report)[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-20], "line 60: expected 150 values, found"),
        (lambda data: data.replace(b"7.000000", b"seven", 1), "line 8: expected a number"),
        (lambda data: data.replace(b"7.000000", b"inf", 1), "line 8: 'inf' is not a finite"),
        (lambda data: b"\x01" + data, "line 1: expected a number"),
        (lambda data: b"1 2 3\n" + data, "line 1: expected 75 or 150 values, found 3"),
        (lambda data: data.replace(b"7.000000", b"7.0\x0000", 1), "line 8: expected text, found"),
        (lambda data: b"", "no body in frames"),
    ],
)
def test_a_bad_video_costs_its_clips_only(tmp_path, damage, message):
    raw = write(tmp_path, {"A01N01-L": b"1,0,10,2\n", "A01N02-L": b"1,0,10,2\n"})
    file = raw / "skeleton" / "A01N01-L.txt"
    file.write_bytes(damage(file.read_bytes()))
    report, store = prepared(raw, tmp_path)
    assert len(store) == 1
    assert message in faults(report)[0]


def test_files_without_partner_and_split_files(tmp_path):
    raw = write(tmp_path, {f"A01N0{i}-L": b"1,0,10,2\n" for i in (1, 2, 3)})
    (raw / "label" / "A01N02-L.txt").rename(raw / "label" / "A09N09-L.txt")
    (raw / "cross_view_v2.txt").unlink()
    report, store = prepared(raw, tmp_path)
    assert len(store) == 2 and set(store.splits) == {"xsub"}
    assert sorted(skip.kind for skip in report.skips) == ["split file"] + ["without partner"] * 2
    for i in (1, 3):
        (raw / "label" / f"A01N0{i}-L.txt").unlink()
    with pytest.raises(HacmError, match="of the same name"):
        pkummd_source(raw, 2)
    with pytest.raises(HacmError, match="does not exist"):
        pkummd_source(tmp_path / "nowhere", 1)


LABELS = {"A01N01-L": b"51,0,10,2\n1,10,25,1\n", "A01N02-R": b"7,30,60,2\n"}


def sequences(raw, tmp_path, name="other") -> dict[str, bytes]:
    """Everything about the sequences that are in the store."""
    prepare(pkummd_source(raw, 2), tmp_path / name, strict=True)
    store = SequenceStore(tmp_path / name)
    table = [store.columns[c].tolist() for c in ("name", "label", "view", "frames", "bodies")]
    sides = [ids.tolist() for split in ("xsub", "xview") for ids in store.split(split)]
    return {"joints": store.frames.tobytes(), "table": repr(table + sides).encode()}


def plain(tmp_path) -> dict[str, bytes]:
    return sequences(write(tmp_path / "plain", LABELS), tmp_path, "expected")


@pytest.mark.parametrize(
    ("folder", "change"),
    [
        ("label", lambda data: data.replace(b",", b";")),
        ("label", lambda data: data.replace(b",", b" ")),
        ("label", lambda data: data.replace(b",", b"\t")),
        ("label", lambda data: data.replace(b",", b" , ")),
        ("label", lambda data: data.replace(b"2\n", b"0,9;\n").replace(b",", b";", 3)),
        ("label", lambda data: data.replace(b",2\n", b"\n").replace(b",1\n", b"\n")),
        ("label", lambda data: data.replace(b"\n", b",17\n")),
        ("label", lambda data: data.replace(b"\n", b",,\n")),
        ("label", lambda data: data.replace(b",", b".0,")),
        ("label", lambda data: b"class,start,end,confidence\n" + data),
        ("label", lambda data: data.replace(b"\n", b"\r")),
        ("label", lambda data: data.decode().encode("utf-16")),
        ("skeleton", lambda data: data.replace(b".", b",")),
        ("skeleton", lambda data: data.replace(b" ", b"\t")),
        ("skeleton", lambda data: data.replace(b" ", b",")),
        ("skeleton", lambda data: data.replace(b".", b",").replace(b" ", b"; ")),
        ("skeleton", lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")),
        ("skeleton", lambda data: data.decode().encode("utf-16-be")),
    ],
)
def test_text_in_other_forms_gives_the_same_store(tmp_path, folder, change):
    raw = write(tmp_path / "raw", LABELS)
    for file in (raw / folder).iterdir():
        file.write_bytes(change(file.read_bytes()))
    assert sequences(raw, tmp_path) == plain(tmp_path)


def rename_folders(raw):
    (raw / "skeleton").rename(raw / "SKELETON")
    (raw / "label").rename(raw / "Train_Label_PKU_final")


def rename_files(raw):
    for file in (raw / "label").iterdir():
        file.rename(raw / "label" / f"{file.stem.lower()}.CSV")


def move_deeper(raw):
    (raw / "Data").mkdir()
    (raw / "Split").mkdir()
    (raw / "skeleton").rename(raw / "Data" / "skeleton")
    for file in raw.glob("*.txt"):
        file.rename(raw / "Split" / file.name.replace("_", "-").upper())


def pack(raw):
    for folder in ("skeleton", "label"):
        shutil.make_archive(str(raw / folder), "zip" if folder == "label" else "gztar", raw, folder)
        shutil.rmtree(raw / folder)


@pytest.mark.parametrize("change", [rename_folders, rename_files, move_deeper, pack])
def test_other_folders_and_names_give_the_same_store(tmp_path, change):
    raw = write(tmp_path / "raw", LABELS)
    change(raw)
    assert sequences(raw, tmp_path) == plain(tmp_path)


def test_all_of_it_in_one_archive(tmp_path):
    raw = write(tmp_path / "raw", LABELS)
    archive = shutil.make_archive(str(tmp_path / "all"), "zip", raw)
    assert sequences(Path(archive), tmp_path) == plain(tmp_path)


def test_one_body_a_line(tmp_path):
    raw = write(tmp_path / "raw", LABELS, bodies=1)
    expected = sequences(raw, tmp_path, "expected")
    for file in (raw / "skeleton").iterdir():
        lines = file.read_bytes().splitlines()
        file.write_bytes(b"\n".join(b" ".join(line.split()[: V * 3]) for line in lines))
    assert sequences(raw, tmp_path) == expected


def test_a_split_file_may_spell_the_names_otherwise(tmp_path):
    raw = write(tmp_path / "raw", LABELS)
    (raw / "cross_view_v2.txt").write_text("training\na01n01-l.txt\nvalidation\na01n02-r.txt\n")
    assert sequences(raw, tmp_path) == plain(tmp_path)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            "Training\n0002-L,0003-M\nValidation\n0004-R",
            "split 'xsub' leaves no training sequence: it trains on 0002-L, 0003-M, and 'video' "
            "holds A01N01-L, A01N02-R; correct the file, or remove it",
        ),
        ("Training\nA01N01-L,A01N02-R", "split 'xsub' leaves no test sequence"),
        ("Training\nA01N01-L\nTest\na01n01-l", "'A01N01-L' is listed as a training video and as"),
        ("Training videos", "expected the training videos"),
        ("1\0002-L", "line 1: expected text, found binary data"),
    ],
)
def test_bad_split_files_are_errors_before_anything_is_written(tmp_path, lists, message):
    raw = write(tmp_path / "raw", LABELS)
    (raw / "cross_subject_v2.txt").write_text(lists)
    with pytest.raises(HacmError, match=message) as error:
        pkummd_source(raw, 2)
    assert "cross_subject_v2.txt" in str(error.value)


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text("0123456789,.-\r\n ne", max_size=60).map(str.encode))
def test_garbage_is_a_sentence(data):
    try:
        parse_labels(data, "label", [])
        parse_video(data)
    except HacmError as error:
        assert "\n" not in str(error)
