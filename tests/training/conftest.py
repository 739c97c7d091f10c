"""A small store and a small experiment for the loops."""

import numpy as np
import pytest
import torch

from hacm.config import Config
from hacm.data.store import SequenceStore
from hacm.presets import make_config
from hacm.skeleton import KINECT_V2
from hacm.training.checkpoint import load_encoder
from hacm.training.pretrain import pretrain

CLASSES = 3


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> SequenceStore:
    """24 sequences of 3 classes that differ in which joint moves; a quarter has two bodies."""
    rng = np.random.default_rng(0)
    rest = rng.normal(size=(KINECT_V2.V, 3))
    arrays, labels, subjects = [], [], []
    for i in range(24):
        T, label = int(rng.integers(20, 70)), i % CLASSES
        joints = np.repeat(rest[None], T, 0) + rng.normal(scale=0.01, size=(T, KINECT_V2.V, 3))
        joints[:, 5 + 4 * label, 1] += np.sin(np.linspace(0, 6, T))
        bodies = [joints, joints[::-1]] if i % 4 == 0 else [joints]
        arrays.append(np.stack(bodies))
        labels.append(label)
        subjects.append(1 + i // 6)
    return SequenceStore.from_arrays(
        arrays,
        labels,
        KINECT_V2,
        path=tmp_path_factory.mktemp("data") / "store",
        splits={"xsub": {"column": "subject", "train": [1, 3]}},
        subject=subjects,
    )


@pytest.fixture(scope="session")
def config() -> Config:
    """Two epochs of two steps with a checkpoint after each, in about a tenth of a second."""
    return make_config(
        "hacm",
        "tiny",
        {
            **{"frames": 24, "width": 16, "depth": 2, "heads": 2, "mask_ratio": 0.8},
            **{"decoder_width": 16, "decoder_heads": 2, "contrast_weight": 0.1},
            **{"epochs": 3, "batch_size": 5, "checkpoint_every": 1, "warmup_epochs": 1},
        },
    )


def run_all(config, store, run_dir):
    """All epochs of a pretraining, or what is left of them."""
    return list(pretrain(config, store, run_dir, device="cpu", progress=False))


def part_of(config, store, run_dir, epochs=2):
    """A pretraining that ends early."""
    loop = pretrain(config, store, run_dir, device="cpu", progress=False)
    for _ in range(epochs):
        next(loop)
    loop.close()


def same_weights(a, b):
    """Whether two run directories hold the same encoder, to the bit."""
    a, b = load_encoder(a).state_dict(), load_encoder(b).state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def sentence(caught):
    """The text of an error, which must be one line."""
    text = str(caught.value)
    assert "\n" not in text and "Traceback" not in text
    return text


@pytest.fixture
def half(config, store, tmp_path):
    """A run of two of three epochs, with a checkpoint after each."""
    part_of(config, store, tmp_path / "half")
    return tmp_path / "half"


@pytest.fixture(scope="session")
def whole(config, store, tmp_path_factory):
    """A finished run; copy it to change it."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    run_all(config, store, run_dir)
    return run_dir
