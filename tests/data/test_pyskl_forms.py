"""Pickles in the forms that people's own sets have: all hold the same clips."""

import bz2
import gzip
import lzma
import pickle
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch

from hacm.data.prepare import prepare
from hacm.data.pyskl import pyskl_source
from hacm.data.restricted_pickle import load_plain_pickle, plain
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import COCO17, KINECT_V2

V, T = KINECT_V2.V, 6
NAMES = [f"clip{i}" for i in range(4)]


def clip(i, M=2, C=3, joints=V):
    return np.random.default_rng(i).normal(size=(M, T, joints, C)).astype(np.float32)


def content(keypoint=clip, **each):
    annotations = [
        {"frame_dir": name, "label": i % 2, "total_frames": T, "keypoint": keypoint(i)}
        for i, name in enumerate(NAMES)
    ]
    for key, change in each.items():
        for annotation in annotations:
            annotation[key] = change(annotation[key])
    return {"split": {"a_train": NAMES[:3], "a_val": NAMES[3:]}, "annotations": annotations}


def read(tmp_path, value, protocol=4, pack=bytes, **options):
    file = tmp_path / "own.pkl"
    file.write_bytes(pack(pickle.dumps(value, protocol)))
    report = prepare(pyskl_source(file, **options), tmp_path / "s", center=False, overwrite=True)
    return SequenceStore(tmp_path / "s", verify=True), report


def check(store, clips=None):
    assert store.columns["name"].tolist() == NAMES
    assert store.labels.tolist() == [0, 1, 0, 1]
    assert [ids.tolist() for ids in store.split("a")] == [[0, 1, 2], [3]]
    for i in range(4):
        np.testing.assert_array_equal(store[i], clip(i) if clips is None else clips[i])


