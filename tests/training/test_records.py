"""Damaged metrics, run cards and results are sentences."""

import shutil

import pytest

from hacm.errors import HacmError
from hacm.training.checkpoint import (
    load_encoder,
)
from hacm.training.records import METRICS, gaps, read_evaluation
from hacm.training.run import CARD, RESULT, read_json, read_run_config, write_json
from tests.training.conftest import run_all, same_weights, sentence


@pytest.mark.parametrize(
    "line",
    [
        b"{broken",
        b"",
        b"[1]",
        b"null",
        b'{"loss": 1.0}',
        b'{"epoch": "0", "loss": 1.0}',
        b'{"epoch": 0, "loss": "low"}',
        b'{"epoch": -1, "loss": 1.0}',
        b'{"epoch": 0, "loss": 1.0, "mask": [1]}',
        b"\x00\x00\x00",
        b"\xff\xfe",
    ],
)
def test_a_broken_line_of_the_metrics_is_a_sentence(config, store, half, line):
    first, second, _ = (half / METRICS).read_bytes().split(b"\n")
    content = first + b"\n" + line + b"\n" + second + b"\n"
    (half / METRICS).write_bytes(content)
    with pytest.raises(HacmError, match=METRICS) as caught:
        run_all(config, store, half)
    assert sentence(caught)
    if line != b"\xff\xfe":
        assert "line 2" in str(caught.value)
    assert (half / METRICS).read_bytes() == content


def test_a_folder_in_the_place_of_the_metrics_is_a_sentence(config, store, half):
    (half / METRICS).unlink()
    (half / METRICS).mkdir()
    with pytest.raises(HacmError, match=METRICS):
        run_all(config, store, half)


def test_a_missing_epoch_is_told(config, store, half, whole, tmp_path):
    lines = (half / METRICS).read_text().splitlines(keepends=True)
    (half / METRICS).write_text(lines[1])
    with pytest.warns(UserWarning, match="metrics.jsonl lacks epoch 0;"):
        run_all(config, store, half)
    assert same_weights(half, whole)
    run_dir = shutil.copytree(whole, tmp_path / "copy")
    lines = (run_dir / METRICS).read_text().splitlines(keepends=True)
    (run_dir / METRICS).write_text(lines[0] + lines[0])
    with pytest.warns(UserWarning, match="lacks epoch 1, 2 and holds more than once epoch 0;"):
        run_all(config, store, run_dir)


def test_gaps_in_words():
    def lines(*epochs):
        return [{"epoch": epoch} for epoch in epochs]

    assert gaps(lines(0, 1, 2)) == gaps(lines(0, 1, 2), 3) == gaps([]) == gaps([], 0) == ""
    assert gaps(lines(0, 3)) == "metrics.jsonl lacks epoch 1, 2"
    assert gaps(lines(), 9) == "metrics.jsonl lacks epoch 0, 1, 2, 3, 4 and 4 more"


KINDS = ["", "[]", "3", "{}", "{", "\x00", "null", '"text"', '{"config": {}}']


@pytest.mark.parametrize("content", KINDS)
@pytest.mark.parametrize("name", [CARD, RESULT])
def test_other_contents_of_cards_and_results_are_sentences(
    config, store, whole, tmp_path, name, content
):
    run_dir = shutil.copytree(whole, tmp_path / "run")
    (run_dir / name).write_text(content)
    with pytest.raises(HacmError, match=name) as caught:
        run_all(config, store, run_dir)
    assert sentence(caught)
    assert (run_dir / name).read_text() == content


@pytest.mark.parametrize(
    ("name", "keys", "value"),
    [
        (CARD, ("seconds",), "12"),
        (CARD, ("seconds",), None),
        (CARD, ("data",), []),
        (CARD, ("data", "checksum"), 3),
        (CARD, ("config", "seed"), "0"),
        (CARD, ("config",), "default"),
        (CARD, ("hardware", "threads"), "2"),
        (CARD, ("git_commit",), 3),
        (RESULT, ("epochs",), "3"),
        (RESULT, ("epochs",), -1),
        (RESULT, ("loss",), "low"),
        (RESULT, ("seconds",), True),
    ],
)
def test_values_of_another_kind_are_sentences(config, store, whole, tmp_path, name, keys, value):
    run_dir = shutil.copytree(whole, tmp_path / "run")
    content = read_json(run_dir / name)
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    write_json(run_dir / name, content)
    with pytest.raises(HacmError, match=rf"{name}: {'.'.join(keys)}: ") as caught:
        run_all(config, store, run_dir)
    assert sentence(caught)


def test_a_run_that_is_none_is_a_sentence(tmp_path):
    for path in (tmp_path / "absent", tmp_path / ("n" * 300)):
        with pytest.raises(HacmError, match=r"holds no run|too long"):
            read_run_config(path)
        with pytest.raises(HacmError, match=r"is missing|too long"):
            load_encoder(path)


EVALUATION = {
    **{"protocol": "linear", "asked": {"split": "xsub"}, "data": "toy", "chance": 0.5},
    **{"linear": {"trained": 0.5}, "train": 1, "test": 1},
    **{"classes_never_trained": [], "classes_never_tested": []},
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"linear": "0.9"}, "has no accuracy of 'linear'"),
        ({"linear": {"trained": "0.9"}}, "linear: trained: "),
        ({"linear": {"trained": None}}, "linear: trained: "),
        ({"linear": {"trained": 90.0}}, "linear: trained: "),
        ({"knn": {"trained": 0.5, "untrained": []}}, "knn: untrained: "),
        ({"asked": None}, "asked: "),
        ({"asked": {}}, "asked.split: "),
        ({"chance": "half"}, "chance: "),
        ({"classes_never_tested": "wave"}, "classes_never_tested: "),
        ({"protocol": 3}, "protocol: "),
    ],
)
def test_evaluations_are_checked(tmp_path, changes, words):
    write_json(tmp_path / RESULT, EVALUATION)
    assert read_evaluation(tmp_path) == EVALUATION
    write_json(tmp_path / RESULT, {**EVALUATION, **changes})
    with pytest.raises(HacmError, match=words) as caught:
        read_evaluation(tmp_path)
    assert "evaluate the run again" in sentence(caught)
