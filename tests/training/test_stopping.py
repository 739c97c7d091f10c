"""A training that is stopped, however, has its last whole epoch on disk and goes on from there."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from hacm.data.sequences import Sequences
from hacm.stops import STOP_SIGNALS
from hacm.training import checkpointer
from hacm.training.checkpoint import CHECKPOINT, PREVIOUS, load_encoder, load_torch
from hacm.training.pretrain import pretrain
from hacm.training.run import CARD, RESULT, read_json, read_metrics

SCRIPT = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run with it ignored
from hacm.config import parse_config
from hacm.data.store import SequenceStore
from hacm.training.pretrain import pretrain
config, store = parse_config(json.loads(sys.argv[1])), SequenceStore(sys.argv[2])
for line in pretrain(config, store, sys.argv[3], device="cpu", progress=False):
    print(line["epoch"], flush=True)
"""


@pytest.fixture
def rare(config):
    """No checkpoint is due before the end of its 40 epochs."""
    rarely = {"epochs": 40, "checkpoint_every": 1000, "checkpoint_minutes": 1e6}
    return config.model_copy(update=rarely)


def start(config, store, run_dir):
    command = [sys.executable, "-c", SCRIPT, config.to_json(), str(store.path), str(run_dir)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_all(config, store, run_dir):
    return list(pretrain(config, store, run_dir, device="cpu", progress=False))


def same(a, b):
    a, b = (load_encoder(run_dir).state_dict() for run_dir in (a, b))
    return all(torch.equal(a[key], b[key]) for key in a)


def kept_epochs(run_dir):
    return load_torch(run_dir / CHECKPOINT)["epoch"]


@pytest.mark.parametrize("signum", STOP_SIGNALS, ids=lambda signum: signum.name)
def test_a_signal_keeps_all_whole_epochs(rare, store, tmp_path, signum):
    process = start(rare, store, tmp_path / "run")
    for line in process.stdout:
        if int(line) == 26:
            process.send_signal(signum)
            break
    _, told = process.communicate(timeout=10)
    if signum == signal.SIGINT:
        assert "KeyboardInterrupt" in told
    assert process.returncode == -signum
    assert 27 <= kept_epochs(tmp_path / "run") < 40
    assert read_json(tmp_path / "run" / CARD)["seconds"] > 0
    assert not (tmp_path / "run" / RESULT).exists()
    epochs = [line["epoch"] for line in run_all(rare, store, tmp_path / "run")]
    assert epochs == list(range(40))
    run_all(rare, store, tmp_path / "whole")
    assert same(tmp_path / "run", tmp_path / "whole")


def interrupt_at(monkeypatch, call, signum=signal.SIGINT):
    """A signal in the middle of the n-th step."""
    calls, batch = [], Sequences.batch

    def interrupted(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == call:
            signal.raise_signal(signum)
        return batch(self, *arguments, **options)

    monkeypatch.setattr(Sequences, "batch", interrupted)


def test_within_an_epoch_the_last_whole_one_is_kept(rare, store, tmp_path, monkeypatch, heeded):
    interrupt_at(monkeypatch, 2 * 5 + 2)  # two steps an epoch: in the second of epoch 5
    with pytest.raises(KeyboardInterrupt):
        run_all(rare, store, tmp_path / "run")
    monkeypatch.undo()
    assert kept_epochs(tmp_path / "run") == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run_all(rare, store, tmp_path / "run")
    run_all(rare, store, tmp_path / "whole")
    assert same(tmp_path / "run", tmp_path / "whole")


def test_fine_tuning_keeps_its_epochs_too(rare, store, tmp_path, monkeypatch, heeded):
    config = rare.model_copy(update={"objective": "supervised", "epochs": 6})
    interrupt_at(monkeypatch, 3 * 4 + 2)  # 12 sequences, at most 5 a step: three steps an epoch
    with pytest.raises(KeyboardInterrupt):
        run_all(config, store, tmp_path / "run")
    monkeypatch.undo()
    assert kept_epochs(tmp_path / "run") == 4
    run_all(config, store, tmp_path / "run")
    run_all(config, store, tmp_path / "whole")
    assert same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("how", ["close", "error"])
def test_however_the_loop_ends_the_epochs_are_kept(rare, store, tmp_path, monkeypatch, how):
    loop = pretrain(rare, store, tmp_path / "run", device="cpu", progress=False)
    for _ in range(3):
        next(loop)
    if how == "close":
        loop.close()
    else:
        monkeypatch.setattr(Sequences, "batch", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            next(loop)
    assert kept_epochs(tmp_path / "run") == 3


def test_minutes_count_as_well_and_change_no_number(rare, store, tmp_path, monkeypatch):
    clock = iter(range(0, 10**6, 20))  # twenty seconds at each look
    monkeypatch.setattr(checkpointer.time, "monotonic", lambda: next(clock))
    seen, save = [], checkpointer.save_checkpoint
    monkeypatch.setattr(
        checkpointer, "save_checkpoint", lambda f, s, of: seen.append(s["epoch"]) or save(f, s, of)
    )
    config = rare.model_copy(update={"epochs": 12, "checkpoint_minutes": 1.0})
    run_all(config, store, tmp_path / "often")
    assert 3 <= len(seen) < 12 and seen[-1] == 12
    monkeypatch.undo()
    rarely = config.model_copy(update={"checkpoint_minutes": 1e6})
    run_all(rarely, store, tmp_path / "rarely")
    assert same(tmp_path / "often", tmp_path / "rarely")


def test_how_often_may_change_when_resuming(rare, store, tmp_path):
    loop = pretrain(rare, store, tmp_path / "run", device="cpu", progress=False)
    next(loop)
    loop.close()
    other = rare.model_copy(update={"checkpoint_every": 7, "checkpoint_minutes": 3.0})
    assert rare.difference(other) == ""
    assert [line["epoch"] for line in run_all(other, store, tmp_path / "run")] == list(range(40))


def test_a_finished_run_needs_no_second_checkpoint(config, store, tmp_path):
    run_all(config, store, tmp_path / "run")
    assert not (tmp_path / "run" / PREVIOUS).exists()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["papermill", "kernel", "interrupt"])
def test_a_notebook_keeps_its_epochs(rare, store, tmp_path, target):
    """SIGTERM to papermill, to its kernel, and Ctrl-C to the kernel."""
    import nbformat

    run_dir, seen = tmp_path / "run", tmp_path / "seen.txt"
    code = textwrap.dedent(
        f"""
        import json, os, pathlib
        from hacm.config import parse_config
        from hacm.data.store import SequenceStore
        from hacm.training.pretrain import pretrain
        config = parse_config(json.loads({rare.to_json()!r}))
        store = SequenceStore({str(store.path)!r})
        for line in pretrain(config, store, {str(run_dir)!r}, device="cpu", progress=False):
            pathlib.Path({str(seen)!r}).open("a").write(f"{{os.getpid()}}\\n")
        """
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbformat.write(notebook, tmp_path / "in.ipynb")
    names = [str(tmp_path / name) for name in ("in.ipynb", "out.ipynb")]
    process = subprocess.Popen(
        [sys.executable, "-m", "papermill", *names, "-k", "python3", "--no-progress-bar"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and (not seen.exists() or len(seen.read_text().splitlines()) < 10):
        time.sleep(0.01)
    kernel = int(seen.read_text().splitlines()[0])
    if target == "papermill":
        process.terminate()
    else:
        os.kill(kernel, signal.SIGTERM if target == "kernel" else signal.SIGINT)
    process.wait(timeout=30)
    assert process.returncode != 0
    for _ in range(100):  # the kernel may outlive papermill by what saving takes
        if (run_dir / CHECKPOINT).exists():
            break
        time.sleep(0.1)
    assert 10 <= kept_epochs(run_dir) < 40
    lines = [line["epoch"] for line in read_metrics(run_dir)]
    assert lines == list(range(len(lines))) and len(lines) >= kept_epochs(run_dir)
