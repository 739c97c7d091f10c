"""WMFT-JBHI: table-top tasks of the Wolf Motor Function Test, Kinect v2, 24 subjects.

`S??_{healthy,mild,moderate}_task??.bin` holds float32 coordinates, frames x 75, in the joint order
of Kinect v2, metres. Data and code are BSD-3 licensed by their authors (public repository
alexandrebarachant/WMFT_JBHI).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hacm.data import class_names
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.names import by_name, name_pattern
from hacm.data.source import Result, Sample, Source, first_reason
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

CONDITIONS = ("healthy", "mild", "moderate")
CLASSES = class_names.WMFT
NAME = name_pattern(rf"S(\d\d)_({'|'.join(CONDITIONS)})_task(\d\d)")
Ids = tuple[int, str, int]
EXAMPLE = "S01_healthy_task02.bin"


def wmft_source(raw: str | Path) -> Source:
    """All `.bin` files under a folder or in an archive; odd subjects train.

    Raises:
        HacmError: there are no such files.
    """
    found, skips = find_files(raw, ".bin")
    named = by_name(found, sample_ids, EXAMPLE, skips)
    if not named:
        raise HacmError(f"{raw} holds no file like {EXAMPLE}" + first_reason(skips))
    return Source(
        title="WMFT-JBHI",
        layout=KINECT_V2,
        label_names=CLASSES,
        items=list(named.items()),
        count=len(named),
        read=read_wmft,
        fingerprint=fingerprint(named.values()),
        splits={"xsub": {"column": "subject", "train": list(range(1, 25, 2))}},
        meta={"source": "WMFT-JBHI", "fps": 30, "condition_names": list(CONDITIONS)},
        skips=skips,
    )


def sample_ids(name: str) -> Ids | None:
    """(subject, condition, task) of a file name, or None if it is none."""
    match = NAME.search(name)
    if match is None or not 1 <= int(match[3]) <= len(CLASSES):
        return None
    return int(match[1]), match[2].lower(), int(match[3])


def read_wmft(item: tuple[Ids, RawFile]) -> Result:
    """The sequence of one file, after what its name says.

    Raises:
        HacmError: its size is no whole number of frames.
    """
    (subject, condition, task), file = item
    data, frame = file.read(), KINECT_V2.V * 3 * 4
    if not data or len(data) % frame:
        raise HacmError(f"{file}: {len(data)} bytes are no whole number of frames of {frame} bytes")
    joints = np.frombuffer(data, dtype="<f4").reshape(1, -1, KINECT_V2.V, 3)
    columns = {"subject": subject, "condition": CONDITIONS.index(condition)}
    name = f"S{subject:02}_{condition}_task{task:02}"
    return Result(samples=[Sample(name, task - 1, joints, columns)])
