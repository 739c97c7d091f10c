"""Training with labels: the recipe's parts, seeds, resuming, and that it learns."""

import math

import numpy as np
import pytest
import torch

from hacm.config import FinetuneOptions
from hacm.data.sequences import Sequences
from hacm.errors import HacmError
from hacm.training.checkpoint import load_encoder
from hacm.training.finetune import (
    build_classifier,
    class_scores,
    layer_groups,
    train_classifier,
)
from hacm.training.pretrain import build_pretrainer, pretrain
from hacm.training.run import RESULT, read_json

TRAIN = np.arange(12)


@pytest.fixture
def encoder(config, store):
    return build_pretrainer(store.layout, config).encoder


def options(**changes):
    return FinetuneOptions(**{"epochs": 3, "batch_size": 5, "warmup_epochs": 1, **changes})


def train(encoder, config, store, folder, **changes):
    folder.mkdir(exist_ok=True)
    recipe = options(**changes)
    model = build_classifier(encoder, 3, recipe)
    sequences = Sequences(store, config.frames)
    metrics = list(train_classifier(model, sequences, TRAIN, config, recipe, folder))
    return model, metrics


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_the_published_recipe_is_the_default():
    published = FinetuneOptions()
    assert (published.lr, published.min_lr, published.warmup_epochs) == (3e-4, 1e-5, 5)
    assert (published.epochs, published.batch_size, published.layer_decay) == (100, 48, 0.8)
    assert (published.drop_path, published.dropout, published.label_smoothing) == (0.3, 0.3, 0.1)


def test_layers_learn_the_slower_the_lower_they_are(encoder):
    model = build_classifier(encoder, 3, options(layer_decay=0.5))
    rates = {}
    for group in layer_groups(model, options(layer_decay=0.5, weight_decay=0.05)):
        for parameter in group["params"]:
            assert (group["weight_decay"] == 0.05) == (parameter.ndim > 1)
            rates[parameter] = group["lr_scale"]
    named = {name: rates[parameter] for name, parameter in model.named_parameters()}
    depth = len(encoder.blocks)
    assert depth == 2
    for name, rate in named.items():
        if name.startswith("head.") or name.startswith("encoder.norm."):
            assert rate == 1
        elif name.startswith("encoder.blocks."):
            assert rate == 0.5 ** (depth - int(name.split(".")[2]))
        else:
            assert rate == 0.5 ** (depth + 1), name


def test_the_classifier_starts_as_the_encoder_with_stochastic_depth(encoder):
    model = build_classifier(encoder, 3, options(drop_path=0.3, dropout=0.2))
    assert same(model.encoder, encoder)
    assert [block.drop_path for block in model.encoder.blocks] == [0.0, 0.3]
    assert model.head.dropout.p == 0.2
    assert same(build_classifier(encoder, 3, options()), build_classifier(encoder, 3, options()))


def test_dropout_hides_tokens_and_only_in_training(encoder):
    head = build_classifier(encoder, 3, options(dropout=0.5)).head
    tokens = torch.ones(1, 3 * encoder.J, encoder.options.width)
    sequence = torch.zeros(1, dtype=torch.long)
    hidden = {round(value, 4) for value in head.pool(tokens, sequence, 1)[0].tolist()}
    # Each joint's mean over 3 patches, of which 0 to 3 survive at twice their value.
    assert hidden == {0.0, 0.6667, 1.3333, 2.0}
    assert set(head.eval().pool(tokens, sequence, 1)[0].tolist()) == {1.0}


def test_what_was_given_stays_as_it_was_and_the_copy_learns(encoder, config, store, tmp_path):
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    plain = {"drop_path": 0, "dropout": 0, "label_smoothing": 0, "batch_size": 12}
    model, metrics = train(encoder, config, store, tmp_path / "a", epochs=40, lr=0.003, **plain)
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())
    assert not same(model.encoder, encoder)
    assert metrics[-1]["loss"] < 0.7 * metrics[0]["loss"] and metrics[-1]["accuracy"] > 0.8
    scores = class_scores(model, Sequences(store, config.frames), np.arange(12, 24))
    assert (scores.argmax(1).numpy() == store.labels[12:]).mean() > 0.6


