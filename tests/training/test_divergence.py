"""Losses and weights that are not finite: told at once, never written over good ones."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from hacm.data.sequences import Sequences
from hacm.errors import HacmError
from hacm.training.checkpoint import (
    CHECKPOINT,
    ENCODER,
    load_encoder,
    save_checkpoint,
)
from hacm.training.pretrain import pretrain
from hacm.training.records import read_metrics
from hacm.training.run import RESULT
from tests.training.conftest import run_all, sentence


def test_weights_that_are_not_finite_are_never_written_or_read(config, store, whole, tmp_path):
    run_dir = shutil.copytree(whole, tmp_path / "run")
    weights = load_file(run_dir / ENCODER)
    metadata = {"config": config.to_json(), "layout": json.dumps(store.layout.to_dict())}
    for value in (float("nan"), float("inf")):
        weights["norm.bias"][0] = value
        save_file(weights, run_dir / ENCODER, metadata=metadata)
        with pytest.raises(HacmError, match=r"weights that are not finite \(norm.bias\)"):
            load_encoder(run_dir)
    with pytest.raises(HacmError, match=r"is not written: epoch 4 has weights that are not finite"):
        save_checkpoint(tmp_path, {"epoch": 4, "model": weights}, {})
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_diverged_weights_do_not_replace_good_ones(config, store, tmp_path, monkeypatch):
    """Finite losses, but the last step of the second epoch makes a weight infinite."""
    loop = pretrain(config, store, tmp_path / "run", device="cpu", progress=False)
    next(loop)
    step, calls = torch.optim.AdamW.step, []

    def diverging(self, *arguments, **options):
        calls.append(step(self, *arguments, **options))
        if len(calls) == 2:
            with torch.no_grad():
                self.param_groups[0]["params"][0].flatten()[0] = float("inf")

    monkeypatch.setattr(torch.optim.AdamW, "step", diverging)
    with pytest.raises(HacmError, match="not finite"):
        list(loop)
    assert torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["epoch"] == 1
    assert not (tmp_path / "run" / RESULT).exists()


def test_a_loss_that_is_not_finite_names_the_step_and_its_sequences(
    config, store, tmp_path, monkeypatch
):
    """The second step of epoch 1 sees NaN."""
    batch, calls, ids = Sequences.batch, [], []

    def poisoned(self, which, **options):
        found = batch(self, which, **options)
        calls.append(which)
        if len(calls) == 4:
            found.x[:] = float("nan")
            ids.extend(which.tolist())
        return found

    monkeypatch.setattr(Sequences, "batch", poisoned)
    loop = pretrain(config, store, tmp_path / "run", device="cpu", progress=False)
    assert next(loop)["epoch"] == 0
    with pytest.raises(HacmError) as caught:
        next(loop)
    first = ", ".join(store.columns["name"][ids[:3]])
    assert sentence(caught) == (
        f"the loss of epoch 1 is not finite from step 2 of 2 on, with 5 sequences: {first} and 2 "
        f"more; lower lr (now {config.lr}), or look at these sequences' coordinates; no checkpoint "
        "of it was written"
    )
    assert [line["epoch"] for line in read_metrics(tmp_path / "run")] == [0]
    assert torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["epoch"] == 1


@pytest.mark.parametrize(
    ("changes", "words", "absent"),
    [
        ({"precision": "bfloat16"}, "use precision float32", "never"),
        ({"precision": "float32"}, "look at these sequences", "precision"),
        ({"precision": "float32"}, "look at these sequences", "lower lr"),
    ],
)
def test_advice_fits_the_first_step(config, store, tmp_path, monkeypatch, changes, words, absent):
    batch = Sequences.batch

    def poisoned(self, which, **options):
        found = batch(self, which, **options)
        found.x[:] = float("inf")
        return found

    monkeypatch.setattr(Sequences, "batch", poisoned)
    with pytest.raises(HacmError, match=rf"epoch 0 .* step 1 of 2 .*{words}") as caught:
        run_all(config.model_copy(update=changes), store, tmp_path / "run")
    assert absent not in str(caught.value)
