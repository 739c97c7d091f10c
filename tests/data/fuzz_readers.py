"""Fuzz a reader with atheris: any input gives data or a `HacmError`, nothing else.

    pip install atheris
    python tests/data/fuzz_readers.py ntu -max_total_time=600
    python tests/data/fuzz_readers.py pkummd | videos | nwucla | archive [libFuzzer's options]
    python tests/data/fuzz_readers.py pyskl | prepared | arrays | memory

The instrumented code (not the plain one) leaks memory: rather run several short rounds.
What `ntu` accepts must also be what the plain reference reads. Inputs start from small valid files.
`prepared` and `arrays` take the input apart into the members of an `.npz` file, arrays of random
shapes and types or raw bytes; `memory` gives such arrays to `SequenceStore.from_arrays`.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import atheris
import numpy as np
import torch
from ntu_reference import V, person, plain_denoise, plain_parse, skeleton_text

with atheris.instrument_imports(include=["hacm.data"]):
    from hacm.data.arrays import arrays_source
    from hacm.data.denoise import denoise
    from hacm.data.files import find_files
    from hacm.data.ntu import parse_skeleton
    from hacm.data.nwucla import parse_skeletons
    from hacm.data.pkummd import parse_labels, parse_video
    from hacm.data.prepare import prepare
    from hacm.data.prepared import prepared_source
    from hacm.data.pyskl import pyskl_source
    from hacm.data.source import Source
    from hacm.data.store import SequenceStore
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
    """As a pickle, into a store."""
    file = FOLDER / "fuzzed.pkl"
    file.write_bytes(data)
    into_a_store(lambda: pyskl_source(file))


def into_a_store(source: Callable[[], Source]) -> None:
    """What is accepted is a whole store; what is not leaves nothing behind."""
    out = FOLDER / "store"
    shutil.rmtree(out, ignore_errors=True)
    try:
        prepare(source(), out, unit="m")
    except HacmError:
        assert not out.exists() and not (FOLDER / ".store.partial").exists()
        return
    store = SequenceStore(out, verify=True)
    assert all(np.isfinite(store[i]).all() for i in range(len(store)))


KINDS = ["f4", "f8", ">f4", "f2", "i8", "i2", "u1", "u8", "?", "U3", "S2", "c8", "M8[D]", "f4,i2"]
SIZES = [0, 1, 2, 3, 4, 5, 6, 17, 20, 25, 60, 75, 150]
SHAPES = [(6, 17, 3), (6, 25, 3), (6, 20, 2), (6, 2, 17, 3), (2, 3, 4, 25, 2), (2, 4, 150), (2, 75)]
VECTORS = [[0, 3, 6], [0, 6], [0, 1], [1, 2], [0, 10**12], [-1, 0], [0.5, 1], [2.0, 1.0]]


USUAL = {"offsets": 0, "y": 0, "subject": 0, "parent": 2, "joints": 4, "x": 4}


def array(fuzz: atheris.FuzzedDataProvider, key: str = "") -> np.ndarray:
    """One that might be under such a key, or that is a little off."""
    choice = fuzz.ConsumeIntInRange(0, 4)
    if fuzz.ConsumeIntInRange(0, 3):
        choice = USUAL.get(key.lower().partition("_")[0], choice)
    if choice == 0:
        return np.array(fuzz.PickValueInList(VECTORS))
    if choice == 1:
        return np.array([fuzz.ConsumeUnicodeNoSurrogates(3) for _ in range(2)])
    if choice == 2:
        parents = [fuzz.ConsumeIntInRange(-1, 16) for _ in range(17)]
        return np.array([-1, *range(16)] if fuzz.ConsumeBool() else parents)
    shape = fuzz.PickValueInList(SHAPES)
    if choice == 3:
        shape = tuple(fuzz.PickValueInList(SIZES) for _ in range(fuzz.ConsumeIntInRange(0, 3)))
    rng = np.random.default_rng(fuzz.ConsumeIntInRange(0, 3))
    values = rng.normal(size=shape) * fuzz.PickValueInList([0, 1, 1, 1, 300, 1e39, np.nan])
    with np.errstate(all="ignore"):
        values = values.astype(np.int64 if fuzz.ConsumeBool() else np.float64)
        kind = fuzz.PickValueInList(KINDS)
        typed = values.astype(np.int64) if kind.startswith("M8") else values
        typed = typed.astype(kind) if "," not in kind else np.zeros(shape, kind)
    return np.asfortranarray(typed) if fuzz.ConsumeBool() else typed


def npz(fuzz: atheris.FuzzedDataProvider, keys: list[str]) -> Path:
    """Some of the keys, each an array or, seldom, an array whose bytes are changed."""
    file = FOLDER / "fuzzed.npz"
    with zipfile.ZipFile(file, "w") as archive:
        for key in keys:
            if fuzz.ConsumeIntInRange(0, 5) == 0:
                continue
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array(fuzz, key), allow_pickle=False)
            member = bytearray(stream.getvalue())
            if fuzz.ConsumeIntInRange(0, 9) == 0:
                at = fuzz.ConsumeIntInRange(0, min(len(member) - 1, 140))
                member[at : at + 1] = fuzz.ConsumeBytes(2)
            archive.writestr(f"{key}.npy", bytes(member))
    return file


def prepared(data: bytes) -> None:
    """Sides with their labels."""
    fuzz = atheris.FuzzedDataProvider(data)
    file = npz(fuzz, ["x_train", "y_train", "X_test", "y_test", "x_val", "y_val"])
    coordinates = fuzz.PickValueInList([None, None, 2, 3])
    into_a_store(lambda: prepared_source(file, coordinates=coordinates))


def arrays(data: bytes) -> None:
    """Needed and other keys."""
    fuzz = atheris.FuzzedDataProvider(data)
    needed, layout = ["joints", "offsets", "label"], ["parent", "joint_names", "trunk", "origin"]
    file = npz(fuzz, [*needed, *layout, "subject", "name", "label_names", "frames", "x"])
    options = {"layout": fuzz.PickValueInList([None, "kinect_v2", "coco17"])}
    options["coordinates"] = fuzz.PickValueInList([None, None, 2, 3])
    into_a_store(lambda: arrays_source(file, **options))


def memory(data: bytes) -> None:
    """Arguments of `from_arrays`."""
    fuzz = atheris.FuzzedDataProvider(data)
    out = FOLDER / "store"
    shutil.rmtree(out, ignore_errors=True)
    things = [None, 0, 0.5, "coco17", "kinect_v2", [], {}, [None, 1], ["a", "b"], np.nan]
    some = [array(fuzz) if fuzz.ConsumeBool() else fuzz.PickValueInList(things) for _ in range(5)]
    columns = {"subject": some[3]} if fuzz.ConsumeBool() else {}
    listed = [some[0]] * 2 if fuzz.ConsumeBool() else some[0]
    layout = "coco17" if fuzz.ConsumeBool() else some[2]
    try:
        SequenceStore.from_arrays(
            listed, some[1], layout, path=out, label_names=some[4], unit="m", **columns
        )
    except HacmError:
        assert not out.exists() and not (FOLDER / ".store.partial").exists()


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
    if target != "pyskl":
        return [rng.bytes(200) for _ in range(20)]
    annotation = {"frame_dir": "a", "label": 0, "keypoint": np.ones((1, 1, 17, 3), "f2")}
    value = {"annotations": [annotation], "split": {"x_train": ["a"], "x_val": []}}
    tensor = {**annotation, "keypoint": torch.ones(1, 1, 17, 2), "total_frames": 1}
    named = {"annotations": (tensor,), "split": {"train1": {"a"}, "test1": np.array(["b"])}}
    transposed = np.ones((2, 1, 25, 3), "f4").transpose(1, 0, 2, 3)
    other = [{**annotation, "keypoint": transposed, "label": [np.int64(1)]}]
    return [
        pickle.dumps(content, protocol)
        for content in (value, named, other)
        for protocol in range(6)
    ]


if __name__ == "__main__":
    name, *options = sys.argv[1:]
    functions: list[Callable] = [
        ntu,
        pkummd,
        videos,
        nwucla,
        archive,
        pyskl,
        prepared,
        arrays,
        memory,
    ]
    targets = {function.__name__: function for function in functions}
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(seeds(name)):
        (corpus / str(i)).write_bytes(seed)
    atheris.Setup(
        [sys.argv[0], str(corpus), "-max_len=20000", "-rss_limit_mb=3000", *options], targets[name]
    )
    atheris.Fuzz()
