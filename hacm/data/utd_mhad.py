"""UTD-MHAD: 27 actions of 8 subjects, Kinect v1, one MATLAB file a sequence.

`aA_sS_tT_skeleton.mat` holds `d_skel`, (20, 3, T) metres, in a joint order of its own.
"""

from __future__ import annotations

from pathlib import Path

from hacm.data import class_names
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.matlab import read_array
from hacm.data.names import by_name, name_pattern
from hacm.data.source import Result, Sample, Source, first_reason
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1

NAME = name_pattern(r"a(\d+)_s(\d+)_t(\d+)_skeleton")
EXAMPLE = "a1_s2_t3_skeleton.mat"
Ids = tuple[int, int, int]
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
    """All `_skeleton.mat` files under a folder or in an archive; odd subjects train.

    Raises:
        HacmError: there are no such files.
    """
    found, skips = find_files(raw, ".mat")
    skeletons = [file for file in found if "_skeleton" in file.name.lower()]  # the rest: sensors
    named = by_name(skeletons, sample_ids, EXAMPLE, skips)
    if not named:
        raise HacmError(f"{raw} holds no file like {EXAMPLE}" + first_reason(skips))
    return Source(
        title="UTD-MHAD",
        layout=KINECT_V1,
        label_names=CLASSES,
        items=list(named.items()),
        count=len(named),
        read=read_utd_mhad,
        fingerprint=fingerprint(named.values()),
        splits={"xsub": {"column": "subject", "train": [1, 3, 5, 7]}},
        meta={"source": "UTD-MHAD", "fps": 30},
        skips=skips,
    )


def sample_ids(name: str) -> Ids | None:
    """(action, subject, trial) of a file name, or None if it is none."""
    match = NAME.search(name)
    if match is None or not 1 <= int(match[1]) <= len(CLASSES):
        return None
    return int(match[1]), int(match[2]), int(match[3])


def read_utd_mhad(item: tuple[Ids, RawFile]) -> Result:
    """The sequence of one file, after what its name says.

    Raises:
        HacmError: it is no MATLAB file, or holds no (20, 3, T) array `d_skel`.
    """
    (action, subject, trial), file = item
    joints = read_array(file.read(), KEY, str(file))
    if joints is None or joints.shape[:2] != (KINECT_V1.V, 3) or joints.ndim > 3:
        shape = getattr(joints, "shape", "nothing")
        raise HacmError(f"{file}: {KEY!r} should be ({KINECT_V1.V}, 3, T), not {shape}")
    if joints.ndim == 2:  # MATLAB drops the last axis of a single frame
        joints = joints[..., None]
    sequence = joints.transpose(2, 0, 1)[None][:, :, ORDER]
    columns = {"subject": subject, "trial": trial}
    name = f"a{action}_s{subject}_t{trial}"
    return Result(samples=[Sample(name, action - 1, sequence, columns)])
