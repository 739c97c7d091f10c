"""A store and a sweep small enough for tests."""

import numpy as np
import pytest
import yaml

from hacm.data.store import SequenceStore
from hacm.skeleton import KINECT_V2

TINY = {
    **{"preset": "tiny", "epochs": 1, "batch_size": 4, "frames": 24, "width": 16, "depth": 1},
    **{"heads": 2, "decoder_width": 16, "decoder_heads": 2, "checkpoint_every": 1},
}


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> SequenceStore:
    """16 sequences of 2 classes and 4 subjects."""
    rng = np.random.default_rng(0)
    return SequenceStore.from_arrays(
        [rng.normal(size=(30, KINECT_V2.V, 3)) for _ in range(16)],
        [i % 2 for i in range(16)],
        KINECT_V2,
        path=tmp_path_factory.mktemp("data") / "store",
        splits={"xsub": {"column": "subject", "train": [1, 3]}},
        subject=[1 + i // 4 for i in range(16)],
    )


@pytest.fixture(scope="session")
def tiny():
    """Fields of a configuration that trains in a moment."""
    return TINY


@pytest.fixture
def sweep_file(tmp_path, store):
    """Writes a sweep file from its contents."""

    def write(name="masks", **content):
        base = {"data": {"toy": str(store.path)}, "base": TINY}
        base |= {"evaluation": {"epochs": 2, "views": 1}}
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**base, **content}, sort_keys=False))
        return file

    return write
