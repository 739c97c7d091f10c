"""The built-in data set: made people, seen by a noisy depth camera.

A sequence is an action (`actions.py`) in a subject's manner (`body.py`), between pauses and with
movement that means nothing (`perform`), as one of three cameras reports it (`observe`). It needs no
download. What tells its classes apart is the movement: not the person, the view or the noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hacm.data.actions import ACTIONS, keys
from hacm.data.body import (
    ANGLES,
    MIDDLE,
    PAIRED,
    SIDES,
    Pose,
    Subject,
    joints_of,
    mirrored,
    side_and_part,
)
from hacm.data.store import SequenceStore
from hacm.data.writer import StoreWriter
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

VERSION = 1  # goes up whenever the same seed gives other sequences
CLASSES = tuple(ACTIONS)
SUBJECTS = 20
CAMERAS = {1: -45.0, 2: 0.0, 3: 45.0}  # degrees by which each sees people from their side
FPS = 30
SHORTEST, LONGEST = 40, 150  # frames of a sequence

# What makes the set hard; spreads are standard deviations.
PAUSE = 1.2  # seconds: the longest before or after an action
PACE_SPREAD = 0.2  # of the log of a performance's tempo, and of how unevenly it goes
GAIN_SPREAD = 0.15  # of the log of each angle's amplitude in a performance
OTHER_HAND = 0.2  # share of performances with the hand one does not prefer
WANDER = 4.0  # degrees by which every angle drifts, times
LOOSE = {"lift": 2, "spread": 2, "elbow": 2.5, "roll": 3, "look": 4, "thigh": 0.4, "straddle": 0.3}
FIDGET = 0.5  # share of people of whom an arm does something else for a while
HEADING_SPREAD = 15.0  # degrees by which people do not face the middle camera
NOISE = 0.004  # metres of jitter on the trunk; twice as much one bone away from it, and so on
DROPOUTS = 0.4  # how often a second a part of a limb freezes or jumps for some frames
ABSENCES = 0.15  # share of two-person sequences in which the second body is lost for a while


def generate(
    count: int, seed: int
) -> Iterator[tuple[Float[np.ndarray, "B T V 3"], dict[str, Any]]]:
    """Sequences in turn over classes, subjects and cameras, so that every part is balanced.

    Args:
        count: how many; every class with every subject takes `len(CLASSES) * SUBJECTS`.
        seed: decides everything; a smaller count gives the beginning of a larger one.

    Returns:
        An iterator of joints in camera space, (B, T, V, 3) float64, metres, zeros where a body is
        missing, and the row `name`, `label`, `subject` (from 1), `camera`.

    Raises:
        HacmError: fewer sequences than classes.
    """
    if count < len(CLASSES):
        raise HacmError(f"{count} sequences are too few for {len(CLASSES)} classes; ask for more")
    rng = np.random.default_rng(seed)
    people = [Subject.draw(rng) for _ in range(SUBJECTS)]
    return (_sequence(number, people, rng) for number in range(count))


def write_synthetic(
    path: str | Path,
    count: int = 1000,
    seed: int = 0,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> SequenceStore:
    """Write the data set into a store, with the splits `xsub` and `xview`, and open it.

    Args:
        path: the store's directory.
        count: number of sequences.
        seed: decides everything.
        overwrite: replace an existing store.
        progress: show a progress bar.

    Raises:
        HacmError: fewer sequences than classes, or the store exists.
    """
    sequences = generate(count, seed)
    splits: dict[str, dict[str, Any]] = {
        "xsub": {"column": "subject", "train": list(range(1, SUBJECTS + 1, 2))},
        "xview": {"column": "camera", "train": [2, 3]},
    }
    meta = {"source": f"synthetic, version {VERSION}, seed {seed}", "fps": FPS}
    with StoreWriter(
        path, KINECT_V2, CLASSES, splits=splits, meta=meta, overwrite=overwrite
    ) as writer:
        for joints, row in tqdm(sequences, "synthetic", count, disable=not progress):
            writer.add(joints, **row)
    return SequenceStore(path)


def _sequence(
    number: int, people: Sequence[Subject], rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, Any]]:
    round_, label = divmod(number, len(CLASSES))
    subject = (round_ + label * SUBJECTS // len(CLASSES)) % SUBJECTS
    repeat = round_ // SUBJECTS
    camera = (subject + label + repeat) % len(CAMERAS) + 1
    name = CLASSES[label]
    # Both people of a pair are on the same side of `xsub`.
    actors = [people[subject], people[(subject + 2) % SUBJECTS]]
    joints = perform(name, actors[: 1 if ACTIONS[name].gap is None else 2], rng)
    row = {
        "name": f"S{subject + 1:02d}_C{camera}_{name}_{repeat + 1:03d}",
        "label": label,
        "subject": subject + 1,
        "camera": camera,
    }
    return observe(joints, camera, rng), row


def perform(
    name: str, actors: Sequence[Subject], rng: np.random.Generator
) -> Float[np.ndarray, "B T V 3"]:
    """One performance as it really happens, free of noise.

    Args:
        name: one of `CLASSES`.
        actors: one subject, or two for an action of two people.
        rng: draws how it is done this time.

    Returns:
        Metres, the floor at y = 0; the first person faces z, the second faces the first.
    """
    action = ACTIONS[name]
    phase = _phase(action.seconds / actors[0].pace, rng)
    curves = action.curves(phase, rng)
    poses = list(curves) if isinstance(curves, tuple) else [curves]
    if actors[0].left_handed != (rng.random() < OTHER_HAND):
        poses = [mirrored(pose) for pose in poses]
    bodies = np.stack(
        [
            joints_of(_in_manner(pose, actor, len(phase), rng), actor.bones)
            for pose, actor in zip(poses, actors, strict=True)
        ]
    )
    if action.gap is not None:
        bodies[1] *= (-1, 1, -1)  # half a turn
        meet = int(np.argmin(np.abs(phase - 0.5)))
        first, second = bodies[:, meet, KINECT_V2.root]
        bodies[1] += (first - second) * (1, 0, 1) + (0, 0, action.gap * rng.normal(1, 0.05))
    return bodies


def _phase(seconds: float, rng: np.random.Generator) -> Float[np.ndarray, "T"]:
    """0 during a pause, then up to 1 at a pace that is not quite even, 1 during another pause."""
    frames = int(np.clip(FPS * seconds / rng.lognormal(0, PACE_SPREAD), 20, 110))
    pauses = rng.integers(0, round(FPS * PAUSE), size=2, endpoint=True)
    before, after = np.minimum(pauses, (LONGEST - frames) // 2)
    length = max(before + frames + after, SHORTEST)
    return np.clip((np.arange(length) - before) / frames, 0, 1) ** rng.lognormal(0, PACE_SPREAD)


def _in_manner(pose: Pose, who: Subject, T: int, rng: np.random.Generator) -> Pose:
    """Every angle as this person has it this time, with movement that means nothing."""
    gain = {part: rng.lognormal(0, GAIN_SPREAD) for part in (*MIDDLE, *PAIRED)}
    drift = smooth_noise((T, len(ANGLES)), FPS / 2, rng)
    manner = {}
    for index, angle in enumerate(ANGLES):
        part = side_and_part(angle)[1]
        done = who.amplitude * gain[part] * pose.get(angle, np.zeros(T))
        drifts = 0 if part == "jump" else WANDER * LOOSE.get(part, 1)
        manner[angle] = who.posture[angle] + done + drifts * drift[:, index]
    if rng.random() < FIDGET:
        side = rng.choice(list(SIDES))
        moment = (np.arange(T) - rng.uniform(-0.2, 0.8) * T) / (FPS * rng.uniform(0.8, 2))
        for part, most in (("lift", 60), ("elbow", 110), ("roll", 60)):
            manner[f"{side}_{part}"] += rng.uniform(0.2, 1) * most * keys(moment, 0, 1, 1, 0)
    return manner


def observe(
    bodies: Float[np.ndarray, "B T V 3"], camera: int, rng: np.random.Generator
) -> Float[np.ndarray, "B T V 3"]:
    """What a camera reports of a performance: camera space, jitter, drop-outs, a lost body."""
    B, T, V, _ = bodies.shape
    # One person faces the camera, two stand across its line of sight.
    facing = 180 if B == 1 else rng.choice([-90, 90])
    heading = facing + CAMERAS[camera] + rng.normal(0, HEADING_SPREAD)
    place = (rng.uniform(-0.4, 0.4), -rng.uniform(0.9, 1.8), rng.uniform(2.5, 4))
    middle = bodies[:, 0, KINECT_V2.root].mean(axis=0) * (1, 0, 1)
    level = (bodies - middle) @ Rotation.from_euler("y", heading, degrees=True).as_matrix().T
    pitch = Rotation.from_euler("x", -rng.uniform(0, 15), degrees=True).as_matrix()
    seen = (level + place) @ pitch.T
    sway = smooth_noise((T, B, V, 3), 1.5, rng).swapaxes(0, 1)
    seen += NOISE * (1 + np.array(KINECT_V2.limb_depth))[:, None] * sway
    for body in seen:
        _drop_out(body, rng)
    if B == 2 and rng.random() < ABSENCES:
        start = rng.integers(0, T - 10)
        seen[1, start : start + rng.integers(10, T // 2)] = 0
    return seen


def _drop_out(joints: Float[np.ndarray, "T V 3"], rng: np.random.Generator) -> None:
    """Let parts of limbs freeze or jump for some frames, in place."""
    T, depth = len(joints), np.array(KINECT_V2.depth)
    for joint in rng.choice(KINECT_V2.kept, size=rng.poisson(DROPOUTS * T / FPS)):
        beyond = np.flatnonzero(depth[joint] + KINECT_V2.graph_distances[joint] == depth)
        start = rng.integers(1, T)
        lost = slice(start, start + rng.integers(2, 16))
        if rng.random() < 0.7:
            joints[lost, beyond] = joints[start - 1, beyond]
        else:
            joints[lost, beyond] += rng.normal(0, 0.1, size=3)


def smooth_noise(shape: tuple[int, ...], frames: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance that takes about `frames` frames (the first axis) to change."""
    margin = round(4 * frames)
    white = rng.normal(size=(shape[0] + 2 * margin, *shape[1:]))
    smooth = gaussian_filter1d(white, frames, axis=0)[margin:-margin]
    return smooth * np.sqrt(2 * np.sqrt(np.pi) * frames)
