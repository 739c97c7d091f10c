"""The packed store: what is written comes back, a store is whole or absent, bad input is named."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacm.data.store import FRAMES, META, SEQUENCES, SequenceStore
from hacm.data.writer import StoreWriter, center_on_origin
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2, SkeletonLayout

STICK = SkeletonLayout.from_parents("stick", ["base", "mid", "tip"], [-1, 0, 1], trunk=["base"])


def clip(bodies: int, frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(bodies, frames, 3, 3)).astype(np.float32)


def write(path: Path, **options) -> SequenceStore:
    """Three sequences: 1 body x 4 frames, 2 x 3, 1 x 1."""
    arrays = [clip(1, 4), clip(2, 3, 1), clip(1, 1, 2)]
    columns = {"name": ["a", "b", "c"], "subject": [1, 2, 3], "side": ["left", "right", "left"]}
    options = {"label_names": ["sit", "stand"], "center": False, **columns, **options}
    return SequenceStore.from_arrays(arrays, [0, 1, 1], STICK, path=path, **options)


@pytest.fixture
def store(tmp_path: Path) -> SequenceStore:
    return write(tmp_path / "store")


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# What is written comes back.


@settings(max_examples=25, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), min_size=1, max_size=12),
    seed=st.integers(0, 99),
)
def test_round_trip(tmp_path_factory, shapes, seed) -> None:
    arrays = [clip(*shape, seed + i) for i, shape in enumerate(shapes)]
    labels = [i % 3 for i in range(len(arrays))]
    path = tmp_path_factory.mktemp("round") / "store"
    store = SequenceStore.from_arrays(
        arrays, labels, STICK, path=path, center=False, label_names=["x", "y", "z"]
    )
    assert len(store) == len(arrays)
    assert store.labels.tolist() == labels
    for i, array in enumerate(arrays):
        assert np.array_equal(store[i], array)
    assert np.array_equal(store[-1], arrays[-1])
    assert store.layout == STICK
    assert store.frames.shape[0] == sum(bodies * frames for bodies, frames in shapes)


def test_columns_keep_their_type(store: SequenceStore) -> None:
    assert store.columns["subject"].dtype.kind == "i"
    assert store.columns["side"].tolist() == ["left", "right", "left"]
    assert store.columns["name"].tolist() == ["a", "b", "c"]
    assert store.label_names == ["sit", "stand"]
    assert store.meta["units"] == "metres"


def test_names_of_digits_stay_text(tmp_path: Path) -> None:
    store = write(tmp_path / "digits", name=["001", "01", "1"])
    assert store.columns["name"].tolist() == ["001", "01", "1"]


def test_awkward_text_survives(tmp_path: Path) -> None:
    names = ['quote " and, comma', "line\nbreak", "Übung ø 跳"]
    store = write(tmp_path / "awkward", name=names)
    assert store.columns["name"].tolist() == names


def test_one_body_may_come_without_its_axis(tmp_path: Path) -> None:
    one = clip(1, 5)
    store = SequenceStore.from_arrays([one[0]], [0], STICK, path=tmp_path / "s", center=False)
    assert np.array_equal(store[0], one)


def test_half_precision(tmp_path: Path) -> None:
    one = clip(1, 5)
    with StoreWriter(tmp_path / "s", STICK, ["x"], dtype="float16", center=False) as writer:
        writer.add(one, name="a", label=0)
    store = SequenceStore(tmp_path / "s")
    assert store.frames.dtype == np.float16
    assert store[0].dtype == np.float32
    np.testing.assert_allclose(store[0], one, rtol=1e-3)
    with pytest.raises(HacmError, match="float32 or float16, not int16"):
        StoreWriter(tmp_path / "t", STICK, ["x"], dtype="int16")


def test_frames_are_mapped_and_cannot_be_changed(store: SequenceStore) -> None:
    assert isinstance(store.frames, np.memmap)
    before = (store.path / FRAMES).read_bytes()
    store.frames[:] = 7
    assert (store.path / FRAMES).read_bytes() == before
    store.verify()


def test_splits_travel_with_the_store(tmp_path: Path) -> None:
    store = write(tmp_path / "s", splits={"xsub": {"column": "subject", "train": [1, 3]}})
    assert [ids.tolist() for ids in store.split("xsub")] == [[0, 2], [1]]
    assert [ids.tolist() for ids in store.split("side:right")] == [[1], [0, 2]]


def test_the_checksum_identifies_the_contents(tmp_path: Path) -> None:
    first, again = write(tmp_path / "1"), write(tmp_path / "2")
    assert first.checksum == again.checksum
    assert first.checksum != write(tmp_path / "3", center=True).checksum
    assert first.checksum != write(tmp_path / "4", subject=[1, 2, 4]).checksum


# Centring.


def test_centring_moves_everyone_by_body_0_s_first_frame() -> None:
    joints = np.random.default_rng(0).normal(size=(2, 6, KINECT_V2.V, 3))
    joints[0, :2] = 0  # body 0 comes in frame 2
    joints[1, 4] = 0
    moved = center_on_origin(joints, KINECT_V2)
    origin = joints[0, 2, KINECT_V2.joints.index("spine_mid")]
    for body in range(2):
        for frame in range(6):
            missing = (body == 0 and frame < 2) or (body == 1 and frame == 4)
            expected = np.zeros((KINECT_V2.V, 3)) if missing else joints[body, frame] - origin
            np.testing.assert_allclose(moved[body, frame], expected)


def test_a_sequence_without_body_0_is_left_alone() -> None:
    joints = clip(2, 4)
    joints[0] = 0
    assert np.array_equal(center_on_origin(joints, STICK), joints)


def test_the_store_is_centred_by_default(tmp_path: Path) -> None:
    store = SequenceStore.from_arrays([clip(1, 4) + 100], [0], STICK, path=tmp_path / "s")
    assert (store[0][0, 0, STICK.origin] == 0).all()


# Whole or absent.

KILLED = """
import sys, time
import numpy as np
from hacm.data import writer
from hacm.skeleton import COCO17

