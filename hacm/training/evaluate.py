"""What a pretrained encoder is worth: linear probe and retrieval, beside the untrained encoder."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
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


PROTOCOLS = ("linear", "knn")
PREDICTIONS = "predictions.csv"


def evaluate(
    run_dir: str | Path,
    store: SequenceStore,
    protocol: str = "linear",
    *,
    epochs: int = 100,
    views: int = 5,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Linear probe and retrieval (1-NN) of a run's encoder, beside those of its untrained start.

    The encoder is frozen. Training features are extracted `views` times under the augmentation of
    pretraining and kept; as many views as epochs is the published protocol, fewer save time.
    Retrieval and testing use the central crop.

    Args:
        run_dir: a finished pretraining run.
        store: the data; its layout must be the encoder's.
        protocol: `linear` (both readers) or `knn` (retrieval alone).
        epochs: of the linear probe.
        views: augmented views of each training sequence; 0 trains on the central crop.
        seed: of the augmentation and the probe.
        device: see `pretrain`.
        progress: show bars.

    Returns:
        `linear` and `knn`, each with the accuracy (0..1) of the `trained` and the `untrained`
        encoder; `chance`; how many sequences; what was used. Also written, with the predictions, to
        `run_dir/eval/<protocol>/`, `result.json` last; asked the same again, it is read from there.

    Raises:
        HacmError: unknown protocol, no finished run there, or the data's layout is another than the
            encoder's.
    """
    if protocol not in PROTOCOLS:
        raise HacmError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    started = time.monotonic()
    out = Path(run_dir) / "eval" / protocol
    asked = {"epochs": epochs, "views": views, "seed": seed, "data": store.checksum}
    if (done := finished_result(out, asked)) is not None:
        return done
    config = read_run_config(run_dir)
    trained = load_encoder(run_dir)
    check_layout(trained, store, run_dir)
    untrained = build_pretrainer(store.layout, config).encoder
    train_ids, test_ids = store.split(config.split)
    on = choose_device(device)
    readers = ("linear", "knn") if protocol == "linear" else ("knn",)
    result: dict[str, Any] = {"protocol": protocol, "asked": asked, **{r: {} for r in readers}}
    for name, encoder in (("untrained", untrained), ("trained", trained)):
        predicted = probe(
            encoder.to(on),
            store,
            config,
            (train_ids, test_ids),
            readers=readers,
            epochs=epochs,
            views=views,
            seed=seed,
            progress=f"features, {name} encoder" if progress else None,
        )
        for reader in readers:
            right = predicted[reader] == store.labels[test_ids]
            result[reader][name] = float(right.mean())
    missing = sorted(set(store.labels[test_ids].tolist()) - set(store.labels[train_ids].tolist()))
    result |= {
        "chance": 1 / len(store.label_names),
        "train": len(train_ids),
        "test": len(test_ids),
        "classes_never_trained": [store.label_names[label] for label in missing],
        "seconds": round(time.monotonic() - started, 3),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / PREDICTIONS, predictions_table(store, test_ids, predicted[readers[0]]))
    write_json(out / RESULT, result)
    return result


def probe(
    encoder: Encoder,
    store: SequenceStore,
    config: Config,
    ids: tuple[Int[np.ndarray, "N"], Int[np.ndarray, "M"]],
    *,
    readers: Sequence[str] = ("linear", "knn"),
    epochs: int = 100,
    views: int = 5,
    seed: int = 0,
    progress: str | None = None,
) -> dict[str, Int[np.ndarray, "M"]]:
    """What each reader predicts for the test sequences from a frozen encoder's features.

    Args:
        encoder: on the device to use.
        store: the data.
        config: frames, modality, augmentation, precision.
        ids: training and test positions.
        readers: `linear`, `knn` or both.
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
    labels = torch.from_numpy(store.labels[train_ids]).to(device)
    predicted = {}
    if "knn" in readers:
        predicted["knn"] = nearest_labels(gallery, labels, queries)
    if "linear" in readers:
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
        head = fit_linear_probe(
            augmented or [gallery], labels, len(store.label_names), epochs=epochs, seed=seed
        )
        with torch.no_grad():
            predicted["linear"] = head(queries).argmax(1)
    return {reader: answer.cpu().numpy() for reader, answer in predicted.items()}


def summary(result: dict[str, Any]) -> str:
    """A result in one line."""
    names = {"linear": "linear probe", "knn": "nearest neighbour"}
    scores = [
        f"{names[reader]} {100 * result[reader]['trained']:.1f} % "
        f"(untrained encoder {100 * result[reader]['untrained']:.1f} %, "
        f"chance {100 * result['chance']:.1f} %)"
        for reader in ("knn", "linear")
        if reader in result
    ]
    return "\n".join(scores)


def confusion_counts(
    run_dir: str | Path, store: SequenceStore, protocol: str = "linear"
) -> Int[np.ndarray, "C C"]:
    """How often each true class (row) was taken for each class (column) in an evaluation.

    Raises:
        HacmError: the run has not been evaluated under this protocol.
    """
    file = Path(run_dir) / "eval" / protocol / PREDICTIONS
    if not file.exists():
        raise HacmError(f"{file} is missing: evaluate the run first")
    from sklearn.metrics import confusion_matrix

    with file.open(newline="", encoding="utf-8") as table:
        rows = [(int(row["label"]), int(row["predicted"])) for row in csv.DictReader(table)]
    truth, predicted = zip(*rows, strict=True)
    return confusion_matrix(truth, predicted, labels=range(len(store.label_names)))


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
