"""Pickles from the internet: their arrays are read, their code is never run."""

import io
import os
import pickle
import pickletools
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacm.data.prepare import prepare
from hacm.data.pyskl import pyskl_source
from hacm.data.restricted_pickle import Array, load_plain_pickle
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

V = KINECT_V2.V
NAMES = ["S001C001P001R001A001", "S001C002P002R001A002", "S001C003P003R001A060"]


def keypoint(i, bodies=1, frames=4, dtype=np.float32):
    return np.random.default_rng(i).normal(size=(bodies, frames, V, 3)).astype(dtype)


def content(names=NAMES, **changes):
    annotations = [
        {"frame_dir": name, "label": int(name[-3:]) - 1, "total_frames": 4, "keypoint": keypoint(i)}
        for i, name in enumerate(names)
    ]
    split = {
        "xsub_train": names[:1],
        "xsub_val": names[1:],
        "xview_train": names[:2],
        "xview_test": names[2:],
    }
    return {"split": split, "annotations": annotations, **changes}


def write(tmp_path: Path, value, protocol=4) -> Path:
    file = tmp_path / "ntu60_3danno.pkl"
    file.write_bytes(pickle.dumps(value, protocol=protocol))
    return file


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("old_numpy", [False, True])
def test_sequences_splits_and_columns(tmp_path, protocol, old_numpy):
    file = write(tmp_path, content(), protocol)
    if old_numpy:  # the module's name before numpy 2
        data = pickletools.optimize(file.read_bytes())
        name, old = b"numpy._core", b"numpy.core"
        data = data.replace(bytes([len(name) + 11]) + name, bytes([len(old) + 11]) + old)
        data = data.replace(bytes([len(name) + 8]) + name, bytes([len(old) + 8]) + old)
        data = data.replace(b"c" + name, b"c" + old)
        file.write_bytes(data if protocol < 4 else unframed(data))
    report = prepare(pyskl_source(file), tmp_path / "s", center=False)
    store = SequenceStore(tmp_path / "s", verify=True)
    assert not report.skips
    assert store.labels.tolist() == [0, 1, 59]
    assert len(store.label_names) == 60 and store.label_names[0] == "drink water"
    assert store.columns["subject"].tolist() == [1, 2, 3]
    assert [ids.tolist() for ids in store.split("xsub")] == [[0], [1, 2]]
    assert [ids.tolist() for ids in store.split("xview")] == [[0, 1], [2]]
    np.testing.assert_array_equal(store[1], keypoint(1))


def unframed(data: bytes) -> bytes:
    """Without frames, whose lengths no longer fit."""
    stream = io.BytesIO(data)
    out = bytearray()
    while byte := stream.read(1):
        if byte == pickle.FRAME:
            stream.read(8)
            out += stream.read()
            break
        out += byte
        if byte == pickle.PROTO:
            out += stream.read(1)
    return bytes(out)


def test_types_byte_orders_and_scalars(tmp_path):
    values = {
        "f2": np.arange(6, dtype="<f2").reshape(2, 3),
        "f8": np.arange(6, dtype=">f8").reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "bool": np.array([True, False]),
        "scalar": np.int64(7),
        "real": np.float32(0.5),
        "tuple": ("a", {"b": b""}, [None, True, 1 << 70, b"x"]),
    }
    for protocol in range(6):
        read = load_plain_pickle(write(tmp_path, values, protocol))
        for key in ("f2", "f8", "fortran", "empty", "bool"):
            assert isinstance(read[key], Array)
            np.testing.assert_array_equal(read[key].values, values[key])
        assert (read["scalar"], read["real"]) == (7, 0.5)
        assert read["tuple"] == values["tuple"]


def test_absent_bodies_are_left_out(tmp_path):
    value = content()
    value["annotations"][0]["keypoint"] = np.concatenate([keypoint(0), np.zeros((1, 4, V, 3))])
    value["annotations"][1]["keypoint"] = np.zeros((2, 4, V, 3), np.float32)
    report = prepare(pyskl_source(write(tmp_path, value)), tmp_path / "s")
    assert SequenceStore(tmp_path / "s").columns["bodies"].tolist() == [1, 1]
    assert [skip.kind for skip in report.skips] == ["no body"]


