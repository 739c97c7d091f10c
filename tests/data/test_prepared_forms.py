"""Prepared files in other orders, types and parts: all hold the same sequences."""

import tracemalloc

import numpy as np
import pytest

from hacm.data import npz
from hacm.data.prepare import prepare
from hacm.data.prepared import prepared_source
from hacm.data.prepared_axes import axes_of
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import COCO17, KINECT_V1, KINECT_V2

N, T, M, V = 3, 12, 2, KINECT_V2.V
LENGTHS = [12, 5, 9]


def bodies(V=V, C=3, N=N, M=M) -> np.ndarray:
    """(N, M, T, V, C), zero padded."""
    values = np.random.default_rng(V).normal(size=(N, M, T, V, C)).astype(np.float32)
    for sequence, length in zip(values, LENGTHS, strict=False):
        sequence[:, length:] = 0
    return values


def read(tmp_path, save=np.savez, options=None, reading=None, **arrays):
    file = tmp_path / "own.npz"
    save(file, **arrays)
    report = prepare(
        prepared_source(file, **reading or {}), tmp_path / "s", overwrite=True, **options or {}
    )
    return SequenceStore(tmp_path / "s", verify=True), report


def both(x, y=None, **more):
    y = np.arange(len(x)) if y is None else y
    return {"x_train": x, "y_train": y, "x_test": x[:1], "y_test": y[:1], **more}


def check(store, values) -> None:
    assert len(store) == N + 1
    for i in range(N):
        np.testing.assert_array_equal(store[i], values[i][:, : LENGTHS[i]])
    np.testing.assert_array_equal(store[N], store[0])


ORDERS = {
    "flat": (M, lambda x: x.transpose(0, 2, 1, 3, 4).reshape(N, T, -1)),
    "flat, one body": (1, lambda x: x.transpose(0, 2, 1, 3, 4).reshape(N, T, -1)),
    "NCTVM": (M, lambda x: x.transpose(0, 4, 2, 3, 1)),
    "NTMVC": (M, lambda x: x.transpose(0, 2, 1, 3, 4)),
    "NMTVC": (M, lambda x: x),
    "NTVC": (1, lambda x: x[:, 0]),
    "NCTV": (1, lambda x: x[:, 0].transpose(0, 3, 1, 2)),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("layout", [KINECT_V2, KINECT_V1, COCO17])
@pytest.mark.parametrize("order", ORDERS)
def test_orders_of_axes(tmp_path, order, layout, save):
    count, arranged = ORDERS[order]
    values = bodies(layout.V, M=count)
    x = np.ascontiguousarray(arranged(values))
    store, report = read(tmp_path, save, **both(x), reading={"coordinates": 3})
    assert store.layout == layout
    check(store, values)
    assert any(f"{layout.V} joints: taken for" in note for note in report.notes)


@pytest.mark.parametrize("block", [1, 4000, 1 << 29])
@pytest.mark.parametrize("order", ORDERS)
def test_fortran_order_in_any_number_of_passes(tmp_path, order, block, monkeypatch):
    monkeypatch.setattr(npz, "BLOCK", block)
    count, arranged = ORDERS[order]
    values = bodies(M=count)
    store, _ = read(tmp_path, np.savez_compressed, **both(np.asfortranarray(arranged(values))))
    check(store, values)


@pytest.mark.parametrize("fortran", [False, True])
def test_rows_come_in_bounded_memory(tmp_path, fortran, monkeypatch):
    monkeypatch.setattr(npz, "BLOCK", 1 << 20)
    x = np.random.default_rng(0).normal(size=(200, 100, 150)).astype(np.float32)
    file = tmp_path / "big.npz"
    np.savez(file, x=np.asfortranarray(x) if fortran else x)
    tracemalloc.start()
    for row, expected in zip(npz.members(file)["x"].rows(), x, strict=True):
        assert np.array_equal(row, expected)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 3


def test_two_coordinates(tmp_path):
    values = bodies(C=2)
    store, report = read(tmp_path, **both(values.transpose(0, 2, 1, 3, 4)))
    check(store, np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1))
    assert any("2-D: z = 0" in note for note in report.notes)


def test_scores_are_no_depth(tmp_path):
    values = bodies(COCO17.V)
    store, report = read(tmp_path, **both(values))
    check(store, values * [1, 1, 0])
    assert any("taken for a score" in note for note in report.notes)


@pytest.mark.parametrize("kind", [">f4", "f8", "f2", "i2"])
def test_types_of_numbers(tmp_path, kind):
    values = (bodies() * 20).astype(kind)
    store, _ = read(tmp_path, **both(values), options={"unit": "m"})
    check(store, values.astype(np.float32))


