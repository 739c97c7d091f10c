"""The curves that actions are made of, and what the actions do with them."""

from __future__ import annotations

import numpy as np
import pytest

from hacm.data.actions import ACTIONS, again, beats, both, gait, keys, sit_down, stand_up
from hacm.data.body import ANGLES, Pose

PHASE = np.linspace(0, 1, 101)


def poses_of(name: str, phase: np.ndarray = PHASE, seed: int = 0) -> list[Pose]:
    curves = ACTIONS[name].curves(phase, np.random.default_rng(seed))
    return list(curves) if isinstance(curves, tuple) else [curves]


def test_keys_rest_at_each_value_and_never_overshoot() -> None:
    values = (0.0, 3.0, -1.0, -1.0, 2.0)
    curve = keys(PHASE, *values)
    np.testing.assert_allclose(curve[::25], values, atol=1e-12)
    fine = keys(np.array([0.25 - 1e-4, 0.25, 0.25 + 1e-4]), *values)
    assert np.abs(np.diff(fine)).max() < 1e-8
    assert (np.diff(curve[:26]) >= 0).all() and (np.diff(curve[25:51]) <= 0).all()
    np.testing.assert_array_equal(keys(np.array([-5.0, 7.0]), *values), [0, 2])


def test_beats_again_and_both() -> None:
    assert np.abs(np.diff(np.sign(beats(PHASE[1:-1] + 1e-6, 3))) == 2).sum() == 2
    np.testing.assert_allclose(again(np.array([0, 0.25, 0.5, 0.75, 1]), 2), [0, 0.5, 0, 0.5, 0])
    assert set(both(lift=PHASE, knee=PHASE)) == {
        *("left_lift", "right_lift", "left_knee", "right_knee")
    }


def test_gait_bends_the_knee_of_the_leg_that_swings_in_the_direction_of_travel() -> None:
    for stride in (15, -15):
        legs = gait(PHASE, 2, stride)
        steady = slice(30, 70)
        swings = np.gradient(legs["left_thigh"])[steady] * np.sign(stride)
        bent = legs["left_knee"][steady] > 20
        assert swings[bent].mean() > 0 > swings[~bent].mean()


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_know_their_angles_and_are_smooth(name: str) -> None:
    poses = poses_of(name, np.linspace(0, 1, 2001))
    assert len(poses) == (1 if ACTIONS[name].gap is None else 2)
    for pose in poses:
        assert pose and pose.keys() <= set(ANGLES)
        for angle, curve in pose.items():
            assert np.abs(np.diff(curve)).max() < 2, angle
            assert np.abs(curve).max() < 180, angle


@pytest.mark.parametrize("name", sorted(ACTIONS.keys() - {"sit_down", "stand_up"}))
def test_actions_end_where_they_start(name: str) -> None:
    for pose in poses_of(name, np.array([-0.0, 0.0, 1.0, 1.0])):
        for angle, curve in pose.items():
            np.testing.assert_allclose(curve, 0, atol=1e-9, err_msg=angle)


def test_standing_up_is_sitting_down_backward() -> None:
    rng = np.random.default_rng(0)
    down, up = sit_down(PHASE, rng), stand_up(PHASE, rng)
    for angle in down:
        np.testing.assert_allclose(up[angle], down[angle][::-1], atol=1e-9)


def test_actions_vary_from_one_performance_to_the_next() -> None:
    first, second = (poses_of("squat", seed=seed)[0]["left_lift"] for seed in (0, 1))
    assert np.abs(first - second).max() > 1
