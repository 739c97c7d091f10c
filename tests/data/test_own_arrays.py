"""`SequenceStore.from_arrays`: the obvious is done, everything else is one sentence."""

import logging

import numpy as np
import pytest
import torch
from small_stores import STICK, clip

from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2, SkeletonLayout


def make(tmp_path, arrays=None, labels=(0, 1), layout=STICK, path=None, **options):
    arrays = [clip(1, 4), clip(2, 3, 1)] if arrays is None else arrays
    return SequenceStore.from_arrays(
        arrays, labels, layout, path=tmp_path / "s" if path is None else path, **options
    )


def test_layouts_by_name(tmp_path) -> None:
    arrays = [np.random.default_rng(0).normal(size=(4, 25, 3))] * 2
    assert make(tmp_path, arrays, layout="kinect_v2").layout == KINECT_V2


def test_labels_as_text(tmp_path) -> None:
    store = make(tmp_path, labels=["wave", "sit"])
    assert store.label_names == ["sit", "wave"] and store.labels.tolist() == [1, 0]
    named = make(tmp_path, labels=["wave", "sit"], label_names=["wave", "sit"], path=tmp_path / "n")
    assert named.labels.tolist() == [0, 1]


@pytest.mark.parametrize("one_hot", [np.eye(3)[[2, 0]], torch.eye(3)[[2, 0]]])
def test_labels_one_hot(tmp_path, one_hot) -> None:
    store = make(tmp_path, labels=one_hot)
    assert store.labels.tolist() == [2, 0] and store.label_names == ["0", "1", "2"]


def test_labels_from_1_are_told(tmp_path, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        store = make(tmp_path, labels=[1, 10**9])
    assert store.label_names == ["1", "1000000000"] and store.labels.tolist() == [0, 1]
    assert "do not count up from 0" in caplog.text


def test_nothing_is_told_where_all_is_plain(tmp_path, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        make(tmp_path)
    assert caplog.text == ""


def test_lists_tensors_and_two_coordinates(tmp_path) -> None:
    one = clip(1, 4)
    store = make(tmp_path, [one.tolist(), torch.from_numpy(one)], center=False)
    np.testing.assert_array_equal(store[0], one)
    np.testing.assert_array_equal(store[1], one)
    flat = make(tmp_path, [one[..., :2]] * 2, center=False, path=tmp_path / "flat")
    np.testing.assert_array_equal(flat[0][..., :2], one[..., :2])
    assert not flat[0][..., 2].any()


def test_columns_that_the_store_has_itself(tmp_path, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        store = make(tmp_path, frames=[7, 8], bodies=[b"a", b"b"], joints=np.array([5, 6]))
    assert store.columns["frames"].tolist() == [4, 3]
    assert store.columns["frames_given"].tolist() == [7, 8]
    assert store.columns["bodies_given"].tolist() == ["a", "b"]
    assert "column 'joints' is kept as 'joints_given'" in caplog.text


def test_numbers_with_underscores_stay_text(tmp_path) -> None:
    assert make(tmp_path, subject=["1_1", "11"]).columns["subject"].tolist() == ["1_1", "11"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layout": "stick"}, "unknown joint layout 'stick'; known: kinect_v2"),
        ({"layout": None}, "a layout is a SkeletonLayout or one of kinect_v2, .* not a NoneType"),
        ({"labels": [0, 0.7]}, "whole numbers or texts, not 0.7"),
        ({"labels": None}, "labels should be a list or an array, not None"),
        ({"labels": 0}, "labels should be a list or an array, not 0"),
        ({"labels": [0, -1]}, "'sequence_00001': label -1 is no class"),
        ({"labels": [0, 2], "label_names": ["a"]}, "label 2 has no name"),
        ({"labels": ["a", "b"], "label_names": ["a", "c"]}, "label 'b' is none of"),
        ({"label_names": "ab"}, "label_names should be a list"),
        ({"arrays": "file.npz"}, "arrays should be a list of arrays, not a str"),
        ({"arrays": None, "labels": [0]}, "more arrays than labels"),
        ({"arrays": np.array(3.0)}, "arrays should be a list of arrays, not a ndarray"),
        ({"arrays": 3}, "arrays should be a list of arrays, not a int"),
        ({"arrays": [None, None]}, "'sequence_00000' should be a list or an array, not None"),
        ({"arrays": ["a", "b"]}, "'sequence_00000' should be a list or an array, not 'a'"),
        ({"arrays": [[[1], [1, 2]], 0]}, "'sequence_00000' cannot be read as an array"),
        ({"arrays": [np.zeros((4, 3, 3))] * 2}, "'sequence_00000' has no body"),
        ({"path": 3}, "path should be the new store's directory, not 3"),
        ({"subject": 3}, "column 'subject' should be a list of 2 values"),
        ({"subject": "ab"}, "column 'subject' should be a list of 2 values"),
        ({"subject": [1]}, "2 labels, but column 'subject' has 1"),
        ({"splits": ["xsub"]}, "splits should be {NAME"),
        ({"splits": {"xsub": "subject"}}, "split 'xsub': splits should be {NAME"),
        ({"splits": {"xsub": {"column": "subject", "train": [1]}}}, "no column 'subject'"),
        (
            {"subject": [1, 2], "splits": {"xsub": {"column": "subject", "train": 1}}},
            "'train' should be the list",
        ),
    ],
)
def test_wrong_arguments_are_one_sentence(tmp_path, wrong, message) -> None:
    with pytest.raises(HacmError, match=message) as caught:
        make(tmp_path, **wrong)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_parents_by_name() -> None:
    by_name = SkeletonLayout.from_parents("x", ["a", "b", "c"], [None, "a", np.str_("b")])
    assert by_name.parents == (-1, 0, 1) and by_name.origin == 0
    assert SkeletonLayout.from_parents("x", ["a", "b"], np.array([-1, 0])).parents == (-1, 0)


@pytest.mark.parametrize(
    ("joints", "parents", "extra", "message"),
    [
        (["a", "b"], None, {}, "parents should be a list, not None"),
        (["a", "b"], "ab", {}, "parents should be a list, not 'ab'"),
        (["a", "b"], [-1, 0.5], {}, "0.5 is neither a joint's name nor number"),
        (["a", "b"], [-1, "z"], {}, "no joint 'z'"),
        (None, [-1, 0], {}, "joints should be a list"),
        (["a", "b"], [-1, 0], {"trunk": 0}, "trunk should be a list, not 0"),
        (["a", "b"], [-1, 0], {"origin": 0.5}, "0.5 is neither"),
    ],
)
def test_wrong_layouts_are_one_sentence(joints, parents, extra, message) -> None:
    with pytest.raises(HacmError, match=message):
        SkeletonLayout.from_parents("mine", joints, parents, **extra)
