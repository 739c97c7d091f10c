"""Frozen features and their readers, against scikit-learn and plain loops."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from hacm.data.sequences import Sequences
from hacm.data.store import SequenceStore
from hacm.models.classifier import Classifier, FinetuneHead, LinearHead
from hacm.skeleton import KINECT_V2
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


def with_gaps(path, arrays, layout=KINECT_V2):
    labels = [0] * len(arrays)
    return SequenceStore.from_arrays(arrays, labels, layout, path=path, center=False)


def wandering(seed, frames):
    steps = np.random.default_rng(seed).normal(scale=0.02, size=(frames, KINECT_V2.V, 3))
    return (1 + steps.cumsum(0)).astype(np.float32)


@pytest.mark.parametrize("options", [{}, {"encoder_input": "ball"}], ids=str)
def test_empty_frames_at_the_ends_change_no_feature(config, tmp_path, options):
    """A clip, and the same clip with frames without the body before and after it."""
    clip, nothing = wandering(0, 50), np.zeros((30, KINECT_V2.V, 3), np.float32)
    longer = [[clip], [clip, nothing], [nothing, clip], [nothing[:7], clip, nothing]]
    store = with_gaps(tmp_path / "store", [np.concatenate(parts) for parts in longer])
    config = config.model_copy(update=options)
    encoder = build_pretrainer(store.layout, config).encoder
    sequences = Sequences(store, config.frames)
    features = extract_features(encoder, sequences, np.arange(4))
    for other in features[1:]:
        assert torch.equal(features[0], other)
    views = [
        extract_features(
            encoder,
            sequences,
            np.array([i]),
            crop="random",
            rotation=0.3,
            generator=torch.Generator().manual_seed(1),
        )
        for i in range(4)
    ]
    for other in views[1:]:
        assert torch.equal(views[0], other)


@pytest.mark.parametrize("head", ["linear", "finetune"])
@pytest.mark.parametrize("options", [{}, {"encoder_input": "ball"}], ids=str)
@torch.no_grad()
def test_only_tokens_that_are_there_are_read_and_averaged(config, tmp_path, head, options):
    """Beside an encoder that gets one body at a time and nothing but the tokens it has."""
    r, P = config.patch_frames, config.patches
    config = config.model_copy(update=options)
    presence = [np.arange(P) < 2, np.arange(P) % 2 == 0, np.zeros(P), np.arange(P) == P - 1]
    bodies = [
        wandering(i, config.frames) * np.repeat(there, r)[:, None, None]
        for i, there in enumerate(presence)
    ]
    whole = [wandering(10 + i, config.frames) for i in range(2)]
    arrays = [np.stack([whole[0], *bodies[:2]]), np.stack([whole[1], *bodies[2:]])]
    store = with_gaps(tmp_path / "store", arrays)
    encoder = build_pretrainer(store.layout, config).encoder.eval()
    for block in encoder.blocks:
        torch.nn.init.normal_(block.attn.qkv.weight, std=0.5)  # so that attention matters
    classifier = Classifier(
        encoder,
        LinearHead(config.width, 3)
        if head == "linear"
        else FinetuneHead(config.width, encoder.J, 3),
    ).eval()
    batch = Sequences(store, config.frames).batch([0, 1], crop="whole")
    assert not batch.complete and not batch.x[~batch.present].any()

    expected = torch.zeros(2, config.width if head == "linear" else encoder.J * config.width)
    for n, members in enumerate([[0, 1, 2], [3, 4, 5]]):
        means = []
        for b in members:
            there = batch.present[b].view(P, r).all(1)
            if there.any():
                tangent = encoder.embed(batch.x[b : b + 1])[:, there]
                tokens = encoder.encode(encoder.block_input(tangent).flatten(1, 2))[0]
                grid = tokens.unflatten(0, (-1, encoder.J)).mean(0)
                means.append(grid.mean(0) if head == "linear" else grid.flatten())
        assert len(means) == (3 if n == 0 else 2)
        expected[n] = torch.stack(means).mean(0)
    there = encoder.tokens_there(batch.gaps)
    tokens = encoder(batch.x, batch.gaps)
    pooled = classifier.head.pool(tokens, batch.sequence, 2, there)
    torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-4)
    logits = classifier(batch.x, batch.sequence, 2, batch.gaps)
    torch.testing.assert_close(logits, classifier.head(expected), atol=1e-5, rtol=1e-4)

    garbage = batch.x + 100 * ~batch.present[..., None, None]
    assert torch.equal(encoder(garbage, batch.gaps), tokens)
    everywhere = torch.ones_like(batch.present)
    torch.testing.assert_close(encoder(batch.x, everywhere), encoder(batch.x), atol=1e-5, rtol=1e-4)


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
