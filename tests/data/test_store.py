"""The packed store: what was written comes back, and damaged files are named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stores import STICK, clip, write

from hacm.data.store import FRAMES, META, SEQUENCES, SequenceStore
from hacm.data.writer import StoreWriter
from hacm.errors import HacmError


@pytest.fixture
def store(tmp_path: Path) -> SequenceStore:
    return write(tmp_path / "store")


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