def test_other_sets_keep_numbers_for_names(tmp_path):
    value = content(["one001", "two002"], split={"train": ["one001"], "val": ["two002"]})
    prepare(pyskl_source(write(tmp_path, value)), tmp_path / "s")
    store = SequenceStore(tmp_path / "s")
    assert store.label_names == ["0", "1"] and "subject" not in store.columns
    assert [ids.tolist() for ids in store.split("given")] == [[0], [1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "a"}, "label 'a' is none of"),
        ({"label": None}, "expected 'frame_dir', 'label' and an array"),
        ({"label": 0.7}, "whole numbers or texts, not 0.7"),
        ({"label": [0, 1]}, r"whole numbers or texts, not \[0, 1\]"),
        ({"keypoint": None}, "expected 'frame_dir', 'label' and an array"),
        ({"keypoint": [1, 2]}, r"should be \(M, T, V, 3\) numbers, not int64 \(2,\)"),
        ({"keypoint": [[1], [1, 2]]}, "is no array of numbers"),
        ({"keypoint": np.zeros((4, V))}, r"should be \(M, T, V, 3\) numbers, .* \(4, 25\)"),
        ({"keypoint": np.ones((1, 4, V, 3), bool)}, "numbers, not bool"),
        ({"keypoint": np.zeros((4, V, 3))}, "no body"),
        ({"keypoint": np.ones((1, 4, 7, 3))}, r"got \(1, 4, 7, 3\)"),
        ({"keypoint": np.full((1, 4, V, 3), np.nan)}, "NaN or infinite"),
        ({"keypoint": np.ones((1, 0, V, 3))}, "no body"),
        ({"frame_dir": "S001C003P003R001A061"}, "on neither side of split 'xsub'"),
        ({"label": -1}, "label -1"),
    ],
)
def test_bad_annotations_cost_themselves_only(tmp_path, change, message):
    value = content()
    value["annotations"][2].update(change)
    report = prepare(pyskl_source(write(tmp_path, value)), tmp_path / "s")
    assert report.sequences == 2
    assert re.search(message, report.skips[0].reason)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "a dict with a list 'annotations'"),
        ({"annotations": []}, "a dict with a list 'annotations'"),
        ({"annotations": [3]}, "'keypoint' should be"),
        ({"annotations": [{"keypoint": np.ones((1, 4, 17, 5))}]}, "has 5 values a joint"),
        ({"annotations": [{"keypoint": np.ones((1, 4, 17, 1))}]}, "has 1 values a joint"),
        ({"annotations": [{"keypoint": np.ones((1, 4, 9, 3))}]}, "no built-in layout has 9 joints"),
        (content(split={"xsub_train": 3}), "'split' should be a dict of lists"),
    ],
)
def test_other_contents_are_refused(tmp_path, value, message):
    with pytest.raises(HacmError, match=message):
        pyskl_source(write(tmp_path, value))


class Evil:
    """Runs a command when it is unpickled the usual way."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


TOUCH = "touch {}"


@pytest.mark.parametrize(
    "function", [os.system, eval, exec, __import__, getattr, os.popen, np.save, open, np.load]
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_code_is_never_run(tmp_path, function, protocol):
    target = tmp_path / "touched"
    argument = {eval: f"open({str(target)!r}, 'w')", exec: f"open({str(target)!r}, 'w')"}
    evil = Evil(function, argument.get(function, f"touch {target}"))
    file = write(tmp_path, content(extra=evil), protocol)
    with pytest.raises(HacmError, match="it asks for"):
        pyskl_source(file)
    assert not target.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name]


def program(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def short(text: str) -> bytes:
    return pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode()


def ask(module: str, name: str) -> bytes:
    return short(module) + short(name) + pickle.STACK_GLOBAL


RECONSTRUCT = ask("numpy.core.multiarray", "_reconstruct")
ATTACKS = {
    "dotted name": ask("numpy", "dtype.__class__"),
    "builtins through numpy": ask("numpy.core.multiarray", "__builtins__"),
    "old style import": b"cposix\nsystem\n(S'true'\ntR",
    "change a function": RECONSTRUCT + b"N}" + short("__code__") + b"Ks" + b"\x86b",
    "call ndarray": ask("numpy", "ndarray") + pickle.BININT1 + b"\x09" + b"\x85R",
    "extension registry": b"\x82\x01",
    "persistent id": b"Pname\n",
    "object arrays": ask("numpy", "dtype") + short("O8") + b"\x85R",
    "structured arrays": ask("numpy", "dtype") + short("f4,f4") + b"\x85R",
    "wrong shape": RECONSTRUCT
    + b"K\x00K\x00K\x00\x87R(K\x01K\x09\x85"
    + ask("numpy", "dtype")
    + short("f4")
    + b"\x85R"
    + b"\x89C\x04abcdtb",
    "far memo": b"N" + pickle.LONG_BINPUT + struct.pack("<I", 0x7FFFFFFF),
    "far memo, text": b"Np99999999999\n",
    "huge bytes": pickle.BINBYTES8 + struct.pack("<Q", 1 << 60),
    "huge bytearray": pickle.BYTEARRAY8 + struct.pack("<Q", 1 << 35),
    "huge frame": pickle.FRAME + struct.pack("<Q", 1 << 60) + b"N",
    "negative text": pickle.BINSTRING + struct.pack("<i", -5),
    "nothing": b"",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_crafted_pickles(tmp_path, attack):
    file = tmp_path / "attack.pkl"
    file.write_bytes(program(ATTACKS[attack]))
    with pytest.raises(
        HacmError, match=r"no pickle of plain containers|expected a dict|more memory"
    ):
        pyskl_source(file)


def test_damaged_and_missing_files(tmp_path):
    with pytest.raises(HacmError, match="cannot be read"):
        pyskl_source(tmp_path / "none.pkl")
    data = write(tmp_path, content()).read_bytes()
    for cut in (0, 1, 100, len(data) // 2, len(data) - 1):
        file = tmp_path / "cut.pkl"
        file.write_bytes(data[:cut])
        with pytest.raises(HacmError):
            pyskl_source(file)


SEEDS = [pickle.dumps(content(), protocol=protocol) for protocol in (0, 2, 4, 5)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_a_sentence(tmp_path_factory, data):
    pickled = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(pickled) - 1))
        pickled[at : at + 1] = data.draw(st.binary(max_size=3))
    file = tmp_path_factory.getbasetemp() / "damaged.pkl"
    file.write_bytes(bytes(pickled))
    try:
        load_plain_pickle(file)
    except HacmError as error:
        assert "\n" not in str(error).replace("\\n", "")
