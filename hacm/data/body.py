"""People made of joint angles: their bones, their manner, and forward kinematics.

A pose gives angles in degrees by name (`MIDDLE`, and `PAIRED` on either side); with all angles at 0
one stands upright with hanging arms. A person's own axes are x to the left, y up, z ahead. A Kinect
has the same axes as seen from itself, so whoever turns by 180 degrees faces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from hacm.skeleton import KINECT_V2

Pose = dict[str, Float[np.ndarray, "T"]]

SIDES = {"left": 1, "right": -1}
MIDDLE = {
    "lean": "the trunk bends forward",
    "tilt": "the trunk bends to the left",
    "twist": "the shoulders turn to the left",
    "nod": "the head bends forward",
    "look": "the head turns to the left",
    "heading": "the whole person turns to the left",
    "jump": "not an angle: metres between the lower foot and the floor",
}
PAIRED = {
    "lift": "the arm swings forward: 90 is level, 180 is up",
    "spread": "the arm swings out to its side",
    "elbow": "the forearm folds",
    "roll": "to which side it folds: 0 is forward, 90 across the body, -90 outward",
    "thigh": "the thigh swings forward, away from the vertical",
    "straddle": "the leg swings out to its side",
    "knee": "the shank folds backward",
}
ANGLES = (*MIDDLE, *(f"{side}_{angle}" for side in SIDES for angle in PAIRED))
MIRRORED = ("tilt", "twist", "look", "heading")  # change sign in a mirror
ANKLE_RANGE = 30.0  # degrees by which an ankle gives way to keep its foot level

# Metres from the parent joint to the joint at rest: an average person's left side.
BONES = {
    "spine_mid": (0, 0.3, 0),
    "spine_shoulder": (0, 0.23, 0),
    "neck": (0, 0.08, 0.01),
    "head": (0, 0.15, 0.03),
    "shoulder": (0.17, -0.04, 0),
    "elbow": (0, -0.27, 0),
    "wrist": (0, -0.24, 0),
    "hand": (0, -0.08, 0),
    "hand_tip": (0, -0.08, 0),
    "thumb": (-0.02, -0.04, 0.03),
    "hip": (0.08, -0.05, 0),
    "knee": (0, -0.4, 0),
    "ankle": (0, -0.4, 0),
    "foot": (0, -0.06, 0.12),
}
# Degrees at which people stand at ease, where not 0.
AT_EASE = {"spread": 9, "elbow": 18, "roll": 15, "straddle": 4, "thigh": 3, "knee": 6, "nod": 5}


@dataclass(frozen=True)
class Subject:
    """What stays the same in everything a person does.

    Attributes:
        bones: (V, 3) from each joint's parent to the joint at rest, metres.
        posture: degrees of every angle when standing at ease.
        pace: how fast, 1 on average.
        amplitude: how widely, 1 on average.
        left_handed: does with the left what most people do with the right.
    """

    bones: Float[np.ndarray, "V 3"]
    posture: Mapping[str, float]
    pace: float
    amplitude: float
    left_handed: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Subject:
        """Somebody between about 1.50 m and 1.95 m."""
        height = np.clip(rng.normal(1, 0.06), 0.87, 1.13)
        scale = {bone: height * np.clip(rng.normal(1, 0.04), 0.9, 1.1) for bone in BONES}
        bones = np.zeros((KINECT_V2.V, 3))
        for joint, name in enumerate(KINECT_V2.joints):
            side, bone = side_and_part(name)
            if joint != KINECT_V2.root:
                bones[joint] = np.multiply(BONES[bone], (SIDES.get(side, 1), 1, 1)) * scale[bone]
        habit = {part: rng.normal(AT_EASE.get(part, 0), 3) for part in (*PAIRED, "lean", "nod")}
        return cls(
            bones=bones,
            posture={angle: habit.get(side_and_part(angle)[1], 0.0) for angle in ANGLES},
            pace=float(rng.lognormal(0, 0.15)),
            amplitude=float(np.clip(rng.normal(1, 0.1), 0.8, 1.2)),
            left_handed=bool(rng.random() < 0.2),
        )


def side_and_part(name: str) -> tuple[str, str]:
    """The side of a joint or an angle (`left`, `right` or empty) and its name without it."""
    side, _, part = name.partition("_")
    return (side, part) if side in SIDES else ("", name)


def mirrored(pose: Pose) -> Pose:
    """Left and right exchanged."""
    flipped: Pose = {}
    for name, curve in pose.items():
        side, part = side_and_part(name)
        if side:
            flipped[f"{'left' if side == 'right' else 'right'}_{part}"] = curve
        else:
            flipped[name] = -curve if name in MIRRORED else curve
    return flipped


def joints_of(pose: Pose, bones: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "T V 3"]:
    """Forward kinematics.

    Args:
        pose: every angle of `ANGLES`.
        bones: from each joint's parent to the joint at rest, metres.

    Returns:
        Metres, the floor at y = 0, the root starting above the origin. The foot that carries stays
        where it is, so that swinging legs walk.
    """
    layout, T = KINECT_V2, len(pose["lean"])
    turns = Rotation.from_rotvec(_turns(pose).reshape(-1, 3), degrees=True)
    local = turns.as_matrix().reshape(T, layout.V, 3, 3)
    axes, joints = local.copy(), np.zeros((T, layout.V, 3))
    for joint in sorted(range(layout.V), key=lambda joint: layout.depth[joint])[1:]:
        parent = layout.parents[joint]
        joints[:, joint] = joints[:, parent] + axes[:, parent] @ bones[joint]
        axes[:, joint] = axes[:, parent] @ local[:, joint]
    heading = Rotation.from_euler("y", pose["heading"][:, None], degrees=True).as_matrix()
    joints = joints @ heading.transpose(0, 2, 1)
    return joints + _footing(joints, pose["jump"])[:, None]


def _turns(pose: Pose) -> Float[np.ndarray, "T V 3"]:
    """Each joint's rotation vector in its parent's axes, degrees."""
    turns = np.zeros((len(pose["lean"]), KINECT_V2.V, 3))

    def turn(joint: str, x: np.ndarray, y: np.ndarray | float, z: np.ndarray | float) -> None:
        index = KINECT_V2.joints.index(joint)
        turns[:, index, 0], turns[:, index, 1], turns[:, index, 2] = x, y, z

    # Half of a bend is in the hips, half in the spine; the legs do not follow it.
    lean, tilt = pose["lean"] / 2, pose["tilt"] / 2
    turn("spine_base", lean, 0, -tilt)
    turn("spine_mid", lean, pose["twist"], -tilt)
    turn("neck", pose["nod"], pose["look"], 0)
    for name, sign in SIDES.items():
        angle = {part: pose[f"{name}_{part}"] for part in PAIRED}
        # Neither joint bends the other way.
        elbow, knee = np.maximum(angle["elbow"], 0), np.maximum(angle["knee"], 0)
        roll, slope = np.radians(angle["roll"]), angle["thigh"] - knee
        turn(f"{name}_shoulder", -angle["lift"], 0, sign * angle["spread"])
        turn(f"{name}_elbow", -elbow * np.cos(roll), 0, -sign * elbow * np.sin(roll))
        turn(f"{name}_hip", -angle["thigh"] - lean, 0, sign * angle["straddle"] + tilt)
        turn(f"{name}_knee", knee, 0, 0)
        turn(f"{name}_ankle", np.clip(slope, -ANKLE_RANGE, ANKLE_RANGE), 0, 0)
    return turns


def _footing(joints: Float[np.ndarray, "T V 3"], jump: np.ndarray) -> Float[np.ndarray, "T 3"]:
    """The movement that puts the lower foot on the floor and keeps it from sliding."""
    feet = joints[:, [KINECT_V2.joints.index(f"{side}_foot") for side in SIDES]]
    lowest = feet[..., 1].min(axis=1)
    carries = np.exp((lowest[:, None] - feet[..., 1]) / 0.01)  # both, within about a centimetre
    carries /= carries.sum(axis=1, keepdims=True)
    slides = np.diff(feet, axis=0, prepend=feet[:1]) * carries[..., None]
    moves = -np.cumsum(slides.sum(axis=1), axis=0)
    moves[:, 1] = jump - lowest
    return moves
