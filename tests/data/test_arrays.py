"""Your own sequences from one npz file."""

import numpy as np
import pytest

from hacm.data.arrays import arrays_source, prepare_arrays
from hacm.data.prepare import prepare
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import COCO17, KINECT_V1, KINECT_V2


def content(V=4, **changes):
    lengths = [3, 1, 5, 2]
    values = {
        "joints": np.random.default_rng(0).normal(size=(sum(lengths), V, 3)).astype(np.float32),
        "offsets": np.cumsum([0, *lengths]),
        "label": np.array([0, 1, 2, 1]),
        "subject": np.array([1, 2, 3, 4]),
        "camera": np.array(["left", "right", "left", "left"]),
        "blurred": np.array([False, True, False, False]),
        "weight": np.array([0.5, 1, 2, 3]),
        "label_names": np.array(["a", "b", "c"]),
        "camera_names": np.array(["l", "r"]),
        "joint_names": np.array(["root", "middle", "l_hand", "r_hand"][:V]),
        "parent": np.array([-1, 0, 1, 1]),
        "name": np.array(["w", "x", "y", "z"]),
        "fps": np.float64(30),
    }
    return {key: v for key, v in {**values, **changes}.items() if v is not None}


def write(tmp_path, **changes):
    np.savez(tmp_path / "own.npz", **content(**changes))
    return tmp_path / "own.npz"


def test_everything_in_the_file_is_kept(tmp_path):
    store = prepare_arrays(write(tmp_path), tmp_path / "s", center=False)
    assert len(store) == 4
    np.testing.assert_array_equal(store[2][0], content()["joints"][4:9])
    assert store.layout.name == "own" and store.layout.pairs == ((2, 3),)
    assert store.columns["name"].tolist() == ["w", "x", "y", "z"]
    assert store.columns["camera"].tolist() == ["left", "right", "left", "left"]
    assert store.columns["blurred"].tolist() == [0, 1, 0, 0]
    assert store.columns["weight"].astype(float).tolist() == [0.5, 1, 2, 3]
    assert store.label_names == ["a", "b", "c"]
    assert store.meta["fps"] == 30 and store.meta["camera_names"] == ["l", "r"]
    assert store.meta["source"] == "own.npz"


def test_only_three_keys_are_needed(tmp_path):
    few = {key: None for key in content() if key not in ("joints", "offsets", "label")}
    file = write(tmp_path, **few)
    with pytest.raises(HacmError, match="'parent' is missing"):
        prepare_arrays(file, tmp_path / "s")
    file = write(tmp_path, **few, joints=np.ones((11, COCO17.V, 3)))
    store = prepare_arrays(file, tmp_path / "s", layout=COCO17)
    assert store.columns["name"].tolist()[:2] == ["sequence_00000", "sequence_00001"]
    assert store.label_names == ["0", "1", "2"] and store.splits == {}


@pytest.mark.parametrize("layout", [KINECT_V2, KINECT_V1, COCO17])
def test_known_layouts_are_recognised_by_their_parents(tmp_path, layout):
    file = write(
        tmp_path,
        joints=np.ones((11, layout.V, 3)),
        parent=np.array(layout.parents),
        joint_names=np.array([f"j{i}" for i in range(layout.V)]),
    )
    assert prepare_arrays(file, tmp_path / "s").layout == layout


def test_splits(tmp_path):
    file = write(tmp_path)
    store = prepare_arrays(file, tmp_path / "s")
    assert [ids.tolist() for ids in store.split("xsub")] == [[0, 2], [1, 3]]
    own = {"mine": {"column": "camera", "train": ["right"]}}
    store = prepare_arrays(file, tmp_path / "s", splits=own, overwrite=True)
    assert set(store.splits) == {"mine"}
    assert store.split("mine")[0].tolist() == [1]
    source = arrays_source(file, more_splits=["a=subject:even", "b=camera:left"])
    assert source.splits["a"] == {"column": "subject", "train": [2, 4]}
    assert source.splits["b"] == {"column": "camera", "train": ["left"]}
    assert "xsub" in source.splits
    with pytest.raises(HacmError, match="no column 'place'"):
        arrays_source(file, more_splits=["a=place:odd"])
    with pytest.raises(HacmError, match="unknown split 'subject'"):
        arrays_source(file, more_splits=["a=subject"])


