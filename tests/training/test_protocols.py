"""Every protocol on a small run: results, scores on disk, ensembles, and refusals."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hacm.config import FinetuneOptions, ProbeOptions
from hacm.data.sequences import Sequences
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.training import evaluate as evaluation
from hacm.training.checkpoint import load_encoder, save_encoder
from hacm.training.evaluate import evaluate, summary
from hacm.training.pretrain import build_pretrainer, pretrain
from hacm.training.protocols import DRAWS, LABELS, PROTOCOLS, labelled_draws, probe, sides_of
from hacm.training.run import CARD, read_json, read_run_config
from hacm.training.scores import ensemble

# The network sees steps: what it predicts and compares are the steps themselves.
STEPS = {"modality": "motion", "target": "position", "score_tokens": "position"}


def new_run(config, store, path):
    list(pretrain(config, store, path, device="cpu", progress=False))
    return path


@pytest.fixture(scope="module")
def pristine(config, store, tmp_path_factory):
    return new_run(config, store, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run_dir(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "run")


def copy_of(store, path, **changes):
    """The same sequences in another store."""
    names = {"label_names": store.label_names, "splits": store.splits, **changes}
    columns = {"subject": store.columns["subject"].tolist()} | names
    arrays = [store[i] * 1.01 for i in range(len(store))]
    return SequenceStore.from_arrays(
        arrays, store.labels.tolist(), store.layout, path=path, **columns
    )


def quick(run_dir, store, protocol, **options):
    small = {"epochs": 2} if protocol in LABELS else {"epochs": 3, "views": 2}
    if protocol.startswith("semi"):
        small["draw"] = "balanced"  # int(12 * 0.1) = 1 sequence is too few
    return evaluate(run_dir, store, protocol, device="cpu", progress=False, **{**small, **options})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_leaves_a_result_and_scores_that_agree(run_dir, store, protocol, tmp_path):
    data = copy_of(store, tmp_path / "other") if protocol == "transfer" else store
    result = quick(run_dir, data, protocol)
    out = run_dir / "eval" / protocol
    assert {file.name for file in out.iterdir()} == {
        *("result.json", "predictions.csv", "scores.safetensors"),
    }
    assert read_json(out / "result.json") == result
    assert set(result[protocol]) == {"trained", "untrained"}
    kept = load_file(out / "scores.safetensors")
    draws = DRAWS if protocol.startswith("semi") else 1
    assert kept["scores"].shape == (draws, 12, 3)
    tested = np.concatenate([test for _, test in sides_of(protocol, store, "xsub")])
    np.testing.assert_array_equal(kept["labels"].numpy(), store.labels[tested])
    right = (kept["scores"].argmax(-1) == kept["labels"]).double()
    assert right.mean().item() == pytest.approx(result[protocol]["trained"])
    if draws > 1:
        assert result["draws"]["trained"] == pytest.approx(right.mean(1).tolist())
    assert result["data"] == data.path.name and result["asked"]["split"] == "xsub"


def test_validation_reads_as_the_linear_probe_does_but_never_the_test_side(
    run_dir, store, monkeypatch
):
    train_ids, test_ids = store.split("xsub")
    seen, real = set(), Sequences.batch

    def watched(self, ids, **options):
        seen.update(np.asarray(ids).tolist())
        return real(self, ids, **options)

    monkeypatch.setattr(Sequences, "batch", watched)
    result = quick(run_dir, store, "validation", compare=False, views=0)
    assert seen == set(train_ids) and not seen & set(test_ids)
    assert (result["train"], result["test"]) == (12, 12)
    # Each subject held out in turn, by the plain protocols.
    right = dict.fromkeys(("linear", "knn"), 0.0)
    for rest, held_out in store.folds("xsub"):
        options = ProbeOptions(epochs=3, views=0)
        found = probe(
            load_encoder(run_dir), store, read_run_config(run_dir), [(rest, held_out)], options
        )
        for reader, scores in found.items():
            right[reader] += (scores.argmax(1).numpy() == store.labels[held_out]).sum()
    assert result["validation"]["trained"] == pytest.approx(right["linear"] / 12)
    assert result["validation_knn"]["trained"] == pytest.approx(right["knn"] / 12)


@pytest.mark.parametrize("protocol", ["linear", "knn"])
def test_frozen_means_frozen(pristine, config, store, protocol):
    encoder = load_encoder(pristine)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    state = torch.get_rng_state()
    probe(
        *(encoder, store, config, [store.split("xsub")], ProbeOptions(epochs=3, views=1)),
        readers=("linear", "knn") if protocol == "linear" else ("knn",),
    )
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())
    assert all(p.grad is None for p in encoder.parameters())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_protocol_changes_the_run(run_dir, store, protocol, tmp_path):
    data = copy_of(store, tmp_path / "other") if protocol == "transfer" else store
    before = {file.name: file.read_bytes() for file in run_dir.iterdir() if file.is_file()}
    quick(run_dir, data, protocol, compare=False)
    after = {file.name: file.read_bytes() for file in run_dir.iterdir() if file.is_file()}
    assert before == after


def test_the_result_says_how_features_were_made(run_dir, store):
    said = {
        ("linear", 2): "of 2 augmented views, extracted once and kept",
        ("linear", 3): "of a new augmented view every epoch",
        ("linear", 0): "of the central crop, extracted once and kept",
        ("knn", 2): "of the central crop, extracted once and kept",
    }
    for (protocol, views), words in said.items():
        assert quick(run_dir, store, protocol, views=views)["features"] == words
    assert "not kept" in quick(run_dir, store, "finetune", compare=False)["features"]


def test_semi_supervised_draws_are_shared_and_small(store):
    train_ids = store.split("xsub")[0]
    for draw, drawn_classes in (("balanced", [1, 1, 1]), ("published", None)):
        options = FinetuneOptions(draw=draw)
        draws = labelled_draws(0.26, train_ids, store.labels, options)
        assert len(draws) == DRAWS
        for drawn in draws:
            assert set(drawn) <= set(train_ids)
            assert len(set(drawn)) == len(drawn) == 3  # int(12 * 0.26), or one of each four
            if drawn_classes:
                assert np.bincount(store.labels[drawn]).tolist() == drawn_classes
        again = labelled_draws(0.26, train_ids, store.labels, options)
        assert all(np.array_equal(a, b) for a, b in zip(draws, again, strict=True))
        assert len({tuple(drawn) for drawn in draws}) > 1
        assert labelled_draws(1.0, train_ids, store.labels, options) == [train_ids]


def test_the_number_of_labels_used_is_told(run_dir, store):
    """12 training sequences: int(12 * 0.1) is 1, too few to train on; balanced draws take 3."""
    with pytest.raises(HacmError, match=r"10 % of 12 training sequences is 1: .* draw: balanced"):
        quick(run_dir, store, "semi_10", draw="published")
    assert quick(run_dir, store, "semi_10", draw="balanced")["train"] == 3
    assert quick(run_dir, store, "finetune")["train"] == 12


def test_what_pretraining_saw_is_never_tested(run_dir, store):
    """The run's training side is subjects 1 and 3; the data have 1 to 4."""
    subjects = store.columns["subject"]
    result = quick(run_dir, store, "knn", split="subject:2")
    assert result["left_out"] == np.isin(subjects, [1, 3]).sum()
    assert result["test"] == (subjects == 4).sum()
    assert quick(run_dir, store, "knn")["left_out"] == 0
    with pytest.raises(HacmError, match=r"tests nothing but sequences that .* pretrained on"):
        quick(run_dir, store, "knn", split="subject:2,4")
    with pytest.raises(HacmError, match="validation divides the training side of the split"):
        quick(run_dir, store, "validation", split="subject:2")


