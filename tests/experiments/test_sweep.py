"""Sweep files, and running them: what fails is survived, what is finished is skipped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from hacm.config import Config
from hacm.errors import HacmError
from hacm.experiments import execute
from hacm.experiments.execute import TRIALS, Execution, notebook_error
from hacm.experiments.sweep import PRETRAINING, read_sweep
from hacm.presets import make_config
from hacm.training.evaluate import evaluate
from hacm.training.pretrain import pretrain
from hacm.training.run import RESULT

SWEEPS = Path(__file__).resolve().parents[2] / "papermill_runs" / "sweeps"
RANDOM = {"temporal": "random", "spatial": "random"}


def in_this_process(trial, step):
    """What the two notebooks do to a run directory, without papermill."""
    if step == PRETRAINING:
        list(pretrain(trial.config, trial.store, trial.run_dir, device="cpu", progress=False))
    else:
        asked = {"epochs": 2, "views": 1, "seed": trial.seed, "device": "cpu", "progress": False}
        evaluate(trial.run_dir, trial.store, step, **asked)


@pytest.fixture
def quick(monkeypatch):
    """Executions without papermill; returns the list of steps that were really run."""
    ran = []

    def run(self, trial, step, notebook, parameters):
        ran.append((trial.variant, trial.seed, step))
        if trial.variant == "broken":
            raise HacmError("the loss is not finite")
        in_this_process(trial, step)

    monkeypatch.setattr(Execution, "_papermill", run)
    return ran


def test_runs_take_base_variant_and_seed(sweep_file, tmp_path):
    runs = {"plain": None, "random": {**RANDOM, "epochs": 2}, "mamp": {"objective": "mamp"}}
    trials = read_sweep(sweep_file(runs=runs, seeds=[3, 5]), tmp_path / "runs")
    assert [(t.variant, t.seed) for t in trials] == [
        (name, seed) for name in runs for seed in (3, 5)
    ]
    random = trials[3]
    assert random.run_dir == tmp_path / "runs" / "masks" / "toy" / "random" / "seed5"
    assert random.config.temporal == "random" and random.config.epochs == 2
    assert trials[4].config.objective == "mamp" and not trials[4].config.prune


def test_notebook_parameters_make_the_same_configuration(sweep_file, tmp_path):
    runs = {"mamp": {"objective": "mamp", "tau": "5e-1", "betas": [0.8, 0.9]}}
    for trial in read_sweep(sweep_file(runs=runs, seeds=[7]), tmp_path):
        given = yaml.safe_load(yaml.safe_dump(trial.pretraining))  # as papermill receives them
        assert given.pop("run_dir") == str(trial.run_dir)
        assert given.pop("data") == str(trial.store.path)
        assert make_config(**given) == trial.config
        assert trial.config.tau == 0.5 and trial.config.seed == 7


def test_a_grid_is_every_combination(sweep_file, tmp_path):
    grid = {"mask_ratio": [0.8, 0.9], "keep": ["high", "low"]}
    trials = read_sweep(sweep_file(grid=grid), tmp_path)
    assert [trial.variant for trial in trials] == [
        f"mask_ratio={ratio},keep={keep}" for ratio in (0.8, 0.9) for keep in ("high", "low")
    ]
    assert [trial.config.mask_ratio for trial in trials] == [0.8, 0.8, 0.9, 0.9]


def test_stores_on_the_command_line_win(sweep_file, tmp_path, store):
    trials = read_sweep(sweep_file(), tmp_path, {"mine": str(store.path)})
    assert {trial.data for trial in trials} == {"mine"}


@pytest.mark.parametrize("file", sorted(SWEEPS.glob("*.yaml")), ids=lambda file: file.stem)
def test_committed_sweeps_are_valid(file, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("wmft", "nwucla", "adm_sign"):
        Path("stores").mkdir(exist_ok=True)
        Path("stores", name).symlink_to(store.path)
    data = yaml.safe_load(file.read_text())["data"]
    trials = read_sweep(
        file, tmp_path, {name: path or str(store.path) for name, path in data.items()}
    )
    assert len({trial.run_dir for trial in trials}) == len(trials)
    if file.stem != "quick":
        assert {trial.seed for trial in trials} >= {0, 1, 2}
        others = {"temperature": {"wmft", "synthetic"}, "transfer": {"synthetic"}}
        others["final"] = {"wmft", "nwucla", "adm_sign"}
        assert set(data) == others.get(file.stem, {"wmft", "nwucla"})
    if file.stem == "temperature":  # what chose a default must not have seen any test subject
        assert set(trials[0].evaluations) == {"validation"}
    differ = {trial.config.model_copy(update={"seed": 0}).to_json() for trial in trials}
    assert len(differ) == len({trial.variant for trial in trials}), "two variants are the same"


def test_a_variant_may_have_its_own_seeds(sweep_file, tmp_path):
    runs = {"plain": None, "costly": {**RANDOM, "seeds": [5]}}
    trials = read_sweep(sweep_file(runs=runs, seeds=[3, 4, 5]), tmp_path / "runs")
    found = [(trial.variant, trial.seed, trial.config.seed) for trial in trials]
    assert found == [("plain", 3, 3), ("plain", 4, 4), ("plain", 5, 5), ("costly", 5, 5)]
    assert "seeds" not in trials[-1].pretraining["overrides"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"run": {}}, r"masks.yaml: unknown key 'run'; known keys: base, data"),
        ({"seeds": []}, "seeds: .*at least 1"),
        ({"seeds": [1, 1]}, "a seed is listed twice"),
        ({"seeds": "all"}, "seeds: .*valid list, got 'all'"),
        ({"grid": {"taus": [1]}}, "masks.yaml, taus=1: overrides: unknown key 'taus'"),
        ({"grid": {"tau": [-1]}}, "tau=-1: overrides: tau: .*greater than 0"),
        ({"grid": {"tau": 1}}, "grid.tau: .*valid list"),
        ({"grid": {"betas": [[0.9, 0.9]]}}, "becomes a directory"),
        ({"runs": {"../escape": {}}}, "'../escape' becomes a directory"),
        ({"runs": {"a": {}}, "grid": {"tau": [1]}}, "both grid and runs"),
        ({"runs": {"a": {"seed": 1}}}, "seeds have a key of their own"),
        ({"runs": {"a": {"seeds": 3}}}, r"a: seeds: expected a list such as \[0, 1\], not 3"),
        ({"runs": {"a": {"seeds": []}}}, r"a: seeds: expected a list such as \[0, 1\], not \[\]"),
        ({"runs": {"a": {"seeds": [2, 2]}}}, "a seed is listed twice"),
        ({"runs": {"a": {"objective": "magic"}}}, "masks.yaml, a: unknown objective 'magic'"),
        ({"base": {"split": "xview"}}, "unknown split 'xview'; this store has: xsub"),
        ({"protocol": "zero-shot"}, "unknown protocol 'zero-shot'"),
        ({"protocol": "transfer"}, "transfer needs"),
        ({"evaluation": {"view": 1}}, r"evaluation.view: .*not permitted|unknown key"),
        ({"protocol": "finetune", "evaluation": {"overrides": {"lr": 0}}}, "lr: .*greater than 0"),
        ({"evaluation": {"split": "subject:9"}}, "leaves no training sequence"),
        ({"data": {"gone": "no/such/store"}}, "is not a store"),
        ({"data": {}}, "names no data"),
    ],
)
def test_bad_sweeps_are_sentences(sweep_file, tmp_path, content, sentence):
    with pytest.raises(HacmError, match=sentence) as caught:
        read_sweep(sweep_file(**content), tmp_path / "runs")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text", ["", "- a\n- b", "a: [", "\x00", "just words"])
def test_garbage_is_a_sentence(tmp_path, text):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(HacmError, match=r"s.yaml"):
        read_sweep(tmp_path / "s.yaml", tmp_path)
    with pytest.raises(HacmError, match="cannot be read"):
        read_sweep(tmp_path / "absent.yaml", tmp_path)


def test_a_failing_run_is_survived_and_told(sweep_file, tmp_path, quick, capsys):
    file = sweep_file(runs={"first": {}, "broken": {"tau": 0.5}, "last": RANDOM}, seeds=[0, 1])
    status = Execution(read_sweep(file, tmp_path / "runs")).run()
    assert [one.state for one in status] == ["done", "done", "failed", "failed", "done", "done"]
    rows = json.loads((tmp_path / "runs" / "masks" / TRIALS).read_text())["trials"]
    assert [row["state"] for row in rows] == [one.state for one in status]
    assert rows[2]["error"] == "the loss is not finite"
    shown = capsys.readouterr().out
    assert "failed: toy / broken / seed 1: the loss is not finite" in shown
    assert "✓✓" in shown and "✗✗" in shown


def test_finished_steps_are_skipped_and_new_ones_run(sweep_file, tmp_path, quick):
    file = sweep_file(runs={"a": {}}, seeds=[0])
    Execution(read_sweep(file, tmp_path / "runs")).run()
    assert quick == [("a", 0, PRETRAINING), ("a", 0, "linear")]
    quick.clear()
    file = sweep_file(runs={"a": {}}, seeds=[0, 1], protocol=["linear", "knn"])
    Execution(read_sweep(file, tmp_path / "runs")).run()
    assert quick == [("a", 0, "knn"), ("a", 1, PRETRAINING), ("a", 1, "linear"), ("a", 1, "knn")]
    (tmp_path / "runs/masks/toy/a/seed1/eval/linear" / RESULT).unlink()
    quick.clear()
    Execution(read_sweep(file, tmp_path / "runs")).run()
    assert quick == [("a", 1, "linear")]


def test_results_of_another_configuration_are_not_taken_for_these(sweep_file, tmp_path, quick):
    Execution(read_sweep(sweep_file(runs={"a": {}}), tmp_path / "runs")).run()
    changed = read_sweep(sweep_file(runs={"a": {"tau": 0.5}}), tmp_path / "runs")
    status = Execution(changed).run()
    assert status[0].state == "failed"
    assert f"another configuration (tau: 0.5 / {Config().tau}" in status[0].error


def test_a_step_that_leaves_no_result_has_failed(sweep_file, tmp_path, monkeypatch):
    monkeypatch.setattr(Execution, "_papermill", lambda *arguments: None)
    status = Execution(read_sweep(sweep_file(), tmp_path / "runs")).run()
    assert "ended without a result.json" in status[0].error


def test_bad_jobs_are_a_sentence(sweep_file, tmp_path):
    with pytest.raises(HacmError, match="--jobs must be at least 1"):
        Execution(read_sweep(sweep_file(), tmp_path), jobs=0)


def test_a_killed_notebook_is_survived(sweep_file, tmp_path, monkeypatch):
    """Real processes, two at a time; one is killed."""
    (tmp_path / "papermill.py").write_text(
        "import os, signal, sys\n"
        "print('words for the log', flush=True)\n"
        "if 'victim' in sys.argv[2]:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.exit(os.environ['OMP_NUM_THREADS'] != '1')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # `python -m papermill` finds the script
    trials = read_sweep(sweep_file(runs={"victim": {}, "other": {"tau": 0.5}}), tmp_path / "runs")
    victim, other = Execution(trials, jobs=2).run()
    log = trials[0].run_dir.with_name("seed0.pretraining.log")
    assert victim.error == f"03_pretraining ended with exit code -9; see {log}"
    assert log.read_text() == "words for the log\n"
    assert "ended without" in other.error  # it had its single thread, and wrote nothing


def test_stopping_a_sweep_stops_its_processes(sweep_file, tmp_path):
    (tmp_path / "papermill.py").write_text("import time\ntime.sleep(100)\n")
    file = sweep_file(runs={"a": {}}, seeds=[0, 1])
    # A test that was itself started in the background hands down that Ctrl-C is ignored.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from hacm.cli import main; main()"
    search = os.pathsep.join([str(tmp_path), str(SWEEPS.parents[1])])
    process = subprocess.Popen(
        [sys.executable, "-c", code, "sweep", str(file), "--runs", str(tmp_path / "runs")],
        env={**os.environ, "PYTHONPATH": search},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "runs/masks/toy/a/seed0.pretraining.log"
    while not log.exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    try:
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()  # what does not stop must not live on beside the next tests
    assert process.returncode == 130 and "the same command resumes" in told
    rows = json.loads((tmp_path / "runs" / "masks" / TRIALS).read_text())["trials"]
    assert [row["state"] for row in rows] == ["waiting", "waiting"]
    assert not log.with_name("seed1.pretraining.log").exists()


def test_the_error_of_a_notebook(tmp_path):
    file = tmp_path / "out.ipynb"
    assert notebook_error(file) == ""
    file.write_text("cut o")
    assert notebook_error(file) == ""
    error = {"output_type": "error", "ename": "HacmError", "evalue": "a\n sentence"}
    cells = [{"cell_type": "markdown"}, {"outputs": [{"output_type": "stream"}, error]}]
    file.write_text(json.dumps({"cells": cells}))
    assert notebook_error(file) == "a sentence"
    error["ename"] = "KeyError"
    file.write_text(json.dumps({"cells": cells}))
    assert notebook_error(file) == "KeyError: a sentence"


@pytest.mark.slow
def test_the_real_notebooks(sweep_file, tmp_path, capsys):
    file = sweep_file(runs={"a": {}, "broken": {"lr": 1e30, "warmup_epochs": 0, "epochs": 2}})
    status = Execution(read_sweep(file, tmp_path / "runs"), jobs=2).run()
    assert [one.state for one in status] == ["done", "failed"]
    assert "loss of epoch" in status[1].error and "not finite" in status[1].error
    assert execute.accuracy(read_sweep(file, tmp_path / "runs")[0]) is not None
