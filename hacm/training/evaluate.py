"""What a pretrained encoder is worth: linear probe and retrieval, beside the untrained encoder."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from hacm.config import Config
from hacm.data.sequences import Sequences
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.models.encoder import Encoder
from hacm.training.checkpoint import load_encoder
from hacm.training.device import choose_device, stream
from hacm.training.features import extract_features, fit_linear_probe, nearest_labels
from hacm.training.pretrain import build_pretrainer
from hacm.training.run import RESULT, read_json, read_run_config, write_json, write_text


def evaluate(
    run_dir: str | Path,
    store: SequenceStore,
    *,
    epochs: int = 100,
    views: int = 5,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Linear probe and 1-nearest-neighbour retrieval of a run's encoder and of its untrained start.

    The encoder is frozen. Training features are extracted `views` times under the augmentation of
    pretraining and kept; as many views as epochs is the published protocol, fewer save time.
    Retrieval and testing use the central crop.

    Args:
        run_dir: a finished pretraining run.
        store: the data; its layout must be the encoder's.
        epochs: of the linear probe.
        views: augmented views of each training sequence; 0 trains on the central crop.
        seed: of the augmentation and the probe.
        device: see `pretrain`.
        progress: show bars.

    Returns:
        `linear` and `knn`, each with the accuracy (0..1) of the `trained` and the `untrained`
        encoder; `chance`; how many sequences; what was used. Also written, with the probe's
        predictions, to `run_dir/eval/linear/`, `result.json` last.

    Raises:
        HacmError: no finished run there, or the data's layout is another than the encoder's.
    """
    started = time.monotonic()
    out = Path(run_dir) / "eval" / "linear"
    asked = {"epochs": epochs, "views": views, "seed": seed, "data": store.checksum}
    if (done := finished_result(out, asked)) is not None:
        return done
    config = read_run_config(run_dir)
    trained = load_encoder(run_dir)
    check_layout(trained, store, run_dir)
    untrained = build_pretrainer(store.layout, config).encoder
    train_ids, test_ids = store.split(config.split)
    on = choose_device(device)
    result: dict[str, Any] = {"protocol": "linear", "asked": asked, "linear": {}, "knn": {}}
    for name, encoder in (("trained", trained), ("untrained", untrained)):
        linear, knn, predicted = probe(
            encoder.to(on),
            store,
            config,
            (train_ids, test_ids),
            epochs=epochs,
            views=views,
            seed=seed,
            progress=f"features, {name} encoder" if progress else None,
        )
        result["linear"][name], result["knn"][name] = linear, knn
        if name == "trained":
            predictions = predicted
    missing = sorted(set(store.labels[test_ids].tolist()) - set(store.labels[train_ids].tolist()))
    result |= {
        "chance": 1 / len(store.label_names),
        "train": len(train_ids),
        "test": len(test_ids),
        "classes_never_trained": [store.label_names[label] for label in missing],
        "seconds": round(time.monotonic() - started, 3),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "predictions.csv", predictions_table(store, test_ids, predictions))
    write_json(out / RESULT, result)
    return result


def probe(
    encoder: Encoder,
    store: SequenceStore,
    config: Config,
    ids: tuple[Int[np.ndarray, "N"], Int[np.ndarray, "M"]],
    *,
    epochs: int = 100,
    views: int = 5,
    seed: int = 0,
    progress: str | None = None,
) -> tuple[float, float, Int[np.ndarray, "M"]]:
    """Linear and 1-NN accuracy of a frozen encoder, and the linear probe's predictions.

    Args:
        encoder: on the device to use.
        store: the data.
        config: frames, modality, augmentation, precision.
        ids: training and test positions.
        epochs, views, seed: see `evaluate`.
        progress: what the progress bars say; None shows none.
    """
    device = next(encoder.parameters()).device
    train_ids, test_ids = ids
    sequences = Sequences(
        store,
        config.frames,
        device,
        modality=config.modality,
        absent_bodies=config.absent_bodies,
    )

    def features(which: np.ndarray, **augmentation: Any) -> Float[Tensor, "N D"]:
        return extract_features(
            encoder,
            sequences,
            which,
            precision=config.precision,
            progress=progress,
            **augmentation,
        )

    gallery, queries = features(train_ids), features(test_ids)
    augmented = [
        features(
            train_ids,
            crop="random",
            rotation=config.rotation,
            min_crop=config.min_crop,
            generator=stream("cpu", seed, view),
        )
        for view in range(min(views, epochs))
    ]
    labels = torch.from_numpy(store.labels)
    train_labels, test_labels = labels[train_ids].to(device), labels[test_ids].to(device)
    head = fit_linear_probe(
        augmented or [gallery],
        train_labels,
        len(store.label_names),
        epochs=epochs,
        seed=seed,
    )
    with torch.no_grad():
        predicted = head(queries).argmax(1)
    neighbours = nearest_labels(gallery, train_labels, queries)
    linear = (predicted == test_labels).float().mean().item()
    knn = (neighbours == test_labels).float().mean().item()
    return linear, knn, predicted.cpu().numpy()


def check_layout(encoder: Encoder, store: SequenceStore, run_dir: str | Path) -> None:
    """An encoder can only read skeletons of its own layout."""
    if encoder.layout != store.layout:
        raise HacmError(
            f"the encoder of {run_dir} was trained on layout {encoder.layout.name!r} "
            f"({encoder.layout.V} joints), but {store.path} holds {store.layout.name!r} "
            f"({store.layout.V} joints)"
        )


def finished_result(out: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The result on record, if it answers the same question."""
    if not (out / RESULT).exists():
        return None
    result = read_json(out / RESULT)
    return result if result.get("asked") == asked else None


def predictions_table(
    store: SequenceStore, ids: Int[np.ndarray, "M"], predicted: Int[np.ndarray, "M"]
) -> str:
    """CSV text: name, label, predicted of every test sequence."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "label", "predicted"])
    table.writerows(
        zip(store.columns["name"][ids], store.labels[ids], predicted, strict=True),
    )
    return text.getvalue()
