"""Batches: crops, resizing, rotation, presence and modalities, against slow plain versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hacm.data import sequences as module
from hacm.data.sequences import (
    Sequences,
    center_crop,
    motion,
    random_crop,
    resize_positions,
    rotate,
    rotation_matrices,
)
from hacm.data.store import SequenceStore
from hacm.data.writer import StoreWriter
from hacm.skeleton import KINECT_V2, SkeletonLayout

STICK = SkeletonLayout.from_parents("stick", ["base", "mid", "tip"], [-1, 0, 1], trunk=["base"])


def make_store(path: Path, arrays: list[np.ndarray], layout=STICK, dtype="float32"):
    with StoreWriter(path, layout, ["x", "y"], center=False, dtype=dtype) as writer:
        for i, array in enumerate(arrays):
            writer.add(array, name=str(i), label=i % 2)
    return SequenceStore(path)


def clip(bodies: int, frames: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(bodies, frames, 3, 3)).astype(np.float32)


SHAPES = [(1, 80), (2, 7), (1, 1), (2, 120), (3, 70)]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> SequenceStore:
    arrays = [clip(*shape, seed) for seed, shape in enumerate(SHAPES)]
    return make_store(tmp_path_factory.mktemp("data") / "store", arrays)


def interpolated(span: np.ndarray, frames: int) -> torch.Tensor:
    """torch's own resize of one body's (t, V, 3), in float64."""
    lines = torch.from_numpy(span).double().flatten(1).T[None]
    resized = F.interpolate(lines, size=frames, mode="linear", align_corners=False)
    return resized[0].T.unflatten(1, span.shape[1:]).float()


# Parity with the published augmentation.


@pytest.fixture(scope="module")
def parity(shared_data) -> dict:
    return torch.load(shared_data / "parity/crop_resize_rotate.pt", weights_only=True)


@pytest.fixture(scope="module")
def published(parity, tmp_path_factory) -> Sequences:
    clips = parity["clip"][:, : parity["valid_frame_num"]].permute(3, 1, 2, 0).numpy()
    path = tmp_path_factory.mktemp("parity") / "store"
    return Sequences(make_store(path, [clips], KINECT_V2), parity["crop95"].shape[1])


def bodies_first(x: torch.Tensor) -> torch.Tensor:
    return x.permute(3, 1, 2, 0)


def assert_close(x: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(x, expected, atol=1e-5, rtol=0)


def test_the_test_crop_is_the_published_one(parity, published) -> None:
    assert_close(published.batch([0]).x, bodies_first(parity["crop95"]))


def test_a_random_crop_is_the_published_one(parity, published, monkeypatch) -> None:
    drawn = torch.tensor([parity["crop_random_bias"]]), torch.tensor([parity["crop_random_len"]])
    monkeypatch.setattr(module, "random_crop", lambda *_: drawn)
    x = published.batch([0], crop="random").x
    assert_close(x, bodies_first(parity["crop_random"]))


def test_the_rotation_is_the_published_one(parity, published) -> None:
    R = rotation_matrices(parity["angles"][None])
    assert_close(R[0], parity["R"])
    x = published.batch([0]).x
    assert_close(rotate(x, R.expand(len(x), -1, -1)), bodies_first(parity["rot"]))
    R = rotation_matrices(parity["random_rot_angles"][None])
    assert_close(rotate(x, R.expand(len(x), -1, -1)), bodies_first(parity["random_rot"]))


# Resizing and cropping.


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 400), frames=st.integers(1, 130), seed=st.integers(0, 9))
def test_resizing_is_torch_s_interpolation(length: int, frames: int, seed: int) -> None:
    span = np.random.default_rng(seed).normal(size=(length, 2, 3)).astype(np.float32)
    low, high, weight = (part[0] for part in resize_positions(torch.tensor([length]), frames))
    assert 0 <= int(low.min()) <= int(high.max()) < length
    assert ((weight >= 0) & (weight < 1)).all()
    x = torch.from_numpy(span)
    x = torch.lerp(x[low], x[high], weight[:, None, None])
    torch.testing.assert_close(x, interpolated(span, frames), atol=2e-4, rtol=0)


@given(length=st.integers(1, 100_000))
def test_the_test_crop_drops_what_the_protocol_says(length: int) -> None:
    first, span = center_crop(torch.tensor([length]))
    dropped = int(0.05 * length / 2)
    assert (int(first), int(span)) == (dropped, length - 2 * dropped)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=30),
    min_crop=st.floats(0.05, 1),
    seed=st.integers(0, 2**31),
)
def test_random_crops_stay_inside(lengths, min_crop, seed) -> None:
    length = torch.tensor(lengths)
    first, span = random_crop(length, min_crop, torch.Generator().manual_seed(seed))
    assert (first >= 0).all()
    assert (first + span <= length).all()
    for n, kept in zip(lengths, span.tolist(), strict=True):
        assert min(max(int(n * min_crop), 64), n) <= kept <= n


def test_random_crops_are_uniform_and_independent() -> None:
    generator = torch.Generator().manual_seed(0)
    n = 200
    first, span = random_crop(torch.full((40_000,), n), 0.5, generator)
    share = span / n
    assert abs(share.double().mean() - 0.7475) < 0.003  # floor costs half a frame
    assert set(span.tolist()) == set(range(100, 200))
    room = n - span
    start = (first[room > 20] / room[room > 20]).double()
    assert abs(start.mean() - 0.5) < 0.006
    for space in (10, 50, 90):  # the first and the last start are possible
        starts = first[room == space].tolist()
        assert (min(starts), max(starts)) == (0, space)
    assert abs(np.corrcoef(share[room > 20], start)[0, 1]) < 0.02


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


# Rotation.


def test_rotations_are_rotations_one_a_sequence(store) -> None:
    sequences = Sequences(store, 12)
    ids = np.array([4, 1, 3])
    plain = sequences.batch(ids)
    turned = sequences.batch(ids, rotation=0.3, generator=torch.Generator().manual_seed(0))
    seen = []
    for n in range(3):
        a = plain.x[plain.sequence == n].reshape(-1, 3).double()
        b = turned.x[turned.sequence == n].reshape(-1, 3).double()
        R = torch.linalg.lstsq(a, b).solution.T
        torch.testing.assert_close(a @ R.T, b, atol=1e-5, rtol=0)
        torch.testing.assert_close(R @ R.T, torch.eye(3).double(), atol=1e-5, rtol=0)
        assert abs(torch.linalg.det(R) - 1) < 1e-5
        seen.append(R)
    assert (seen[0] - seen[1]).abs().max() > 1e-2


def test_rotation_signs_and_order() -> None:
    a, b, g = 0.1, -0.2, 0.25

    def cs(angle: float) -> tuple[float, float]:
        return np.cos(angle), np.sin(angle)

    (ca, sa), (cb, sb), (cg, sg) = cs(a), cs(b), cs(g)
    Rx = np.array([[1, 0, 0], [0, ca, sa], [0, -sa, ca]])
    Ry = np.array([[cb, 0, -sb], [0, 1, 0], [sb, 0, cb]])
    Rz = np.array([[cg, sg, 0], [-sg, cg, 0], [0, 0, 1]])
    R = rotation_matrices(torch.tensor([[a, b, g]], dtype=torch.float64))[0].numpy()
    np.testing.assert_allclose(R, Rz @ Ry @ Rx, atol=1e-12)
    x = np.array([0.3, -1.0, 2.0])
    turned = rotate(torch.tensor(x).view(1, 1, 1, 3), torch.tensor(R)[None])
    np.testing.assert_allclose(turned.flatten(), R @ x, atol=1e-12)


def test_angles_fill_the_range(store, monkeypatch) -> None:
    drawn = []
    original = module.rotation_matrices
    monkeypatch.setattr(
        module, "rotation_matrices", lambda angles: drawn.append(angles) or original(angles)
    )
    ids = np.zeros(3000, dtype=np.int64)
    generator = torch.Generator().manual_seed(1)
    Sequences(store, 2).batch(ids, rotation=0.3, generator=generator)
    angles = drawn[0]
    assert angles.shape == (3000, 3)
    assert 0.299 < float(angles.abs().max()) <= 0.3
    assert float(angles.mean(0).abs().max()) < 0.02


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
    batch = Sequences(make_store(tmp_path / "gone", [array]), 8).batch([0])
    # Half-pixel centres: frames -0.25, 0.25, 0.75, ... of the old ones.
    assert batch.present[0].tolist() == [True] * 3 + [False] * 5


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
