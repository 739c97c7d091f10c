"""Who acts in a Kinect recording: the rules behind the published NTU RGB+D numbers.

A recording holds bodies by id, and an id is no person: it vanishes and comes back, one person gets
several, and furniture gets some. The field's common procedure (in circulation since HCN, Li et al.,
IJCAI 2018, and used by MAMP and HA-CM) sorts them into at most two actors. The numbers rest on it,
quirks included, so it is followed to the letter:

    an id's frames are laid out without gaps from its first one, whatever frames it was missing in;
    actor 2's interval starts as [0, 0], so it always reaches back to frame 0;
    intervals that only touch in one frame do not overlap, and the id that joins later wins there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SHORT_FRAMES = 11  # an id with so many frames or fewer is noise
NOISY_SPREAD = 0.8  # a frame wider than this share of its height is noisy
NOISY_SHARE = 0.69754  # an id with this share of noisy frames is noise

SHORT, WIDE, CROWDED = "too short", "too wide", "overlaps both actors"


@dataclass
class Body:
    """All frames of one body id, as contiguous from `start`.

    Attributes:
        start: number of its first frame, frames without any body not counted.
        joints: (T, V, 3) float32, metres.
    """

    start: int
    joints: Float[np.ndarray, "T V 3"]

    @property
    def end(self) -> int:
        """Number of the last frame, inclusive."""
        return self.start + len(self.joints) - 1


def denoise(
    bodies: Sequence[Body], frames: int
) -> tuple[Float[np.ndarray, "B T V 3"], Counter[str]]:
    """The one or two actors among the bodies of a recording, not yet centred.

    Args:
        bodies: at least one, in the order in which their ids first occur.
        frames: frames of the recording that hold any body.

    Returns:
        (B, T, V, 3) float32 with zeros where an actor is missing; B is 2 where a second actor
        ever appears. B = 0 if no body is left. And the number of bodies each rule dropped.
    """
    dropped: Counter[str] = Counter()
    if len(bodies) == 1:
        return _Actor(frames, bodies[0]).joints[None], dropped
    long = [body for body in bodies if len(body.joints) > SHORT_FRAMES]
    dropped[SHORT] = len(bodies) - len(long)
    moving = _by_motion(long, dropped)
    if not moving:
        return np.zeros((0, 0, *bodies[0].joints.shape[1:]), dtype=np.float32), dropped

    actors = [_Actor(frames, moving[0])]
    for body in moving[1:]:
        if not actors[0].overlaps(body):
            actors[0].join(body)
        elif len(actors) == 1:
            actors.append(_Actor(frames, body, first=0))
        elif not actors[1].overlaps(body):
            actors[1].join(body)
        else:
            dropped[CROWDED] += 1
    joints = np.stack([actor.joints for actor in actors])
    return joints[:, joints.any(axis=(0, 2, 3))], dropped


class _Actor:
    """Frames of one person, gathered from ids whose intervals do not overlap."""

    def __init__(self, frames: int, body: Body, first: int | None = None) -> None:
        self.joints = np.zeros((frames, *body.joints.shape[1:]), dtype=np.float32)
        self.start = self.end = body.start if first is None else first
        self.join(body)

    def overlaps(self, body: Body) -> bool:
        return min(self.end, body.end) - max(self.start, body.start) > 0

    def join(self, body: Body) -> None:
        self.joints[body.start : body.end + 1] = body.joints
        self.start, self.end = min(self.start, body.start), max(self.end, body.end)


def _by_motion(bodies: Sequence[Body], dropped: Counter[str]) -> list[Body]:
    """The bodies that are not too wide, largest motion first; the last one left always stays."""
    if len(bodies) == 1:
        return list(bodies)
    motions = []
    left = len(bodies)
    for body in bodies:
        motion = _motion(body.joints)
        if left > 1:
            noisy = _noisy_frames(body.joints)
            if noisy.mean() >= NOISY_SHARE:
                dropped[WIDE] += 1
                left -= 1
                continue
            if noisy.any():
                motion = min(motion, _motion(body.joints[~noisy]))
        motions.append((motion, body))
    return [body for _, body in sorted(motions, key=lambda pair: pair[0], reverse=True)]


def _motion(joints: Float[np.ndarray, "T V 3"]) -> float:
    """Variance of all frames' joints, summed over the coordinates."""
    # In float32 along the first axis, as in the common procedure: near ties decide who is actor 1.
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.var(joints.reshape(-1, 3), axis=0).sum())


def _noisy_frames(joints: Float[np.ndarray, "T V 3"]) -> np.ndarray:
    with np.errstate(over="ignore"):
        width, height = np.ptp(joints[..., 0], axis=1), np.ptp(joints[..., 1], axis=1)
    return width > NOISY_SPREAD * height
