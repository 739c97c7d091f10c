"""What the user of a finished store should look at: its size and its place."""

from __future__ import annotations

import numpy as np

from hacm.data.coordinates import HUMAN_BONE, LONGEST_BONE, SHORTEST_BONE, median_bone
from hacm.data.store import SequenceStore

_SAMPLE = 64
_FAR = 5.0  # bones from zero; a centred body starts at zero, a camera sees people at about 15


def remarks(store: SequenceStore) -> list[str]:
    """Sentences on bodies that are far from life-size, or far from the origin.

    About 64 sequences are looked at.
    """
    bones, places = [], []
    for i in range(0, len(store), max(1, len(store) // _SAMPLE)):
        joints = store[i]
        bones.append(median_bone(joints, store.layout))
        there = joints[0].any(axis=(1, 2))
        if there.any():
            first = joints[0, int(np.argmax(there)), store.layout.origin]
            places.append(float(np.linalg.norm(first)))
    bones = [bone for bone in bones if np.isfinite(bone)]
    if not bones or not places:
        return []
    bone, place = float(np.median(bones)), float(np.median(places))
    said = []
    if not SHORTEST_BONE < bone < LONGEST_BONE:
        said.append(
            f"bones measure {bone:.3g} (median), those of people about {HUMAN_BONE} metres: is the "
            "unit right (--unit)?"
        )
    if place > _FAR * bone:
        said.append(
            f"bodies start {place:.3g} metres from the origin (median), {place / bone:.0f} times "
            "the length of a bone: they are not centred, which costs much accuracy; --center "
            "(center=True in Python) moves them there"
        )
    return said
