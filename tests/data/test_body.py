"""People made of joint angles: lengths, sides, and how joints bend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacm.data.body import (
    ANGLES,
    BONES,
    PAIRED,
    SIDES,
    Pose,
    Subject,
    joints_of,
    mirrored,
    side_and_part,
)
from hacm.skeleton import KINECT_V2

AT = {name: index for index, name in enumerate(KINECT_V2.joints)}


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject.draw(np.random.default_rng(0))


def pose_of(T: int = 1, **degrees: float) -> Pose:
    """All angles 0 but those given."""
    assert degrees.keys() <= set(ANGLES)
    return {angle: np.full(T, float(degrees.get(angle, 0))) for angle in ANGLES}


def standing(subject: Subject, **degrees: float) -> dict[str, np.ndarray]:
    """Joint name -> (3,) in one frame."""
    return dict(zip(KINECT_V2.joints, joints_of(pose_of(**degrees), subject.bones)[0], strict=True))


@st.composite
def poses(draw: st.DrawFn) -> Pose:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return {
        angle: rng.uniform(0, 0.3, 5) if angle == "jump" else rng.uniform(-70, 120, 5)
        for angle in ANGLES
    }


@settings(max_examples=30, deadline=None)
@given(poses())
def test_bones_keep_their_lengths(subject: Subject, pose: Pose) -> None:
    joints = joints_of(pose, subject.bones)
    for parent, child in KINECT_V2.bones:
        lengths = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        np.testing.assert_allclose(lengths, np.linalg.norm(subject.bones[child]), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(poses())
def test_the_mirrored_pose_is_the_mirror_image(subject: Subject, pose: Pose) -> None:
    swapped = np.arange(KINECT_V2.V)
    for left, right in KINECT_V2.pairs:
        swapped[[left, right]] = right, left
    image = joints_of(pose, subject.bones)[:, swapped] * (-1, 1, 1)
    np.testing.assert_allclose(joints_of(mirrored(pose), subject.bones), image, atol=1e-9)
    assert mirrored(mirrored(pose)).keys() == pose.keys()


@settings(max_examples=30, deadline=None)
@given(poses())
def test_the_lower_foot_is_as_high_as_the_jump(subject: Subject, pose: Pose) -> None:
    feet = joints_of(pose, subject.bones)[:, [AT["left_foot"], AT["right_foot"]], 1]
    np.testing.assert_allclose(feet.min(axis=1), pose["jump"], atol=1e-12)


def test_upright_people_have_their_joints_where_people_have_them(subject: Subject) -> None:
    at = standing(subject)
    tallest_first = ["head", "neck", "spine_shoulder", "spine_mid", "spine_base", "left_knee"]
    heights = [at[joint][1] for joint in [*tallest_first, "left_ankle", "left_foot"]]
    assert heights == sorted(heights, reverse=True)
    for joint in ("shoulder", "elbow", "hand", "hip", "knee", "foot"):
        assert at[f"left_{joint}"][0] > 0 > at[f"right_{joint}"][0]
    assert at["left_foot"][2] > at["left_ankle"][2]


def test_arms(subject: Subject) -> None:
    def arm(end: str = "left_hand", **degrees: float) -> np.ndarray:
        at = standing(subject, **degrees)
        return (at[end] - at["left_shoulder"]) / np.linalg.norm(at[end] - at["left_shoulder"])

    ahead, left, up = np.array([0, 0, 1]), np.array([1, 0, 0]), np.array([0, 1, 0])
    np.testing.assert_allclose(arm(), -up, atol=1e-12)
    np.testing.assert_allclose(arm(left_lift=90), ahead, atol=1e-12)
    np.testing.assert_allclose(arm(left_lift=180), up, atol=1e-12)
    np.testing.assert_allclose(arm(left_spread=90), left, atol=1e-12)
    folded = {"left_elbow": 90.0}
    assert arm(**folded) @ ahead > 0.5
    assert arm(**folded, left_roll=90) @ left < -0.5
    assert arm(**folded, left_roll=-90) @ left > 0.5


def test_legs_and_trunk(subject: Subject) -> None:
    bent = standing(subject, left_knee=80)
    assert bent["left_ankle"][2] < bent["left_knee"][2] - 0.2
    raised = standing(subject, left_thigh=90, left_knee=90)
    assert raised["left_knee"][2] - raised["left_hip"][2] > 0.3
    np.testing.assert_allclose(raised["left_ankle"][[0, 2]], raised["left_knee"][[0, 2]], atol=1e-9)
    bowing = standing(subject, lean=80)
    assert bowing["head"][2] > bowing["spine_base"][2] + 0.3
    assert abs(bowing["left_foot"][2] - standing(subject)["left_foot"][2]) < 0.05
    assert standing(subject, tilt=20)["head"][0] > 0.1
    assert standing(subject, twist=40)["left_shoulder"][2] < -0.05
    turned = standing(subject, heading=90)
    assert turned["left_foot"][0] > turned["left_ankle"][0] + 0.05


def test_elbows_and_knees_do_not_bend_the_other_way(subject: Subject) -> None:
    straight, over = standing(subject), standing(subject, left_knee=-30, left_elbow=-30)
    for joint in KINECT_V2.joints:
        np.testing.assert_allclose(over[joint], straight[joint], atol=1e-12)


def test_a_swinging_leg_walks_on_the_other(subject: Subject) -> None:
    """The right foot carries while its thigh swings back: the hips pass over it."""
    pose = pose_of(T=30, left_knee=60)
    pose["right_thigh"] = np.linspace(20, -20, 30)
    joints = joints_of(pose, subject.bones)
    foot, hips = joints[:, AT["right_foot"]], joints[:, AT["spine_base"]]
    assert np.abs(foot[:, [0, 2]] - foot[0, [0, 2]]).max() < 1e-4
    assert hips[-1, 2] - hips[0, 2] > 0.3


def test_subjects_differ_and_are_of_human_size() -> None:
    rng = np.random.default_rng(1)
    people = [Subject.draw(rng) for _ in range(50)]
    heights = [joints_of(pose_of(), who.bones)[0, AT["head"], 1] for who in people]
    assert 1.3 < min(heights) < 1.6 < max(heights) < 2.0
    assert 0 < sum(who.left_handed for who in people) < 25
    for who in people:
        lengths = np.linalg.norm(who.bones, axis=-1)
        for left, right in KINECT_V2.pairs:
            assert lengths[left] == lengths[right]
        assert set(who.posture) == set(ANGLES)


def test_every_joint_has_a_bone_and_every_angle_a_side_or_none() -> None:
    parts = {side_and_part(joint)[1] for joint in KINECT_V2.joints}
    assert parts == {*BONES, "spine_base"}
    assert side_and_part("left_hand_tip") == ("left", "hand_tip")
    assert side_and_part("lean") == ("", "lean")
    assert sum(side_and_part(angle)[0] in SIDES for angle in ANGLES) == 2 * len(PAIRED)
