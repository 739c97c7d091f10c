"""The built-in data set: deterministic, balanced, human, and seen as a Kinect sees."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hacm.data import synthetic
from hacm.data.actions import ACTIONS
from hacm.data.body import Subject
from hacm.data.store import SequenceStore
from hacm.data.synthetic import (
    CLASSES,
    LONGEST,
    SHORTEST,
    SUBJECTS,
    generate,
    observe,
    perform,
    smooth_noise,
    write_synthetic,
)
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

AT = {name: index for index, name in enumerate(KINECT_V2.joints)}
PAIRS = [name for name, action in ACTIONS.items() if action.gap is not None]
CELLS = len(CLASSES) * SUBJECTS
Sequences = list[tuple[np.ndarray, dict]]


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    """Every class once with every subject."""
    return list(generate(CELLS, seed=0))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SequenceStore:
    return write_synthetic(tmp_path_factory.mktemp("stores") / "small", 60, progress=False)


@pytest.fixture(scope="module")
def performances() -> dict[str, list[tuple[np.ndarray, list[Subject]]]]:
    """Five clean performances of each class, and who did them."""
    rng = np.random.default_rng(5)
    done: dict[str, list] = {}
    for name in CLASSES:
        for _ in range(5):
            actors = [Subject.draw(rng) for _ in range(2 if name in PAIRS else 1)]
            done.setdefault(name, []).append((perform(name, actors, rng), actors))
    return done


def test_the_same_seed_gives_the_same_bytes_and_a_smaller_count_their_beginning() -> None:
    first, again, longer = generate(20, 3), generate(20, 3), generate(30, 3)
    for (joints, row), (joints_, row_), (joints__, row__) in zip(
        first, again, longer, strict=False
    ):
        assert joints.tobytes() == joints_.tobytes() == joints__.tobytes()
        assert row == row_ == row__


def test_different_seeds_differ() -> None:
    (first, row), (second, row_) = next(generate(20, 0)), next(generate(20, 1))
    assert row == row_
    assert first.shape != second.shape or not np.allclose(first, second)


def test_stores_of_the_same_seed_are_identical(store: SequenceStore, tmp_path: Path) -> None:
    again = write_synthetic(tmp_path / "again", 60, progress=False)
    other = write_synthetic(tmp_path / "other", 60, seed=1, progress=False)
    assert store.checksum == again.checksum != other.checksum


def test_every_class_meets_every_subject_and_all_parts_are_balanced(sequences: Sequences) -> None:
    rows = [row for _, row in sequences]
    assert set(Counter((row["label"], row["subject"]) for row in rows).values()) == {1}
    assert {row["subject"] for row in rows} == set(range(1, SUBJECTS + 1))
    assert len({row["name"] for row in rows}) == CELLS
    for column in ("label", "subject"):
        cameras = Counter((row[column], row["camera"]) for row in rows)
        assert max(cameras.values()) - min(cameras.values()) <= 1


@pytest.mark.parametrize("count", [len(CLASSES), 100, 1000])
def test_any_count_is_balanced(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "perform", lambda *_: None)
    monkeypatch.setattr(synthetic, "observe", lambda *_: None)
    rows = [row for _, row in generate(count, 0)]
    for column, most in (("label", 1), ("subject", 4), ("camera", 3)):
        sizes = Counter(row[column] for row in rows).values()
        assert max(sizes) - min(sizes) <= most
    assert len({row["name"] for row in rows}) == count


def test_names_say_who_what_and_from_where(sequences: Sequences) -> None:
    row = sequences[0][1]
    assert row == {"name": "S01_C1_wave_001", "label": 0, "subject": 1, "camera": 1}


def test_shapes_lengths_and_values(sequences: Sequences) -> None:
    lengths = set()
    for joints, row in sequences:
        B, T, V, _ = joints.shape
        lengths.add(T)
        assert (2 if CLASSES[row["label"]] in PAIRS else 1) == B
        assert SHORTEST <= T <= LONGEST
        assert (V, joints.dtype) == (KINECT_V2.V, np.float64)
        assert np.isfinite(joints).all()
        there = joints[joints.any(axis=(2, 3))]
        assert there[..., 2].min() > 1 and there[..., 2].max() < 6
        assert np.abs(there[..., 1]).max() < 3
    assert len(lengths) > 40


def test_only_some_second_bodies_are_lost_for_a_while(sequences: Sequences) -> None:
    lost = []
    for joints, _ in sequences:
        there = joints.any(axis=(2, 3))
        assert there[0].all()
        if len(joints) == 2:
            assert there[1].sum() >= SHORTEST // 4
            lost.append(not there[1].all())
    assert 0 < sum(lost) < 0.4 * len(lost)


def test_splits(store: SequenceStore) -> None:
    subjects, cameras = store.columns["subject"], store.columns["camera"]
    train, test = store.split("xsub")
    assert set(subjects[train] % 2) == {1} and set(subjects[test] % 2) == {0}
    train, test = store.split("xview")
    assert set(cameras[train]) == {2, 3} and set(cameras[test]) == {1}
    assert store.label_names == list(CLASSES)
    assert store.meta["fps"] == 30


def test_pairs_are_on_one_side_of_the_cross_subject_split(monkeypatch: pytest.MonkeyPatch) -> None:
    people = [Subject.draw(np.random.default_rng(i)) for i in range(SUBJECTS)]
    rng = np.random.default_rng(0)
    seen = []
    monkeypatch.setattr(synthetic, "observe", lambda *_: None)
    monkeypatch.setattr(synthetic, "perform", lambda name, actors, rng: seen.append(actors))
    for number in range(CELLS):
        _, row = synthetic._sequence(number, people, rng)
        indices = [next(i for i, who in enumerate(people) if who is actor) for actor in seen[-1]]
        assert indices[0] == row["subject"] - 1
        assert len({index % 2 for index in indices}) == 1
        assert len(set(indices)) == len(indices)


@pytest.mark.parametrize("name", CLASSES)
def test_bodies_are_rigid_and_on_the_floor(name: str, performances: dict) -> None:
    for bodies, actors in performances[name]:
        for joints, who in zip(bodies, actors, strict=True):
            for parent, child in KINECT_V2.bones:
                length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
                np.testing.assert_allclose(length, np.linalg.norm(who.bones[child]), atol=1e-9)
            lowest = joints[..., 1].min(axis=1)
            assert (lowest > -1e-9).all()
            assert lowest.max() > 0.05 if name == "jump" else lowest.max() < 1e-9


@pytest.mark.parametrize("name", ["wave", "clap", "squat", "pick_up", "sit_down", "stand_up"])
def test_both_feet_stay_where_they_are(name: str, performances: dict) -> None:
    for bodies, _ in performances[name]:
        feet = bodies[0][:, [AT["left_foot"], AT["right_foot"]]]
        assert feet[..., 1].max() < 0.1
        assert np.linalg.norm(feet[..., [0, 2]] - feet[0][:, [0, 2]], axis=-1).max() < 0.2


def test_actions_look_like_what_they_are_called(performances: dict) -> None:
    def height(name: str, joint: str) -> np.ndarray:
        """(5, 2): at the beginning and at the end of each performance."""
        return np.array([bodies[0][[0, -1], AT[joint], 1] for bodies, _ in performances[name]])

    def highest(name: str, *joints: str) -> np.ndarray:
        at = [AT[joint] for joint in joints]
        return np.array([bodies[0][:, at, 1].max() for bodies, _ in performances[name]])

    assert (height("sit_down", "spine_base")[:, 0] > height("sit_down", "spine_base")[:, 1]).all()
    assert (height("stand_up", "spine_base")[:, 0] < height("stand_up", "spine_base")[:, 1]).all()
    hands = ("left_hand", "right_hand")
    assert (highest("wave", *hands) > height("wave", "spine_shoulder")[:, 0]).all()
    assert (highest("kick", "left_foot", "right_foot") > 0.2).all()
    for name in ("squat", "pick_up"):
        for bodies, _ in performances[name]:
            assert bodies[0][:, AT["head"], 1].min() < 0.8 * bodies[0][0, AT["head"], 1]


@pytest.mark.parametrize("name", PAIRS)
def test_two_people_face_each_other(name: str, performances: dict) -> None:
    for bodies, _ in performances[name]:
        first, second = bodies[:, :, KINECT_V2.root]
        assert np.linalg.norm((first - second)[:, [0, 2]], axis=-1).min() < 1.3
        for joints, ahead in zip(bodies, (1, -1), strict=True):
            # Who looks along z has the left side at larger x.
            width = joints[:, AT["left_shoulder"], 0] - joints[:, AT["right_shoulder"], 0]
            assert (ahead * width > 0).mean() > 0.8
        assert (second - first)[0, 2] > 0.2


def test_a_facing_person_s_left_is_where_a_kinect_has_it(sequences: Sequences) -> None:
    """The x axis points to the sensor's left, so a facing person's left hand has the smaller x."""
    for joints, row in sequences:
        if len(joints) == 1:
            for part in ("shoulder", "hip"):
                x = joints[0, :, [AT[f"left_{part}"], AT[f"right_{part}"]], 0].mean(axis=1)
                assert x[0] < x[1], row["name"]


def test_cameras_see_from_different_sides(performances: dict) -> None:
    bodies = performances["squat"][0][0]
    depth = {}
    for camera in synthetic.CAMERAS:
        seen = [observe(bodies, camera, np.random.default_rng(i)) for i in range(20)]
        across = [s[0, 0, AT["left_hip"], 2] - s[0, 0, AT["right_hip"], 2] for s in seen]
        depth[camera] = np.mean(across)
    assert depth[1] < depth[2] < depth[3] or depth[1] > depth[2] > depth[3]


def test_the_sensor_is_noisy_at_the_ends_of_limbs_most(
    performances: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "DROPOUTS", 0)
    bodies = performances["wave"][0][0]
    noisy = observe(bodies, 2, np.random.default_rng(0))
    monkeypatch.setattr(synthetic, "NOISE", 0)
    error = np.linalg.norm(noisy - observe(bodies, 2, np.random.default_rng(0)), axis=-1)
    trunk, tip = error[..., AT["spine_mid"]].mean(), error[..., AT["left_hand_tip"]].mean()
    assert 0.002 < trunk < 0.015 < tip < 0.06


def test_drop_outs_freeze_or_move_what_lies_beyond_a_joint(
    performances: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "NOISE", 0)
    monkeypatch.setattr(synthetic, "DROPOUTS", 2)
    bodies = performances["wave"][0][0]
    with_ = observe(bodies, 2, np.random.default_rng(0))
    monkeypatch.setattr(synthetic, "DROPOUTS", 0)
    wrong = np.abs(with_ - observe(bodies, 2, np.random.default_rng(0))).max(axis=-1) > 1e-9
    assert 0 < wrong.mean() < 0.5
    assert not wrong[..., list(KINECT_V2.trunk)].any()


def test_smooth_noise_has_unit_variance_and_is_correlated_in_time() -> None:
    noise = smooth_noise((200, 500), 5, np.random.default_rng(0))
    assert noise.shape == (200, 500)
    assert abs(noise.std() - 1) < 0.03
    assert (noise[1:] * noise[:-1]).mean() > 0.9
    assert abs((noise[40:] * noise[:-40]).mean()) < 0.05


def test_too_few_sequences() -> None:
    with pytest.raises(HacmError, match="too few"):
        generate(len(CLASSES) - 1, 0)


def test_an_existing_store_is_replaced_only_on_demand(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "s", 14, progress=False)
    with pytest.raises(HacmError, match="exists"):
        write_synthetic(tmp_path / "s", 14, progress=False)
    assert len(write_synthetic(tmp_path / "s", 15, overwrite=True, progress=False)) == 15
