"""Training with labels: fine-tuning a pretrained encoder, or an encoder from scratch.

AdamW, a cosine with warm-up, layer-wise learning rates, stochastic depth, dropout and smoothed
labels (the recipe of MAMP, which HA-CM follows).
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from hacm.config import Config, FinetuneOptions
from hacm.data.sequences import Sequences
from hacm.errors import HacmError
from hacm.models.classifier import Classifier, FinetuneHead
from hacm.models.encoder import Encoder
from hacm.randomness import seeded, stream
from hacm.training.checkpointer import Checkpointer
from hacm.training.device import autocast, fast_products
from hacm.training.divergence import check_losses
from hacm.training.schedule import equal_parts, set_lr, warmup_cosine


def build_classifier(encoder: Encoder, classes: int, options: FinetuneOptions) -> Classifier:
    """A copy of an encoder that has stochastic depth, under a fresh head.

    The head's start depends on the seed alone; the global random state is left as it was.
    """
    with seeded("finetune/start", options.seed):
        copy = Encoder(encoder.layout, encoder.options, drop_path=options.drop_path)
        copy.load_state_dict(encoder.state_dict())
        head = FinetuneHead(encoder.options.width, encoder.J, classes, options.dropout)
    return Classifier(copy, head)


def layer_groups(model: Classifier, options: FinetuneOptions) -> list[dict[str, Any]]:
    """Parameters with their share of the learning rate and their weight decay.

    The head and the final norm learn at the full rate, block i of depth N at layer_decay^(N - i),
    the embeddings at layer_decay^(N + 1). Biases and norms have no weight decay.
    """
    depth = len(model.encoder.blocks)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        block = re.match(r"encoder\.blocks\.(\d+)\.", name)
        if block:
            below = depth - int(block[1])
        else:
            below = 0 if name.startswith(("head.", "encoder.norm.")) else depth + 1
        matrix = parameter.ndim > 1
        group = groups.setdefault(
            (below, matrix),
            {
                "params": [],
                "lr_scale": options.layer_decay**below,
                "weight_decay": options.weight_decay if matrix else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def train_classifier(
    model: Classifier,
    sequences: Sequences,
    ids: Int[np.ndarray, "N"],
    config: Config,
    options: FinetuneOptions,
    folder: Path,
    progress: str | None = None,
) -> Generator[dict[str, Any], None, None]:
    """Train encoder and head with labels; resumes at the last checkpoint in `folder`.

    Args:
        model: from `build_classifier`, on the sequences' device; trained in place.
        sequences: the data.
        ids: the training sequences' positions.
        config: augmentation, precision, epochs between checkpoints.
        options: the recipe.
        folder: an existing directory, for the checkpoint.
        progress: what the progress bar says; None shows none.

    Yields:
        epoch, loss, accuracy on what was trained on, lr.

    Raises:
        HacmError: fewer than two sequences to train on, a loss or a weight that is not finite, or a
            checkpoint in `folder` that is damaged or of another training.
    """
    if len(ids) < 2:
        raise HacmError(
            f"training with labels needs at least 2 training sequences, got {len(ids)}: batch norm "
            "has no spread to divide by"
        )
    optimizer = torch.optim.AdamW(layer_groups(model, options), lr=options.lr)
    recipe = {f"fine-tuning {name}": value for name, value in options.model_dump().items()}
    with Checkpointer(
        folder,
        {"classifier": model, "optimizer": optimizer},
        {**config.identity(), **recipe, "training sequences": len(ids)},
        config,
        options.epochs,
    ) as checkpoints:
        first = checkpoints.resume()
        bar = tqdm(
            range(first, options.epochs),
            **{"initial": first, "total": options.epochs, "unit": "epoch"},
            **{"desc": progress, "disable": progress is None, "leave": False},
        )
        for epoch in bar:
            metrics = _train_epoch(model, optimizer, sequences, ids, config, options, epoch)
            bar.set_postfix(loss=f"{metrics['loss']:.3f}", accuracy=f"{metrics['accuracy']:.3f}")
            # Before it is kept: whoever logs the epoch has done so when it counts as computed.
            yield metrics
            checkpoints.keep(epoch + 1)


def _train_epoch(
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    sequences: Sequences,
    ids: Int[np.ndarray, "N"],
    config: Config,
    options: FinetuneOptions,
    epoch: int,
) -> dict[str, Any]:
    model.train()
    device, data_stream = sequences.device, stream("cpu", "finetune/data", options.seed, epoch)
    order = torch.as_tensor(ids)[torch.randperm(len(ids), generator=data_stream)]
    parts = equal_parts(order, options.batch_size)
    rows = []
    # Stochastic depth and dropout draw from torch's own generators.
    with seeded("finetune/drop", options.seed, epoch, device=device), fast_products(device):
        for step, part in enumerate(parts):
            lr = warmup_cosine(
                epoch * len(parts) + step,
                warmup=round(options.warmup_epochs * len(parts)),
                total=options.epochs * len(parts),
                lr=options.lr,
                min_lr=options.min_lr,
            )
            set_lr(optimizer, lr)
            batch = sequences.batch(
                part,
                crop="random",
                min_crop=config.min_crop,
                rotation=config.rotation,
                generator=data_stream,
            )
            with autocast(device, config.precision):
                scores = model(batch.x, batch.sequence, batch.N, batch.gaps)
            loss = F.cross_entropy(
                scores.float(), batch.labels, label_smoothing=options.label_smoothing
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            right = (scores.argmax(1) == batch.labels).sum()
            rows.append(torch.stack([loss.detach() * batch.N, right]))
    losses, rights = zip(*torch.stack(rows).tolist(), strict=True)
    check_losses(
        losses, parts, sequences.names, epoch=epoch, lr=options.lr, precision=config.precision
    )
    total, right = sum(losses) / len(ids), sum(rights) / len(ids)
    return {"epoch": epoch, "loss": total, "accuracy": right, "lr": lr}


@torch.no_grad()
def class_scores(
    model: Classifier,
    sequences: Sequences,
    ids: Int[np.ndarray, "M"],
    precision: str = "float32",
    batch_size: int = 64,
) -> Float[Tensor, "M C"]:
    """Scores (logits) of the central crops of the sequences `ids`, in evaluation mode."""
    model.eval()
    rows = []
    for part in torch.as_tensor(ids).split(batch_size):
        batch = sequences.batch(part)
        with autocast(sequences.device, precision):
            rows.append(model(batch.x, batch.sequence, batch.N, batch.gaps).float())
    return torch.cat(rows)
