"""NW-UCLA: one JSON file a sequence, Kinect v1, 10 classes, 10 subjects, 3 views.

`aAA_sSS_eEE_vVV.json` holds `skeletons`, (T, 20, 3) metres; other names of that key go round, and
the list without a key. Two traps of the common form:

    the files of actions 2 and 3 hold the same skeletons for view 2 and view 3 (95 pairs), and
    nothing tells which view they show. The cross-view split, which trains on views 1 and 2, then
    tests on training sequences. So both of a pair are left out unless asked for; the column
    `duplicate_of_other_view` marks them;
    a sequence may have a single frame.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from hacm.data import class_names
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.names import by_name, name_pattern
from hacm.data.source import Result, Sample, Skip, Source, first_reason
from hacm.data.text import plain_text
from hacm.data.writer import checked_joints
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1

NAME = name_pattern(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)")
EXAMPLE = "a01_s02_e03_v01.json"
KEYS = ("skeletons", "skeleton", "joints", "keypoints", "keypoint", "skel", "data", "frames")
Ids = tuple[int, int, int, int]
COLUMNS = ("subject", "episode", "view")
ACTIONS = tuple(class_names.NWUCLA)
CLASSES = tuple(class_names.NWUCLA.values())
SPLITS = {
    "xsub": {"column": "subject", "train": [1, 3, 5, 7, 9]},
    "xview": {"column": "view", "train": [1, 2]},
}


def nwucla_source(raw: str | Path, *, keep_duplicates: bool = False) -> Source:
    """All JSON files under a folder or in an archive.

    Args:
        raw: the folder or archive.
        keep_duplicates: keep sequences that two views share.

    Raises:
        HacmError: there are no such files.
    """
    found, skips = find_files(raw, ".json")
    named = by_name(found, sample_ids, EXAMPLE, skips)
    if not named:
        raise HacmError(f"{raw} holds no file like {EXAMPLE}" + first_reason(skips))
    groups: dict[tuple[int, ...], dict[Ids, RawFile]] = {}
    for ids, file in named.items():
        groups.setdefault(ids[:3], {})[ids] = file
    return Source(
        title="NW-UCLA",
        layout=KINECT_V1,
        label_names=CLASSES,
        items=list(groups.values()),
        count=len(groups),
        read=partial(read_nwucla, keep_duplicates=keep_duplicates),
        fingerprint=fingerprint(found, keep_duplicates),
        splits=SPLITS,
        meta={"source": "NW-UCLA"},
        skips=skips,
    )


def sample_ids(name: str) -> Ids | None:
    """(action, subject, episode, view) of a file name, or None if it is none."""
    match = NAME.search(name)
    if match is None or int(match[1]) not in ACTIONS:
        return None
    return int(match[1]), int(match[2]), int(match[3]), int(match[4])


def read_nwucla(files: Mapping[Ids, RawFile], *, keep_duplicates: bool = False) -> Result:
    """The views of one performance; those that are equal count as duplicates."""
    result = Result()
    views: dict[Ids, np.ndarray] = {}
    for ids, file in files.items():
        try:
            views[ids] = parse_skeletons(file.read(), str(file))
        except HacmError as error:
            result.skips.append(Skip(str(error)))
    for ids, joints in views.items():
        others = [other for other in views if other != ids]
        twin = next((other for other in others if np.array_equal(views[other], joints)), None)
        if twin is not None and not keep_duplicates:
            reason = f"{files[ids]} holds the same skeletons as {files[twin].name}"
            result.skips.append(Skip(reason, "copy of another view", wanted=True))
            continue
        action, *rest = ids
        columns = dict(zip(COLUMNS, rest, strict=True))
        columns["duplicate_of_other_view"] = int(twin is not None)
        name = "a{:02}_s{:02}_e{:02}_v{:02}".format(*ids)
        result.samples.append(Sample(name, ACTIONS.index(action), joints, columns))
    return result


def parse_skeletons(data: bytes, file: str = "JSON file") -> Float[np.ndarray, "1 T V 3"]:
    """The coordinates, from an object with one of `KEYS` or from a list alone.

    A frame may be a list of 20 joints or of 60 numbers.

    Raises:
        HacmError: no JSON, no such key, or it is no (T, 20, 3) array of finite numbers.
    """
    text = plain_text(data, file)
    try:
        content = json.loads(text)
        key = _key(content)
        joints = np.array(content if key is None else content[key])
    except (ValueError, RecursionError, OverflowError) as error:
        raise HacmError(f"{file} cannot be read as JSON: {str(error)[:80]}") from error
    V = KINECT_V1.V
    for tail in ((V, 3), (V * 3,)):
        lead = joints.shape[: -len(tail)]
        # Besides the frames there may be an axis for the one person.
        if joints.shape[-len(tail) :] == tail and sum(n != 1 for n in lead) <= 1:
            joints = joints.reshape(-1, V, 3)
    if key is None and joints.ndim != 3:
        raise HacmError(f"{file}: expected a (T, {V}, 3) list, or one under the key {KEYS[0]!r}")
    if joints.ndim != 3:
        raise HacmError(f"{file}: {key!r} should be (T, {V}, 3), not {joints.shape}")
    return checked_joints(joints, KINECT_V1, file)


def _key(content: Any) -> str | None:
    """Under which key an object has its skeletons; None if it is no object or has none."""
    keys = {key.lower(): key for key in content} if isinstance(content, dict) else {}
    return next((keys[key] for key in KEYS if key in keys), None)
