"""Damaged and foreign checkpoints: never resumed without a word, never thrown away."""

import shutil

import numpy as np
import pytest
import torch

from hacm.config import FinetuneOptions
from hacm.data.sequences import Sequences
from hacm.errors import HacmError
from hacm.training.checkpoint import (
    CHECKPOINT,
    PREVIOUS,
    load_checkpoint,
    save_checkpoint,
)
from hacm.training.finetune import build_classifier, train_classifier
from hacm.training.pretrain import build_pretrainer
from tests.training.conftest import part_of, run_all, same_weights, sentence


def zeroed(file, share=0.5, length=64):
    content = bytearray(file.read_bytes())
    first = int(len(content) * share)
    content[first : first + length] = bytes(length)
    file.write_bytes(content)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_damaged_checkpoint_leaves_the_one_before_it(config, store, half, whole, share):
    zeroed(half / CHECKPOINT, share)
    with pytest.warns(UserWarning, match=rf"{CHECKPOINT} is damaged.*; resuming from .*, epoch 1"):
        metrics = run_all(config, store, half)
    assert [line["epoch"] for line in metrics] == [0, 1, 2] and same_weights(half, whole)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x00" * 5000, b"words"])
def test_any_other_file_is_a_damaged_checkpoint(config, store, half, whole, content):
    (half / CHECKPOINT).write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged"):
        run_all(config, store, half)
    assert same_weights(half, whole)


def test_without_any_whole_checkpoint_the_training_does_not_start_afresh(config, store, half):
    for name in (CHECKPOINT, PREVIOUS):
        zeroed(half / name)
    before = {file.name: file.read_bytes() for file in half.iterdir()}
    with pytest.raises(HacmError, match=r"is damaged.*remove it to train from the start") as caught:
        run_all(config, store, half)
    assert sentence(caught)
    assert before == {file.name: file.read_bytes() for file in half.iterdir()}


def test_every_damaged_byte_is_found_or_harmless(tmp_path):
    """A checkpoint is either what was written or a sentence."""
    state = {"epoch": 3, "model": {"w": torch.arange(12.0)}}
    save_checkpoint(tmp_path, state, {"lr": 0.1})
    good = (tmp_path / CHECKPOINT).read_bytes()
    found = 0
    for at in range(0, len(good), 7):
        bad = bytearray(good)
        bad[at] ^= 0xFF
        (tmp_path / CHECKPOINT).write_bytes(bad)
        try:
            again = load_checkpoint(tmp_path, {"lr": 0.1})
        except HacmError:
            found += 1
        else:
            assert again["epoch"] == 3 and torch.equal(again["model"]["w"], state["model"]["w"])
    assert found > 20


def test_a_checkpoint_of_another_training_is_refused(config, store, half, tmp_path):
    for changes, named in (
        ({"lr": 0.5}, "lr: 0.5 / "),
        ({"epochs": 5}, "epochs: 5 / 3"),
        ({"seed": 7}, "seed: 7 / 0"),
        ({"width": 32}, "width: 32 / 16"),
    ):
        other = tmp_path / f"{named[:4]}"
        changed = config.model_copy(update=changes)
        part_of(changed, store, other, 1)
        shutil.copy(half / CHECKPOINT, other / CHECKPOINT)
        with pytest.raises(HacmError, match=rf"is of another training \({named}") as caught:
            run_all(changed, store, other)
        assert "remove it" in sentence(caught)


@pytest.mark.parametrize(
    "content",
    [
        {"epoch": 1},
        {"model": {}, "optimizer": {}, "epoch": 1},
        {"of": "{}", "epoch": "1"},
        {"of": "[]", "epoch": 1},
        {"of": "{", "epoch": 1},
        {},
        [1, 2],
    ],
)
def test_checkpoints_without_their_keys_are_sentences(config, store, half, content):
    torch.save(content, half / CHECKPOINT)
    (half / PREVIOUS).unlink()
    with pytest.raises(HacmError, match=CHECKPOINT) as caught:
        run_all(config, store, half)
    assert sentence(caught)


def test_a_checkpoint_that_fits_no_network_is_a_sentence(config, store, half):
    of = {**config.identity(), "data": store.checksum}
    for state in (
        {"epoch": 1},
        {"epoch": 1, "model": {"w": torch.zeros(1)}, "optimizer": {}},
        {"epoch": 1, "model": 3, "optimizer": 4},
    ):
        save_checkpoint(half, state, of)
        with pytest.raises(HacmError, match="does not fit this network") as caught:
            run_all(config, store, half)
        assert sentence(caught)


def test_a_fine_tuning_of_another_recipe_is_not_resumed(config, store, tmp_path):
    encoder = build_pretrainer(store.layout, config).encoder
    sequences, ids = Sequences(store, config.frames), np.arange(12)

    def train(**changes):
        options = FinetuneOptions(**{"epochs": 3, "batch_size": 5, **changes})
        model = build_classifier(encoder, 3, options)
        return train_classifier(model, sequences, ids, config, options, tmp_path)

    loop = train()
    next(loop), next(loop)
    loop.close()
    with pytest.raises(HacmError, match=r"another training \(fine-tuning lr: 0.1 / 0.0003"):
        list(train(lr=0.1))
    assert [line["epoch"] for line in train()] == [1, 2]
