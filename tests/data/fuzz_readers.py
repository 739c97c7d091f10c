"""Fuzz a reader with atheris: any input gives data or a `HacmError`, nothing else.

    pip install atheris
    python tests/data/fuzz_readers.py ntu -max_total_time=600
    python tests/data/fuzz_readers.py pkummd | videos | nwucla | archive | pyskl [its options]

The instrumented code (not the plain one) leaks memory: rather run several short rounds.
What `ntu` accepts must also be what the plain reference reads. Inputs start from small valid files.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import atheris
import numpy as np
from ntu_reference import V, person, plain_denoise, plain_parse, skeleton_text

with atheris.instrument_imports(include=["hacm.data"]):
    from hacm.data.denoise import denoise
    from hacm.data.files import find_files
    from hacm.data.ntu import parse_skeleton
    from hacm.data.nwucla import parse_skeletons
    from hacm.data.pkummd import parse_labels, parse_video
    from hacm.data.pyskl import pyskl_source
    from hacm.data.text import plain_text
    from hacm.data.video_lists import read_video_lists
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz"))


def ntu(data: bytes) -> None:
    """Parse and denoise; compare with the plain reference where it agrees on what a line is."""
    try:
        recording = parse_skeleton(data)
    except HacmError:
        return
    if not recording.bodies:
        return
    actors, _ = denoise(recording.bodies, recording.frames)
    assert np.isfinite(actors).all() and actors.shape[2:] == (V, 3)
    data = plain_text(data, "file")
    if not data.isascii() or any(c in data for c in ODD):
        return
    bodies, frames = plain_parse(data)
    assert frames == recording.frames
    for body, expected in zip(recording.bodies, bodies.values(), strict=True):
        assert body.start == expected["start"]
        np.testing.assert_array_equal(body.joints, expected["joints"])
    assert actors.shape[1] == len(plain_denoise(bodies, frames)) or not actors.any()


UNUSED = b" 250.1 200.2 960.3 540.4 0.1 0.2 0.3 0.9 2"
ODD = b"\x0b\x0c\x1c\x1d\x1e,;"  # line ends for Python's str only, and what it does not separate


def pkummd(data: bytes) -> None:
    """The first half as a label file, and all of it as a video."""
    with suppress(HacmError):
        for clip in parse_labels(data[: len(data) // 2], "label", []):
            assert 0 <= clip.label < 51 and 0 <= clip.start < clip.end
    with suppress(HacmError):
        joints = parse_video(data)
        assert joints.shape[0] in (1, 2) and np.isfinite(joints).all()


def videos(data: bytes) -> None:
    """As a split file."""
    with suppress(HacmError):
        text = plain_text(data, "file").decode()
        train, test = read_video_lists(text, "file", {"0002-l", "walk"})
        assert train and not set(train) & set(test)


def nwucla(data: bytes) -> None:
    """As a JSON file."""
    with suppress(HacmError):
        joints = parse_skeletons(data)
        assert joints.shape[2:] == (KINECT_V1.V, 3) and np.isfinite(joints).all()


def archive(data: bytes) -> None:
    """As an archive, down to the members' contents."""
    file = FOLDER / "fuzzed.zip"
    file.write_bytes(data)
    os.utime(file, ns=(0, next(CHANGED)))  # archives are kept open as long as they do not change
    for found in find_files(file, ".txt")[0]:
        with suppress(HacmError):
            found.read()


CHANGED = count()


def pyskl(data: bytes) -> None:
    """As a pickle, down to its samples."""
    file = FOLDER / "fuzzed.pkl"
    file.write_bytes(data)
    with suppress(HacmError):
        source = pyskl_source(file)
        for item in source.items:
            source.read(item)


def seeds(target: str) -> list[bytes]:
    """Small valid files."""
    rng = np.random.default_rng(0)
    if target == "ntu":
        rows = person(rng, 24).round(1)
        two = [[("7", rows[0])], [], [("7", rows[1]), ("9", rows[2])]]
        switch = [[(str(f // 12), rows[f])] for f in range(24)]
        texts = [skeleton_text(two), skeleton_text(two, "\r\n", last=False), skeleton_text(switch)]
        return [text.replace(UNUSED, b" 0 0 0 0 0 0 0 0 2") for text in texts]
    if target == "videos":
        lists = b"Training:\n0002-L.txt, walk\nValidation:\n0003-R; 0004-R"
        return [lists, lists.decode().encode("utf-16")]
    if target == "nwucla":
        joints = np.ones((1, KINECT_V1.V, 3), dtype=int)
        shapes = (joints, joints.reshape(1, -1), {"skeletons": joints}, {"joints": joints[0]})
        return [json.dumps(value, default=np.ndarray.tolist).encode() for value in shapes]
    if target == "archive":
        folder = FOLDER / "archived"
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "b.txt").write_bytes(b"text")
        kinds = [shutil.make_archive(str(FOLDER / k), k, folder) for k in ("zip", "tar", "gztar")]
        shutil.copy(kinds[0], folder)
        kinds += [shutil.make_archive(str(FOLDER / f"two{k}"), k, folder) for k in ("zip", "tar")]
        return [Path(kind).read_bytes() for kind in kinds]
    if target == "pkummd":
        video = rng.normal(size=(3, 150)).round(3)
        text = "\n".join(" ".join(map(str, row)) for row in video)
        return [text.encode(), b"1,0,10,2\n51,10,20,1\n" * 2]
    annotation = {"frame_dir": "a", "label": 0, "keypoint": np.ones((1, 1, 17, 3), "f2")}
    value = {"annotations": [annotation], "split": {"x_train": ["a"], "x_val": []}}
    return [pickle.dumps(value, protocol) for protocol in range(6)]


if __name__ == "__main__":
    name, *options = sys.argv[1:]
    functions: list[Callable] = [ntu, pkummd, videos, nwucla, archive, pyskl]
    targets = {function.__name__: function for function in functions}
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(seeds(name)):
        (corpus / str(i)).write_bytes(seed)
    atheris.Setup(
        [sys.argv[0], str(corpus), "-max_len=20000", "-rss_limit_mb=3000", *options], targets[name]
    )
    atheris.Fuzz()
