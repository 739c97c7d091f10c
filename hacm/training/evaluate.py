"""What a pretrained encoder is worth, by any protocol, beside its untrained start."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from hacm.config import Config, FinetuneOptions, parse_options
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.models.encoder import Encoder
from hacm.training.checkpoint import load_encoder
from hacm.training.device import choose_device
from hacm.training.pretrain import build_pretrainer
from hacm.training.protocols import LABELS, PROTOCOLS, READERS, fine_tune, labelled_draws, probe
from hacm.training.run import RESULT, read_card, read_json, read_run_config, write_json, write_text
from hacm.training.scores import PREDICTIONS, predictions_table, save_scores

NAMES = {
    **{"knn": "nearest neighbour", "linear": "linear probe", "finetune": "fine-tuning"},
    **{"semi_1": "1 % of the labels", "semi_10": "10 % of the labels", "transfer": "transfer"},
}
"""Protocols as people call them."""


def evaluate(
    run_dir: str | Path,
    store: SequenceStore,
    protocol: str = "linear",
    *,
    split: str | None = None,
    epochs: int = 100,
    views: int = 5,
    seed: int = 0,
    compare: bool = True,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Evaluate a run's encoder, beside its untrained start.

    In `linear` and `knn` the encoder is frozen. Training features are extracted `views` times under
    the augmentation of pretraining and kept; as many views as epochs is the published protocol,
    fewer save time. Retrieval and all testing use the central crop. In the other protocols the
    encoder learns on with labels, the untrained one from scratch; stopped, they resume.

    Args:
        run_dir: a finished pretraining run.
        store: the data; its layout must be the encoder's. It must be the data of pretraining, and
            must not for `transfer`.
        protocol: one of `PROTOCOLS`; `hacm/training/protocols.py` says what they are.
        split: another split than that of pretraining.
        epochs: of the linear probe or the fine-tuning.
        views: of `linear`: augmented views of each training sequence; 0 trains on the central crop.
        seed: of augmentation, heads, draws and dropout.
        compare: also evaluate the untrained encoder.
        overrides: other fields of `FinetuneOptions`, for the protocols that train the encoder.
        device: see `pretrain`.
        progress: show bars.

    Returns:
        for each reader (`linear`, `knn`, or the protocol itself) the accuracy (0..1) of the
        `trained` and the `untrained` encoder; `chance`; how many sequences; what was used and
        asked. Also written to `run_dir/eval/<protocol>/`, with the trained encoder's predictions
        and class scores, `result.json` last; asked the same again, it is read from there.

    Raises:
        HacmError: unknown protocol or option, no finished run there, or data, layout or
            configuration are not the encoder's.
    """
    started = time.monotonic()
    config = read_run_config(run_dir)
    asked = question(config, store, protocol, split, epochs, views, seed, compare, overrides)
    out = Path(run_dir) / "eval" / protocol
    if (done := finished_result(out, asked)) is not None:
        return done
    trained = load_encoder(run_dir)
    check_run(run_dir, config, trained, store, protocol)
    encoders = {"trained": trained}
    if compare:
        encoders["untrained"] = build_pretrainer(store.layout, config).encoder
    ids = store.split(asked["split"])
    on = choose_device(device)
    readers = READERS.get(protocol, (protocol,))
    result: dict[str, Any] = {"protocol": protocol, "asked": asked, **{r: {} for r in readers}}
    unfinished = out / f"unfinished-{_digest(asked)}"
    for name, encoder in encoders.items():
        label = f"{NAMES[protocol]}, {name} encoder" if progress else None
        if protocol in READERS:
            answers = probe(
                encoder.to(on),
                store,
                config,
                ids,
                readers=readers,
                epochs=epochs,
                views=views,
                seed=seed,
                progress=label,
            )
            scores = {reader: answer[None] for reader, answer in answers.items()}
        else:
            scratch = name == "untrained" or config.objective == "none"
            fit = partial(fine_tune, encoder.to(on), store, config)
            parts = _each_draw(fit, store, ids, asked, scratch, unfinished / name, label)
            scores = {protocol: parts}
        for reader, values in scores.items():
            right = values.argmax(-1).numpy() == store.labels[ids[1]]
            result[reader][name] = float(right.mean())
            if len(right) > 1:
                result.setdefault("draws", {})[name] = right.mean(1).tolist()
        if name == "trained":
            kept = scores[readers[0]]
    result |= {
        "features": _how_features(protocol, epochs, views),
        "data": store.path.name,
        "chance": 1 / len(store.label_names),
        **_counts(store, ids),
        "seconds": round(time.monotonic() - started, 3),
    }
    out.mkdir(parents=True, exist_ok=True)
    save_scores(out, kept, store, ids[1], asked["split"])
    write_text(out / PREDICTIONS, predictions_table(store, ids[1], kept[0].argmax(1).numpy()))
    write_json(out / RESULT, result)
    shutil.rmtree(unfinished, ignore_errors=True)
    return result
