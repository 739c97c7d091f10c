"""The command line as a person meets it: exit codes and one-sentence errors."""

import subprocess
import sys

import numpy as np
import pytest

from hacm.skeleton import KINECT_V2


def hacm(*arguments):
    command = [sys.executable, "-c", "from hacm.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def arrays(tmp_path):
    rng = np.random.default_rng(0)
    content = {
        "joints": rng.normal(size=(40, KINECT_V2.V, 3)).astype(np.float32),
        "offsets": np.array([0, 10, 25, 40]),
        "label": np.array([0, 1, 0]),
        "subject": np.array([1, 2, 3]),
        "parent": np.array(KINECT_V2.parents),
    }

    def save(**changes):
        file = tmp_path / "arrays.npz"
        np.savez(file, **{k: v for k, v in {**content, **changes}.items() if v is not None})
        return file

    return save


def test_prepare_and_info(arrays, tmp_path):
    done = hacm("prepare", "arrays", arrays(), tmp_path / "store")
    assert done.returncode == 0, done.stderr
    shown = hacm("info", tmp_path / "store", "--split", "xsub", "--verify")
    assert shown.returncode == 0, shown.stderr
    assert "kinect_v2" in shown.stdout and "2 train, 1 test" in shown.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"joints": np.zeros((40, 24, 3))}, ["24"]),
        ({"joints": np.full((40, KINECT_V2.V, 3), np.nan)}, ["NaN"]),
        ({"joints": None}, ["joints"]),
        ({"label": np.array([0, 1, -1])}, ["sequence_00002", "-1"]),
        ({"offsets": np.array([0, 10, 10, 40])}, ["empty"]),
        ({"offsets": np.array([0, 10, 25, 99])}, ["offsets"]),
    ],
)
def test_bad_arrays_are_one_sentence(arrays, tmp_path, changes, words):
    done = hacm("prepare", "arrays", arrays(**changes), tmp_path / "store")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["arrays.npz"]


def test_missing_things_are_one_sentence(tmp_path):
    for arguments in (
        ("info", tmp_path / "nothing"),
        ("show", tmp_path / "nothing"),
        ("prepare", "arrays", tmp_path / "nothing.npz", tmp_path / "out"),
        ("sweep", tmp_path / "nothing.yaml"),
        ("sweep", tmp_path / "any.yaml", "--data", "nothing"),
        ("report", tmp_path / "nothing", tmp_path / "out.html"),
        ("ensemble", tmp_path / "nothing", tmp_path / "nothing"),
    ):
        done = hacm(*arguments)
        assert done.returncode == 2 and "nothing" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert hacm("prepare", "arrays").returncode == 2
