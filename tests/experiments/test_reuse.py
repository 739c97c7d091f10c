"""A run that another sweep has made is copied; anything that differs makes it another run."""

import shutil

import pytest

from hacm.experiments import reuse as module
from hacm.experiments.collect import find_runs
from hacm.experiments.execute import Execution
from hacm.experiments.reuse import reuse
from hacm.experiments.sweep import PRETRAINING, read_sweep
from hacm.training import run
from hacm.training.evaluate import evaluate
from hacm.training.pretrain import pretrain
from hacm.training.run import CARD, RESULT, read_json, write_json


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    """The code is as committed; returns a function that says otherwise."""

    def at(commit):
        monkeypatch.setattr(module, "git_commit", lambda: commit)

    monkeypatch.setattr(run, "git_commit", lambda: "abc")
    at("abc")
    return at


@pytest.fixture
def runs(sweep_file, tmp_path):
    """RUNS with one finished and evaluated run of a sweep `first`."""
    [trial] = read_sweep(sweep_file("first", runs={"plain": None}), tmp_path / "runs")
    list(pretrain(trial.config, trial.store, trial.run_dir, device="cpu", progress=False))
    evaluate(trial.run_dir, trial.store, "linear", epochs=2, views=1, device="cpu", progress=False)
    return tmp_path / "runs"


@pytest.fixture
def second(sweep_file, runs):
    """Trials of a sweep `second`, from the fields of its variant `default`."""

    def trial(fields=None, **content):
        file = sweep_file("second", **{"runs": {"default": fields}, **content})
        return read_sweep(file, runs)[0]

    return trial


def test_the_same_run_is_copied_whole(runs, second):
    trial = second()
    assert reuse(trial) == runs / "first" / "toy" / "plain" / "seed0"
    assert trial.is_finished(PRETRAINING) and trial.is_finished("linear")
    there = runs / "first" / "toy" / "plain" / "seed0"
    names = sorted(str(f.relative_to(there)) for f in there.rglob("*") if f.is_file())
    copied = [f for f in trial.run_dir.rglob("*") if f.is_file()]
    assert sorted(str(f.relative_to(trial.run_dir)) for f in copied) == names
    assert all((there / name).read_bytes() == (trial.run_dir / name).read_bytes() for name in names)


def test_evaluations_that_this_sweep_does_not_ask_for_stay_behind(second):
    trial = second(protocol="knn")
    assert reuse(trial) is not None and trial.is_finished(PRETRAINING)
    assert list((trial.run_dir / "eval").iterdir()) == []


def test_another_run_is_not(second, runs, committed):
    assert reuse(second({"tau": 0.3})) is None
    assert reuse(second(seeds=[1])) is None
    committed("def")
    assert reuse(second()) is None
    card = runs / "first" / "toy" / "plain" / "seed0" / CARD
    written = read_json(card)
    committed("abc")
    write_json(card, {**written, "data": {**written["data"], "checksum": "0"}})
    assert reuse(second()) is None
    card.write_text("{", encoding="utf-8")
    assert reuse(second()) is None
    write_json(card, written)
    assert reuse(second()) is not None


@pytest.mark.parametrize("commit", [None, "abc-dirty"])
def test_code_that_no_commit_holds_is_not_trusted(second, runs, committed, commit):
    card = runs / "first" / "toy" / "plain" / "seed0" / CARD
    write_json(card, {**read_json(card), "git_commit": commit})
    committed(commit)
    assert reuse(second()) is None


def test_unfinished_runs_and_own_ones_are_left_alone(second, runs):
    trial = second()
    trial.run_dir.mkdir(parents=True)
    assert reuse(trial) is None and not any(trial.run_dir.iterdir())
    trial.run_dir.rmdir()
    (runs / "first" / "toy" / "plain" / "seed0" / RESULT).unlink()
    assert reuse(trial) is None and not trial.run_dir.exists()


def test_half_a_copy_is_no_run(second, runs, monkeypatch):
    trial = second()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copy2", killed)
    with pytest.raises(KeyboardInterrupt):
        reuse(trial)
    monkeypatch.undo()
    assert not trial.run_dir.exists()
    assert find_runs(runs) == [runs / "first" / "toy" / "plain" / "seed0"]


def test_a_sweep_asks_only_what_the_copy_does_not_answer(second, monkeypatch):
    trial, ran = second(protocol=["linear", "knn"]), []

    def papermill(self, trial, step, notebook, parameters):
        ran.append(step)
        asked = {"epochs": 2, "views": 1, "device": "cpu", "progress": False}
        evaluate(trial.run_dir, trial.store, step, **asked)

    monkeypatch.setattr(Execution, "_papermill", papermill)
    assert [status.state for status in Execution([trial]).run()] == ["done"]
    assert ran == ["knn"]