def test_a_supervised_run_has_nothing_to_validate_on(config, store, tmp_path):
    run = new_run(config.model_copy(update={"objective": "supervised"}), store, tmp_path / "run")
    with pytest.raises(HacmError, match="trained with the labels of all training sequences"):
        quick(run, store, "validation")


def test_without_the_untrained_encoder(run_dir, store):
    result = quick(run_dir, store, "finetune", compare=False)
    assert set(result["finetune"]) == {"trained"}
    assert "untrained" not in summary(result)


def test_an_untrained_run_fine_tunes_as_its_own_comparison(config, store, tmp_path):
    none = config.model_copy(update={"objective": "none"})
    result = quick(new_run(none, store, tmp_path / "run"), store, "finetune")
    assert result["finetune"]["trained"] == result["finetune"]["untrained"]


def test_a_stopped_evaluation_resumes(run_dir, store, monkeypatch):
    whole = quick(run_dir, store, "semi_10", compare=False)
    shutil.rmtree(run_dir / "eval")
    real, calls = evaluation.save_scores, []

    def killed(*arguments):
        calls.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "save_scores", killed)
    with pytest.raises(KeyboardInterrupt):
        quick(run_dir, store, "semi_10", compare=False)
    unfinished = next((run_dir / "eval" / "semi_10").glob("unfinished-*"))
    stamps = {file: file.stat().st_mtime_ns for file in unfinished.rglob("checkpoint.pt")}
    assert len(stamps) == DRAWS
    with pytest.raises(KeyboardInterrupt):
        quick(run_dir, store, "semi_10", compare=False)
    assert stamps == {file: file.stat().st_mtime_ns for file in unfinished.rglob("checkpoint.pt")}
    monkeypatch.setattr(evaluation, "save_scores", real)
    again = quick(run_dir, store, "semi_10", compare=False)
    assert again["draws"] == whole["draws"] and not unfinished.exists()


