"""NW-UCLA: one JSON file a sequence, Kinect v1, 10 classes, 10 subjects, 3 views.

`aAA_sSS_eEE_vVV.json` holds `skeletons`, (T, 20, 3) metres. Two traps of the common form:

    the files of actions 2 and 3 hold the same skeletons for view 2 and view 3 (95 pairs), and
    nothing tells which view they show. The cross-view split, which trains on views 1 and 2, then
    tests on training sequences. So both of a pair are left out unless asked for; the column
    `duplicate_of_other_view` marks them;
    a sequence may have a single frame.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from hacm.data import class_names
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.source import Result, Sample, Skip, Source
from hacm.data.writer import checked_joints
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1

NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)\.json")
COLUMNS = ("subject", "episode", "view")
ACTIONS = tuple(class_names.NWUCLA)
CLASSES = tuple(class_names.NWUCLA.values())
SPLITS = {
    "xsub": {"column": "subject", "train": [1, 3, 5, 7, 9]},
    "xview": {"column": "view", "train": [1, 2]},
}


def nwucla_source(raw: str | Path, *, keep_duplicates: bool = False) -> Source:
    """All JSON files under a folder or in a zip file.

    Args:
        raw: the folder or zip file.
        keep_duplicates: keep sequences that two views share.

    Raises:
        HacmError: there are no such files.
    """
    found, skips = find_files(raw, ".json")
    groups: dict[tuple[str, ...], list[RawFile]] = {}
    for file in found:
        match = NAME.fullmatch(file.name)
        if match is None or int(match[1]) not in ACTIONS:
            skips.append(Skip(f"{file}: expected a name like a01_s02_e03_v01.json", "wrong name"))
        else:
            groups.setdefault(match.groups()[:3], []).append(file)
    if not groups:
        raise HacmError(f"{raw} holds no file like a01_s02_e03_v01.json")
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


def read_nwucla(files: Sequence[RawFile], *, keep_duplicates: bool = False) -> Result:
    """The views of one performance; those that are equal count as duplicates."""
    result = Result()
    views: dict[RawFile, np.ndarray] = {}
    for file in files:
        try:
            views[file] = parse_skeletons(file.read(), str(file))
        except HacmError as error:
            result.skips.append(Skip(str(error)))
    for file, joints in views.items():
        others = [other for other in views if other is not file]
        twin = next((other for other in others if np.array_equal(views[other], joints)), None)
        if twin is not None and not keep_duplicates:
            reason = f"{file} holds the same skeletons as {twin.name}"
            result.skips.append(Skip(reason, "copy of another view", wanted=True))
            continue
        action, *ids = (int(number) for number in NAME.findall(file.name)[0])
        columns = dict(zip(COLUMNS, ids, strict=True))
        columns["duplicate_of_other_view"] = int(twin is not None)
        name = file.name.removesuffix(".json")
        result.samples.append(Sample(name, ACTIONS.index(action), joints, columns))
    return result


def parse_skeletons(data: bytes, file: str = "JSON file") -> np.ndarray:
    """(1, T, V, 3) coordinates.

    Raises:
        HacmError: no JSON, no key `skeletons`, or it is no (T, 20, 3) array of finite numbers.
    """
    try:
        fields = json.loads(data)
        joints = np.array(fields["skeletons"])
    except (ValueError, RecursionError, OverflowError) as error:
        raise HacmError(f"{file} cannot be read as JSON: {str(error)[:80]}") from error
    except (KeyError, TypeError, IndexError) as error:
        raise HacmError(f"{file}: expected an object with the key 'skeletons'") from error
    if joints.ndim != 3:
        raise HacmError(f"{file}: 'skeletons' should be (T, {KINECT_V1.V}, 3), not {joints.shape}")
    return checked_joints(joints, KINECT_V1, str(file))
