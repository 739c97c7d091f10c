"""Skeleton layouts: which joints there are, how bones connect them, and which of them are trunk.

Everything downstream asks a layout for its joints; no other file knows a joint's number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, SupportsIndex

import numpy as np

from hacm.errors import HacmError


@dataclass(frozen=True)
class SkeletonLayout:
    """A tree of V joints.

    Attributes:
        name: how stores and messages call the layout.
        joints: V joint names, in the order of the coordinates.
        parents: V parent indices; exactly one joint, the root, has parent -1.
        trunk: joints that spatial pruning removes and that form the virtual root (paper III-A).
            May be empty: then nothing can be pruned.
        pairs: (left, right) index pairs.
        origin: the joint that `prepare` moves to (0, 0, 0) in a sequence's first frame.

    Raises:
        HacmError: the joints do not form one tree, or an index is out of range.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    trunk: tuple[int, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    origin: int = 0

    def __post_init__(self) -> None:
        V = len(self.joints)
        if V == 0 or len(set(self.joints)) != V:
            raise HacmError(f"layout {self.name!r}: joint names must be present and distinct")
        if len(self.parents) != V:
            raise HacmError(f"layout {self.name!r}: {V} joints but {len(self.parents)} parents")
        listed = {*self.trunk, self.origin, *(joint for pair in self.pairs for joint in pair)}
        if wrong := sorted(joint for joint in listed if not 0 <= joint < V):
            raise HacmError(f"layout {self.name!r}: joint {wrong[0]} is not in 0..{V - 1}")
        roots = [joint for joint, parent in enumerate(self.parents) if parent == -1]
        if len(roots) != 1:
            raise HacmError(
                f"layout {self.name!r}: expected one joint with parent -1, got {roots}; the root's "
                "parent is -1, all others name a joint, counted from 0"
            )
        if wrong := [p for p in self.parents if not -1 <= p < V]:
            raise HacmError(f"layout {self.name!r}: parent {wrong[0]} is not in -1..{V - 1}")
        for joint in range(V):
            seen, step = 0, joint
            while step != -1:
                step, seen = self.parents[step], seen + 1
                if seen > V:
                    raise HacmError(
                        f"layout {self.name!r}: the parents of {self.joints[joint]!r} form a loop"
                    )

    @classmethod
    def from_parents(
        cls,
        name: str,
        joints: Sequence[str],
        parents: Sequence[int | str | None],
        trunk: Sequence[int | str] = (),
        origin: int | str | None = None,
    ) -> SkeletonLayout:
        """Build a layout from names and parents.

        Parents, `trunk` and `origin` are given by name or index; the root's parent is -1 or None.
        Left/right pairs are found by name: `left_x`/`right_x` or `l_x`/`r_x`. The origin is the
        root unless given.
        """
        joints = tuple(str(joint) for joint in _listed(joints, f"layout {name!r}: joints"))

        def index(joint: int | str) -> int:
            if isinstance(joint, SupportsIndex):
                return joint.__index__()
            if not isinstance(joint, str):
                raise HacmError(f"layout {name!r}: {joint!r} is neither a joint's name nor number")
            if joint not in joints:
                known = ", ".join(joints)
                raise HacmError(f"layout {name!r} has no joint {joint!r}; joints: {known}")
            return joints.index(joint)

        pairs = [
            (i, joints.index(other))
            for i, joint in enumerate(joints)
            for left, right in (("left_", "right_"), ("l_", "r_"))
            if joint.startswith(left) and (other := right + joint[len(left) :]) in joints
        ]
        parent_ids = tuple(
            -1 if parent is None else index(parent)
            for parent in _listed(parents, f"layout {name!r}: parents")
        )
        if origin is None:
            origin = parent_ids.index(-1) if -1 in parent_ids else 0
        trunk_ids = tuple(sorted({index(j) for j in _listed(trunk, f"layout {name!r}: trunk")}))
        return cls(name, joints, parent_ids, trunk_ids, tuple(pairs), index(origin))

    @property
    def V(self) -> int:
        """Number of joints."""
        return len(self.joints)

    @property
    def root(self) -> int:
        """The joint without a parent."""
        return self.parents.index(-1)

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """The J joints that remain after spatial pruning, in order."""
        return tuple(joint for joint in range(self.V) if joint not in self.trunk)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) of every bone."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent != -1)

    @cached_property
    def depth(self) -> tuple[int, ...]:
        """Bones between each joint and the root."""
        return tuple(int(d) for d in self.graph_distances[self.root])

    @cached_property
    def limb_depth(self) -> tuple[int, ...]:
        """Bones between each joint and the nearest trunk joint (the virtual root); 0 on the trunk.

        Equal to `depth` for a layout without trunk joints.
        """
        if not self.trunk:
            return self.depth
        return tuple(int(d) for d in self.graph_distances[list(self.trunk)].min(0))

    @cached_property
    def graph_distances(self) -> np.ndarray:
        """(V, V) number of bones on the path between any two joints."""
        lines = []
        for joint in range(self.V):
            line = [joint]
            while self.parents[line[-1]] != -1:
                line.append(self.parents[line[-1]])
            lines.append(line)
        distances = np.zeros((self.V, self.V), dtype=np.int64)
        for a, up_a in enumerate(lines):
            for b, up_b in enumerate(lines):
                shared = len(set(up_a) & set(up_b))
                distances[a, b] = len(up_a) + len(up_b) - 2 * shared
        return distances

    def side(self, joint: int) -> str:
        """`left`, `right` or `middle`."""
        if any(joint == left for left, _ in self.pairs):
            return "left"
        return "right" if any(joint == right for _, right in self.pairs) else "middle"

    def to_dict(self) -> dict[str, Any]:
        """What `meta.json` holds; `from_dict` reads it back."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "parents": list(self.parents),
            "trunk": list(self.trunk),
            "pairs": [list(pair) for pair in self.pairs],
            "origin": self.origin,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> SkeletonLayout:
        """The inverse of `to_dict`."""
        try:
            return cls(
                name=str(fields["name"]),
                joints=tuple(str(joint) for joint in fields["joints"]),
                parents=tuple(int(parent) for parent in fields["parents"]),
                trunk=tuple(int(joint) for joint in fields["trunk"]),
                pairs=tuple((int(left), int(right)) for left, right in fields["pairs"]),
                origin=int(fields["origin"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, HacmError):
                raise
            raise HacmError(f"a layout's description is malformed: {error!r}") from error


def _listed(values: Any, what: str) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise HacmError(f"{what} should be a list, not {values!r}")
    return list(values)


KINECT_V2 = SkeletonLayout.from_parents(
    "kinect_v2",
    [
        *["spine_base", "spine_mid", "neck", "head"],
        *["left_shoulder", "left_elbow", "left_wrist", "left_hand"],
        *["right_shoulder", "right_elbow", "right_wrist", "right_hand"],
        *["left_hip", "left_knee", "left_ankle", "left_foot"],
        *["right_hip", "right_knee", "right_ankle", "right_foot"],
        *["spine_shoulder", "left_hand_tip", "left_thumb", "right_hand_tip", "right_thumb"],
    ],
    [-1, 0, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 1, 7, 7, 11, 11],
    trunk=[0, 1, 4, 8, 12, 16, 20],
    origin="spine_mid",
)

KINECT_V1 = SkeletonLayout.from_parents(
    "kinect_v1",
    [
        *["hip_center", "spine", "shoulder_center", "head"],
        *["left_shoulder", "left_elbow", "left_wrist", "left_hand"],
        *["right_shoulder", "right_elbow", "right_wrist", "right_hand"],
        *["left_hip", "left_knee", "left_ankle", "left_foot"],
        *["right_hip", "right_knee", "right_ankle", "right_foot"],
    ],
    [-1, 0, 1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18],
    trunk=[0, 1, 2, 4, 8, 12, 16],
    origin="spine",
)

COCO17 = SkeletonLayout.from_parents(
    "coco17",
    [
        *["nose", "left_eye", "right_eye", "left_ear", "right_ear"],
        *["left_shoulder", "right_shoulder", "left_elbow", "right_elbow"],
        *["left_wrist", "right_wrist", "left_hip", "right_hip"],
        *["left_knee", "right_knee", "left_ankle", "right_ankle"],
    ],
    [-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14],
    trunk=["left_shoulder", "right_shoulder", "left_hip", "right_hip"],
)

LAYOUTS = {layout.name: layout for layout in (KINECT_V2, KINECT_V1, COCO17)}


def get_layout(name: str) -> SkeletonLayout:
    """A built-in layout by name.

    Raises:
        HacmError: no such layout.
    """
    if name not in LAYOUTS:
        raise HacmError(f"unknown joint layout {name!r}; known: {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def as_layout(layout: SkeletonLayout | str) -> SkeletonLayout:
    """A layout, or a built-in one by name.

    Raises:
        HacmError: it is neither.
    """
    if isinstance(layout, SkeletonLayout):
        return layout
    if not isinstance(layout, str):
        raise HacmError(
            f"a layout is a SkeletonLayout or one of {', '.join(LAYOUTS)}, not a "
            f"{type(layout).__name__}"
        )
    return get_layout(layout)


def guessed_layout(V: int, what: str) -> tuple[SkeletonLayout, str]:
    """The built-in layout with V joints, and a sentence that says so.

    Raises:
        HacmError: there is none.
    """
    for layout in LAYOUTS.values():
        if V == layout.V:
            first = ", ".join(layout.joints[:3])
            return layout, (
                f"{what} has {V} joints: taken for {layout.name} ({first}, ...) by their number "
                "alone; give --layout to be sure"
            )
    raise HacmError(
        f"{what}: no built-in layout has {V} joints; name one with --layout, or bring the "
        "sequences as arrays with their parents (`hacm prepare arrays`)"
    )
