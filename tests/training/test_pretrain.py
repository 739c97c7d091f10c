"""The loop: what it writes, that it learns, that it resumes to the bit."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from hacm.data.sequences import Sequences
from hacm.errors import HacmError
from hacm.training.checkpoint import CHECKPOINT, ENCODER, load_encoder
from hacm.training.pretrain import build_pretrainer, make_optimizer, pretrain
from hacm.training.run import CARD, RESULT, read_json


def weights(run_dir):
    return load_encoder(run_dir).state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def run_all(config, store, run_dir):
    return list(pretrain(config, store, run_dir, device="cpu", progress=False))


def test_a_run_leaves_every_file_and_the_loss_falls(config, store, tmp_path):
    config = config.model_copy(update={"epochs": 12, "lr": 0.01})
    metrics = run_all(config, store, tmp_path / "run")
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    assert [line["epoch"] for line in metrics] == list(range(12))
    files = {file.name for file in (tmp_path / "run").iterdir()}
    assert files == {CARD, RESULT, ENCODER, CHECKPOINT, "metrics.jsonl"}
    card = read_json(tmp_path / "run" / CARD)
    assert card["config"]["epochs"] == 12 and card["data"]["checksum"] == store.checksum
    assert {"versions", "hardware", "started", "seconds", "git_commit"} <= card.keys()
    assert read_json(tmp_path / "run" / RESULT)["steps"] == 12 * 2


def test_nothing_happens_before_the_first_step(config, store, tmp_path):
    pretrain(config, store, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_the_seed_decides_everything_and_the_global_state_nothing(config, store, tmp_path):
    torch.manual_seed(1)
    run_all(config, store, tmp_path / "a")
    torch.manual_seed(2)
    before = torch.get_rng_state()
    run_all(config, store, tmp_path / "b")
    assert torch.equal(before, torch.get_rng_state())
    run_all(config.model_copy(update={"seed": 1}), store, tmp_path / "c")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_stopped_run_resumes_to_the_bit(config, store, tmp_path, stop_after):
    whole = run_all(config, store, tmp_path / "whole")
    loop = pretrain(config, store, tmp_path / "parts", device="cpu", progress=False)
    for _ in range(stop_after):
        next(loop)
    loop.close()
    assert not (tmp_path / "parts" / RESULT).exists()
    resumed = run_all(config, store, tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))

    def without_time(line):
        return {key: value for key, value in line.items() if key != "seconds"}

    assert list(map(without_time, resumed)) == list(map(without_time, whole))


def test_epochs_after_the_last_checkpoint_are_computed_again(config, store, tmp_path):
    config = config.model_copy(update={"checkpoint_every": 2})
    run_all(config, store, tmp_path / "whole")
    loop = pretrain(config, store, tmp_path / "parts", device="cpu", progress=False)
    for _ in range(3):
        next(loop)
    loop.close()
    (tmp_path / "parts" / CHECKPOINT).unlink(missing_ok=True)  # as if stopped in the first epochs
    metrics = run_all(config, store, tmp_path / "parts")
    assert [line["epoch"] for line in metrics] == [0, 1, 2]
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_killed_process_resumes_to_the_bit(config, store, tmp_path):
    config = config.model_copy(update={"epochs": 40})
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            from hacm.config import parse_config
            from hacm.data.store import SequenceStore
            from hacm.training.pretrain import pretrain
            import json
            config = parse_config(json.loads({config.to_json()!r}))
            store = SequenceStore({str(store.path)!r})
            for line in pretrain(config, store, sys.argv[1], device="cpu", progress=False):
                print(line["epoch"], flush=True)
            """
        )
    )
    parts = tmp_path / "parts"
    process = subprocess.Popen([sys.executable, script, parts], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) >= 7:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    assert not (parts / RESULT).exists() and not (parts / ENCODER).exists()
    run_all(config, store, parts)
    run_all(config, store, tmp_path / "whole")
    assert same(weights(tmp_path / "whole"), weights(parts))


def test_a_complete_run_trains_nothing_more(config, store, tmp_path):
    first = run_all(config, store, tmp_path / "run")
    times = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run").iterdir()}
    time.sleep(0.01)
    assert run_all(config, store, tmp_path / "run") == first
    assert times == {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run").iterdir()}


def test_another_configuration_in_the_directory_is_refused(config, store, tmp_path):
    run_all(config, store, tmp_path / "run")
    other = config.model_copy(update={"tau": 0.123})
    with pytest.raises(HacmError, match=rf"another configuration \(tau: 0.123 / {config.tau}"):
        run_all(other, store, tmp_path / "run")


def test_other_data_in_the_directory_are_refused(config, store, tmp_path):
    run_all(config, store, tmp_path / "run")
    card = read_json(tmp_path / "run" / CARD)
    card["data"]["checksum"] = "0" * 64
    (tmp_path / "run" / CARD).write_text(json.dumps(card))
    with pytest.raises(HacmError, match="was run on the data of"):
        run_all(config, store, tmp_path / "run")


def test_a_directory_with_other_files_is_not_touched(config, store, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(HacmError, match="not empty"):
        run_all(config, store, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_untrained_objective_writes_the_start(config, store, tmp_path):
    config = config.model_copy(update={"objective": "none"})
    assert run_all(config, store, tmp_path / "run") == []
    start = build_pretrainer(store.layout, config).encoder.state_dict()
    assert same(weights(tmp_path / "run"), start)


def test_an_infinite_loss_is_a_sentence(config, store, tmp_path):
    config = config.model_copy(update={"lr": 1e30, "warmup_epochs": 0})
    with pytest.raises(HacmError, match="not finite"):
        run_all(config, store, tmp_path / "run")
    assert not (tmp_path / "run" / RESULT).exists()


def test_an_unavailable_device_is_a_sentence(config, store, tmp_path):
    with pytest.raises(HacmError, match="not available"):
        list(pretrain(config, store, tmp_path / "run", device="cuda:77", progress=False))


def test_weight_decay_spares_biases_and_norms(config, store):
    model = build_pretrainer(store.layout, config)
    decayed, plain = make_optimizer(model, config, torch.device("cpu")).param_groups
    assert decayed["weight_decay"] == config.weight_decay and plain["weight_decay"] == 0
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim == 1 for p in plain["params"])
    count = sum(len(group["params"]) for group in (decayed, plain))
    assert count == sum(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("objective", ["hacm", "mamp", "mae"])
def test_bfloat16_stays_near_float32(config, store, objective):
    from hacm.presets import make_config

    options = config.model_dump(include={"frames", "width", "heads", "decoder_width", "mask_ratio"})
    config = make_config(objective, "tiny", {**options, "decoder_heads": 2})
    model = build_pretrainer(store.layout, config)
    batch = Sequences(store, config.frames).batch(np.arange(6))
    noise = model.draw_noise(len(batch.x), torch.Generator().manual_seed(0))
    exact = model(batch.x, batch.present, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(batch.x, batch.present, noise)
    assert torch.equal(rough.mask.ids_keep, exact.mask.ids_keep)
    assert rough.total.dtype == torch.float32
    assert rough.total.item() == pytest.approx(exact.total.item(), rel=0.05)
