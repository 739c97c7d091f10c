"""Prepared npz files, read as a stream."""

import zipfile

import numpy as np
import pytest

from hacm.data import class_names
from hacm.data.prepare import prepare
from hacm.data.prepared import prepared_source
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

V = KINECT_V2.V
WIDTH = 2 * V * 3


def rows(lengths, bodies, seed=0, T=20):
    """(N, T, 150) with so many frames and bodies, zero padded."""
    values = np.random.default_rng(seed).normal(size=(len(lengths), T, 2, V, 3)).astype(np.float32)
    for row, length, count in zip(values, lengths, bodies, strict=True):
        row[length:] = 0
        row[:, count:] = 0
    return values.reshape(len(lengths), T, WIDTH)


def one_hot(labels, classes=60):
    return np.eye(classes)[labels]


def arrays(classes=60, **changes):
    content = {
        "x_train": rows([20, 7, 9], [1, 2, 2]),
        "y_train": one_hot([0, 59 % classes, 5], classes),
        "x_test": rows([3], [1], seed=1),
        "y_test": one_hot([7], classes),
    }
    return {key: value for key, value in {**content, **changes}.items() if value is not None}


def test_rows_lose_their_padding_and_nothing_else(tmp_path):
    content = arrays()
    for save in (np.savez, np.savez_compressed):
        file = tmp_path / f"{save.__name__}_XSub.npz"
        save(file, **content)
        prepare(prepared_source(file), tmp_path / save.__name__)
        store = SequenceStore(tmp_path / save.__name__, verify=True)
        assert store.columns["frames"].tolist() == [20, 7, 9, 3]
        assert store.columns["bodies"].tolist() == [1, 2, 2, 1]
        assert store.labels.tolist() == [0, 59, 5, 7]
        expected = content["x_train"][1, :7].reshape(7, 2, V, 3).transpose(1, 0, 2, 3)
        np.testing.assert_array_equal(store[1], expected)
        assert [ids.tolist() for ids in store.split("xsub")] == [[0, 1, 2], [3]]
        assert store.label_names == list(class_names.NTU[:60])


def test_the_copy_of_a_lone_actor_is_left_out(tmp_path):
    x = rows([5, 5, 5], [2, 2, 2]).reshape(3, 20, 2, -1)
    x[1, :, 1] = x[1, :, 0]
    np.savez(tmp_path / "NTU120_XSet.npz", **arrays(120, x_train=x.reshape(3, 20, WIDTH)))
    report = prepare(prepared_source(tmp_path / "NTU120_XSet.npz"), tmp_path / "s")
    store = SequenceStore(tmp_path / "s")
    assert store.columns["bodies"].tolist() == [2, 1, 2, 1]
    assert report.counts == {"second bodies that repeat the first": 1}
    assert set(store.splits) == {"xset"} and len(store.label_names) == 120


def test_gaps_inside_stay_and_empty_rows_are_reported(tmp_path):
    x = rows([9, 9, 9], [1, 1, 1])
    x[0, :4] = 0
    x[2] = 0
    labels = {"y_train": np.array([0, 6, 1]), "y_test": np.array([3])}
    np.savez(tmp_path / "own.npz", **arrays(x_train=x, **labels))
    report = prepare(prepared_source(tmp_path / "own.npz"), tmp_path / "s")
    store = SequenceStore(tmp_path / "s")
    assert store.columns["frames"].tolist() == [9, 9, 3]
    assert not store[0][0, :4].any()
    assert [skip.kind for skip in report.skips] == ["no body"]
    assert set(store.splits) == {"given"} and store.label_names == ["0", "1", "3", "6"]


def test_nan_rows_are_reported(tmp_path):
    x = rows([9, 9, 9], [1, 1, 1])
    x[1, 3, 3] = np.nan
    np.savez(tmp_path / "own.npz", **arrays(x_train=x))
    report = prepare(prepared_source(tmp_path / "own.npz"), tmp_path / "s")
    assert "'train_000001': NaN or infinite coordinate" in report.skips[0].reason
    assert report.sequences == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, "'x_test' is missing"),
        ({"y_train": None}, "'y_train' is missing"),
        ({"x_train": np.zeros((3, 20, 77), np.float32)}, r"should be numbers \(N, T, M\*V\*3\)"),
        ({"x_train": np.zeros((3, 150), np.float32)}, "should be numbers"),
        ({"x_train": np.zeros((3, 20, 150), complex)}, "should be numbers"),
        ({"x_train": np.zeros((3, 20, 60), np.float32)}, "has other joints than"),
        ({"y_train": one_hot([0, 1])}, "should hold 3 labels"),
        ({"y_train": np.zeros((3, 60))}, "one-hot"),
        ({"y_train": np.ones((3, 60))}, "one-hot"),
        ({"y_train": np.array([0.5, 1, 2])}, "whole numbers"),
        ({"y_train": np.array([-1, 1, 2])}, "whole numbers"),
        ({"y_train": np.array([np.nan, 1, 2])}, "whole numbers"),
        ({"y_train": np.array(["a", "b", "c"])}, "some labels are texts and others numbers"),
        ({"y_test": one_hot([7], 50)}, r"one-hot of \[50, 60\] classes"),
        ({"y_test": np.array([60])}, "label 60 is none of the 60"),
        ({"x_test": None, "y_test": None, "x_train": None}, "'x_train' is missing"),
        ({"y_train": np.array([{}, 1, 2], dtype=object)}, "plain numbers"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, changes, message):
    np.savez(tmp_path / "bad.npz", **arrays(**changes))
    with pytest.raises(HacmError, match=message):
        prepared_source(tmp_path / "bad.npz")


def test_damaged_files(tmp_path):
    file = tmp_path / "bad.npz"
    with pytest.raises(HacmError, match="cannot be read"):
        prepared_source(file)
    file.write_bytes(b"no zip file")
    with pytest.raises(HacmError, match="cannot be read"):
        prepared_source(file)
    np.savez(file, **arrays())
    data = bytearray(file.read_bytes())
    data[5000:5010] = b"##########"
    file.write_bytes(data)
    with pytest.raises(HacmError, match="is damaged: Bad CRC-32"):
        prepare(prepared_source(file), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_header_that_promises_too_much_is_not_believed(tmp_path):
    file = tmp_path / "huge.npz"
    with zipfile.ZipFile(file, "w") as archive:
        for part in ("train", "test"):
            with archive.open(f"x_{part}.npy", "w") as stream:
                header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 300, WIDTH)}
                np.lib.format.write_array_header_1_0(stream, header)
                stream.write(bytes(1000))
    with pytest.raises(HacmError, match="does not hold 1000000000 sequences"):
        prepared_source(file)
