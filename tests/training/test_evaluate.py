"""Evaluation of a finished run, beside its untrained start."""

import csv

import numpy as np
import pytest

from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1
from hacm.training.evaluate import evaluate, summary
from hacm.training.pretrain import pretrain
from hacm.training.run import read_json, read_run_config
from hacm.training.scores import confusion_counts


@pytest.fixture(scope="module")
def run_dir(config, store, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    list(pretrain(config, store, path, device="cpu", progress=False))
    return path


def quick(run_dir, store, protocol="linear", **options):
    options = {"epochs": 4, "views": 2, "device": "cpu", "progress": False, **options}
    return evaluate(run_dir, store, protocol, **options)


def test_both_readers_and_both_encoders(run_dir, store):
    result = quick(run_dir, store)
    assert set(result["linear"]) == set(result["knn"]) == {"trained", "untrained"}
    assert result["chance"] == pytest.approx(1 / 3) and result["train"] == result["test"] == 12
    assert result["asked"]["views"] == 2
    on_disk = read_json(run_dir / "eval" / "linear" / "result.json")
    assert on_disk == result
    with (run_dir / "eval" / "linear" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    hits = np.mean([row["label"] == row["predicted"] for row in rows])
    assert hits == pytest.approx(result["linear"]["trained"])
    counts = confusion_counts(run_dir, store)
    assert np.trace(counts) / counts.sum() == pytest.approx(result["linear"]["trained"])


def test_retrieval_alone_agrees(run_dir, store):
    assert quick(run_dir, store, "knn")["knn"] == quick(run_dir, store)["knn"]


def test_an_untrained_run_equals_its_own_comparison(config, store, tmp_path):
    none = config.model_copy(update={"objective": "none"})
    list(pretrain(none, store, tmp_path / "run", device="cpu", progress=False))
    result = quick(tmp_path / "run", store)
    for reader in ("linear", "knn"):
        assert result[reader]["trained"] == result[reader]["untrained"]


def test_asked_again_the_result_is_read_and_asked_otherwise_computed(run_dir, store):
    first = quick(run_dir, store)
    assert quick(run_dir, store)["seconds"] == first["seconds"]
    assert quick(run_dir, store, seed=1)["asked"]["seed"] == 1


def test_summary_is_a_line_a_reader():
    score = {"trained": 0.873, "untrained": 0.612}
    line = summary({"linear": score, "chance": 1 / 12})
    assert line == "linear probe 87.3 % (untrained encoder 61.2 %, chance 8.3 %)"


def test_sentences(run_dir, store, tmp_path):
    with pytest.raises(HacmError, match="unknown protocol 'zero-shot'; known: linear"):
        quick(run_dir, store, "zero-shot")
    with pytest.raises(HacmError, match="holds no run"):
        quick(tmp_path, store)
    rng = np.random.default_rng(0)
    other = SequenceStore.from_arrays(
        [rng.normal(size=(9, KINECT_V1.V, 3)) for _ in range(4)],
        [0, 1, 0, 1],
        KINECT_V1,
        path=tmp_path / "other",
        splits={"xsub": {"column": "subject", "train": [1]}},
        subject=[1, 1, 2, 2],
    )
    with pytest.raises(HacmError, match=r"'kinect_v2' \(25 joints.*'kinect_v1' \(20 joints"):
        quick(run_dir, other)


def test_an_unfinished_run_is_a_sentence(config, store, tmp_path):
    loop = pretrain(config, store, tmp_path / "run", device="cpu", progress=False)
    next(loop)
    loop.close()
    with pytest.raises(HacmError, match="has not finished"):
        quick(tmp_path / "run", store)


def test_a_store_made_anew_of_the_same_sequences_is_the_same_data(run_dir, store, tmp_path):
    again = SequenceStore.from_arrays(
        [store[i] for i in range(len(store))],
        store.labels.tolist(),
        store.layout,
        path=tmp_path / "elsewhere" / "again",
        splits=store.splits,
        subject=store.columns["subject"].tolist(),
    )
    assert again.checksum == store.checksum
    first = quick(run_dir, store, "knn")
    assert quick(run_dir, again, "knn") == first
    assert list(pretrain(read_run_config(run_dir), again, run_dir, device="cpu", progress=False))