def test_an_ensemble_adds_probabilities(config, store, tmp_path):
    runs = [
        new_run(config.model_copy(update=update), store, tmp_path / update["modality"])
        for update in ({"modality": "joint"}, {"modality": "bone"}, STEPS)
    ]
    for run in runs:
        quick(run, store, "linear", compare=False)
    result = ensemble(runs, "linear")
    total, labels = np.zeros((12, 3)), store.labels[store.split("xsub")[1]]
    for run, stream in zip(runs, result["streams"], strict=True):
        logits = load_file(run / "eval/linear/scores.safetensors")["scores"][0].double().numpy()
        total += np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert stream["accuracy"] == pytest.approx((logits.argmax(1) == labels).mean())
        assert stream["modality"] == run.name
    assert result["ensemble_linear"]["trained"] == pytest.approx((total.argmax(1) == labels).mean())
    assert read_json(runs[0] / "eval/ensemble_linear/result.json") == result
    assert summary(result).startswith("ensemble, linear probe")


def test_ensembles_refuse_what_does_not_belong_together(run_dir, store, tmp_path):
    with pytest.raises(HacmError, match="at least 2 runs, got 1"):
        ensemble([run_dir])
    with pytest.raises(HacmError, match=r"scores.safetensors is missing: evaluate"):
        ensemble([run_dir, run_dir])
    other = shutil.copytree(run_dir, tmp_path / "other")
    quick(run_dir, store, "linear", compare=False)
    quick(other, store, "linear", compare=False, split="subject:2,3")
    with pytest.raises(HacmError, match=r"split subject:2,3, .* and .*split xsub"):
        ensemble([run_dir, other])
    (other / "eval/linear/scores.safetensors").write_bytes(b"garbage")
    with pytest.raises(HacmError, match="damaged"):
        ensemble([run_dir, other])


def test_other_data_are_refused_and_named(run_dir, store, tmp_path):
    other = copy_of(store, tmp_path / "other")
    for protocol in ("linear", "finetune"):
        with pytest.raises(HacmError, match=rf"pretrained on .*store.*not on .*{other.path.name}"):
            quick(run_dir, other, protocol)
    with pytest.raises(HacmError, match="use protocol finetune"):
        quick(run_dir, store, "transfer")


def test_the_encoder_of_another_run_is_refused(run_dir, config, store):
    sharper = config.model_copy(update={"tau": 0.123})
    encoder = build_pretrainer(store.layout, sharper).encoder
    save_encoder(run_dir / "encoder.safetensors", encoder, sharper.to_json())
    with pytest.raises(
        HacmError, match=rf"another run.*tau: {config.tau} / 0.123; run.json / encoder"
    ):
        quick(run_dir, store, "knn")


def test_a_damaged_card_is_a_sentence(run_dir, store):
    card = read_json(run_dir / CARD)
    card["config"]["tau"] = "warm"
    (run_dir / CARD).write_text(json.dumps(card))
    with pytest.raises(HacmError, match=r"run.json: tau"):
        quick(run_dir, store, "knn")


@pytest.mark.parametrize(
    ("protocol", "options", "sentence"),
    [
        ("zero-shot", {}, "unknown protocol 'zero-shot'; known: linear, knn, validation"),
        ("finetune", {"views": 3}, "protocol finetune: unknown key 'views'"),
        ("linear", {"drop_path": 0.1}, "protocol linear: unknown key 'drop_path'"),
        ("finetune", {"drop_path": 1.5}, "drop_path: .*less than 1"),
        ("linear", {"split": "subject:9"}, "leaves no training sequence"),
    ],
)
def test_bad_questions_are_sentences(run_dir, store, protocol, options, sentence):
    with pytest.raises(HacmError, match=sentence):
        quick(run_dir, store, protocol, **options)


def test_classes_on_one_side_only_are_told(run_dir, store):
    # Subject 1 trains with all classes; of the others' sequences only one is left to test.
    names = np.array(store.label_names)
    subjects, labels = store.columns["subject"], store.labels
    column = np.where(subjects == 1, 1, 2)
    column[(column == 2) & (labels == 2)] = 3
    store = SequenceStore(store.path)
    store.columns["subject"] = column
    result = quick(run_dir, store, "knn", split="subject:1,3")
    assert result["classes_never_tested"] == [names[2]] and not result["classes_never_trained"]
    assert f"never tested: {names[2]}" in summary(result)
    # Pretraining saw subjects 1 and 3, so that only subject 2 is left to test.
    result = quick(run_dir, store, "knn", split="subject:3")
    assert result["left_out"] == (column == 1).sum()
    assert result["test"] == (column == 2).sum()
    assert result["classes_never_trained"] == names[:2].tolist()
    assert f"never trained: {names[0]}, {names[1]}" in summary(result)