LABELS = {
    "column": np.array([[0], [1], [2]]),
    "floats": np.array([0.0, 1.0, 2.0]),
    "texts of numbers": np.array(["0", "1", "2"]),
    "bytes": np.array([b"0", b"1", b"2"]),
    "one-hot": np.eye(3, dtype=bool),
}


@pytest.mark.parametrize("form", LABELS)
def test_forms_of_labels(tmp_path, form):
    store, report = read(tmp_path, **both(bodies(), LABELS[form]))
    assert store.labels.tolist() == [0, 1, 2, 0] and store.label_names == ["0", "1", "2"]
    assert len(report.notes) == 1  # of the layout


def test_labels_from_1_of_both_sides_are_moved_together(tmp_path):
    arrays = both(bodies(), np.array([2, 3, 7]))
    store, report = read(tmp_path, **arrays | {"y_test": np.array([1])})
    assert store.labels.tolist() == [1, 2, 3, 0] and store.label_names == ["1", "2", "3", "7"]
    assert any("labels 1, 2, 3, 7" in note for note in report.notes)


def test_labels_as_words(tmp_path):
    store, _ = read(tmp_path, **both(bodies(), np.array(["sit", "wave", "sit"])))
    assert store.label_names == ["sit", "wave"] and store.labels.tolist() == [0, 1, 0, 0]


def test_classes_named_by_their_number_are_told(tmp_path):
    _, report = read(tmp_path, **both(bodies(), np.eye(60)[:3]))
    assert any("named as those of NTU RGB+D 60" in note for note in report.notes)


def test_capital_names_and_a_validation_side(tmp_path):
    x, y = bodies(), np.arange(N)
    store, _ = read(tmp_path, X_train=x, Y_TRAIN=y, X_Val=x[:1], Y_val=y[:1])
    check(store, x)
    assert store.columns["part"].tolist() == ["train"] * N + ["val"]
    assert [len(ids) for ids in store.split("given")] == [N, 1]


def test_three_sides(tmp_path):
    x, y = bodies(), np.arange(N)
    store, report = read(tmp_path, **both(x), x_val=x[:2], y_val=y[:2])
    assert len(store) == N + 3
    assert [len(ids) for ids in store.split("given")] == [N, 1]
    assert any("val is unused" in note for note in report.notes)


@pytest.mark.parametrize("empty", [False, True])
def test_no_test_side(tmp_path, empty):
    x, y = bodies(), np.arange(N)
    test = {"x_test": x[:0], "y_test": y[:0]} if empty else {}
    store, report = read(tmp_path, x_train=x, y_train=y, **test)
    assert len(store) == N and store.splits == {}
    assert any("there is no split" in note for note in report.notes)


def test_absent_first_bodies_and_any_copies_are_left_out(tmp_path):
    x = bodies(M=4)
    x[0, 0] = 0
    x[1, 2] = x[1, 0]
    store, report = read(tmp_path, **both(x))
    assert store.columns["bodies"].tolist() == [3, 3, 4, 3]
    np.testing.assert_array_equal(store[0], x[0, 1:])
    assert report.counts == {"second bodies that repeat the first": 1}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"", "it is empty"),
        (b"\x80\x04N.", "it is a pickle"),
        (b"\x93NUMPY\x01\x00", "single array"),
        (b"PK\x03\x04half", "it is damaged, perhaps cut off"),
        (b"\x1f\x8b", "gunzip"),
    ],
)
def test_other_files_are_recognised(tmp_path, data, words):
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(HacmError, match=words):
        prepared_source(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((9, 3, 300, 25, 2), "NCTVM"),
        ((9, 2, 300, 25, 3), "NMTVC"),
        ((9, 300, 2, 25, 3), "NTMVC"),
        ((9, 3, 2, 25, 2), "NCTVM"),
        ((9, 300, 25, 3), "NTVC"),
        ((9, 300, 25, 2), "NTVC"),
        ((9, 3, 300, 25), "NCTV"),
        ((9, 300, 150), "NTW"),
        ((9, 300, 225), None),
        ((9, 300, 24, 3), None),
        ((9, 300, 25, 4), None),
        ((9, 150), None),
        ((9,), None),
    ],
)
def test_axes_by_shape(shape, order):
    axes = axes_of(shape, None)
    assert (axes and axes.order) == order


def test_a_shape_of_two_meanings_is_refused(tmp_path):
    with pytest.raises(HacmError, match=r"'x_train': .* could be .*; save it as \(N, T, M, V, C\)"):
        read(tmp_path, **both(bodies(M=3)))


def test_a_named_layout_decides(tmp_path):
    with pytest.raises(HacmError, match="with 20 joints, not float32"):
        read(tmp_path, **both(bodies()), reading={"layout": "kinect_v1"})
    assert read(tmp_path, **both(bodies()), reading={"layout": "kinect_v2"})[1].notes == []
