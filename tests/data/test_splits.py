"""Splits: which sequences train, by name or by rule, and the semi-supervised draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacm.data.splits import FOLDS, fold_ids, semi_supervised_ids, split_ids
from hacm.errors import HacmError

COLUMNS = {
    "subject": np.array([1, 2, 3, 10, 1, 2]),
    "condition": np.array(["well", "ill", "well", "ill", "well", "illness"]),
}
SPLITS = {
    "xsub": {"column": "subject", "train": [1, 3]},
    "who": {"column": "condition", "train": ["well"]},
    "rare": {"column": "subject", "train": [0] * 9},
}


@pytest.mark.parametrize(
    ("spec", "train"),
    [
        ("xsub", [0, 2, 4]),
        ("who", [0, 2, 4]),
        ("subject:odd", [0, 2, 4]),
        ("subject:even", [1, 3, 5]),
        ("subject:1", [0, 4]),
        ("subject:1, 10", [0, 3, 4]),
        ("condition:ill", [1, 3]),
        ("condition:illness", [5]),
    ],
)
def test_both_sides(spec: str, train: list[int]) -> None:
    train_ids, test_ids = split_ids(spec, SPLITS, COLUMNS)
    assert train_ids.tolist() == train
    assert sorted([*train_ids, *test_ids]) == list(range(6))


def test_a_long_value_is_not_cut_to_the_column_s_width() -> None:
    columns = {"camera": np.array(["a", "b"])}
    splits = {"s": {"column": "camera", "train": ["a", "bee"]}}
    train_ids, test_ids = split_ids("s", splits, columns)
    assert (train_ids.tolist(), test_ids.tolist()) == ([0], [1])


def test_values_of_another_type_still_meet() -> None:
    splits = {"s": {"column": "subject", "train": ["1", "x"]}}
    assert split_ids("s", splits, COLUMNS)[0].tolist() == [0, 4]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("xview", r"unknown split 'xview'; this store has: xsub, who, rare; or write COLUMN:odd"),
        ("camera:1", r"no column 'camera'; columns: subject, condition"),
        ("condition:odd", r"'condition' does not hold whole numbers"),
        (
            "subject:7",
            r"'subject:7' leaves no training sequence: it trains on 7, and 'subject' holds 1, 2, 3",
        ),
        ("subject:1,2,3,10", r"leaves no test sequence: it trains on 1, 2, 3, 10, and 'subject'"),
        ("rare", r"'rare' leaves no training sequence: it trains on 0, 0, .*, \.\.\. \(9 in all\)"),
        ("subject:", r"leaves no training sequence"),
    ],
)
def test_bad_splits_are_named(spec: str, sentence: str) -> None:
    with pytest.raises(HacmError, match=sentence):
        split_ids(spec, SPLITS, COLUMNS)


def test_no_splits_at_all() -> None:
    with pytest.raises(HacmError, match="this store has: none"):
        split_ids("xsub", {}, COLUMNS)


@settings(deadline=None)  # the first call imports scikit-learn
@given(subjects=st.lists(st.integers(1, 9), min_size=2, max_size=60))
def test_folds_share_no_subject_and_never_see_the_test_side(subjects) -> None:
    columns = {"subject": np.array([1, 3, 2, *subjects])}
    train_ids, test_ids = split_ids("subject:odd", {}, columns)
    folds = fold_ids("subject:odd", {}, columns)
    assert len(folds) == min(FOLDS, len(set(columns["subject"][train_ids])))
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == train_ids.tolist()
    for rest, held_out in folds:
        assert sorted([*rest, *held_out]) == train_ids.tolist()
        assert not set(columns["subject"][rest]) & set(columns["subject"][held_out])
        assert not {*rest, *held_out} & set(test_ids)


def test_folds_of_a_named_split_go_by_its_column() -> None:
    assert [held_out.tolist() for _, held_out in fold_ids("xsub", SPLITS, COLUMNS)] in (
        [[0, 4], [2]],
        [[2], [0, 4]],
    )
    with pytest.raises(HacmError, match=r"'who' trains on a single value of 'condition'"):
        fold_ids("who", SPLITS, COLUMNS)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=80),
    fraction=st.floats(0.01, 1.0),
    seed=st.integers(0, 5),
)
def test_semi_supervised_draws_are_balanced(labels, fraction, seed) -> None:
    labels = np.array(labels)
    train = np.flatnonzero(np.arange(len(labels)) % 3 != 1)
    ids = semi_supervised_ids(train, labels, fraction, np.random.default_rng(seed))
    assert set(ids) <= set(train)
    assert len(set(ids)) == len(ids)
    assert (np.diff(ids) > 0).all()
    for label in np.unique(labels[train]):
        there = (labels[train] == label).sum()
        assert abs((labels[ids] == label).sum() - fraction * there) <= 1
        assert (labels[ids] == label).sum() >= 1
    again = semi_supervised_ids(train, labels, fraction, np.random.default_rng(seed))
    assert (ids == again).all()


def test_draws_differ_by_seed_and_take_everyone_at_last() -> None:
    labels = np.repeat([0, 1], 50)
    train = np.arange(100)
    draws = [semi_supervised_ids(train, labels, 0.1, np.random.default_rng(s)) for s in range(40)]
    assert len({tuple(draw) for draw in draws}) == 40
    counts = np.bincount(np.concatenate(draws), minlength=100)
    assert counts.max() < 14  # 4 expected, binomial(40, 0.1)
    assert (counts == 0).sum() < 10


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_bad_fractions(fraction: float) -> None:
    with pytest.raises(HacmError, match=r"\(0, 1\]"):
        semi_supervised_ids(np.arange(3), np.zeros(3), fraction, np.random.default_rng(0))
