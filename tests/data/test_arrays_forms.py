"""Own npz files in the forms that people have them."""

import json
import logging

import numpy as np
import pytest
from test_arrays import write

from hacm.data.arrays import arrays_source, prepare_arrays
from hacm.data.prepare import prepare
from hacm.data.store import META, SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import COCO17, KINECT_V1, KINECT_V2

F = 11


def joints(V=4, *axes):
    return np.random.default_rng(1).normal(size=(F, *axes, V, 3)).astype(np.float32)


def read(tmp_path, center=False, **changes):
    report = prepare(
        arrays_source(write(tmp_path, **changes)), tmp_path / "s", overwrite=True, center=center
    )
    return SequenceStore(tmp_path / "s", verify=True), report


@pytest.mark.parametrize("layout", [KINECT_V2, KINECT_V1, COCO17])
def test_only_three_keys(tmp_path, layout):
    np.savez(tmp_path / "x.npz", joints=joints(layout.V), offsets=[0, 5, F], label=[0, 1])
    report = prepare(arrays_source(tmp_path / "x.npz"), tmp_path / "s")
    assert SequenceStore(tmp_path / "s").layout == layout
    assert f"{layout.V} joints: taken for {layout.name}" in report.notes[0]
    assert arrays_source(tmp_path / "x.npz", layout=layout.name).layout == layout


def test_without_parent_the_cure_is_named(tmp_path):
    with pytest.raises(HacmError, match=r"'parent' is missing.*4 joints; add 'parent'.*--layout"):
        arrays_source(write(tmp_path, parent=None))


def test_several_bodies(tmp_path):
    both = joints(4, 2)
    both[:3, 1] = 0  # absent from the first sequence
    both[4:9, 0] = 0  # only the second is in the third
    store, _ = read(tmp_path, joints=both)
    assert store.columns["bodies"].tolist() == [1, 2, 1, 2]
    np.testing.assert_array_equal(store[0], both[:3, :1].swapaxes(0, 1))
    np.testing.assert_array_equal(store[2], both[4:9, 1:].swapaxes(0, 1))
    np.testing.assert_array_equal(store[3], both[9:].swapaxes(0, 1))


def test_two_coordinates_and_scores(tmp_path):
    xyz = joints()
    store, report = read(tmp_path, joints=xyz[..., :2])
    np.testing.assert_array_equal(store[2][0], xyz[4:9] * [1, 1, 0])
    assert any("2-D: z = 0" in note for note in report.notes)
    source = arrays_source(write(tmp_path, joints=xyz), coordinates=2)
    prepare(source, tmp_path / "s", overwrite=True, center=False)
    np.testing.assert_array_equal(SequenceStore(tmp_path / "s")[2][0], xyz[4:9] * [1, 1, 0])
    scored = joints(17)
    scored[..., 2] = np.random.default_rng(0).uniform(size=scored.shape[:-1])
    file = write(tmp_path, joints=scored, parent=None, joint_names=None)
    assert any("like scores" in note for note in arrays_source(file).notes)


LABELS = [
    (["b", "a", "c", "a"], ["a", "b", "c"], [1, 0, 2, 0]),
    ([[0], [1], [2], [1]], ["0", "1", "2"], [0, 1, 2, 1]),
    ([1.0, 2.0, 3.0, 2.0], ["1", "2", "3"], [0, 1, 2, 1]),
    ([0, 10**9, 5, 10**9], ["0", "5", "1000000000"], [0, 2, 1, 2]),
    (np.eye(4)[[0, 3, 2, 3]], ["0", "1", "2", "3"], [0, 3, 2, 3]),
]


@pytest.mark.parametrize(("labels", "names", "numbers"), LABELS)
def test_labels_in_any_form(tmp_path, labels, names, numbers):
    store, _ = read(tmp_path, label=np.array(labels), label_names=None)
    assert store.label_names == names and store.labels.tolist() == numbers


def test_labels_by_name_and_from_1(tmp_path):
    store, _ = read(tmp_path, label=np.array(["c", "a", "b", "a"]))
    assert store.label_names == ["a", "b", "c"] and store.labels.tolist() == [2, 0, 1, 0]
    store, report = read(tmp_path, label=np.array([1, 2, 3, 2]))
    assert store.labels.tolist() == [0, 1, 2, 1]
    assert any("count from 1" in note for note in report.notes)


