"""Pretraining: one loop for GPU and CPU, resumable to the bit on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from tqdm import tqdm

from hacm.config import Config
from hacm.data.sequences import Batch, Sequences
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.lock import one_writer
from hacm.masking.diagnostics import mask_statistics, radius_statistics
from hacm.models.pretrainer import Noise, Pretrainer
from hacm.randomness import seeded, stream
from hacm.skeleton import SkeletonLayout
from hacm.training.checkpoint import (
    ENCODER,
    PREVIOUS,
    load_checkpoint,
    load_encoder,
    save_encoder,
)
from hacm.training.checkpointer import Checkpointer
from hacm.training.device import autocast, choose_device, compile_blocks, fast_products
from hacm.training.divergence import check_losses
from hacm.training.run import Run, as_store, read_run_config
from hacm.training.schedule import set_lr, warmup_cosine
from hacm.training.supervised import train_supervised


def pretrain(
    config: Config,
    store: SequenceStore | str | Path,
    run_dir: str | Path,
    *,
    device: str = "auto",
    progress: bool = True,
) -> Iterator[dict[str, Any]]:
    """Pretrain an encoder on the training side of a store's split.

    A generator: each epoch it yields that epoch's metrics, so a notebook can draw while it trains.
    Nothing happens until it is iterated. Stopped at any time, the same call resumes at the last
    checkpoint and ends with the same weights; Ctrl-C and SIGTERM keep all whole epochs. Called on a
    complete run it yields the metrics on record and trains nothing.

    Args:
        config: the experiment; `objective` none only writes the untrained encoder, supervised
            trains it with labels (`train_supervised`).
        store: the data, or the path of a store.
        run_dir: where `run.json`, `metrics.jsonl`, checkpoints, `encoder.safetensors` and, last,
            `result.json` go.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        progress: show a bar with the time left.

    Yields:
        epoch, loss, reconstruction, contrast, lr, seconds; now and then the diagnostics of the
        mask and of the ball (`diagnose`).

    Raises:
        HacmError: the run directory holds another run, cannot be written or is being written by
            another process; the data do not fit the configuration; a loss is not finite.
    """
    store = as_store(store)
    on = choose_device(device)
    run = Run(run_dir, config, store, on)
    if run.result is None:
        with one_writer(run.path):
            if run.result is None:  # nobody has finished it just now
                yield from _train(run, config, store, on, progress)
                return
    yield from run.metrics((run.result or {}).get("epochs"))


def _train(
    run: Run, config: Config, store: SequenceStore, on: torch.device, progress: bool
) -> Iterator[dict[str, Any]]:
    """Train what is left to train, and write the result."""
    train_ids = torch.from_numpy(store.split(config.split)[0])
    sequences = Sequences(
        store,
        config.frames,
        on,
        modality=config.modality,
        absent_bodies=config.absent_bodies,
    )
    model = build_pretrainer(store.layout, config).to(on).train()
    steps = max(1, len(train_ids) // config.batch_size)
    epochs = 0 if config.objective == "none" else config.epochs
    if config.objective == "supervised":
        yield from train_supervised(run, model.encoder, store, sequences, config, progress)
        _finish(run, model, epochs, steps)
        return
    optimizer = make_optimizer(model, config, on)
    if config.compile:
        compile_blocks(model, on)

    with Checkpointer(
        run.path,
        {"model": model, "optimizer": optimizer},
        _identity(config, store),
        config,
        epochs,
        run.save_card,
    ) as checkpoints:
        first = checkpoints.resume()
        run.forget_after(first)
        yield from run.metrics(first)
        yield from _epochs(
            run, config, model, optimizer, sequences, train_ids, checkpoints, first, progress
        )
    _finish(run, model, epochs, steps)


def _epochs(
    run: Run,
    config: Config,
    model: Pretrainer,
    optimizer: torch.optim.Optimizer,
    sequences: Sequences,
    train_ids: Int[Tensor, "N"],
    checkpoints: Checkpointer,
    first: int,
    progress: bool,
) -> Iterator[dict[str, Any]]:
    """The loop, from epoch `first` on."""
    on, epochs = sequences.device, checkpoints.epochs
    steps = max(1, len(train_ids) // config.batch_size)
    bar = tqdm(
        range(first, epochs), initial=first, total=epochs, unit="epoch", disable=not progress
    )
    for epoch in bar:
        data_stream = stream("cpu", "pretrain/data", config.seed, epoch)
        mask_stream = stream(on, "pretrain/mask", config.seed, epoch)
        order = train_ids[torch.randperm(len(train_ids), generator=data_stream)]
        terms = []
        for step, ids in enumerate(order.split(config.batch_size)[:steps]):
            lr = warmup_cosine(
                epoch * steps + step,
                warmup=round(config.warmup_epochs * steps),
                total=epochs * steps,
                lr=config.lr,
                min_lr=config.min_lr,
            )
            set_lr(optimizer, lr)
            batch = sequences.batch(
                ids,
                crop="random",
                min_crop=config.min_crop,
                rotation=config.rotation,
                generator=data_stream,
            )
            noise = model.draw_noise(batch.x.shape[0], mask_stream)
            with fast_products(on):
                with autocast(on, config.precision):
                    losses = model(batch.x, batch.gaps, noise)
                optimizer.zero_grad(set_to_none=True)
                losses.total.backward()
                optimizer.step()
            # Kept on the device: reading them here would make the host wait at every step.
            terms.append(
                torch.stack([losses.total, losses.reconstruction, losses.contrast]).detach()
            )

        columns = list(zip(*torch.stack(terms).tolist(), strict=True))
        check_losses(
            columns[0],
            order.split(config.batch_size),
            sequences.names,
            epoch=epoch,
            lr=config.lr,
            precision=config.precision,
        )
        total, reconstruction, contrast = (sum(column) / steps for column in columns)
        metrics = {
            "epoch": epoch,
            "loss": total,
            "reconstruction": reconstruction,
            "contrast": contrast,
            "lr": lr,
            "seconds": round(run.seconds, 3),
        }
        bar.set_postfix(loss=f"{total:.4f}")
        last = epoch + 1 == epochs
        if last or (epoch + 1) % config.checkpoint_every == 0 or epoch == 0:
            metrics |= diagnose(model, batch, noise)
        run.log(metrics)
        checkpoints.keep(epoch + 1)
        yield metrics


def _finish(run: Run, model: Pretrainer, epochs: int, steps: int) -> None:
    save_encoder(run.path / ENCODER, model.encoder, model.config.to_json())
    final = run.metrics()[-1:] or [{"loss": None}]
    run.finish({"epochs": epochs, "steps": epochs * steps, "loss": final[0]["loss"]})
    (run.path / PREVIOUS).unlink(missing_ok=True)  # nothing is left to resume


def build_pretrainer(layout: SkeletonLayout, config: Config) -> Pretrainer:
    """A model whose start depends on the seed alone; the global random state is left as it was."""
    with seeded("pretrain/start", config.seed):
        return Pretrainer(layout, config)


def load_pretrainer(run_dir: str | Path, store: SequenceStore) -> Pretrainer:
    """The trained model of a run with its decoder, for pictures, on the CPU.

    The decoder of objectives that train none (`none`, `supervised`) is the untrained one.

    Args:
        run_dir: a finished run, or one with a checkpoint.
        store: the data it was made on.

    Raises:
        HacmError: no run there, or its checkpoint is missing, damaged or of other data.
    """
    config = read_run_config(run_dir)
    model = build_pretrainer(store.layout, config)
    if config.objective in ("none", "supervised"):
        model.encoder.load_state_dict(load_encoder(run_dir).state_dict())
        return model.eval()
    state = load_checkpoint(Path(run_dir), _identity(config, store))
    if state is None:
        raise HacmError(f"{run_dir} has no checkpoint yet: pretrain first")
    model.load_state_dict(state["model"])
    return model.eval()


def _identity(config: Config, store: SequenceStore) -> dict[str, Any]:
    """Which training a checkpoint is of."""
    return {**config.identity(), "data": store.checksum}


def make_optimizer(model: nn.Module, config: Config, device: torch.device) -> torch.optim.AdamW:
    """AdamW; no weight decay on biases and norms."""
    learned = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in learned if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.lr,
        betas=config.betas,
        fused=device.type in ("cuda", "cpu"),
    )


def diagnose(model: Pretrainer, batch: Batch, noise: Noise) -> dict[str, Any]:
    """What the mask and the ball are like on one batch, and what each loss term's gradient weighs.

    Returns:
        `ball`: quantiles of the tokens' radius and the share at the rim; `mask`: entropy of the
        sampling weights relative to uniform and largest over smallest weight, per group;
        `gradient_norm`: of each loss term with respect to the encoder.
    """
    inputs = model.encoder.mask_inputs(
        batch.x, projections=model.frozen_query_key, present=batch.gaps
    )
    losses = model(batch.x, batch.gaps, noise)
    weights = [p for p in model.encoder.parameters() if p.requires_grad]
    norms = {}
    for name in ("reconstruction", "contrast"):
        term = getattr(losses, name)
        if term.requires_grad:
            parts = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
            norms[name] = torch.stack([p.norm() for p in parts if p is not None]).norm().item()
    return {
        "ball": radius_statistics(inputs.tokens, inputs.curvature),
        "mask": mask_statistics(losses.mask, model.encoder.J),
        "gradient_norm": norms,
    }
