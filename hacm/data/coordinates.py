"""Coordinates as sources have them, and as a store has them: x, y, z in metres, y up.

Nothing in a file of numbers says its unit, but bodies are much alike: bones of a person measure
about 0.2 in metres, 20 in centimetres and 200 in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from hacm.errors import HacmError
from hacm.skeleton import COCO17, SkeletonLayout

UNITS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}
# Where the new x, y and z come from, and with which sign: rotations, so left stays left.
UP = {
    "x": ((1, 0, 2), (-1, 1, 1)),
    "y": ((0, 1, 2), (1, 1, 1)),
    "z": ((0, 2, 1), (1, 1, -1)),
    "-x": ((1, 0, 2), (1, -1, 1)),
    "-y": ((0, 1, 2), (1, -1, -1)),
    "-z": ((0, 2, 1), (1, -1, 1)),
}
HUMAN_BONE = 0.2
LONGEST_BONE = 5.0  # between what any body has in metres, and most bodies in centimetres
SHORTEST_BONE = 0.002


class UnitError(HacmError):
    """Coordinates in another unit than metres, and nobody said so."""


@dataclass(frozen=True)
class Coordinates:
    """The unit and the axes of a source.

    Attributes:
        unit: `mm`, `cm` or `m`; None: metres, unless the bones say otherwise.
        up: the axis that points up, `x`, `y`, `z`, `-x`, `-y` or `-z`; None: y.

    Raises:
        HacmError: no such unit or axis.
    """

    unit: str | None = None
    up: str | None = None

    def __post_init__(self) -> None:
        for what, value, known in (("unit", self.unit, UNITS), ("up", self.up, UP)):
            if value is not None and (not isinstance(value, str) or value not in known):
                raise HacmError(f"{what} should be one of {', '.join(known)}, not {value!r}")

    def to_store(
        self, joints: Float[np.ndarray, "B T V 3"], layout: SkeletonLayout, what: str
    ) -> Float[np.ndarray, "B T V 3"]:
        """Metres, with y up.

        Raises:
            UnitError: no unit was given, and the bones are far too long for metres.
        """
        if self.unit is None:
            _refuse_giants(joints, layout, what)
        axes, signs = UP[self.up or "y"]
        return joints[..., axes] * (np.array(signs) * UNITS[self.unit or "m"])

    def described(self) -> dict[str, str]:
        """What the store's meta keeps."""
        return {"source_unit": self.unit or "m", "source_up": self.up or "y"}


def median_bone(joints: Float[np.ndarray, "B T V 3"], layout: SkeletonLayout) -> float:
    """Length of the bones of about eight frames, in the unit of the coordinates; NaN without any.

    Bones of no length count for nothing: missing joints are often zeros.
    """
    some = joints[:, :: max(1, joints.shape[1] // 8)]
    some = some[some.any(axis=(2, 3))]
    parents, children = np.array(layout.bones, dtype=int).reshape(-1, 2).T
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(some[:, children] - some[:, parents], axis=-1)
    lengths = lengths[lengths > 0]
    return float(np.median(lengths)) if len(lengths) else float("nan")


def as_xyz(joints: Shaped[np.ndarray, "*any C"], count: int) -> Shaped[np.ndarray, "*any 3"]:
    """The first `count` values of every joint as x, y and z; z = 0 where `count` is 2."""
    joints = joints[..., :count]
    if count == 3:
        return joints
    return np.concatenate([joints, np.zeros_like(joints[..., :1])], axis=-1)


def coordinates_of(
    values: int, layout: SkeletonLayout, chosen: int | None, what: str
) -> tuple[int, list[str]]:
    """How many of a joint's values are coordinates, and what to say of it.

    Args:
        values: how many there are a joint.
        layout: COCO's joints are found in images: the third value is a score by convention.
        chosen: what the user says, 2 or 3.
        what: the array, for the messages.

    Raises:
        HacmError: there are fewer than two values, more than three and none was chosen, or fewer
            than chosen.
    """
    if chosen not in (None, 2, 3):
        raise HacmError(f"a joint has 2 or 3 coordinates, not {chosen!r}")
    if values < (chosen or 2):
        raise HacmError(f"{what} has {values} values a joint, but {chosen or 2} are needed")
    if values > 3 and chosen is None:
        raise HacmError(
            f"{what} has {values} values a joint; expected x, y or x, y, z; say with --coordinates "
            "2 or 3 how many of them are coordinates"
        )
    scored = chosen is None and values == 3 and layout == COCO17
    count = 2 if scored else chosen or values
    if scored:
        return 2, [
            f"{what}: the third value of a joint is taken for a score, as usual with "
            f"{layout.name}, and left out (z = 0); --coordinates 3 takes it for z"
        ]
    return count, [f"{what} is 2-D: z = 0"] if count == 2 else []


def _refuse_giants(joints: np.ndarray, layout: SkeletonLayout, what: str) -> None:
    bone = median_bone(joints, layout)
    if not bone > LONGEST_BONE:
        return
    flat = "" if joints[..., 2].any() else "; pixels: --unit mm --up -y makes them about life-size"
    raise UnitError(
        f"{what}: bones measure {bone:.4g} (median), those of people about {HUMAN_BONE} metres; "
        "say which unit the coordinates have with --unit mm or --unit cm (unit=... in Python), or "
        f"take them as they are with --unit m{flat}"
    )
