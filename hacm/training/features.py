"""Frozen features: one vector a sequence, and what they are worth (linear probe, retrieval)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from hacm.data.sequences import Crop, Sequences
from hacm.errors import HacmError
from hacm.models.classifier import LinearHead
from hacm.models.encoder import Encoder
from hacm.randomness import seeded, stream
from hacm.training.device import autocast
from hacm.training.schedule import equal_parts, set_lr, warmup_cosine


@torch.no_grad()
def extract_features(
    encoder: Encoder,
    sequences: Sequences,
    ids: Int[np.ndarray, "N"],
    *,
    crop: Crop = "center",
    rotation: float = 0.0,
    min_crop: float = 0.5,
    generator: torch.Generator | None = None,
    batch_size: int = 64,
    precision: str = "float32",
    progress: str | None = None,
) -> Float[Tensor, "N D"]:
    """Mean of all tokens and bodies of each sequence, float32, on the sequences' device.

    Args:
        encoder: on the same device; it is not changed (evaluation mode, no gradient).
        sequences: the data.
        ids: positions in the store.
        crop, rotation, min_crop, generator: augmentation (see `Sequences.batch`).
        batch_size: sequences at once.
        precision: `float32` or `bfloat16`.
        progress: what a progress bar says; None shows none.

    Raises:
        HacmError: a feature is not finite.
    """
    encoder.eval()
    rows = []
    blocks = torch.as_tensor(ids).split(batch_size)
    for block in tqdm(blocks, desc=progress, disable=progress is None, leave=False):
        batch = sequences.batch(
            block, crop=crop, rotation=rotation, min_crop=min_crop, generator=generator
        )
        with autocast(sequences.device, precision):
            tokens = encoder(batch.x, batch.gaps).float()
        there = encoder.tokens_there(batch.gaps)
        rows.append(LinearHead.pool(tokens, batch.sequence, batch.N, there))
    features = torch.cat(rows)
    if not features.isfinite().all():
        bad = int(features.isfinite().all(1).logical_not().nonzero()[0])
        raise HacmError(
            f"the features of sequence {sequences.names[ids[bad]]} are not finite: look at its "
            "coordinates, or pretrain with a lower lr"
        )
    return features


def fit_linear_probe(
    views: list[Float[Tensor, "N D"]],
    labels: Int[Tensor, "N"],
    classes: int,
    *,
    epochs: int = 100,
    batch_size: int = 128,
    lr: float = 0.1,
    seed: int = 0,
) -> LinearHead:
    """Batch norm and a linear map on frozen features, as published (method of MAE and MAMP).

    SGD with momentum 0.9, no weight decay, cosine from `lr` to 0.

    Args:
        views: features of the same N sequences under different augmentation; epoch e trains on
            view e modulo their number.
        labels: 0..classes-1.
        classes: C.
        epochs: passes over the N sequences.
        batch_size: sequences a step.
        lr: first learning rate.
        seed: of the weights' start and the order of sequences.

    Returns:
        The head in evaluation mode.

    Raises:
        HacmError: a single sequence, which batch norm has no spread to divide by.
    """
    if len(labels) < 2:
        raise HacmError(
            f"a linear probe needs at least 2 training sequences, got {len(labels)}: use another "
            "split, or protocol knn"
        )
    device, (N, D) = views[0].device, views[0].shape
    with seeded("probe/start", seed):
        head = LinearHead(D, classes).to(device).train()
    optimizer = torch.optim.SGD(head.parameters(), lr=lr, momentum=0.9)
    generator = stream("cpu", "probe/order", seed)
    for epoch in range(epochs):
        features = views[epoch % len(views)]
        parts = equal_parts(torch.randperm(N, generator=generator).to(device), batch_size)
        for step, ids in enumerate(parts):
            done, total = epoch * len(parts) + step, epochs * len(parts)
            set_lr(optimizer, warmup_cosine(done, warmup=0, total=total, lr=lr))
            loss = F.cross_entropy(head(features[ids]), labels[ids])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return head.eval()


@torch.no_grad()
def nearest_labels(
    gallery: Float[Tensor, "N D"],
    labels: Int[Tensor, "N"],
    queries: Float[Tensor, "M D"],
    block: int = 1024,
) -> Int[Tensor, "M"]:
    """Label of each query's nearest neighbour by cosine, in blocks so that memory stays bounded."""
    gallery = F.normalize(gallery, dim=1)
    nearest = [(F.normalize(q, dim=1) @ gallery.T).argmax(1) for q in queries.split(block)]
    return labels[torch.cat(nearest)]
