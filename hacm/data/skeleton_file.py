"""A `.skeleton` file: for every frame, the bodies that a Kinect v2 saw, as text.

A file of 100 frames is parsed in one pass over its lines: the counts are checked against the lines
that are there before anything is allocated, and the coordinates are converted all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hacm.data.denoise import Body
from hacm.data.numbers import (
    line_begins,
    plain_separators,
    read_numbers,
    shown,
    values_a_line,
    whole_lines,
)
from hacm.data.text import plain_text
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

BODY_FIELDS = (1, 10)  # the id alone, or all that the sensor says
JOINT_FIELDS = (3, 12)  # x y z alone, or all that the sensor says


@dataclass
class Recording:
    """One file.

    Attributes:
        bodies: by id, in the order in which the ids first occur.
        frames: frames that hold a body; only these are counted anywhere.
        empty: frames without a body.
        surplus: lines behind the last frame, which the common procedure ignores.
    """

    bodies: list[Body]
    frames: int
    empty: int
    surplus: int


def parse_skeleton(data: bytes, file: str = "skeleton file") -> Recording:
    """Read the text of a `.skeleton` file.

    Args:
        data: the text; the last line may end in nothing.
        file: for messages.

    Raises:
        HacmError: the first thing that is wrong, with its line.
    """
    V = KINECT_V2.V
    text = plain_separators(whole_lines(plain_text(data, file)))
    # Line i, counted from 0, is text[begins[i] : begins[i + 1]].
    begins = line_begins(text)
    lines = len(begins) - 1

    def count(at: int, of: str) -> int:
        if at >= lines:
            raise HacmError(f"{file}, line {at + 1}: the file ends where the {of} should be")
        number = text[begins[at] : begins[at + 1]].strip()
        if not number.isdigit() or len(number) > 9:
            raise HacmError(f"{file}, line {at + 1}: expected the {of}, found {shown(number)}")
        return int(number)

    def check_room(at: int, needed: int, what: str) -> None:
        if needed > (left := lines - at - 1):
            raise HacmError(f"{file}, line {at + 1}: {what} need {needed} lines, {left} follow")

    frames = count(0, "number of frames")
    check_room(0, frames, f"{frames} frames")
    at, kept = 1, 0
    ids: list[bytes] = []
    numbers: list[int] = []  # of the frame, for each body
    joint_lines: list[int] = []  # where its joints begin
    joint_texts: list[bytes] = []
    for _ in range(frames):
        bodies = count(at, "number of bodies")
        check_room(at, bodies * (V + 2), f"{bodies} bodies")
        at += 1
        for _ in range(bodies):
            fields = text[begins[at] : begins[at + 1]].split()
            if len(fields) not in BODY_FIELDS:
                raise HacmError(
                    f"{file}, line {at + 1}: expected {BODY_FIELDS[-1]} values of a body, "
                    f"found {len(fields)}"
                )
            if (joints := count(at + 1, "number of joints")) != V:
                raise HacmError(f"{file}, line {at + 2}: expected {V} joints, found {joints}")
            at += 2
            ids.append(fields[0])
            numbers.append(kept)
            joint_lines.append(at)
            joint_texts.append(text[begins[at] : begins[at + V]])
            at += V
        kept += bodies > 0

    def place(i: int) -> str:
        return f"{file}, line {joint_lines[i // V] + i % V + 1}"

    joint_text = b"".join(joint_texts)
    fields_a_line = values_a_line(joint_text, JOINT_FIELDS, place)
    table = read_numbers(joint_text, fields_a_line, 3, place)
    bodies_by_id = _by_id(ids, numbers, table.astype(np.float32).reshape(-1, V, 3))
    for id, body in bodies_by_id.items():
        if body.end >= kept:
            raise HacmError(f"{file}: body {shown(id)} occurs more often than there are frames")
    return Recording(list(bodies_by_id.values()), kept, frames - kept, lines - at)


def _by_id(ids: Sequence[bytes], numbers: Sequence[int], xyz: np.ndarray) -> dict[bytes, Body]:
    places: dict[bytes, list[int]] = {}
    for i, id in enumerate(ids):
        places.setdefault(id, []).append(i)
    return {id: Body(numbers[where[0]], xyz[where]) for id, where in places.items()}
