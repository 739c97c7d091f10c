"""The protocols: what each makes of an encoder, as class scores of the test sequences.

linear     frozen features, a linear probe; the nearest neighbour (1-NN, cosine) beside it
knn        the nearest neighbour alone
validation both readers on the training side alone, divided by subject: for choosing settings
finetune   the encoder learns on, with all training labels
semi_1     as finetune with 1 % of the training sequences, the mean of 5 draws; semi_10: 10 %
           (how many sequences that really are stands in the result as `train`)
transfer   as finetune, on other data than the encoder was pretrained on
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from hacm.config import Config, FinetuneOptions, ProbeOptions
from hacm.data.sequences import Sequences
from hacm.data.splits import semi_supervised_ids
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.files import make_folder
from hacm.lock import one_writer
from hacm.models.encoder import Encoder
from hacm.randomness import numpy_stream, stream
from hacm.training.features import extract_features, fit_linear_probe, nearest_labels
from hacm.training.finetune import build_classifier, class_scores, train_classifier

READERS = {
    "linear": {"linear": "linear", "knn": "knn"},
    "knn": {"knn": "knn"},
    "validation": {"validation": "linear", "validation_knn": "knn"},
}
"""Protocols on frozen features, and who reads them: name of the result, reader."""

LABELS = {"finetune": 1.0, "semi_1": 0.01, "semi_10": 0.1, "transfer": 1.0}
"""Protocols that train the encoder, and the share of the training sequences they use."""

PROTOCOLS = (*READERS, *LABELS)
DRAWS = 5

Ids = Int[np.ndarray, "N"]
Sides = list[tuple[Ids, Ids]]
"""Training and test positions; several pairs are folds, whose test sequences are put together."""


def sides_of(protocol: str, store: SequenceStore, split: str) -> Sides:
    """What a protocol trains its reader on and what it tests."""
    return store.folds(split) if protocol == "validation" else [store.split(split)]


def never_seen(sides: Sides, store: SequenceStore, pretrained: str) -> tuple[Sides, int]:
    """The same without the test sequences that pretraining saw, and how many those were.

    Args:
        sides: from `sides_of`.
        store: the data of pretraining.
        pretrained: the split it was pretrained on.
    """
    seen = store.split(pretrained)[0]
    kept = [(train, np.setdiff1d(test, seen)) for train, test in sides]
    return kept, sum(len(test) for _, test in sides) - sum(len(test) for _, test in kept)


def ask(
    protocol: str,
    encoder: Encoder,
    store: SequenceStore,
    config: Config,
    sides: Sides,
    options: ProbeOptions | FinetuneOptions,
    folder: Path,
    progress: str | None = None,
) -> dict[str, Float[Tensor, "R M C"]]:
    """What a protocol makes of an encoder: scores of the M test sequences' classes, by reader.

    Args:
        protocol: one of `PROTOCOLS`.
        encoder: on the device to use; it is not changed.
        store: the data.
        config: frames, modality, augmentation, precision.
        sides: from `sides_of`.
        options: `FinetuneOptions` for the protocols in `LABELS`, else `ProbeOptions`.
        folder: for checkpoints of unfinished trainings; made if needed.
        progress: what the progress bars say; None shows none.

    Returns:
        logits, or for `knn` 1 for the nearest neighbour's class; R draws of the training sequences.
    """
    if isinstance(options, ProbeOptions):
        readers = READERS[protocol]
        found = probe(
            encoder, store, config, sides, options, readers=readers.values(), progress=progress
        )
        return {name: found[reader][None] for name, reader in readers.items()}
    [(train_ids, test_ids)] = sides
    draws = labelled_draws(LABELS[protocol], train_ids, store.labels, options)
    scores = [
        fine_tune(encoder, store, config, (drawn, test_ids), options, folder / str(draw), progress)
        for draw, drawn in enumerate(draws)
    ]
    return {protocol: torch.stack(scores)}


def probe(
    encoder: Encoder,
    store: SequenceStore,
    config: Config,
    sides: Sides,
    options: ProbeOptions,
    *,
    readers: Collection[str] = ("linear", "knn"),
    progress: str | None = None,
) -> dict[str, Float[Tensor, "M C"]]:
    """Scores from a frozen encoder's features, by each reader; see `ask`."""
    sequences = sequences_for(encoder, store, config)

    def features(which: Ids, **augmentation: Any) -> Float[Tensor, "N D"]:
        return extract_features(
            encoder,
            sequences,
            which,
            precision=config.precision,
            progress=progress,
            **augmentation,
        )

    # Folds share their sequences: every feature is extracted once.
    train_ids, test_ids = (np.unique(np.concatenate(ids)) for ids in zip(*sides, strict=True))
    gallery = features(train_ids)
    queries = gallery if np.array_equal(train_ids, test_ids) else features(test_ids)
    views = [
        features(
            train_ids,
            crop="random",
            rotation=config.rotation,
            min_crop=config.min_crop,
            generator=stream("cpu", "probe/view", options.seed, view),
        )
        for view in range(min(options.views, options.epochs) if "linear" in readers else 0)
    ]
    labels = torch.from_numpy(store.labels[train_ids]).to(gallery.device)
    classes = len(store.label_names)
    scores: dict[str, list[Tensor]] = {reader: [] for reader in readers}
    for train, test in sides:
        seen, asked = np.searchsorted(train_ids, train), np.searchsorted(test_ids, test)
        if "linear" in readers:
            fit = options.model_dump(exclude={"views"})
            shown = [view[seen] for view in views or [gallery]]
            head = fit_linear_probe(shown, labels[seen], classes, **fit)
            with torch.no_grad():
                scores["linear"].append(head(queries[asked]))
        if "knn" in readers:
            nearest = nearest_labels(gallery[seen], labels[seen], queries[asked])
            scores["knn"].append(F.one_hot(nearest, classes).float())
    return {reader: torch.cat(answers).cpu() for reader, answers in scores.items()}


