"""Fuzz a reader with atheris: any input gives data or a `HacmError`, nothing else.

    pip install atheris
    python tests/data/fuzz_readers.py ntu -max_total_time=600
    python tests/data/fuzz_readers.py pkummd | pyskl [libFuzzer's options]

The instrumented code (not the plain one) leaks memory: rather run several short rounds.
What `ntu` accepts must also be what the plain reference reads. Inputs start from small valid files.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris
import numpy as np
from ntu_reference import V, person, plain_denoise, plain_parse, skeleton_text

with atheris.instrument_imports(include=["hacm.data"]):
    from hacm.data.denoise import denoise
    from hacm.data.ntu import parse_skeleton
    from hacm.data.pkummd import parse_labels, parse_video
    from hacm.data.pyskl import pyskl_source
from hacm.errors import HacmError

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
    if b"\r" in data.replace(b"\r\n", b"\n") or not data.isascii() or any(c in data for c in ODD):
        return
    bodies, frames = plain_parse(data)
    assert frames == recording.frames
    for body, expected in zip(recording.bodies, bodies.values(), strict=True):
        assert body.start == expected["start"]
        np.testing.assert_array_equal(body.joints, expected["joints"])
    assert actors.shape[1] == len(plain_denoise(bodies, frames)) or not actors.any()


UNUSED = b" 250.1 200.2 960.3 540.4 0.1 0.2 0.3 0.9 2"
ODD = b"\x0b\x0c\x1c\x1d\x1e"  # line ends for Python's str, not for the format


def pkummd(data: bytes) -> None:
    """The first half as a label file, and all of it as a video."""
    for clip in parse_labels(data[: len(data) // 2], "label", []):
        assert 0 <= clip.label < 51 and 0 <= clip.start < clip.end
    with suppress(HacmError):
        assert np.isfinite(parse_video(data)).all()


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
    if target == "pkummd":
        video = rng.normal(size=(3, 150)).round(3)
        text = "\n".join(" ".join(map(str, row)) for row in video)
        return [text.encode(), b"1,0,10,2\n51,10,20,1\n" * 2]
    annotation = {"frame_dir": "a", "label": 0, "keypoint": np.ones((1, 1, 17, 3), "f2")}
    value = {"annotations": [annotation], "split": {"x_train": ["a"], "x_val": []}}
    return [pickle.dumps(value, protocol) for protocol in range(6)]


if __name__ == "__main__":
    name, *options = sys.argv[1:]
    targets: dict[str, Callable] = {"ntu": ntu, "pkummd": pkummd, "pyskl": pyskl}
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(seeds(name)):
        (corpus / str(i)).write_bytes(seed)
    atheris.Setup(
        [sys.argv[0], str(corpus), "-max_len=20000", "-rss_limit_mb=3000", *options], targets[name]
    )
    atheris.Fuzz()
