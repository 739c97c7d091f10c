"""PKU-MMD, phases I and II: long Kinect v2 videos in which labelled actions follow one another.

    skeleton/NAME.txt   a frame a line: body 1 then body 2, 25 joints x y z each, metres
    label/NAME.txt      an action a line: class (from 1), first frame, end (exclusive), confidence
    cross-subject.txt, cross-view.txt (phase I), cross_subject_v2.txt, cross_view_v2.txt (phase II)
                        a heading, the training videos separated by commas, a heading, the others

The folders may have longer names and lie deeper, also in archives; `.csv` is taken as `.txt` is.
Each label line is a sequence. The published pipeline does not centre them, so by default neither is
it done here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from hacm.data import class_names
from hacm.data.files import RawFile, find_files, fingerprint
from hacm.data.names import by_name
from hacm.data.numbers import plain_separators, read_numbers, values_a_line, whole_lines
from hacm.data.source import Result, Sample, Skip, Source, first_reason
from hacm.data.splits import split_sides
from hacm.data.text import plain_text
from hacm.data.video_lists import read_video_lists, video_name
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

SUFFIXES = (".txt", ".csv")
FRAME_FIELDS = (KINECT_V2.V * 3, 2 * KINECT_V2.V * 3)  # one body or two
LABEL_FIELDS = (3, 4, 5)  # class, first frame, end; then the confidence, and what else there is
SPLIT_FILES = {
    1: {"xsub": "cross-subject.txt", "xview": "cross-view.txt"},
    2: {"xsub": "cross_subject_v2.txt", "xview": "cross_view_v2.txt"},
}
VIDEO = re.compile(r".+-([LMR])", re.IGNORECASE)
WORD, DIGIT = re.compile(rb"[A-Za-z]{3}"), re.compile(rb"[0-9]")
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
        raw: the folder or archive with `skeleton`, `label` and the split files.
        phase: 1 or 2.

    Raises:
        HacmError: no such phase, no skeleton files, a split file that leaves a side empty.
    """
    if phase not in SPLIT_FILES:
        raise HacmError(f"PKU-MMD has phases 1 and 2, not {phase}")
    raw = Path(raw)
    found, skips = find_files(raw, *SUFFIXES)
    kinds: dict[str, list[RawFile]] = {"skeleton": [], "label": [], "": []}
    for file in found:
        kinds[_kind(file, raw)].append(file)
    skeletons, labels = (
        by_name(kinds[kind], _key, "0002-L.txt", skips) for kind in ("skeleton", "label")
    )
    pairs = {key: (file, labels[key]) for key, file in skeletons.items() if key in labels}
    for files, other in ((skeletons, "label"), (labels, "skeleton")):
        for key in (key for key in files if key not in pairs):
            reason = f"{files[key]} has no {other} file of the same name"
            skips.append(Skip(reason, "without partner"))
    if not pairs:
        raise HacmError(
            f"{raw}: no file of skeleton/ has a file of the same name in label/"
            + first_reason(skips)
        )
    splits: dict[str, dict[str, Any]] = {}
    for name, expected in SPLIT_FILES[phase].items():
        listed = [file for file in kinds[""] if _same_split_file(file.name, expected)]
        if listed:
            splits[name] = _split(
                name, listed[0], [video_name(file.name) for file, _ in pairs.values()]
            )
        else:
            skips.append(Skip(f"{raw / expected} is missing: no split {name!r}", "split file"))
    title = f"PKU-MMD {'I' * phase}"
    return Source(
        title=title,
        layout=KINECT_V2,
        label_names=CLASSES,
        items=list(pairs.values()),
        count=len(pairs),
        read=read_pkummd,
        fingerprint=fingerprint([file for pair in pairs.values() for file in pair], splits),
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
    name = video_name(skeleton.name)
    view = VIDEO.fullmatch(name)
    for number, clip in enumerate(clips):
        joints = video[:, clip.start : clip.end]
        if not joints.any():
            reason = f"{label}, line {clip.line}: no body in frames {clip.start} to {clip.end - 1}"
            result.skips.append(Skip(reason, "no body"))
            continue
        result.counts["clips cut at the video's end"] += int(clip.end > video.shape[1])
        columns = {
            "video": name,
            "view": view[1].upper() if view else "",
            "first_frame": clip.start,
        }
        # An actor who never appears in the clip is no body of it.
        bodies = joints if joints[1:].any() else joints[:1]
        result.samples.append(Sample(f"{name}_{number:03d}", clip.label, bodies, columns))
    return result


def parse_video(data: bytes, file: str = "skeleton file") -> Float[np.ndarray, "B T V 3"]:
    """A video's coordinates; one body or two.

    Raises:
        HacmError: a line does not hold 75 or 150 finite numbers, the same for all.
    """

    def place(i: int) -> str:
        return f"{file}, line {i + 1}"

    text = plain_separators(whole_lines(plain_text(data, file)))
    fields = values_a_line(text, FRAME_FIELDS, place)
    joints = read_numbers(text, fields, fields, place).astype(np.float32)
    return joints.reshape(-1, fields // (KINECT_V2.V * 3), KINECT_V2.V, 3).transpose(1, 0, 2, 3)


def parse_labels(data: bytes, file: str, skips: list[Skip]) -> list[Clip]:
    """The actions of a label file; lines that make no sense are added to `skips`.

    Raises:
        HacmError: it is not text.
    """
    clips = []
    lines = whole_lines(plain_text(data, file)).split(b"\n")[:-1]
    for number, line in enumerate(lines, start=1):
        is_heading = number == 1 and WORD.search(line) and not DIGIT.search(line)
        if is_heading or not line.strip():
            continue
        try:
            clips.append(_clip(line, f"{file}, line {number}", number))
        except HacmError as error:
            skips.append(Skip(str(error)))
    return clips


def _clip(line: bytes, place: str, number: int) -> Clip:
    values = plain_separators(line).split()
    if len(values) not in LABEL_FIELDS:
        raise HacmError(
            f"{place}: expected class, start, end, confidence, found {len(values)} values"
        )
    first = b" ".join(values[:3]) + b"\n"
    label, start, end = read_numbers(first, 3, 3, lambda _: place)[0].tolist()
    if not (label.is_integer() and start.is_integer() and end.is_integer()):
        raise HacmError(f"{place}: class, start and end should be whole numbers")
    if not 1 <= label <= len(CLASSES):
        raise HacmError(f"{place}: class {label:.0f} is not in 1..{len(CLASSES)}")
    if not 0 <= start < end:
        raise HacmError(f"{place}: frames {start:.0f} to {end:.0f} are no interval")
    return Clip(int(label) - 1, int(start), int(end), number)


def _kind(file: RawFile, raw: Path) -> str:
    """`skeleton` or `label`, after the innermost folder or archive that says so."""
    folders = str(file).removeprefix(str(raw)).replace("\\", "/").lower().split("/")[:-1]
    said = (kind for part in folders[::-1] for kind in ("skeleton", "label") if kind in part)
    return next(said, "")


def _key(name: str) -> str:
    return video_name(name).lower()


def _same_split_file(name: str, expected: str) -> bool:
    return _key(name).replace("_", "-") == _key(expected).replace("_", "-")


def _split(name: str, file: RawFile, videos: Sequence[str]) -> dict[str, Any]:
    """The split of a split file, with the videos' names as they are here."""
    here = {video.lower(): video for video in videos}
    text = plain_text(file.read(), str(file)).decode()
    train, _ = read_video_lists(text, str(file), here)
    split = {"column": "video", "train": [here.get(video.lower(), video) for video in train]}
    fault = split_sides(name, {name: split}, {"video": np.array(videos)}).fault
    if fault:
        raise HacmError(f"{file}: {fault}; correct the file, or remove it to go without the split")
    return split
