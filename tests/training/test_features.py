"""Frozen features and their readers, against scikit-learn and plain loops."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from hacm.data.sequences import Sequences
from hacm.training.features import extract_features, fit_linear_probe, nearest_labels
from hacm.training.pretrain import build_pretrainer


def test_features_are_means_over_tokens_and_bodies(config, store):
    encoder = build_pretrainer(store.layout, config).encoder
    sequences = Sequences(store, config.frames)
    ids = np.array([0, 1, 4, 5])  # sequences 0 and 4 have two bodies
    features = extract_features(encoder, sequences, ids, batch_size=3)
    for row, i in enumerate(ids):
        with torch.no_grad():
            tokens = encoder(sequences.batch([i]).x)
        expected = tokens.mean(1).mean(0)
        torch.testing.assert_close(features[row], expected, atol=1e-5, rtol=1e-4)


def test_frozen_means_frozen(config, store):
    encoder = build_pretrainer(store.layout, config).encoder.train()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    sequences = Sequences(store, config.frames)
    features = extract_features(encoder, sequences, np.arange(12))
    fit_linear_probe([features], torch.arange(12) % 3, 3, epochs=5)
    assert not features.requires_grad
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())
    assert all(p.grad is None for p in encoder.parameters())


def test_probe_learns_what_is_linear_and_only_that():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 10, generator=generator)
    easy = (x @ torch.randn(10, 4, generator=generator)).argmax(1)
    head = fit_linear_probe([x], easy, 4, epochs=60)
    assert (head(x).argmax(1) == easy).float().mean() > 0.93
    noise = torch.randint(4, (400,), generator=generator)
    fresh = torch.randn(400, 10, generator=generator)
    head = fit_linear_probe([x], noise, 4, epochs=60)
    assert (head(fresh).argmax(1) == noise).float().mean() < 0.4


def test_probe_is_batch_norm_and_one_linear_map():
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * 5 + 3
    head = fit_linear_probe([x], torch.arange(50) % 2, 2, epochs=3)
    normed = (x - head.norm.running_mean) / (head.norm.running_var + 1e-6).sqrt()
    expected = normed @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(x), expected, atol=1e-5, rtol=1e-5)


def test_probe_uses_every_view_and_the_seed():
    views = [torch.randn(40, 5, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    labels = torch.arange(40) % 2

    def fit(some, seed=0):
        return fit_linear_probe(some, labels, 2, epochs=6, seed=seed).linear.weight

    assert torch.equal(fit(views), fit(views))
    assert not torch.equal(fit(views), fit(views[:2]))
    assert not torch.equal(fit(views), fit(views, seed=1))


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_nearest_neighbour_equals_scikit_learn(block):
    rng = np.random.default_rng(0)
    gallery, queries = rng.normal(size=(60, 8)), rng.normal(size=(33, 8))
    labels = rng.integers(0, 5, 60)
    expected = KNeighborsClassifier(1, metric="cosine").fit(gallery, labels).predict(queries)
    found = nearest_labels(
        torch.from_numpy(gallery), torch.from_numpy(labels), torch.from_numpy(queries), block
    )
    np.testing.assert_array_equal(found.numpy(), expected)
