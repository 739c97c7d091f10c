"""What `hacm info` prints."""

import numpy as np
import pytest

from hacm.data.describe import describe, split_faults, split_sizes
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import COCO17


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(1 + i % 2, 3 + i, COCO17.V, 3)) for i in range(6)]
    return SequenceStore.from_arrays(
        arrays,
        [0, 1, 0, 1, 0, 0],
        COCO17,
        path=tmp_path / "s",
        label_names=["a", "b", "c"],
        splits={
            "xsub": {"column": "subject", "train": [1, 2]},
            "all": {"column": "room", "train": ["big"]},
        },
        subject=[1, 1, 2, 2, 3, 3],
        room=["big"] * 6,
    )


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_contents(store):
    told = lines(describe(store))
    for fact in (
        f"store {store.path}",
        "sequences 6",
        "joints 17, coco17",
        "frames 3 to 8, median 6",
        "bodies 1 in 3 sequences, 2 in 3 sequences",
        "classes 2 of 3",
        "columns room, subject",
        "split xsub 4 train, 2 test",
        "split all 6 train, 0 test",
        f"checksum {store.checksum[:16]}",
    ):
        assert fact in told
    assert told[-1] == (
        "split 'all' leaves no test sequence: it trains on big, and 'room' holds big"
    )
    assert split_faults(store) == told[-1:]
    assert split_sizes(store) == {"xsub": (4, 2), "all": (6, 0)}


def test_a_split(store):
    told = lines(describe(store, "xsub"))
    assert "xsub, train 4 sequences, 2 classes of 2 to 2 sequences" in told
    assert "xsub, test 2 sequences, 1 classes of 2 to 2 sequences" in told
    assert "subject:odd, test 2 sequences, 2 classes of 1 to 1 sequences" in lines(
        describe(store, "subject:odd")
    )
    with pytest.raises(HacmError, match="'all' leaves no test sequence"):
        describe(store, "all")
    with pytest.raises(HacmError, match="unknown split"):
        describe(store, "xview")
