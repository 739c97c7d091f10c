"""The objective `supervised`: an encoder that has learned from labels only, from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import Any

from hacm.config import Config, FinetuneOptions
from hacm.data.sequences import Sequences
from hacm.data.store import SequenceStore
from hacm.models.encoder import Encoder
from hacm.training.finetune import build_classifier, train_classifier
from hacm.training.run import Run


def train_supervised(
    run: Run,
    encoder: Encoder,
    store: SequenceStore,
    sequences: Sequences,
    config: Config,
    progress: bool,
) -> Iterator[dict[str, Any]]:
    """Train `encoder` in place, under a head that is thrown away, on the split's training side.

    Optimisation follows the configuration; stochastic depth, dropout and label smoothing are those
    of fine-tuning.

    Args:
        run: where metrics and checkpoints go; resumed at its last checkpoint.
        encoder: the untrained encoder.
        store, sequences: the data.
        config: the experiment.
        progress: show a bar.

    Yields:
        What `train_classifier` does, and the seconds so far.
    """
    shared = FinetuneOptions.model_fields.keys() & Config.model_fields.keys()
    options = FinetuneOptions(**config.model_dump(include=shared), layer_decay=1.0)
    model = build_classifier(encoder, len(store.label_names), options).to(sequences.device)
    loop = train_classifier(
        model,
        sequences,
        store.split(config.split)[0],
        config,
        options,
        run.path,
        "labels only" if progress else None,
    )
    with closing(loop):  # so that its checkpoint is written while the run is still ours
        computed = next(loop, None)
        first = config.epochs if computed is None else computed["epoch"]
        run.forget_after(first)
        yield from run.metrics(first)
        for metrics in chain([] if computed is None else [computed], loop):
            metrics["seconds"] = round(run.seconds, 3)
            run.log(metrics)
            run.save_card()
            yield metrics
    encoder.load_state_dict(model.encoder.state_dict())
