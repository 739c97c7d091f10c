"""Writing a store: it is whole or absent, centred, and bad sequences are named."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_stores import STICK, clip, write

from hacm.data.store import SequenceStore
from hacm.data.writer import StoreWriter, center_on_origin
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2


@pytest.fixture
def store(tmp_path: Path) -> SequenceStore:
    return write(tmp_path / "store")


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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
        (clip(1, 4)[..., :1], ["(1, 4, 3, 1)", "(T, 3, 3)", "'stick'"]),
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
