"""Labels in any form become 0..C-1 with names; broken ones are never rounded."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hacm.data.labels import classes_of, label_list, one_label
from hacm.errors import HacmError


@pytest.mark.parametrize(
    "values",
    [
        [2, 0, 1],
        (2, 0, 1),
        ["2", "0", "1"],
        [2.0, 0.0, 1.0],
        [[2], [0], [1]],
        np.array([2, 0, 1], np.uint8),
        np.array([[2.0], [0.0], [1.0]], np.float32),
        np.array(["2", "0", "1"]),
        np.array([b"2", b"0", b"1"]),
        np.array([2, 0, 1], object),
        torch.tensor([2, 0, 1]),
    ],
)
def test_every_form_of_the_same_labels(values) -> None:
    labels, one_hot = label_list(values, "labels")
    assert labels == [2, 0, 1] and one_hot is None
    assert all(type(label) is int for label in labels)


@pytest.mark.parametrize("kind", [bool, int, float, np.float16])
def test_one_hot(kind) -> None:
    assert label_list(np.eye(5)[[3, 0, 4]].astype(kind), "y") == ([3, 0, 4], 5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 0.7], r"labels\[1\]: labels should be whole numbers or texts, not 0.7"),
        (["0.7"], "not 0.7"),
        ([float("nan")], "not nan"),
        ([float("inf")], "not inf"),
        ([None, 1], "not None"),
        ([" "], "the label is empty"),
        ([[0, 1], [1, 1]], "not one-hot"),
        (np.eye(3) * 0.5 + 0.1, "not one-hot"),
        (np.zeros((2, 2, 2)), r"not \(2, 2, 2\)"),
        (3, "should be a list or an array, not 3"),
        ("abc", "should be a list or an array, not 'abc'"),
        (None, "should be a list or an array, not None"),
        ([[1, 2], [3]], "cannot be read as an array"),
        ([1j], "not 1j"),
        (["1", None], "not None"),
    ],
)
def test_what_is_no_label_is_refused(values, message) -> None:
    with pytest.raises(HacmError, match=message):
        label_list(values, "labels")


def test_texts_are_classes_in_alphabetical_order() -> None:
    classes = classes_of(["wave", "sit", "wave"])
    assert classes.names == ["sit", "wave"] and not classes.notes
    assert classes.number("wave", "x") == 1


@pytest.mark.parametrize("labels", [[1, 2, 3], [0, 7], [10**9, 5], [10**15]])
def test_gaps_are_closed_and_told(labels) -> None:
    classes = classes_of(labels)
    assert classes.names == [str(label) for label in sorted(labels)]
    assert len(classes.notes) == 1 and str(min(labels)) in classes.notes[0]


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_numbers_are_dense_and_keep_their_order(labels) -> None:
    classes = classes_of(labels)
    numbers = [classes.number(label, "x") for label in labels]
    assert set(numbers) == set(range(len(classes.names)))
    assert [int(classes.names[number]) for number in numbers] == labels
    assert bool(classes.notes) == (set(labels) != set(range(len(set(labels)))))


def test_with_names_nothing_moves_but_labels_from_1() -> None:
    kept = classes_of([0, 2], ["a", "b", "c"])
    assert [kept.number(label, "x") for label in (0, 2)] == [0, 2] and not kept.notes
    assert kept.number("b", "x") == 1
    moved = classes_of([1, 3], ["a", "b", "c"])
    assert [moved.number(label, "x") for label in (1, 3)] == [0, 2]
    assert "count from 1" in moved.notes[0]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (-1, "x: label -1 is no class"),
        (3, "x: label 3 has no name; there are 3 names"),
        ("d", "x: label 'd' is none of"),
    ],
)
def test_labels_without_a_class(label, message) -> None:
    with pytest.raises(HacmError, match=message):
        classes_of([0, label], ["a", "b", "c"]).number(label, "x")


def test_a_text_among_numbers_is_a_mistake() -> None:
    classes = classes_of([0, 1, "walk"])
    assert classes.names == ["0", "1"]
    with pytest.raises(HacmError, match="label 'walk' is none of 0, 1"):
        classes.number("walk", "x")


def test_odd_spaces_are_text() -> None:
    assert one_label("\x1f1", "x") == "\x1f1" and one_label(" 1 ", "x") == 1


def test_nested_single_labels() -> None:
    assert one_label([np.array([[np.int8(4)]])], "x") == 4
    assert one_label(np.str_("wave"), "x") == "wave"
    assert one_label(b"wave", "x") == "wave"