def fine_tune(
    encoder: Encoder,
    store: SequenceStore,
    config: Config,
    ids: tuple[Ids, Ids],
    options: FinetuneOptions,
    folder: Path,
    progress: str | None = None,
) -> Float[Tensor, "M C"]:
    """Scores of a copy of the encoder trained with labels, after the last epoch; see `ask`."""
    sequences = sequences_for(encoder, store, config)
    model = build_classifier(encoder, len(store.label_names), options).to(sequences.device)
    with one_writer(make_folder(folder)):
        for _ in train_classifier(model, sequences, ids[0], config, options, folder, progress):
            pass
    return class_scores(model, sequences, ids[1], config.precision).cpu()


def labelled_draws(
    share: float, train_ids: Ids, labels: Int[np.ndarray, "S"], options: FinetuneOptions
) -> list[Ids]:
    """The training sequences whose labels may be used: all, or several draws of a share.

    Args:
        share: 0 < share <= 1.
        train_ids: positions of all training sequences.
        labels: of all sequences of the store.
        options: how they are drawn (`draw`); the same `seed` draws the same for every encoder.
    """
    if share == 1:
        return [train_ids]
    if options.draw == "published" and int(share * len(train_ids)) < 2:
        raise HacmError(
            f"{100 * share:.0f} % of {len(train_ids)} training sequences is "
            f"{int(share * len(train_ids))}: too few to train on; use draw: balanced, which takes "
            "at least one a class"
        )
    generators = [numpy_stream("finetune/labels", options.seed, draw) for draw in range(DRAWS)]
    return [semi_supervised_ids(train_ids, labels, share, rng, options.draw) for rng in generators]


def sequences_for(encoder: Encoder, store: SequenceStore, config: Config) -> Sequences:
    """The store as an encoder pretrained with `config` sees it, on the encoder's device."""
    return Sequences(
        store,
        config.frames,
        next(encoder.parameters()).device,
        modality=config.modality,
        absent_bodies=config.absent_bodies,
    )