@pytest.mark.parametrize("form", ["numbers", "names", "bytes"])
def test_trunk_and_origin_are_kept(tmp_path, form):
    given = {
        "numbers": {"trunk": np.array([0, 1]), "origin": np.int64(1)},
        "names": {"trunk": np.array(["root", "middle"]), "origin": np.array("middle")},
        "bytes": {"trunk": np.array([b"root", b"middle"]), "origin": np.array([b"middle"])},
    }[form]
    layout = read(tmp_path, **given)[0].layout
    assert (layout.trunk, layout.origin, layout.pairs) == ((0, 1), 1, ((2, 3),))


def test_trunk_as_long_as_the_sequences_is_no_column(tmp_path):
    store, _ = read(tmp_path, trunk=np.arange(4))
    assert store.layout.trunk == (0, 1, 2, 3) and "trunk" not in store.columns


def test_a_built_in_layout_with_another_origin_is_a_layout_of_its_own(tmp_path):
    changes = {"joints": joints(25), "joint_names": None, "parent": np.array(KINECT_V2.parents)}
    assert read(tmp_path, **changes, origin=np.array("spine_mid"))[0].layout == KINECT_V2
    layout = read(tmp_path, **changes, origin=np.array("head"))[0].layout
    assert (layout.name, layout.origin) == ("own", KINECT_V2.joints.index("head"))
    assert (layout.trunk, layout.joints) == (KINECT_V2.trunk, KINECT_V2.joints)


def test_parents_by_name(tmp_path):
    parent = np.array(["", "root", "middle", "middle"])
    assert read(tmp_path, parent=parent)[0].layout.parents == (-1, 0, 1, 1)


@pytest.mark.parametrize(
    ("offsets", "side"), [([0, 3, 4, 9], "begins"), ([3, 4, 9, F], "ends"), ([0, 3, 4, 9, F], None)]
)
def test_offsets_without_their_last_or_first(tmp_path, offsets, side):
    store, report = read(tmp_path, offsets=np.array(offsets))
    assert store.columns["frames"].tolist() == [3, 1, 5, 2]
    assert any(f"where the sequences {side}" in note for note in report.notes) == bool(side)


def test_columns_of_all_kinds(tmp_path):
    store, report = read(
        tmp_path,
        frames=np.arange(4),
        label_given=np.arange(4),
        note=np.array([b"a", b"b", b"c", b"d"]),
        day=np.array(["2020-01-02"] * 4, "datetime64[D]"),
        under=np.array(["1_1", "11", "1_1", "11"]),
        site=np.array([["x"], ["y"], ["x"], ["y"]]),
        per_frame=np.arange(F),
        table=np.ones((4, 2)),
        rate=np.array([30]),
        taken=np.array("2020", "datetime64[Y]"),
        format=np.array("mine"),
        units=np.array("mm"),
        sha256=np.array("abc"),
    )
    assert store.columns["frames"].tolist() == [3, 1, 5, 2]
    assert store.columns["frames_given"].tolist() == [0, 1, 2, 3]
    assert store.columns["note"].tolist() == list("abcd")
    assert store.columns["day"].tolist() == ["2020-01-02"] * 4
    assert store.columns["under"].tolist() == ["1_1", "11", "1_1", "11"]
    assert store.columns["site"].tolist() == ["x", "y", "x", "y"]
    assert store.meta["rate"] == 30 and store.meta["taken"] == "2020"
    assert store.meta["units_given"] == "mm" and store.meta["units"] == "metres"
    told = "\n".join(report.notes)
    assert "'per_frame' (11,) is left out" in told and "'table' (4, 2) is left out" in told
    assert json.loads((tmp_path / "s" / META).read_text())["format_given"] == "mine"