def test_a_column_can_leave_sequences_out(tmp_path):
    store = prepare_arrays(write(tmp_path), tmp_path / "s", drop="blurred")
    assert store.columns["name"].tolist() == ["w", "y", "z"]
    with pytest.raises(HacmError, match="no column 'dark'"):
        prepare_arrays(write(tmp_path), tmp_path / "t", drop="dark")


def test_bad_sequences_stop_the_function_and_are_left_out_by_the_command(tmp_path):
    joints = content()["joints"]
    joints[3] = np.nan
    file = write(tmp_path, joints=joints, offsets=np.array([0, 3, 4, 4, 11]))
    with pytest.raises(HacmError, match="sequence 'x': NaN or infinite"):
        prepare_arrays(file, tmp_path / "s")
    report = prepare(arrays_source(file), tmp_path / "s")
    assert SequenceStore(tmp_path / "s").columns["name"].tolist() == ["w", "z"]
    assert [skip.reason for skip in report.skips][1] == "sequence 'y' is empty"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": None}, "'joints' is missing"),
        ({"label": None}, "'label' is missing"),
        ({"joints": np.ones((11, 12))}, r"'joints' should be \(F, V, 3\)"),
        ({"offsets": np.array([0, 3, 4, 11])}, "'offsets' should be 5 whole numbers"),
        ({"offsets": np.array([0, 3, 4, 9, 12])}, "'offsets' should rise from 0 to 11"),
        ({"offsets": np.array([0, 4, 3, 9, 11])}, "'offsets' should rise from 0 to 11"),
        ({"offsets": np.array([0, 4, 3, 9, 11], dtype=np.uint64)}, "should rise"),
        ({"offsets": np.array([1, 3, 4, 9, 11])}, "'offsets' should rise"),
        ({"offsets": np.array([0.0, 3, 4, 9, 11])}, "'offsets' should be"),
        ({"label": np.array([0.7, 1, 2, 1])}, "should be whole numbers or texts, not 0.7"),
        ({"label": np.array([[0, 1, 2, 1]])}, "'label' should be N whole numbers"),
        ({"label": np.array([], dtype=int)}, "'label' should be N whole numbers"),
        ({"label_names": np.array("abc")}, "'label_names' should be a list"),
        ({"name": np.array(["a"])}, "'name' one of 4 names"),
        ({"parent": np.array([-1, 0, 1])}, "'parent' should be 4 whole numbers"),
        ({"parent": np.array([-1, 0, 1, 7])}, "parent 7"),
        ({"parent": np.array([-1.0, 0, 1, 1])}, "'parent' should be 4 whole numbers"),
        ({"weight": np.array([{}, 1, 2, 3], dtype=object)}, "plain arrays"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, changes, message):
    with pytest.raises(HacmError, match=message):
        prepare_arrays(write(tmp_path, **changes), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_damaged_files(tmp_path):
    with pytest.raises(HacmError, match="cannot be read as an"):
        prepare_arrays(tmp_path / "none.npz", tmp_path / "s")
    for data in (b"", b"PK\x03\x04", write(tmp_path).read_bytes()[:700]):
        (tmp_path / "own.npz").write_bytes(data)
        with pytest.raises(HacmError, match="cannot be read as an"):
            prepare_arrays(tmp_path / "own.npz", tmp_path / "s")


@pytest.mark.parametrize(("file", "sizes"), [("wmft_jbhi", (540, 540)), ("nwucla", (724, 760))])
def test_the_sets_at_hand(shared_data, tmp_path, file, sizes):
    arrays = np.load(shared_data / f"{file}.npz")
    store = prepare_arrays(shared_data / f"{file}.npz", tmp_path / "s")
    assert tuple(len(ids) for ids in store.split("xsub")) == sizes
    assert store.layout in (KINECT_V1, KINECT_V2)
    for i in (0, len(store) // 2, len(store) - 1):
        joints = arrays["joints"][arrays["offsets"][i] : arrays["offsets"][i + 1]].astype(float)
        np.testing.assert_allclose(store[i][0], joints - joints[0, store.layout.origin], atol=1e-6)
    again = SequenceStore(tmp_path / "s", verify=True)
    assert again.columns["name"].tolist() == arrays["name"].tolist()