def test_the_seed_decides_everything_and_the_global_state_nothing(encoder, config, store, tmp_path):
    torch.manual_seed(1)
    a, _ = train(encoder, config, store, tmp_path / "a")
    torch.manual_seed(2)
    before = torch.get_rng_state()
    b, _ = train(encoder, config, store, tmp_path / "b")
    assert torch.equal(before, torch.get_rng_state())
    c, _ = train(encoder, config, store, tmp_path / "c", seed=1)
    assert same(a, b) and not same(a, c)


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_stopped_training_resumes_to_the_bit(encoder, config, store, tmp_path, stop_after):
    whole, _ = train(encoder, config, store, tmp_path / "whole")
    (tmp_path / "parts").mkdir()
    model = build_classifier(encoder, 3, options())
    sequences = Sequences(store, config.frames)
    loop = train_classifier(model, sequences, TRAIN, config, options(), tmp_path / "parts")
    for _ in range(stop_after):
        next(loop)
    loop.close()
    resumed, metrics = train(encoder, config, store, tmp_path / "parts")
    assert same(whole, resumed)
    assert metrics[0]["epoch"] == stop_after - 1  # the epoch whose checkpoint was not written


def test_loss_is_smoothed_cross_entropy(encoder, config, store, tmp_path):
    still = {"epochs": 1, "batch_size": 12, "lr": 1e-12, "min_lr": 0, "warmup_epochs": 0}
    still |= {"drop_path": 0, "dropout": 0, "label_smoothing": 0.3}
    plain = config.model_copy(update={"rotation": 0.0, "min_crop": 1.0})
    model, metrics = train(encoder, plain, store, tmp_path / "a", **still)
    model.train()
    batch = Sequences(store, config.frames).batch(
        TRAIN, crop="random", min_crop=1.0, generator=torch.Generator()
    )
    with torch.no_grad():
        rows = model(batch.x, batch.sequence, 12).double().log_softmax(1).numpy()
    expected = 0.0
    for row, label in zip(rows, batch.labels.tolist(), strict=True):
        target = np.full(3, 0.3 / 3)
        target[label] += 0.7
        expected -= (target * row).sum() / 12
    assert metrics[0]["loss"] == pytest.approx(expected, rel=1e-4)


def test_too_few_sequences_and_infinite_losses_are_sentences(encoder, config, store, tmp_path):
    model, sequences = build_classifier(encoder, 3, options()), Sequences(store, config.frames)
    with pytest.raises(HacmError, match="at least 2 training sequences, got 1"):
        next(train_classifier(model, sequences, TRAIN[:1], config, options(), tmp_path))
    huge = options(lr=1e30, warmup_epochs=0)
    with pytest.raises(HacmError, match="not finite"):
        list(train_classifier(model, sequences, TRAIN, config, huge, tmp_path))


def test_supervised_pretraining_learns_from_labels_and_resumes(config, store, tmp_path):
    config = config.model_copy(update={"objective": "supervised"})
    whole = list(pretrain(config, store, tmp_path / "whole", device="cpu", progress=False))
    assert [line["epoch"] for line in whole] == list(range(config.epochs))
    assert {"loss", "accuracy", "lr", "seconds"} <= whole[0].keys()
    start = build_pretrainer(store.layout, config).encoder
    assert not same(load_encoder(tmp_path / "whole"), start)
    loop = pretrain(config, store, tmp_path / "parts", device="cpu", progress=False)
    next(loop)
    loop.close()
    resumed = list(pretrain(config, store, tmp_path / "parts", device="cpu", progress=False))
    assert same(load_encoder(tmp_path / "whole"), load_encoder(tmp_path / "parts"))
    assert [line["loss"] for line in resumed] == [line["loss"] for line in whole]
    result = read_json(tmp_path / "whole" / RESULT)
    assert result["steps"] == config.epochs * math.floor(12 / config.batch_size)
    assert result["loss"] == whole[-1]["loss"]
