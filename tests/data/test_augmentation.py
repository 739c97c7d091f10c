"""Crops, resizing and rotation: the published ones, against slow plain versions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stores import SHAPES, clip, interpolated, make_store

from hacm.data import sequences as module
from hacm.data.sequences import (
    Sequences,
    center_crop,
    random_crop,
    resize_positions,
    rotate,
    rotation_matrices,
)
from hacm.data.store import SequenceStore
from hacm.skeleton import KINECT_V2


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> SequenceStore:
    arrays = [clip(*shape, seed) for seed, shape in enumerate(SHAPES)]
    return make_store(tmp_path_factory.mktemp("data") / "store", arrays)


# Parity with the published augmentation.


@pytest.fixture(scope="module")
def parity(shared_data) -> dict:
    return torch.load(shared_data / "parity/crop_resize_rotate.pt", weights_only=True)


@pytest.fixture(scope="module")
def published(parity, tmp_path_factory) -> Sequences:
    clips = parity["clip"][:, : parity["valid_frame_num"]].permute(3, 1, 2, 0).numpy()
    path = tmp_path_factory.mktemp("parity") / "store"
    # As published: a body that comes or goes fades.
    store = make_store(path, [clips], KINECT_V2)
    return Sequences(store, parity["crop95"].shape[1], absent_bodies="encode")


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
