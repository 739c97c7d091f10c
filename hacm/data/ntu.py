"""NTU RGB+D 60 and 120: `.skeleton` files of Kinect v2, in folders or in the owners' zip files.

A file holds, for every frame, the bodies the sensor saw; `denoise.py` makes actors of them. A text
file of 100 frames is parsed in one pass over its lines: the counts are checked against the lines
that are there before anything is allocated, and the coordinates are converted all at once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hacm.data import class_names
from hacm.data.denoise import Body, denoise
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.numbers import line_begins, read_numbers, shown, whole_lines
from hacm.data.source import Result, Sample, Skip, Source
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

SUFFIX = ".skeleton"
BODY_FIELDS, JOINT_FIELDS = 10, 12
NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
COLUMNS = ("setup", "camera", "subject", "replication")
HIGHEST = {60: (17, 3, 40, 2, 60), 120: (32, 3, 106, 2, 120)}  # setup, camera, ..., action
CLASSES = class_names.NTU

XSUB_60 = [1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38]
XSUB_120 = [
    *XSUB_60,
    *(45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85),
    *(86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103),
]
SPLITS = {
    60: {
        "xsub": {"column": "subject", "train": XSUB_60},
        "xview": {"column": "camera", "train": [2, 3]},
    },
    120: {
        "xsub": {"column": "subject", "train": XSUB_120},
        "xset": {"column": "setup", "train": list(range(2, 33, 2))},
    },
}
# Training and test sequences with the owners' lists of missing skeletons applied.
PUBLISHED = {
    60: {"xsub": (40_091, 16_487), "xview": (37_646, 18_932)},
    120: {"xsub": (63_026, 50_919), "xset": (54_468, 59_477)},
}


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


def ntu_source(
    raw: str | Path, *, skip_list: str | Path | None = None, classes: int | None = None
) -> Source:
    """All `.skeleton` files under a folder or in a zip file.

    Args:
        raw: the folder or zip file.
        skip_list: the owners' text file of samples with missing skeletons.
        classes: 60 or 120; by default 120 if any file has an action above 60 or a setup above 17.

    Raises:
        HacmError: there are no such files, or the skip list cannot be read.
    """
    found, skips = find_files(raw, SUFFIX)
    listed = read_skip_list(skip_list) if skip_list else frozenset()
    ids = {file: sample_ids(file.name) for file in found}
    if classes is None:
        new = any(i is not None and not _fits(i, 60) for i in ids.values())
        classes = 120 if new else 60
    files: list[RawFile] = []
    first: dict[str, RawFile] = {}
    for file in found:
        name = file.name.removesuffix(SUFFIX)
        if ids[file] is None:
            reason = f"{file}: expected a name like S001C002P003R002A013{SUFFIX}"
            skips.append(Skip(reason, "wrong name"))
        elif not _fits(ids[file], classes):
            skips.append(Skip(f"{file} is not part of NTU-{classes}", "other set", wanted=True))
        elif name in first:
            skips.append(Skip(f"{file} occurs twice, first as {first[name]}", "duplicate"))
        else:
            first[name] = file
            if name in listed:
                skips.append(Skip(f"{file} is on the skip list", "skip list", wanted=True))
            else:
                files.append(file)
    if not files:
        raise HacmError(f"{raw} holds no usable {SUFFIX} file" + _first_reason(skips))
    return Source(
        title=f"NTU RGB+D {classes}",
        layout=KINECT_V2,
        label_names=CLASSES[:classes],
        items=files,
        count=len(files),
        read=read_ntu,
        fingerprint=fingerprint(files),
        splits=SPLITS[classes],
        published=PUBLISHED[classes],
        meta={"source": f"NTU RGB+D {classes}", "fps": 30},
        skips=skips,
    )


def read_ntu(file: RawFile) -> Result:
    """The actors of one file; no sample if there are none."""
    recording = parse_skeleton(file.read(), str(file))
    counts = Counter({"frames without a body": recording.empty})
    counts["files with lines behind the last frame"] = int(recording.surplus > 0)
    if not recording.bodies:
        return Result(skips=[Skip(f"{file}: no frame holds a body", "no body")], counts=counts)
    actors, dropped = denoise(recording.bodies, recording.frames)
    counts.update({f"bodies dropped: {rule}": n for rule, n in dropped.items()})
    if not actors.any():
        reason = f"{file}: no body is left after denoising"
        return Result(skips=[Skip(reason, "no body")], counts=counts)
    counts["frames in which no actor is left"] = recording.frames - actors.shape[1]
    name = file.name.removesuffix(SUFFIX)
    *ids, action = sample_ids(name) or ()
    sample = Sample(name, action - 1, actors, dict(zip(COLUMNS, ids, strict=True)))
    return Result(samples=[sample], counts=counts)


def parse_skeleton(data: bytes, file: str = "skeleton file") -> Recording:
    """Read the text of a `.skeleton` file.

    Args:
        data: the text; lines end in LF or CRLF, the last one in either or in nothing.
        file: for messages.

    Raises:
        HacmError: the first thing that is wrong, with its line.
    """
    V = KINECT_V2.V
    text = whole_lines(data)
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
            if len(fields) != BODY_FIELDS:
                raise HacmError(
                    f"{file}, line {at + 1}: expected {BODY_FIELDS} values of a body, "
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

    table = read_numbers(b"".join(joint_texts), JOINT_FIELDS, 3, place)
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


def sample_ids(name: str) -> tuple[int, ...] | None:
    """(setup, camera, performer, replication, action) of a file name, or None if it is none."""
    match = NAME.fullmatch(name.removesuffix(SUFFIX))
    ids = tuple(int(number) for number in match.groups()) if match else ()
    return ids if ids and _fits(ids, 120) else None


def read_skip_list(file: str | Path) -> frozenset[str]:
    """Every sample named in a text file; other lines are headings.

    Raises:
        HacmError: the file cannot be read or names no sample.
    """
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise HacmError(f"the skip list {file} cannot be read: {error.strerror}") from error
    names = frozenset(match.group() for match in NAME.finditer(text))
    if not names:
        raise HacmError(f"the skip list {file} names no sample like S001C002P003R002A013")
    return names


def _fits(ids: Sequence[int] | None, classes: int) -> bool:
    highest = HIGHEST[classes]
    return ids is not None and all(1 <= i <= top for i, top in zip(ids, highest, strict=True))


def _first_reason(skips: Sequence[Skip]) -> str:
    return f"; the first of {len(skips)} that were left out: {skips[0].reason}" if skips else ""