def stop(*_):
    print("ready", flush=True)
    time.sleep(60)

if sys.argv[2] != "adding":
    setattr(writer, sys.argv[2], stop)
with writer.StoreWriter(sys.argv[1], COCO17, ["x"], overwrite=sys.argv[3] == "overwrite") as out:
    for i in range(50):
        out.add(np.ones((1, 40, COCO17.V, 3)), name=str(i), label=0)
    if sys.argv[2] == "adding":
        stop()
"""


def write_and_kill(path: Path, at: str, mode: str = "new") -> None:
    """Start a process that writes a store and kill it, without mercy, at some point."""
    command = [sys.executable, "-c", KILLED, str(path), at, mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("at", ["adding", "file_sha256"])
def test_a_killed_writer_leaves_no_store(tmp_path: Path, at: str) -> None:
    path = tmp_path / "store"
    write_and_kill(path, at)
    assert not path.exists()
    with pytest.raises(HacmError, match="is not a store"):
        SequenceStore(path)
    assert len(write(path)) == 3  # and does not stand in the way of the next
    assert leftovers(tmp_path) == ["store"]


def test_a_killed_writer_leaves_the_old_store(tmp_path: Path) -> None:
    checksum = write(tmp_path / "store").checksum
    write_and_kill(tmp_path / "store", "file_sha256", "overwrite")
    assert SequenceStore(tmp_path / "store", verify=True).checksum == checksum


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="midway"),
        StoreWriter(tmp_path / "store", STICK, ["x"]) as writer,
    ):
        writer.add(clip(1, 4), name="a", label=0)
        raise RuntimeError("midway")
    assert leftovers(tmp_path) == []


def test_an_existing_store_is_kept_unless_told(tmp_path: Path, store: SequenceStore) -> None:
    with pytest.raises(HacmError, match=f"{re.escape(str(store.path))} exists"):
        write(store.path)
    with StoreWriter(store.path, STICK, ["x"], overwrite=True) as writer:
        writer.add(clip(1, 2), name="new", label=0)
    assert SequenceStore(store.path, verify=True).columns["name"].tolist() == ["new"]
    assert leftovers(tmp_path) == ["store"]


def test_a_failed_overwrite_keeps_the_old_store(tmp_path: Path, store: SequenceStore) -> None:
    with (
        pytest.raises(HacmError),
        StoreWriter(store.path, STICK, ["x"], overwrite=True) as writer,
    ):
        writer.add(clip(1, 2), name="new", label=4)
    assert SequenceStore(store.path, verify=True).checksum == store.checksum
    assert leftovers(tmp_path) == ["store"]


def test_only_a_store_is_ever_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with (
        pytest.raises(HacmError, match=r"thesis.* not a store"),
        StoreWriter(tmp_path / "thesis", STICK, ["x"], overwrite=True) as writer,
    ):
        writer.add(clip(1, 2), name="new", label=0)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"


# Bad sequences are named.


def bad_coordinate(value: float) -> np.ndarray:
    joints = clip(2, 5)
    joints[1, 3, 2, 0] = value
    return joints


@pytest.mark.parametrize(
    ("joints", "words"),
    [
        (clip(1, 4)[..., :2], ["(1, 4, 3, 2)", "(T, 3, 3)", "'stick'"]),
        (clip(1, 4)[:, :, :2], ["(1, 4, 2, 3)", "'stick'"]),
        (np.zeros((3, 3)), ["(3, 3)"]),
        (np.zeros((1, 1, 4, 3, 3)), ["(1, 1, 4, 3, 3)"]),
        (np.zeros((1, 0, 3, 3)), ["empty"]),
        (np.zeros((0, 4, 3, 3)), ["empty"]),
        (bad_coordinate(np.nan), ["body 1", "frame 3", "'tip'", "NaN"]),
        (bad_coordinate(np.inf), ["body 1", "frame 3", "'tip'", "infinite"]),
        (bad_coordinate(1).astype(str), ["numbers", "<U"]),
        (np.full((1, 2, 3, 3), None), ["numbers", "object"]),
        (clip(1, 2) + 1j, ["numbers", "complex"]),
    ],
)
def test_bad_arrays(tmp_path: Path, joints, words) -> None:
    with pytest.raises(HacmError) as caught:
        SequenceStore.from_arrays(
            [clip(1, 2), joints], [0, 0], STICK, path=tmp_path / "s", name=["fine", "broken"]
        )
    for word in ["'broken'", *words]:
        assert word in str(caught.value)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("label", [-1, 2, 2**40])
def test_labels_out_of_range(tmp_path: Path, label: int) -> None:
    with (
        pytest.raises(HacmError, match=rf"'a': label {label} is not in 0\.\.1"),
        StoreWriter(tmp_path / "s", STICK, ["x", "y"]) as writer,
    ):
        writer.add(clip(1, 2), name="a", label=label)


def test_names_twice(tmp_path: Path) -> None:
    with pytest.raises(HacmError, match="'b' occurs twice"):
        write(tmp_path / "s", name=["a", "b", "b"])


def test_columns_must_agree(tmp_path: Path) -> None:
    with (
        pytest.raises(HacmError, match=r"'b': columns .*expected .*subject"),
        StoreWriter(tmp_path / "s", STICK, ["x"]) as writer,
    ):
        writer.add(clip(1, 2), name="a", label=0, subject=1)
        writer.add(clip(1, 2), name="b", label=0, camera=1)


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(HacmError, match="no sequence was added to"):
        SequenceStore.from_arrays([], [], STICK, path=tmp_path / "s")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("arrays", "labels", "columns", "sentence"),
    [
        (2, 1, {}, "more arrays than labels"),
        (1, 2, {}, "1 arrays but 2 labels"),
        (2, 2, {"subject": [1]}, "2 labels, but column 'subject' has 1"),
        (2, 2, {"name": ["a"]}, "2 labels, but column 'name' has 1"),
    ],
)
def test_counts_must_agree(tmp_path: Path, arrays, labels, columns, sentence) -> None:
    clips = (clip(1, 2, i) for i in range(arrays))
    with pytest.raises(HacmError, match=sentence):
        SequenceStore.from_arrays(clips, [0] * labels, STICK, path=tmp_path / "s", **columns)
    assert leftovers(tmp_path) == []


# Damaged files are named.


@pytest.mark.parametrize("file", [FRAMES, SEQUENCES, META])
def test_missing_files(store: SequenceStore, file: str) -> None:
    (store.path / file).unlink()
    with pytest.raises(HacmError, match=f"{store.path} is not a store: {file} is missing"):
        SequenceStore(store.path)


@pytest.mark.parametrize("file", [FRAMES, SEQUENCES, META])
@pytest.mark.parametrize(
    "rubbish", [b"", b"rubbish", bytes(range(256)), b"PK\x03\x04", b"[]", b"{}"]
)
def test_rubbish_instead_of_a_file(store: SequenceStore, file: str, rubbish: bytes) -> None:
    (store.path / file).write_bytes(rubbish)
    with pytest.raises(HacmError, match=re.escape(str(store.path / file))):
        SequenceStore(store.path)


@pytest.mark.parametrize("file", [FRAMES, SEQUENCES])
def test_cut_off_files(store: SequenceStore, file: str) -> None:
    whole = (store.path / file).read_bytes()
    (store.path / file).write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(HacmError, match=re.escape(str(store.path / file))):
        SequenceStore(store.path)


def test_a_flipped_bit_is_found_by_verify(store: SequenceStore) -> None:
    data = bytearray((store.path / FRAMES).read_bytes())
    data[-5] ^= 1
    (store.path / FRAMES).write_bytes(data)
    SequenceStore(store.path)
    with pytest.raises(HacmError, match=f"{FRAMES} has changed"):
        SequenceStore(store.path, verify=True)


def replace_frames(store: SequenceStore, array: np.ndarray, **options) -> None:
    with (store.path / FRAMES).open("wb") as file:
        np.save(file, array, **options)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((11, 4, 3)),
        np.zeros((11, 3)),
        np.zeros((11, 3, 3), dtype=np.int32),
        np.array(0.0),
        np.zeros((11, 3, 3), dtype=[("x", "f4")]),
    ],
    ids=["joints", "axes", "integers", "scalar", "records"],
)
def test_frames_that_do_not_fit(store: SequenceStore, array: np.ndarray) -> None:
    replace_frames(store, array)
    with pytest.raises(HacmError, match=rf"{FRAMES}: expected floats of shape \(F, 3, 3\)"):
        SequenceStore(store.path)


def test_pickled_frames_are_refused(store: SequenceStore) -> None:
    replace_frames(store, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(HacmError, match=FRAMES):
        SequenceStore(store.path)


def test_an_archive_of_arrays_is_not_frames(store: SequenceStore) -> None:
    with (store.path / FRAMES).open("wb") as file:
        np.savez(file, frames=np.zeros((11, 3, 3)))
    with pytest.raises(HacmError, match=FRAMES):
        SequenceStore(store.path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name,", "title,", ["'name' is missing"]),
        ("bodies", "persons", ["'bodies' is missing"]),
        ("c,1,3,left,10,1,1", "c,1,3,left,11,1,1", ["'c'", "points outside"]),
        ("b,1,2,right,4,2,3", "b,1,2,right,-4,2,3", ["'b'", "points outside"]),
        ("b,1,2,right,4,2,3", "b,1,2,right,4,0,3", ["'b'", "points outside"]),
        ("b,1,2,right,4,2,3", "b,1,2,right,4,2,0", ["'b'", "points outside"]),
        ("b,1,2,right,4,2,3", "b,1,2,right,4,2,three", ["'frames'", "whole numbers"]),
        ("b,1,2,right,4,2,3", "b,1,2,right,4,2", ["line 3", "7 values"]),
        ("b,1,2,right,4,2,3", "b,7,2,right,4,2,3", ["'b'", "label 7", "0..1"]),
        ("b,1,2,right,4,2,3", "b,-1,2,right,4,2,3", ["'b'", "label -1"]),
        ("b,1,2,right,4,2,3", "b,1,2,right,4,2," + "9" * 30, ["'frames'", "whole numbers"]),
    ],
)
def test_tables_that_do_not_fit(store: SequenceStore, old, new, words) -> None:
    table = (store.path / SEQUENCES).read_text()
    assert old in table
    (store.path / SEQUENCES).write_text(table.replace(old, new))
    with pytest.raises(HacmError) as caught:
        SequenceStore(store.path)
    for word in [str(store.path / SEQUENCES), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": "other-1"}, "hacm-store-1"),
        ({"layout": None}, "layout"),
        ({"layout": {"name": "x"}}, "layout"),
        ({"label_names": ...}, "'label_names' is missing"),
        ({"sha256": ...}, "'sha256' is missing"),
        ({"label_names": ["only one"]}, "label 1, expected 0..0"),
    ],
)
def test_meta_that_does_not_fit(store: SequenceStore, change, word) -> None:
    meta = json.loads((store.path / META).read_text()) | change
    meta = {key: value for key, value in meta.items() if value is not ...}
    (store.path / META).write_text(json.dumps(meta))
    with pytest.raises(HacmError) as caught:
        SequenceStore(store.path)
    assert word in str(caught.value)
    assert str(store.path) in str(caught.value)


def test_sequence_numbers_out_of_range(store: SequenceStore) -> None:
    for index in (3, -4):
        with pytest.raises(IndexError, match="3 sequences"):
            store[index]
