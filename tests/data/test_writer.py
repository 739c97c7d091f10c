"""Interrupted writers go on where they were; full disks leave nothing behind."""

import errno
import os

import numpy as np
import pytest

from hacm.data.store import SequenceStore
from hacm.data.writer import StoreWriter, WriteError
from hacm.errors import HacmError
from hacm.skeleton import SkeletonLayout

STICK = SkeletonLayout.from_parents("stick", ["root", "middle", "tip"], [-1, 0, 1])


def clip(i, frames=4):
    return np.random.default_rng(i).normal(size=(1 + i % 2, frames, STICK.V, 3))


def writer_for(path, **options):
    return StoreWriter(path, STICK, ["x", "y"], **{"resume": "source 1", **options})


def fill(writer, items, stop_at=None):
    for i in items:
        if i == stop_at:
            raise KeyboardInterrupt
        writer.add(clip(i), name=str(i), label=i % 2, subject=i)
        writer.mark({"item": i})


def reference(tmp_path):
    with writer_for(tmp_path / "whole") as writer:
        fill(writer, range(10))
    return SequenceStore(tmp_path / "whole")


def interrupted(path, stop_at=6, **options):
    with pytest.raises(KeyboardInterrupt), writer_for(path, **options) as writer:
        fill(writer, range(10), stop_at)
    assert not path.exists()
    return path.parent / f".{path.name}.partial"


def go_on(path, expected_done, **options):
    with writer_for(path, **options) as writer:
        assert [note["item"] for note in writer.notes] == list(range(expected_done))
        assert len(writer) == expected_done
        fill(writer, range(expected_done, 10))
    return SequenceStore(path, verify=True)


def test_an_interrupted_run_is_continued(tmp_path):
    interrupted(tmp_path / "s")
    assert go_on(tmp_path / "s", 6).checksum == reference(tmp_path).checksum
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "whole"]


def test_sequences_behind_the_last_mark_are_written_again(tmp_path):
    with pytest.raises(KeyboardInterrupt), writer_for(tmp_path / "s") as writer:
        fill(writer, range(3))
        writer.add(clip(3), name="3", label=1, subject=3)
        raise KeyboardInterrupt
    assert go_on(tmp_path / "s", 3).checksum == reference(tmp_path).checksum


@pytest.mark.parametrize("file", ["frames.npy", "sequences.csv", "marks.jsonl"])
def test_files_cut_short_by_a_crash_cost_only_what_was_lost(tmp_path, file):
    partial = interrupted(tmp_path / "s")
    os.truncate(partial / file, (partial / file).stat().st_size - 5)
    assert go_on(tmp_path / "s", 5).checksum == reference(tmp_path).checksum


@pytest.mark.parametrize("junk", [bytes(64), b"\xff\xfe\n", b"3\n", b"{}\n", b"[" * 9999 + b"\n"])
def test_what_a_crash_writes_behind_the_marks_is_no_mark(tmp_path, junk):
    partial = interrupted(tmp_path / "s")
    with (partial / "marks.jsonl").open("ab") as file:
        file.write(junk)
    assert go_on(tmp_path / "s", 6).checksum == reference(tmp_path).checksum


@pytest.mark.parametrize("file", ["frames.npy", "sequences.csv", "marks.jsonl"])
def test_an_empty_or_missing_file_means_from_the_start(tmp_path, file):
    partial = interrupted(tmp_path / "s")
    (partial / file).unlink()
    assert go_on(tmp_path / "s", 0).checksum == reference(tmp_path).checksum


@pytest.mark.parametrize(
    "other", [{"resume": "source 2"}, {"center": False}, {"meta": {"fps": 3}}, {"dtype": "float16"}]
)
def test_another_source_or_option_starts_anew(tmp_path, other):
    interrupted(tmp_path / "s")
    go_on(tmp_path / "s", 0, **other)


def test_a_name_used_before_the_interruption_is_still_taken(tmp_path):
    interrupted(tmp_path / "s")
    with pytest.raises(HacmError, match="occurs twice"), writer_for(tmp_path / "s") as writer:
        writer.add(clip(0), name="0", label=0, subject=0)


def test_without_a_key_nothing_is_left_to_continue(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        writer_for(tmp_path / "s", resume=None) as writer,
    ):
        fill(writer, range(10), 5)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_nothing_to_continue(tmp_path):
    with pytest.raises(HacmError), writer_for(tmp_path / "s") as writer:
        fill(writer, range(5))
        raise HacmError("stop")
    assert list(tmp_path.iterdir()) == []


def test_two_runs_cannot_write_one_store(tmp_path):
    with writer_for(tmp_path / "s") as writer:
        fill(writer, range(3))
        with pytest.raises(HacmError, match="another run is writing"), writer_for(tmp_path / "s"):
            pass
        fill(writer, range(3, 10))
    assert len(SequenceStore(tmp_path / "s", verify=True)) == 10


class FullDisk:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 200, 1000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, room):
    with (
        pytest.raises(WriteError, match=r"s cannot be written: No space left on device"),
        writer_for(tmp_path / "s") as writer,
    ):
        writer._frames = FullDisk(writer._frames, room)
        fill(writer, range(10))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_at_the_very_end(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("hacm.data.writer.file_sha256", full)
    with pytest.raises(WriteError, match="No space left"), writer_for(tmp_path / "s") as writer:
        fill(writer, range(10))
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"), writer_for(tmp_path / "file" / "s"):
        pass


def test_half_precision_states_its_error_also_after_an_interruption(tmp_path):
    interrupted(tmp_path / "s", dtype="float16", center=False)
    with writer_for(tmp_path / "s", dtype="float16", center=False) as writer:
        fill(writer, range(6, 10))
    store = SequenceStore(tmp_path / "s")
    errors = [np.abs(store[i] - clip(i)).max() for i in range(10)]
    assert writer.rounding == pytest.approx(max(errors), abs=1e-6)
    assert 0 < writer.rounding < 2e-3


@pytest.mark.parametrize(("dtype", "value"), [("float16", 1e5), ("float32", 1e39)])
def test_coordinates_that_do_not_fit_are_refused(tmp_path, dtype, value):
    joints = clip(0)
    joints[0, 1, 1, 1] = value
    with (
        pytest.raises(HacmError, match=f"sequence 'a'.*too large for {dtype}"),
        writer_for(tmp_path / "s", dtype=dtype) as writer,
    ):
        writer.add(joints, name="a", label=0)
