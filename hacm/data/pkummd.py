"""PKU-MMD, phases I and II: long Kinect v2 videos in which labelled actions follow one another.

    skeleton/NAME.txt   a frame a line: body 1 then body 2, 25 joints x y z each, metres
    label/NAME.txt      an action a line: class (from 1), first frame, end (exclusive), confidence
    cross-subject.txt, cross-view.txt (phase I), cross_subject_v2.txt, cross_view_v2.txt (phase II)
                        the second line lists the training videos, separated by commas

Each label line is a sequence. The published pipeline does not centre them, so by default neither
is it done here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hacm.data import class_names
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.numbers import read_numbers, whole_lines
from hacm.data.source import Result, Sample, Skip, Source
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

BODIES = 2
SPLIT_FILES = {
    1: {"xsub": "cross-subject.txt", "xview": "cross-view.txt"},
    2: {"xsub": "cross_subject_v2.txt", "xview": "cross_view_v2.txt"},
}
VIDEO = re.compile(r".+-([LMR])")
CLASSES = class_names.PKUMMD


@dataclass(frozen=True)
class Clip:
    """One label line: frames [start, end) show action `label`; `line` is its number."""

    label: int
    start: int
    end: int
    line: int


def pkummd_source(raw: str | Path, phase: int) -> Source:
    """The labelled actions of all videos.

    Args:
        raw: the folder with `skeleton`, `label` and the split files.
        phase: 1 or 2.

    Raises:
        HacmError: no such phase, no skeleton files.
    """
    if phase not in SPLIT_FILES:
        raise HacmError(f"PKU-MMD has phases 1 and 2, not {phase}")
    raw = Path(raw)
    skeletons, skips = find_files(raw / "skeleton", ".txt")
    labels, more = find_files(raw / "label", ".txt")
    skips += more
    label_of = {file.name: file for file in labels}
    pairs = [(file, label_of.pop(file.name)) for file in skeletons if file.name in label_of]
    paired = {file.name for file, _ in pairs}
    for file in [*skeletons, *label_of.values()]:
        if file.name not in paired:
            other = "skeleton" if file.name in label_of else "label"
            skips.append(Skip(f"{file} has no {other} file of the same name", "without partner"))
    if not pairs:
        raise HacmError(f"{raw}: no file of skeleton/ has a file of the same name in label/")
    splits: dict[str, dict[str, Any]] = {}
    for name, split_file in SPLIT_FILES[phase].items():
        if (raw / split_file).is_file():
            splits[name] = {"column": "video", "train": training_videos(raw / split_file)}
        else:
            skips.append(Skip(f"{raw / split_file} is missing: no split {name!r}", "split file"))
    title = f"PKU-MMD {'I' * phase}"
    return Source(
        title=title,
        layout=KINECT_V2,
        label_names=CLASSES,
        items=pairs,
        count=len(pairs),
        read=read_pkummd,
        fingerprint=fingerprint([file for pair in pairs for file in pair], splits),
        splits=splits,
        center=False,
        meta={"source": title, "fps": 30},
        skips=skips,
    )


def read_pkummd(pair: tuple[RawFile, RawFile]) -> Result:
    """The clips of one video."""
    skeleton, label = pair
    result = Result()
    clips = parse_labels(label.read(), str(label), result.skips)
    video = parse_video(skeleton.read(), str(skeleton))
    name = skeleton.name.removesuffix(".txt")
    view = VIDEO.fullmatch(name)
    for number, clip in enumerate(clips):
        joints = video[:, clip.start : clip.end]
        if not joints.any():
            reason = f"{label}, line {clip.line}: no body in frames {clip.start} to {clip.end - 1}"
            result.skips.append(Skip(reason, "no body"))
            continue
        result.counts["clips cut at the video's end"] += int(clip.end > video.shape[1])
        columns = {"video": name, "view": view[1] if view else "", "first_frame": clip.start}
        # An actor who never appears in the clip is no body of it.
        bodies = joints if joints[1:].any() else joints[:1]
        result.samples.append(Sample(f"{name}_{number:03d}", clip.label, bodies, columns))
    return result


def parse_video(data: bytes, file: str = "skeleton file") -> np.ndarray:
    """(2, T, V, 3) float32 coordinates of a video.

    Raises:
        HacmError: a line does not hold 150 finite numbers.
    """
    fields = BODIES * KINECT_V2.V * 3
    table = read_numbers(whole_lines(data), fields, fields, lambda i: f"{file}, line {i + 1}")
    return table.astype(np.float32).reshape(-1, BODIES, KINECT_V2.V, 3).transpose(1, 0, 2, 3)


def parse_labels(data: bytes, file: str, skips: list[Skip]) -> list[Clip]:
    """The actions of a label file; lines that make no sense are added to `skips`."""
    clips = []
    lines = whole_lines(data).replace(b",", b" ").split(b"\n")[:-1]
    for number, line in enumerate(lines, start=1):
        place = f"{file}, line {number}"
        try:
            values = read_numbers(line + b"\n", 4, 3, lambda _, place=place: place)[0]
            label, start, end = (int(value) for value in values)
            if not 1 <= label <= len(CLASSES):
                raise HacmError(f"{place}: class {label} is not in 1..{len(CLASSES)}")
            if not 0 <= start < end:
                raise HacmError(f"{place}: frames {start} to {end} are no interval")
        except HacmError as error:
            skips.append(Skip(str(error)))
        else:
            clips.append(Clip(label - 1, start, end, number))
    return clips


def training_videos(file: Path) -> list[str]:
    """The names in a split file's second line.

    Raises:
        HacmError: the file cannot be read or lists no video.
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise HacmError(f"{file} cannot be read: {error.strerror}") from error
    names = [name.strip() for name in lines[1].split(",")] if len(lines) > 1 else []
    if not any(names):
        raise HacmError(f"{file}, line 2: expected the training videos, separated by commas")
    return [name for name in names if name]
