"""Pretraining: one loop for GPU and CPU, resumable to the bit on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from hacm.config import Config
from hacm.data.sequences import Batch, Sequences
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.masking.diagnostics import mask_statistics, radius_statistics
from hacm.models.pretrainer import Noise, Pretrainer
from hacm.randomness import seeded, stream
from hacm.skeleton import SkeletonLayout
from hacm.training.checkpoint import ENCODER, load_checkpoint, save_checkpoint, save_encoder
from hacm.training.device import autocast, choose_device, compile_blocks, fast_products
from hacm.training.run import Run
from hacm.training.schedule import set_lr, warmup_cosine
from hacm.training.supervised import train_supervised


def pretrain(
    config: Config,
    store: SequenceStore,
    run_dir: str | Path,
    *,
    device: str = "auto",
    progress: bool = True,
) -> Iterator[dict[str, Any]]:
    """Pretrain an encoder on the training side of a store's split.

    A generator: each epoch it yields that epoch's metrics, so a notebook can draw while it trains.
    Nothing happens until it is iterated. Stopped at any time, the same call resumes at the last
    checkpoint and ends with the same weights; called on a complete run it yields the metrics on
    record and trains nothing.

    Args:
        config: the experiment; `objective` none only writes the untrained encoder, supervised
            trains it with labels (`train_supervised`).
        store: the data.
        run_dir: where `run.json`, `metrics.jsonl`, checkpoints, `encoder.safetensors` and, last,
            `result.json` go.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        progress: show a bar with the time left.

    Yields:
        epoch, loss, reconstruction, contrast, lr, seconds; now and then the diagnostics of the
        mask and of the ball (`diagnose`).

    Raises:
        HacmError: the run directory holds another run, or the data do not fit the configuration.
    """
    on = choose_device(device)
    run = Run(run_dir, config, store, on)
    if run.result is not None:
        yield from run.metrics()
        return
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

    first = 0
    if (state := load_checkpoint(run.path)) is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"]
    run.forget_after(first)
    yield from run.metrics()

    bar = tqdm(
        range(first, epochs), initial=first, total=epochs, unit="epoch", disable=not progress
    )
    for epoch in bar:
        data_stream = stream("cpu", "pretrain/data", config.seed, epoch)
        mask_stream = stream(on, "pretrain/mask", config.seed, epoch)
        order = train_ids[torch.randperm(len(train_ids), generator=data_stream)]
        sums = torch.zeros(3, device=on)
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
            # Summed on the device: reading them here would make the host wait at every step.
            sums += torch.stack([losses.total, losses.reconstruction, losses.contrast]).detach()

        total, reconstruction, contrast = (sums / steps).tolist()
        if not total < float("inf"):
            raise HacmError(
                f"the loss of epoch {epoch} is not finite: lower lr (now {config.lr}) or use "
                "precision float32"
            )
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
        if last or (epoch + 1) % config.checkpoint_every == 0:
            save_checkpoint(
                run.path,
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "epoch": epoch + 1,
                },
            )
            run.save_card()
        yield metrics

    _finish(run, model, epochs, steps)


def _finish(run: Run, model: Pretrainer, epochs: int, steps: int) -> None:
    save_encoder(run.path / ENCODER, model.encoder, model.config.to_json())
    final = run.metrics()[-1:] or [{"loss": None}]
    run.finish({"epochs": epochs, "steps": epochs * steps, "loss": final[0]["loss"]})


def build_pretrainer(layout: SkeletonLayout, config: Config) -> Pretrainer:
    """A model whose start depends on the seed alone; the global random state is left as it was."""
    with seeded("pretrain/start", config.seed):
        return Pretrainer(layout, config)


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
