"""The joints of an `.npz` file of sequences: from its `parent`, or from what the user names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hacm.errors import HacmError
from hacm.skeleton import LAYOUTS, SkeletonLayout, as_layout, guessed_layout

LAYOUT_KEYS = ("parent", "joint_names", "trunk", "origin")
_ROOT = ("", "-1", "none")


def layout_of(
    arrays: dict[str, np.ndarray],
    V: int,
    file: Path,
    given: SkeletonLayout | str | None = None,
) -> tuple[SkeletonLayout, list[str]]:
    """The layout, and sentences on what was guessed.

    Args:
        arrays: `parent` (V,), numbers or names, and, where there, `joint_names` (V,), `trunk` and
            `origin`, joints by number or name.
        V: the number of joints.
        file: for messages; a new layout is named after it.
        given: what the user names instead of `parent`.

    Raises:
        HacmError: the keys are no tree of V joints, or there is no `parent` and no built-in layout
            has V joints.
    """
    notes: list[str] = []
    names = arrays.get("joint_names")
    if names is not None and names.shape != (V,):
        raise HacmError(f"{file}: 'joint_names' should be {V} names, not {names.shape}")
    joints = [f"joint_{i}" for i in range(V)] if names is None else _values(names)
    try:
        if given is not None:
            layout = as_layout(given)
        elif "parent" in arrays:
            parents = _parents(arrays["parent"], V, file)
            layout = SkeletonLayout.from_parents(file.stem, joints, parents)
            layout = next((b for b in LAYOUTS.values() if b.parents == layout.parents), layout)
        else:
            layout, note = _guessed(V, file)
            notes.append(note)
        given_joints = arrays.keys() & {"trunk", "origin"}
        own = {key: _values(arrays[key].ravel()) for key in given_joints}
        return _with_own(layout, own, joints if names is not None else [], file), notes
    except HacmError as error:
        raise error if str(file) in str(error) else HacmError(f"{file}: {error}") from error


def _with_own(
    layout: SkeletonLayout, own: dict[str, list[Any]], joints: list[Any], file: Path
) -> SkeletonLayout:
    """With the file's `trunk` and `origin`, which may name joints as the file does."""
    if not own:
        return layout
    # The file may call the joints of a built-in layout by other names.
    same = len(joints) == layout.V and all(isinstance(joint, str) for joint in joints)
    spoken = joints if same else list(layout.joints)
    origin = own.get("origin", [layout.origin])
    if len(origin) != 1:
        raise HacmError(f"{file}: 'origin' should be one joint, not {len(origin)}")
    changed = SkeletonLayout.from_parents(
        layout.name, spoken, layout.parents, own.get("trunk", layout.trunk), origin[0]
    )
    if (changed.trunk, changed.origin) == (layout.trunk, layout.origin):
        return layout
    return replace(layout, name=file.stem, trunk=changed.trunk, origin=changed.origin)


def _guessed(V: int, file: Path) -> tuple[SkeletonLayout, str]:
    try:
        return guessed_layout(V, f"{file}: 'joints'")
    except HacmError:
        raise HacmError(
            f"{file}: key 'parent' is missing, and no built-in layout has {V} joints; add "
            f"'parent', {V} numbers of parent joints counted from 0 with -1 for the root, or name "
            "a layout with --layout"
        ) from None


def _parents(parent: np.ndarray, V: int, file: Path) -> list[Any]:
    values = _values(parent.ravel())
    values = [None if str(value).lower() in _ROOT else value for value in values]
    whole = all(value is None or isinstance(value, int | str) for value in values)
    if parent.shape != (V,) or not whole:
        raise HacmError(
            f"{file}: 'parent' should be {V} whole numbers or names of joints, -1 for the root, "
            f"not {parent.dtype} {parent.shape}"
        )
    return values


def _values(array: np.ndarray) -> list[Any]:
    """Numbers or texts."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return array.tolist()
