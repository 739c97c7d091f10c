"""UTD-MHAD: 27 actions of 8 subjects, Kinect v1, one MATLAB file a sequence.

`aA_sS_tT_skeleton.mat` holds `d_skel`, (20, 3, T) metres, in a joint order of its own.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from hacm.data import class_names
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.source import Result, Sample, Skip, Source
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1

NAME = re.compile(r"a(\d+)_s(\d+)_t(\d+)_skeleton\.mat")
CLASSES = class_names.UTD_MHAD
KEY = "d_skel"
JOINTS = (
    *("head", "shoulder_center", "spine", "hip_center"),
    *("left_shoulder", "left_elbow", "left_wrist", "left_hand"),
    *("right_shoulder", "right_elbow", "right_wrist", "right_hand"),
    *("left_hip", "left_knee", "left_ankle", "left_foot"),
    *("right_hip", "right_knee", "right_ankle", "right_foot"),
)
ORDER = [JOINTS.index(joint) for joint in KINECT_V1.joints]


def utd_mhad_source(raw: str | Path) -> Source:
    """All `_skeleton.mat` files under a folder or in a zip file; odd subjects train.

    Raises:
        HacmError: there are no such files.
    """
    found, skips = find_files(raw, "_skeleton.mat")
    files = []
    for file in found:
        match = NAME.fullmatch(file.name)
        if match is None or not 1 <= int(match[1]) <= len(CLASSES):
            skips.append(Skip(f"{file}: expected a name like a1_s2_t3_skeleton.mat", "wrong name"))
        else:
            files.append(file)
    if not files:
        raise HacmError(f"{raw} holds no file like a1_s2_t3_skeleton.mat")
    return Source(
        title="UTD-MHAD",
        layout=KINECT_V1,
        label_names=CLASSES,
        items=files,
        count=len(files),
        read=read_utd_mhad,
        fingerprint=fingerprint(files),
        splits={"xsub": {"column": "subject", "train": [1, 3, 5, 7]}},
        meta={"source": "UTD-MHAD", "fps": 30},
        skips=skips,
    )


def read_utd_mhad(file: RawFile) -> Result:
    """The sequence of one file.

    Raises:
        HacmError: it is no MATLAB file, or holds no (20, 3, T) array `d_skel`.
    """
    from scipy.io import loadmat

    action, subject, trial = (int(number) for number in NAME.findall(file.name)[0])
    data = file.read()
    try:
        arrays = loadmat(io.BytesIO(data), variable_names=[KEY])
    except Exception as error:  # scipy raises a dozen kinds on damaged files
        raise HacmError(f"{file} cannot be read as a MATLAB file: {error}") from error
    joints = arrays.get(KEY)
    if not isinstance(joints, np.ndarray) or joints.shape[:2] != (KINECT_V1.V, 3):
        shape = getattr(joints, "shape", "nothing")
        raise HacmError(f"{file}: {KEY!r} should be ({KINECT_V1.V}, 3, T), not {shape}")
    if joints.ndim == 2:  # MATLAB drops the last axis of a single frame
        joints = joints[..., None]
    sequence = joints.transpose(2, 0, 1)[None][:, :, ORDER]
    columns = {"subject": subject, "trial": trial}
    name = file.name.removesuffix("_skeleton.mat")
    return Result(samples=[Sample(name, action - 1, sequence, columns)])
