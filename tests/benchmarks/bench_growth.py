"""How the time of a step grows with batch, frames, joints and width."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hacm.skeleton import SkeletonLayout

from .bench_step import QUARTER, Setting, our_step, plain_step
from .measure import count_operations, in_turns, spread

SMALL = Setting(
    sequences=4,
    absent=2,
    preset="released+small",
    options={
        **{"decode_ratio": 1.0, "frames": 72, "patch_frames": 3},
        **{"depth": 4, "decoder_depth": 2},
    },
)
AXES: dict[str, tuple[int, ...]] = {
    "sequences": (2, 4, 8, 16),
    "frames": (18, 36, 72, 144),
    "joints": (3, 6, 12, 24),
    "width": (32, 64, 128, 256),
}


def layout_of(joints: int) -> SkeletonLayout:
    """A trunk joint and limbs of three joints: `joints` of them are tokens."""
    names = ["trunk", *(f"limb{i // 3}_{i % 3}" for i in range(joints))]
    parents = [-1, *(0 if i % 3 == 0 else i for i in range(joints))]
    return SkeletonLayout.from_parents("star", names, parents, trunk=["trunk"])


def at(axis: str, value: int, base: Setting = SMALL) -> Setting:
    """The small setting with one size changed."""
    if axis == "sequences":
        return replace(base, sequences=value, absent=value // 2)
    if axis == "joints":
        return replace(base, layout=layout_of(value))
    sizes = {"width": value, "decoder_width": value} if axis == "width" else {axis: value}
    return replace(base, options={**base.options, **sizes})


def growth(
    rounds: int, axes: dict[str, tuple[int, ...]] = AXES, base: Setting = SMALL
) -> list[dict[str, Any]]:
    """One row for each axis, size and step: seconds and operations."""
    rows = []
    for axis, values in axes.items():
        for value in values:
            setting = at(axis, value, base)
            steps = {
                "plain": plain_step(setting),
                "exact": our_step(setting),
                "decode 1/4": our_step(setting, **QUARTER),
            }
            operations = {name: count_operations(step) for name, step in steps.items()}
            for name, seconds in in_turns(steps, rounds).items():
                rows.append(
                    {
                        **{"axis": axis, "size": value, "step": name},
                        **{"seconds": spread(seconds), "operations": operations[name]},
                    }
                )
    return rows
