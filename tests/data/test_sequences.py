"""Batches: which bodies and frames they hold, presence, modalities, seeds and memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_stores import SHAPES, STICK, clip, interpolated, make_store

from hacm.data import sequences as module
from hacm.data.sequences import (
    Sequences,
    center_crop,
    motion,
)
from hacm.data.store import SequenceStore


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> SequenceStore:
    arrays = [clip(*shape, seed) for seed, shape in enumerate(SHAPES)]
    return make_store(tmp_path_factory.mktemp("data") / "store", arrays)


@pytest.mark.parametrize("crop", ["random", "center"])
@pytest.mark.parametrize("frames", [9, 72])
def test_a_batch_is_every_body_s_crop_resized(store, monkeypatch, crop, frames) -> None:
    spans = []
    for name in ("random_crop", "center_crop"):
        original = getattr(module, name)

        def spy(*arguments, original=original):
            spans.append(original(*arguments))
            return spans[-1]

        monkeypatch.setattr(module, name, spy)
    ids = np.array([3, 0, 2, 3, 4, 1])
    generator = torch.Generator().manual_seed(4)
    batch = Sequences(store, frames).batch(ids, crop=crop, generator=generator)
    ((first, span),) = spans
    bodies, owner = [], []
    for n, i in enumerate(ids):
        for body in store[i]:
            bodies.append(interpolated(body[first[n] : first[n] + span[n]], frames))
            owner.append(n)
    torch.testing.assert_close(batch.x, torch.stack(bodies), atol=1e-4, rtol=0)
    assert batch.sequence.tolist() == owner
    assert batch.labels.tolist() == (ids % 2).tolist()
    assert len(ids) == batch.N
    assert batch.present.all()


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    store = make_store(tmp_path / "half", [clip(1, 9, 0)], dtype="float16")
    batch = Sequences(store, 6).batch([0])
    assert batch.x.dtype == torch.float32
    torch.testing.assert_close(batch.x[0], interpolated(store[0][0], 6), atol=1e-3, rtol=0)


# Presence.


def test_planted_zeros_are_absent_frames(tmp_path: Path) -> None:
    array = clip(2, 10, 0)
    array[0, 3] = 0
    array[1, :5] = 0
    # 10 frames: the test crop keeps all, so frame for frame.
    store = make_store(tmp_path / "gaps", [array])
    batch = Sequences(store, 10).batch([0])
    assert batch.present[1].tolist() == [False] * 5 + [True] * 5
    assert not batch.present[0, 3]
    assert batch.present[0, [0, 1, 5, 6, 7, 8, 9]].all()
    assert not batch.x[0, 3].any()


def test_a_frame_between_a_body_and_nothing_is_not_there(tmp_path: Path) -> None:
    array = clip(1, 4, 0)
    array[0, 2:] = 0
    sequences = Sequences(make_store(tmp_path / "gone", [array]), 8)
    batch = sequences.batch([0], crop="whole")
    # Half-pixel centres: frames -0.25, 0.25, 0.75, ... of the old ones.
    assert batch.present[0].tolist() == [True] * 3 + [False] * 5


@pytest.mark.parametrize("modality", ["joint", "bone", "motion"])
@pytest.mark.parametrize("crop", ["whole", "center", "random"])
def test_what_is_not_there_is_zero(tmp_path: Path, modality, crop) -> None:
    """Also between a frame with the body and one without, and after a rotation."""
    rng = np.random.default_rng(0)
    arrays = [
        clip(2, 30 + i, i) * (rng.random((2, 30 + i)) < 0.8)[..., None, None] for i in range(9)
    ]
    sequences = Sequences(make_store(tmp_path / "blinks", arrays), 40, modality=modality)
    generator = torch.Generator().manual_seed(0)
    batch = sequences.batch(np.arange(9), crop=crop, rotation=0.3, generator=generator)
    assert not batch.complete
    assert batch.gaps is batch.present
    assert 0.2 < batch.present.float().mean() < 0.9
    assert not batch.x[~batch.present].any()
    assert batch.x[batch.present].any(dim=-1).any(dim=-1).float().mean() > 0.95


def test_empty_frames_at_the_ends_are_cut_off(tmp_path: Path) -> None:
    body, nothing = clip(1, 20, 0), np.zeros((1, 9, STICK.V, 3), np.float32)
    longer = np.concatenate([nothing, body, nothing[:, :4]], axis=1)
    sequences = Sequences(make_store(tmp_path / "longer", [body, longer]), 12)
    for crop in ("center", "random"):
        plain, padded = (
            sequences.batch([i], crop=crop, generator=torch.Generator().manual_seed(3))
            for i in (0, 1)
        )
        assert plain.complete and padded.complete
        assert torch.equal(plain.x, padded.x)
    assert not sequences.batch([1], crop="whole").complete
    # As published, an empty frame is a frame.
    encode = Sequences(make_store(tmp_path / "encode", [longer]), 12, absent_bodies="encode")
    assert not encode.batch([0]).complete


def test_a_batch_says_whether_all_are_there(tmp_path: Path) -> None:
    gap = clip(1, 20, 1)
    gap[0, 7] = 0
    sequences = Sequences(make_store(tmp_path / "one", [clip(1, 20, 0), gap]), 20)
    assert sequences.batch([0, 0]).complete
    assert sequences.batch([0]).gaps is None
    assert not sequences.batch([0, 1]).complete
    assert sequences.presence.known.all()


def test_one_zero_joint_is_no_absence(tmp_path: Path) -> None:
    array = clip(1, 6, 0)
    array[0, :, 0] = 0  # centred on this joint
    batch = Sequences(make_store(tmp_path / "origin", [array]), 6).batch([0])
    assert batch.present.all()


def test_absent_bodies_are_left_out_or_filled_with_zeros(store) -> None:
    ids = np.array([2, 4, 1])
    skip = Sequences(store, 5).batch(ids)
    fill = Sequences(store, 5, absent_bodies="encode").batch(ids)
    assert skip.sequence.tolist() == [0, 1, 1, 1, 2, 2]
    assert fill.sequence.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    real = torch.tensor([0, 3, 4, 5, 6, 7])
    assert torch.equal(fill.x[real], skip.x)
    assert torch.equal(fill.present[real], skip.present)
    for slot in (1, 2, 8):
        assert not fill.x[slot].any()
        assert not fill.present[slot].any()


@pytest.mark.parametrize("absent", ["skip", "encode"])
def test_rotation_is_the_same_for_filled_batches(store, absent) -> None:
    ids = np.array([2, 4, 1])
    batch = Sequences(store, 5, absent_bodies=absent).batch(
        ids, crop="random", rotation=0.3, generator=torch.Generator().manual_seed(2)
    )
    first = torch.tensor([int((batch.sequence == n).nonzero()[0]) for n in range(3)])
    expected = Sequences(store, 5).batch(
        ids, crop="random", rotation=0.3, generator=torch.Generator().manual_seed(2)
    )
    assert torch.equal(batch.x[first], expected.x[[0, 1, 4]])


# Modalities.


def test_bone(store) -> None:
    joint = Sequences(store, 6).batch([1, 3]).x
    bone = Sequences(store, 6, modality="bone").batch([1, 3]).x
    for v, parent in enumerate(STICK.parents):
        expected = joint[:, :, v] - joint[:, :, parent] if parent >= 0 else joint[:, :, v] * 0
        assert torch.equal(bone[:, :, v], expected)


def test_motion_is_the_step_to_the_next_frame(store) -> None:
    joint = Sequences(store, 6).batch([1, 3]).x
    batch = Sequences(store, 6, modality="motion").batch([1, 3])
    for t in range(5):
        assert torch.equal(batch.x[:, t], joint[:, t + 1] - joint[:, t])
    assert not batch.x[:, 5].any()
    assert torch.equal(motion(joint), batch.x)


@pytest.mark.parametrize("modality", ["joint", "bone", "motion"])
def test_frames_that_are_there_never_show_a_jump_to_nothing(tmp_path: Path, modality) -> None:
    array = clip(1, 12, 0) * 0.01 + 50  # far from zero: a step to or from nothing is huge
    array[0, 4:7] = 0
    store = make_store(tmp_path / "jump", [array])
    for frames in (7, 12, 30):
        batch = Sequences(store, frames, modality=modality).batch([0])
        assert batch.present.any()
        spread = batch.x[batch.present].amax(0) - batch.x[batch.present].amin(0)
        assert (spread < 1).all()


# Determinism and memory.


def test_a_seed_means_the_same_batch(store) -> None:
    def draw(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        options = {"crop": "random", "rotation": 0.3, "generator": generator}
        return Sequences(store, 9).batch(np.array([0, 3, 4]), **options).x

    torch.manual_seed(1)
    first = draw(5)
    torch.manual_seed(2)
    assert torch.equal(first, draw(5))
    assert not torch.equal(first, draw(6))


def test_the_global_generator_is_not_touched(store) -> None:
    state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    Sequences(store, 9).batch([0, 3], crop="random", rotation=0.3, generator=generator)
    assert torch.equal(torch.get_rng_state(), state)


def test_only_the_batch_is_read_from_disk(tmp_path: Path) -> None:
    """A memory-mapped store of 200 MB, of which a batch touches a little."""
    folder = tmp_path / "big"
    make_store(folder, [clip(1, 100, i) for i in range(2)])
    rows = 200 * 2**20 // (3 * 3 * 4)
    table = (folder / "sequences.csv").read_text().splitlines()
    table.append(f"far,1,{rows - 100},1,100")
    (folder / "sequences.csv").write_text("\n".join(table) + "\n")
    frames = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.float32, (rows, 3, 3))
    frames[-100:] = clip(1, 100, 7)[0]  # all else is a hole in a sparse file
    frames.flush()
    del frames

    def resident_kb() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.split("RssFile:")[1].split()[0])

    store = SequenceStore(folder)
    before = resident_kb()
    batch = Sequences(store, 20).batch([2, 2])
    assert resident_kb() - before < 20_000
    assert batch.present.all()
    first, span = center_crop(torch.tensor([100]))
    expected = interpolated(clip(1, 100, 7)[0, int(first) : int(first + span)], 20)
    torch.testing.assert_close(batch.x[0], expected, atol=1e-4, rtol=0)


def test_batches_do_not_write_into_the_store(store) -> None:
    before = store.frames.copy()
    batch = Sequences(store, 7).batch([2])
    batch.x.fill_(9)
    assert np.array_equal(store.frames, before)
