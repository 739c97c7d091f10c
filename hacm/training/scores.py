"""Class scores of an evaluation on disk, and what is read from them: confusions and ensembles."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.training.run import RESULT, read_json, read_run_config, write_json, write_text

SCORES, PREDICTIONS = "scores.safetensors", "predictions.csv"
_OF_THE_DATA = (
    *("asked", "data", "chance", "train", "test"),
    *("classes_never_trained", "classes_never_tested"),
)


def save_scores(
    out: Path,
    scores: Float[Tensor, "R M C"],
    store: SequenceStore,
    test_ids: Int[np.ndarray, "M"],
    split: str,
) -> None:
    """Write class scores for ensembles, and as a table what was predicted (in the first draw).

    Args:
        out: the evaluation's directory.
        scores: of M test sequences, in R draws of the training sequences.
        store: the data.
        test_ids: positions of the test sequences.
        split: the split they come from.
    """
    labels = store.labels[test_ids]
    aside = out / f".{SCORES}.{os.getpid()}"
    save_file(
        {"scores": scores.float().contiguous(), "labels": torch.from_numpy(labels)},
        aside,
        metadata={"data": store.checksum, "split": split},
    )
    os.replace(aside, out / SCORES)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "label", "predicted"])
    predicted = scores[0].argmax(1).tolist()
    table.writerows(zip(store.columns["name"][test_ids], labels, predicted, strict=True))
    write_text(out / PREDICTIONS, text.getvalue())


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


def ensemble(run_dirs: Sequence[str | Path], protocol: str = "linear") -> dict[str, Any]:
    """Add the class probabilities of several evaluated runs: joint, bone and motion streams.

    Args:
        run_dirs: at least two runs, evaluated under `protocol` on the same test sequences.
        protocol: whose scores are added.

    Returns:
        `ensemble_<protocol>`: the accuracy (0..1) of the sum; `streams`: run, modality and accuracy
        of each alone; with draws of the training sequences, both are means over draws. Also written
        to `eval/ensemble_<protocol>/result.json` of the first run.

    Raises:
        HacmError: fewer than two runs, one not evaluated, or they differ in data, split or draws.
    """
    if len(run_dirs) < 2:
        raise HacmError(f"an ensemble needs at least 2 runs, got {len(run_dirs)}")
    files = [Path(run_dir) / "eval" / protocol / SCORES for run_dir in run_dirs]
    streams = [_load_scores(file) for file in files]
    first_scores, labels, first_origin = streams[0]
    for file, (scores, _, origin) in zip(files, streams, strict=True):
        if origin != first_origin or scores.shape != first_scores.shape:
            raise HacmError(
                f"{file} and {files[0]} are scores of different test sequences or draws: "
                f"{_origin_text(origin, scores)} and {_origin_text(first_origin, first_scores)}"
            )
    total = torch.stack([scores.softmax(-1) for scores, _, _ in streams]).sum(0)
    # The first run's result says of the data what is to be said.
    known = read_json(Path(run_dirs[0]) / "eval" / protocol / RESULT)
    name = f"ensemble_{protocol}"
    result = {
        **{"protocol": name, name: {"trained": _accuracy(total, labels)}},
        "streams": [
            {
                "run": str(run_dir),
                "modality": read_run_config(run_dir).modality,
                "accuracy": _accuracy(scores, labels),
            }
            for run_dir, (scores, _, _) in zip(run_dirs, streams, strict=True)
        ],
        **{key: known[key] for key in _OF_THE_DATA},
    }
    out = Path(run_dirs[0]) / "eval" / name
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / RESULT, result)
    return result


def _load_scores(file: Path) -> tuple[Tensor, Tensor, dict[str, str]]:
    """Scores (R, M, C), labels (M,), and which data and split they are of."""
    if not file.is_file():
        raise HacmError(f"{file} is missing: evaluate the run under this protocol first")
    try:
        with safe_open(file, framework="pt") as opened:
            return opened.get_tensor("scores"), opened.get_tensor("labels"), opened.metadata() or {}
    except SafetensorError as error:
        raise HacmError(f"{file} is damaged: {error}") from error


def _accuracy(scores: Float[Tensor, "R M C"], labels: Int[Tensor, "M"]) -> float:
    return float((scores.argmax(-1) == labels).double().mean())


def _origin_text(origin: dict[str, str], scores: Tensor) -> str:
    draws, sequences, _ = scores.shape
    return (
        f"data {origin.get('data', '?')[:12]}, split {origin.get('split', '?')}, "
        f"{sequences} sequences, {draws} draws"
    )
