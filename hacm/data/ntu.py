"""NTU RGB+D 60 and 120: `.skeleton` files of Kinect v2, in folders or in archives.

`skeleton_file.py` reads them, `denoise.py` makes actors of the bodies that the sensor saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hacm.data import class_names
from hacm.data.denoise import denoise
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.names import by_name, name_pattern
from hacm.data.skeleton_file import parse_skeleton
from hacm.data.source import Result, Sample, Skip, Source, first_reason
from hacm.data.text import read_text
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

SUFFIXES = (".skeleton", ".skeleton.txt")
EXAMPLE = "S001C002P003R002A013.skeleton"
NAME = name_pattern(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
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


def ntu_source(
    raw: str | Path, *, skip_list: str | Path | None = None, classes: int | None = None
) -> Source:
    """All `.skeleton` files under a folder or in an archive.

    Args:
        raw: the folder or archive.
        skip_list: the owners' text file of samples with missing skeletons.
        classes: 60 or 120; by default 120 if any file has an action above 60 or a setup above 17.

    Raises:
        HacmError: there are no such files, or the skip list cannot be read.
    """
    found, skips = find_files(raw, *SUFFIXES)
    listed = read_skip_list(skip_list) if skip_list else frozenset()
    named = by_name(found, sample_ids, EXAMPLE, skips)
    if classes is None:
        classes = 60 if all(_fits(ids, 60) for ids in named) else 120
    files: list[RawFile] = []
    for ids, file in named.items():
        if not _fits(ids, classes):
            skips.append(Skip(f"{file} is not part of NTU-{classes}", "other set", wanted=True))
        elif sample_name(ids) in listed:
            skips.append(Skip(f"{file} is on the skip list", "skip list", wanted=True))
        else:
            files.append(file)
    if not files:
        raise HacmError(f"{raw} holds no usable {SUFFIXES[0]} file" + first_reason(skips))
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
    ids = sample_ids(file.name) or ()
    columns = dict(zip(COLUMNS, ids, strict=False))
    sample = Sample(sample_name(ids), ids[-1] - 1, actors, columns)
    return Result(samples=[sample], counts=counts)


def sample_ids(name: str) -> tuple[int, ...] | None:
    """(setup, camera, performer, replication, action) of a file name, or None if it is none."""
    match = NAME.search(name)
    ids = tuple(int(number) for number in match.groups()) if match else None
    return ids if _fits(ids, 120) else None


def sample_name(ids: Sequence[int]) -> str:
    """The owners' name of a sample."""
    return "".join(f"{letter}{number:03}" for letter, number in zip("SCPRA", ids, strict=True))


def read_skip_list(file: str | Path) -> frozenset[str]:
    """Every sample named in a text file; other lines are headings.

    Raises:
        HacmError: the file cannot be read or names no sample.
    """
    text = read_text(file, "the skip list")
    names = frozenset(match.group().upper() for match in NAME.finditer(text))
    if not names:
        raise HacmError(f"the skip list {file} names no sample like S001C002P003R002A013")
    return names


def _fits(ids: Sequence[int] | None, classes: int) -> bool:
    highest = HIGHEST[classes]
    return ids is not None and all(1 <= i <= top for i, top in zip(ids, highest, strict=True))
