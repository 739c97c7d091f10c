"""WMFT-JBHI: table-top tasks of the Wolf Motor Function Test, Kinect v2, 24 subjects.

`S??_{healthy,mild,moderate}_task??.bin` holds float32 coordinates, frames x 75, in the joint order
of Kinect v2, metres. Data and code are BSD-3 licensed by their authors (public repository
alexandrebarachant/WMFT_JBHI).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hacm.data import class_names
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.source import Result, Sample, Skip, Source
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

CONDITIONS = ("healthy", "mild", "moderate")
CLASSES = class_names.WMFT
NAME = re.compile(rf"S(\d\d)_({'|'.join(CONDITIONS)})_task(\d\d)\.bin")


def wmft_source(raw: str | Path) -> Source:
    """All `.bin` files under a folder or in a zip file; odd subjects train.

    Raises:
        HacmError: there are no such files.
    """
    found, skips = find_files(raw, ".bin")
    files = []
    for file in found:
        match = NAME.fullmatch(file.name)
        if match is None or not 1 <= int(match[3]) <= len(CLASSES):
            reason = f"{file}: expected a name like S01_healthy_task02.bin"
            skips.append(Skip(reason, "wrong name"))
        else:
            files.append(file)
    if not files:
        raise HacmError(f"{raw} holds no file like S01_healthy_task02.bin")
    return Source(
        title="WMFT-JBHI",
        layout=KINECT_V2,
        label_names=CLASSES,
        items=files,
        count=len(files),
        read=read_wmft,
        fingerprint=fingerprint(files),
        splits={"xsub": {"column": "subject", "train": list(range(1, 25, 2))}},
        meta={"source": "WMFT-JBHI", "fps": 30, "condition_names": list(CONDITIONS)},
        skips=skips,
    )


def read_wmft(file: RawFile) -> Result:
    """The sequence of one file.

    Raises:
        HacmError: its size is no whole number of frames.
    """
    subject, condition, task = NAME.findall(file.name)[0]
    data, frame = file.read(), KINECT_V2.V * 3 * 4
    if not data or len(data) % frame:
        raise HacmError(f"{file}: {len(data)} bytes are no whole number of frames of {frame} bytes")
    joints = np.frombuffer(data, dtype="<f4").reshape(1, -1, KINECT_V2.V, 3)
    columns = {"subject": int(subject), "condition": CONDITIONS.index(condition)}
    name = file.name.removesuffix(".bin")
    return Result(samples=[Sample(name, int(task) - 1, joints, columns)])
