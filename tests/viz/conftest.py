"""Small stores of moving people in every layout, and one without trunk joints."""

from __future__ import annotations

import numpy as np
import pytest

from hacm.data.store import SequenceStore
from hacm.skeleton import LAYOUTS, SkeletonLayout

NO_TRUNK = SkeletonLayout.from_parents("no_trunk", ["base", "left_tip", "right_tip"], [-1, 0, 0])
ALL_LAYOUTS = [*LAYOUTS.values(), NO_TRUNK]


def moving(layout: SkeletonLayout, frames: int, bodies: int = 1, seed: int = 0) -> np.ndarray:
    """(B, T, V, 3): a random pose in which every joint sways."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.4, (bodies, 1, layout.V, 3))
    phase = rng.uniform(0, 6, (bodies, 1, layout.V, 3))
    time = np.linspace(0, 6, frames)[:, None, None]
    return (pose + 0.1 * np.sin(time + phase)).astype(np.float32)


@pytest.fixture
def make_store(tmp_path):
    """Sequences 0: one body, 1: two bodies, 2: one frame, 3: a second body that is mostly away.

    Classes: `sit` (0, 2), `stand` (1, 3) and `fly`, which is empty.
    """

    def make(layout: SkeletonLayout) -> SequenceStore:
        rare = moving(layout, 40, 2, 3)
        rare[1, 5:] = 0
        arrays = [moving(layout, 50), moving(layout, 60, 2, 1), moving(layout, 1, 1, 2), rare]
        return SequenceStore.from_arrays(
            arrays,
            [0, 1, 0, 1],
            layout,
            path=tmp_path / layout.name,
            label_names=["sit", "stand", "fly"],
            center=False,
        )

    return make