FORMS = {
    "transposed": content(lambda i: clip(i).transpose(1, 2, 0, 3).copy().transpose(2, 0, 1, 3)),
    "fortran": content(lambda i: np.asfortranarray(clip(i))),
    "every second": content(lambda i: np.repeat(clip(i), 2, axis=1)[:, ::2]),
    "objects": content(lambda i: clip(i).astype(object)),
    "lists": content(lambda i: clip(i).tolist()),
    "tensors": content(lambda i: torch.from_numpy(clip(i))),
    "views of tensors": content(lambda i: torch.from_numpy(clip(i).transpose(0, 1, 3, 2)).mT),
    "parameters of a batch": content(lambda i: torch.from_numpy(np.stack([clip(i)] * 2))[1]),
    "tuple": {**content(), "annotations": tuple(content()["annotations"])},
    "array of dicts": {**content(), "annotations": np.array(content()["annotations"], object)},
    "ordered": OrderedDict(content()),
    "numpy names": content(frame_dir=np.str_),
    "numpy labels": content(label=np.int64),
    "float labels": content(label=float),
    "text labels": content(label=str),
    "list labels": content(label=lambda label: [label]),
    "array labels": content(label=lambda label: np.array([label])),
    "tensor labels": content(label=torch.tensor),
    **{
        f"split of {kind.__name__}": {
            **content(),
            "split": {"a_train": kind(NAMES[:3]), "a_test": kind(NAMES[3:])},
        }
        for kind in (tuple, set, frozenset, np.array)
    },
    "split of objects": {
        **content(),
        "split": {"a_train": np.array(NAMES[:3], object), "a_test": np.array(NAMES[3:], object)},
    },
    "nested split": {**content(), "split": {"a": {"train": NAMES[:3], "val": NAMES[3:]}}},
    "capital sides": {**content(), "split": {"a_Train": NAMES[:3], "a_Validation": NAMES[3:]}},
}
for factory in (list, dict, int, set):
    FORMS[f"defaultdict of {factory.__name__}"] = defaultdict(factory, content())


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_store(tmp_path, form, protocol):
    store, report = read(tmp_path, FORMS[form], protocol)
    check(store)
    assert not report.skips and not report.counts


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files(tmp_path, pack):
    check(read(tmp_path, content(), pack=pack)[0])
    with pytest.raises(HacmError):
        read(tmp_path, content(), pack=lambda data: pack(data)[: len(data) // 2])


@pytest.mark.parametrize("order", ["C", "F", "K"])
def test_arrays_as_numpy_2_3_writes_them(tmp_path, order):
    class Buffer:
        """An array that pickles as `_frombuffer` with an order of axes."""

        def __reduce__(self):
            values = np.arange(24, dtype="<f4").reshape(2, 3, 4)
            frombuffer = np._core.numeric._frombuffer
            data = bytearray(values.tobytes())
            if order == "K":
                return frombuffer, (data, values.dtype, (2, 3, 4), "K", (2, 0, 1))
            return frombuffer, (data, values.dtype, (2, 3, 4), order)

    file = tmp_path / "x.pkl"
    file.write_bytes(pickle.dumps(Buffer(), protocol=5))
    values = np.arange(24, dtype=np.float32)
    expected = values.reshape(2, 3, 4, order="C" if order == "K" else order)
    expected = expected.transpose(2, 0, 1) if order == "K" else expected
    np.testing.assert_array_equal(plain(load_plain_pickle(file)), expected)


def test_arrays_of_text_and_objects(tmp_path):
    values = {
        "text": np.array([["a", "übung"], ["", "x" * 9]]),
        "big-endian": np.array(["a", "ü"], dtype=">U3"),
        "bytes": np.array([b"a", b"bc"]),
        "objects": np.array([[1, "a"], [None, 2.5]], dtype=object),
        "scalar": np.str_("x"),
    }
    file = tmp_path / "x.pkl"
    for protocol in range(6):
        file.write_bytes(pickle.dumps(values, protocol))
        for key, value in load_plain_pickle(file).items():
            np.testing.assert_array_equal(plain(value), values[key])


@pytest.mark.parametrize("kind", ["float64", "float16", "int16", "uint8", "bool", "bfloat16"])
def test_tensors_of_every_type(tmp_path, kind):
    tensor = torch.arange(24).reshape(2, 3, 4).to(getattr(torch, kind))[:, 1:, ::2].mT
    file = tmp_path / "x.pkl"
    file.write_bytes(pickle.dumps(tensor))
    expected = tensor.float().numpy()
    np.testing.assert_array_equal(plain(load_plain_pickle(file)), expected)


def test_the_axes_of_bodies_and_coordinates(tmp_path):
    single = [clip(i, M=1) for i in range(4)]
    check(read(tmp_path, content(lambda i: single[i][0]))[0], single)
    flat = [clip(i, C=2) for i in range(4)]
    store, report = read(tmp_path, content(lambda i: flat[i]))
    padded = [np.concatenate([x, np.zeros_like(x[..., :1])], axis=-1) for x in flat]
    check(store, padded)
    assert any("2-D: z = 0" in note for note in report.notes)


def test_scores_are_no_depth(tmp_path):
    scored = [clip(i, joints=17) for i in range(4)]
    store, report = read(tmp_path, content(lambda i: scored[i]))
    assert store.layout == COCO17
    check(store, [x * [1, 1, 0] for x in scored])
    assert any("taken for a score" in note for note in report.notes)
    check(read(tmp_path, content(lambda i: scored[i]), coordinates=3)[0], scored)
    four = [clip(i, C=4) for i in range(4)]
    with pytest.raises(HacmError, match=r"has 4 values a joint.*--coordinates"):
        read(tmp_path, content(lambda i: four[i]))
    check(read(tmp_path, content(lambda i: four[i]), coordinates=3)[0], [x[..., :3] for x in four])


def test_a_guessed_layout_is_told(tmp_path):
    _, report = read(tmp_path, content())
    assert any("25 joints: taken for kinect_v2" in note for note in report.notes)
    assert read(tmp_path, content(), layout="kinect_v2")[1].notes == []
    with pytest.raises(HacmError, match="unknown joint layout 'kinect'"):
        read(tmp_path, content(), layout="kinect")


@pytest.mark.parametrize("first", [None, np.zeros(3), "x", torch.ones(2), [[1], [1, 2]], {}])
def test_a_bad_first_annotation_costs_itself_only(tmp_path, first):
    value = content()
    value["annotations"][0] |= {"keypoint": first, "total_frames": np.arange(3)}
    store, report = read(tmp_path, value)
    assert store.columns["name"].tolist() == NAMES[1:] and len(report.skips) == 1


@pytest.mark.parametrize("value", [np.array(5), np.array(["a"]), [{}], {"annotations": set()}, 3])
def test_other_contents_are_refused(tmp_path, value):
    with pytest.raises(HacmError, match=r"expected a dict with a list 'annotations'|should be"):
        read(tmp_path, value)


def test_a_list_of_annotations_alone(tmp_path):
    store, _ = read(tmp_path, content()["annotations"])
    assert len(store) == 4 and store.splits == {}


def test_total_frames_that_disagree_are_counted(tmp_path):
    value = content()
    value["annotations"][1]["total_frames"] = 99
    value["annotations"][2]["total_frames"] = None
    _, report = read(tmp_path, value)
    assert report.counts == {"arrays of another length than 'total_frames' says": 1}
    assert report.sequences == 4


def test_names_are_numbers(tmp_path):
    value = content()
    for i, annotation in enumerate(value["annotations"]):
        annotation["frame_dir"] = 10 + i
    value["split"] = {"a_train": [10, 11, 12], "a_val": np.array([13])}
    store, _ = read(tmp_path, value)
    assert store.columns["name"].tolist() == ["10", "11", "12", "13"]
    assert store.split("a")[1].tolist() == [3]


def test_numbered_splits_that_leave_clips_out(tmp_path):
    split = {"train1": NAMES[:2], "test1": NAMES[2:3], "train2": NAMES[1:], "test2": NAMES[:1]}
    store, report = read(tmp_path, {**content(), "split": split})
    assert len(store) == 4 and not report.skips
    assert [ids.tolist() for ids in store.split("split1")] == [[0, 1], [2]]
    assert [ids.tolist() for ids in store.split("split2")] == [[1, 2, 3], [0]]
    assert store.columns["split1"].tolist() == ["train", "train", "test", "none"]
    assert report.splits["split1"] == {"train": 2, "test": 1, "published": None}


def test_three_sides(tmp_path):
    split = {"train": NAMES[:2], "val": NAMES[2:3], "test": NAMES[3:]}
    store, report = read(tmp_path, {**content(), "split": split})
    assert len(store) == 4
    assert [ids.tolist() for ids in store.split("given")] == [[0, 1], [3]]
    assert any("val is unused" in note for note in report.notes)


def test_faults_of_splits_are_told(tmp_path):
    split = {
        "a_train": [*NAMES[:3], "gone"],
        "a_val": NAMES[2:],
        "b_train": NAMES,
        "c_train": NAMES,
        "c_val": ["gone"],
        "odd": NAMES,
        "subject_train": NAMES[:2],
        "subject_test": NAMES[2:],
    }
    store, report = read(tmp_path, {**content(), "split": split})
    assert [ids.tolist() for ids in store.split("a")] == [[0, 1], [2, 3]]
    assert set(store.splits) == {"a", "subject_split"}
    told = "\n".join(report.notes)
    for words in ("more than one side", "no annotation: 1", "'b' is left out", "'c' is left out"):
        assert words in told
    assert "'odd' of 'split' is left out" in told


NTU = ["S001C001P001R001A007", "S001C002P002R001A050", "S002C001P001R001A060", NAMES[0]]


@pytest.mark.parametrize(("first", "told"), [(0, False), (1, True)])
def test_ntu_labels_from_0_and_from_1(tmp_path, first, told):
    value = content()
    value["annotations"] = value["annotations"][:3]
    for annotation, name in zip(value["annotations"], NTU, strict=False):
        annotation |= {"frame_dir": name, "label": int(name[-3:]) - 1 + first}
    store, report = read(tmp_path, {"annotations": value["annotations"]})
    assert [store.label_names[label] for label in store.labels] == [
        "throw",
        "punch/slap",
        "walking apart",
    ]
    assert any("count from 1" in note for note in report.notes) == told


def test_labels_that_are_not_the_names_actions_are_not_called_after_them(tmp_path):
    value = content()
    value["annotations"] = value["annotations"][:3]
    for annotation, name in zip(value["annotations"], NTU, strict=False):
        annotation["frame_dir"] = name
    assert read(tmp_path, {"annotations": value["annotations"]})[0].label_names == ["0", "1"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html>", "it is a web page"),
        (b"PK\x03\x04abc", "it is a zip"),
        (b"\x93NUMPY\x01", "it is a single array"),
        (bytes(100), "nothing but zeros"),
        (b"\x89HDF\r\n", "it is an HDF5 file"),
    ],
)
def test_other_files_are_recognised(tmp_path, data, words):
    file = tmp_path / "x.pkl"
    file.write_bytes(data)
    with pytest.raises(HacmError, match=words) as caught:
        pyskl_source(file)
    assert str(file) in str(caught.value)


def test_what_else_a_pickle_asks_for_is_named_with_a_cure(tmp_path):
    for value in (np.ma.masked_array([1.0]), tmp_path, complex(1), range(3), bytearray):
        with pytest.raises(HacmError, match=r"it asks for .*; write it anew with numpy arrays"):
            read(tmp_path, {**content(), "more": value})


def attack(*args):
    """A tensor whose size and strides reach beyond its three numbers."""

    class Tensor:
        def __reduce__(self):
            function, arguments = torch.zeros(3).__reduce_ex__(2)
            storage = arguments[0]
            return function, (storage, *args, False, OrderedDict())

    return Tensor()


@pytest.mark.parametrize(
    "place",
    [
        (0, (4,), (1,)),
        (1, (3,), (1,)),
        (0, (2,), (3,)),
        (-1, (1,), (1,)),
        (0, (1 << 40,), (0,)),
        (0, (2,), (-1,)),
        (0, (2, 2), (1,)),
        ("a", (1,), (1,)),
        (0, (1.5,), (1,)),
    ],
)
def test_tensors_never_reach_beyond_their_memory(tmp_path, place):
    file = tmp_path / "x.pkl"
    file.write_bytes(pickle.dumps(attack(*place)))
    with pytest.raises(HacmError, match="no pickle of plain containers"):
        load_plain_pickle(file)


def test_code_in_a_tensor_s_memory_is_not_run(tmp_path):
    target = tmp_path / "touched"

    class Evil:
        def __reduce__(self):
            return open, (str(target), "w")

    class Storage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (pickle.dumps(Evil(), 2),)

    file = tmp_path / "x.pkl"
    file.write_bytes(pickle.dumps({"annotations": [Storage()]}))
    with pytest.raises(HacmError, match="no pickle of plain containers"):
        load_plain_pickle(file)
    assert not target.exists()