@pytest.mark.parametrize(
    ("subject", "split", "told"),
    [
        ([1.0, 2.0, 3.0, 4.0], {"xsub"}, None),
        ([1, 3, 5, 1], set(), "all odd or all even"),
        (["s1", "s2", "s3", "s2"], set(), "--split xsub=subject:s1 names"),
    ],
)
def test_subjects(tmp_path, subject, split, told):
    store, report = read(tmp_path, subject=np.array(subject))
    assert set(store.splits) == split
    assert told is None or any(told in note for note in report.notes)
    if told and "--split" in told:
        chosen = arrays_source(tmp_path / "own.npz", more_splits=["xsub=subject:s1"])
        assert chosen.splits["xsub"]["train"] == ["s1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": np.arange(3)}, "key 'subject' has 3 values for 4 sequences"),
        ({"camera": np.arange(5)}, "key 'camera' has 5 values for 4 sequences"),
        ({"subject": np.array([1, np.nan, 2, 3])}, "'subject' of sequence 1 is nan"),
        ({"subject": np.array(list("abcd"), object)}, "'subject' holds Python objects.*dtype=str"),
        ({"label_names": np.array(list("abc"), object)}, "'label_names' holds Python objects"),
        ({"label": np.array([0, 1, 2, -1])}, "'z': label -1 is no class"),
        ({"label": np.array([0, 1, 2, 3])}, "'z': label 3 has no name; there are 3 names"),
        ({"label": np.array(list("abcd"))}, "'z': label 'd' is none of"),
        ({"joints": joints() * 1000}, "bones measure .*--unit mm"),
        ({"joints": joints().reshape(F, -1)}, r"joints.reshape\(len\(joints\), -1, 3\)"),
        ({"joints": joints() > 0}, "not bool"),
        ({"joints": joints()[..., :1]}, "has 1 values a joint"),
        ({"joints": np.zeros((F, 4, 3))}, "'w' has no body: all its coordinates are zero"),
        ({"joints": joints(5)}, "'joint_names' should be 5 names"),
        ({"joint_names": np.array(["a"] * 4)}, "own.npz: .*distinct"),
        ({"parent": np.array([0, 1, 2, 2])}, "own.npz: .*the root's parent is -1"),
        ({"parent": np.array([-1, -1, 0, 0])}, r"own.npz: .*got \[0, 1\]"),
        ({"parent": np.array(["", "root", "middle", "arm"])}, "no joint 'arm'"),
        ({"parent": np.array([-1, 0, 1, 1.5])}, "'parent' should be 4 whole numbers or names"),
        ({"trunk": np.array([9])}, "joint 9 is not in"),
        ({"trunk": np.array(["arm"])}, "no joint 'arm'"),
        ({"trunk": np.array([0.5])}, "0.5 is neither"),
        ({"origin": np.array([0, 1])}, "'origin' should be one joint, not 2"),
        ({"offsets": np.array([0, 3, 4, 9, 10])}, r"np.concatenate\(\[\[0\], np.cumsum"),
    ],
)
def test_faults_are_one_sentence(tmp_path, changes, message):
    with pytest.raises(HacmError, match=message) as caught:
        prepare_arrays(write(tmp_path, **changes), tmp_path / "s")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["own.npz"]


def test_from_python(tmp_path, caplog):
    file = write(tmp_path, joints=joints(25), parent=None, joint_names=None)
    with caplog.at_level(logging.WARNING):
        store = prepare_arrays(file, tmp_path / "s", layout="kinect_v2", unit="m", up="z")
    assert store.layout == KINECT_V2 and caplog.text == ""
    assert store.meta["source_up"] == "z"
    with caplog.at_level(logging.WARNING):
        prepare_arrays(file, tmp_path / "t")
    assert "taken for kinect_v2" in caplog.text
    with pytest.raises(HacmError, match="unknown joint layout"):
        prepare_arrays(file, tmp_path / "u", layout="stick")
    with pytest.raises(HacmError, match="a layout is a SkeletonLayout"):
        prepare_arrays(file, tmp_path / "u", layout=3)


def test_splits_are_checked(tmp_path):
    for splits in ({"a": 3}, {"a": {"column": "none", "train": [1]}}, "a"):
        with pytest.raises(HacmError, match="split"):
            prepare_arrays(write(tmp_path), tmp_path / "s", splits=splits)
