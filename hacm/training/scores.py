"""Class scores of an evaluation on disk, and what is read from them: confusions and ensembles."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.files import make_folder, saying, write_json, write_text, write_with
from hacm.training.records import RESULT, read_evaluation
from hacm.training.run import as_store, read_run_config

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
    content = save(
        {"scores": scores.float().contiguous(), "labels": torch.from_numpy(labels)},
        metadata={"data": store.checksum, "split": split},
    )
    write_with(out / SCORES, lambda file: file.write(content))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "label", "predicted"])
    predicted = scores[0].argmax(1).tolist()
    table.writerows(zip(store.columns["name"][test_ids], labels, predicted, strict=True))
    write_text(out / PREDICTIONS, text.getvalue())


def check_scores(scores: Float[Tensor, "*rest C"], where: str) -> None:
    """Refuse scores of a reader whose training diverged: the largest of NaNs is the first class.

    Raises:
        HacmError: a score is NaN or infinite.
    """
    if not scores.isfinite().all():
        raise HacmError(
            f"{where}: scores are not finite: the training of the reader diverged; use a lower lr"
        )


def confusion_counts(
    run_dir: str | Path, store: SequenceStore | str | Path, protocol: str = "linear"
) -> Int[np.ndarray, "C C"]:
    """How often each true class (row) was taken for each class (column) in an evaluation.

    Raises:
        HacmError: the run has not been evaluated under this protocol, or its table is damaged or of
            other classes.
    """
    file = Path(run_dir) / "eval" / protocol / PREDICTIONS
    with saying(file, "read"):
        if not file.exists():
            raise HacmError(f"{file} is missing: evaluate the run first")
        table = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    from sklearn.metrics import confusion_matrix

    classes = len(as_store(store).label_names)
    try:
        pairs = np.array([(int(row["label"]), int(row["predicted"])) for row in table])
        fit = pairs.size > 0 and pairs.min() >= 0 and pairs.max() < classes
    except (KeyError, TypeError, ValueError, OverflowError):
        fit = False
    if not fit:
        raise HacmError(
            f"{file} is damaged or of other data: expected a row a test sequence with label and "
            f"predicted from 0 to {classes - 1}; evaluate the run again"
        )
    return confusion_matrix(*pairs.T, labels=range(classes))


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
    known = read_evaluation(Path(run_dirs[0]) / "eval" / protocol)
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
    out = make_folder(Path(run_dirs[0]) / "eval" / name)
    write_json(out / RESULT, result)
    return result


def _load_scores(file: Path) -> tuple[Tensor, Tensor, dict[str, str]]:
    """Scores (R, M, C), labels (M,), and which data and split they are of."""
    with saying(file, "read"):
        if not file.is_file():
            raise HacmError(f"{file} is missing: evaluate the run under this protocol first")
        try:
            with safe_open(file, framework="pt") as opened:
                scores, labels = (opened.get_tensor(name) for name in ("scores", "labels"))
                origin = opened.metadata() or {}
        except SafetensorError as error:
            raise HacmError(f"{file} is damaged: {error}; evaluate the run again") from error
    kinds = scores.is_floating_point() and labels.dtype == torch.int64
    if not kinds or 0 in scores.shape or scores.shape[1:2] != labels.shape or scores.ndim != 3:
        raise HacmError(
            f"{file} is damaged: expected scores (draws, sequences, classes) and their labels, got "
            f"shapes {tuple(scores.shape)} and {tuple(labels.shape)}; evaluate the run again"
        )
    if labels.min() < 0 or labels.max() >= scores.shape[2]:
        raise HacmError(
            f"{file} is damaged: its labels are from {labels.min()} to {labels.max()}, but it has "
            f"scores of {scores.shape[2]} classes; evaluate the run again"
        )
    check_scores(scores, str(file))
    return scores, labels, origin


def _accuracy(scores: Float[Tensor, "R M C"], labels: Int[Tensor, "M"]) -> float:
    return float((scores.argmax(-1) == labels).double().mean())


def _origin_text(origin: dict[str, str], scores: Tensor) -> str:
    draws, sequences, _ = scores.shape
    return (
        f"data {origin.get('data', '?')[:12]}, split {origin.get('split', '?')}, "
        f"{sequences} sequences, {draws} draws"
    )
