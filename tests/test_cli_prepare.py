"""`hacm prepare`: every set by its command, faults as one sentence."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from hacm.cli_prepare import prepare_app
from hacm.data.store import SequenceStore
from hacm.errors import HacmError

V = 25


def skeleton(frames: int) -> str:
    joints = "".join(f"{j * 0.01} {j * 0.1} 3 0 0 0 0 0 0 0 0 2\n" for j in range(V))
    body = f"1\n7 0 1 1 1 1 0 0 0 2\n{V}\n{joints}"
    return f"{frames}\n{body * frames}"


def ntu(raw: Path) -> list[str]:
    for action in (1, 2):
        (raw / f"S001C00{action}P00{action}R001A00{action}.skeleton").write_text(skeleton(3))
    (raw / "list.txt").write_text("S001C002P002R001A002")
    return ["ntu", str(raw)]


def pkummd(raw: Path) -> list[str]:
    for folder, text in (("skeleton", f"{'1 ' * 149}1\n" * 9), ("label", "1,2,6,1\n")):
        (raw / folder).mkdir()
        for video in ("0002-L", "0003-M"):
            (raw / folder / f"{video}.txt").write_text(text)
    for split in ("cross-subject.txt", "cross-view.txt"):
        (raw / split).write_text("Training\n0002-L\nValidation\n0003-M\n")
    return ["pkummd", str(raw), "--phase", "1"]


def nwucla(raw: Path) -> list[str]:
    for subject in (1, 2):
        joints = np.full((4, 20, 3), float(subject)).tolist()
        file = raw / f"a01_s0{subject}_e00_v01.json"
        file.write_text(json.dumps({"skeletons": joints}))
    return ["nwucla", str(raw)]


def wmft(raw: Path) -> list[str]:
    for subject in (1, 2):
        (raw / f"S0{subject}_mild_task01.bin").write_bytes(np.ones(V * 3 * 3, np.float32).tobytes())
    return ["wmft", str(raw)]


def utd_mhad(raw: Path) -> list[str]:
    for subject in (1, 2):
        savemat(raw / f"a1_s{subject}_t1_skeleton.mat", {"d_skel": np.ones((20, 3, 4))})
    return ["utd_mhad", str(raw)]


def prepared(raw: Path) -> list[str]:
    x, y = np.ones((1, 5, 150), np.float32), np.ones((1, 1))
    np.savez(raw / "own.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return ["prepared", str(raw / "own.npz")]


def pyskl(raw: Path) -> list[str]:
    annotation = {"label": 0, "keypoint": np.ones((1, 4, V, 3), np.float32)}
    annotations = [{"frame_dir": name, **annotation} for name in ("a", "b")]
    (raw / "own.pkl").write_bytes(pickle.dumps({"annotations": annotations}))
    return ["pyskl", str(raw / "own.pkl")]


def arrays(raw: Path) -> list[str]:
    np.savez(
        raw / "own.npz",
        joints=np.ones((6, 17, 3)),
        offsets=np.array([0, 2, 6]),
        label=np.array([0, 1]),
        subject=np.array([1, 2]),
        late=np.array([False, True]),
    )
    return ["arrays", str(raw / "own.npz"), "--layout", "coco17"]


SETS = [ntu, pkummd, nwucla, wmft, utd_mhad, prepared, pyskl, arrays]


def run(*arguments: object):
    return CliRunner().invoke(
        prepare_app, [str(argument) for argument in arguments], catch_exceptions=False
    )


@pytest.mark.parametrize("make", SETS)
@pytest.mark.parametrize("options", [["--strict"], ["--float16", "--center"], ["--no-center"]])
def test_every_set_has_a_command(tmp_path, make, options):
    (tmp_path / "raw").mkdir()
    if make is arrays:  # strict unless told otherwise
        options = ["--skip-bad" if option == "--strict" else option for option in options]
    result = run(*make(tmp_path / "raw"), tmp_path / "s", *options)
    assert result.exit_code == 0
    store = SequenceStore(tmp_path / "s", verify=True)
    assert len(store) == 2
    assert "checksum" in result.output
    assert json.loads((tmp_path / "s" / "report.json").read_text())["sequences"] == 2
    assert (store.frames.dtype == np.float16) == ("--float16" in options)


def test_options_of_ntu(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    result = run(*ntu(raw), tmp_path / "s", "--skip-list", raw / "list.txt", "--classes", 120)
    assert "NTU RGB+D 120" in result.output and "1 skip list" in result.output
    assert "published: 63,026 and 50,919" in " ".join(result.output.split())
    with pytest.raises(HacmError, match="exists"):
        run(*ntu(raw), tmp_path / "s")
    run(*ntu(raw), tmp_path / "s", "--overwrite", "--jobs", 2)
    assert len(SequenceStore(tmp_path / "s")) == 2


def test_options_of_arrays(tmp_path):
    result = run(*arrays(tmp_path), tmp_path / "s", "--split", "a=subject:2", "--drop", "late")
    assert "1 late" in result.output
    assert SequenceStore(tmp_path / "s").splits["a"] == {"column": "subject", "train": [2]}


def test_own_arrays_are_strict_by_default(tmp_path):
    command = arrays(tmp_path)
    content = dict(np.load(tmp_path / "own.npz"))
    content["joints"][3] = np.nan
    np.savez(tmp_path / "own.npz", **content)
    with pytest.raises(HacmError, match="'sequence_00001': NaN"):
        run(*command, tmp_path / "s")
    assert "1 damaged" in run(*command, tmp_path / "s", "--skip-bad").output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ntu", "nowhere", "s"], "hacm: nowhere does not exist"),
        (["wmft", ".", "s"], "hacm: . holds no file like S01_healthy_task02.bin"),
        (["arrays", "none.npz", "s"], "hacm: none.npz cannot be read as an .npz file"),
        (["arrays", "own.npz", "s", "--layout", "stick"], "hacm: unknown joint layout 'stick'"),
        (["pyskl", "evil.pkl", "s"], "asks for posix.system"),
    ],
)
def test_faults_are_one_sentence_and_exit_code_2(tmp_path, arguments, sentence):
    class Evil:
        def __reduce__(self):
            return os.system, ("touch run",)

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"annotations": [Evil()]}))
    done = subprocess.run(
        [sys.executable, "-c", "from hacm.cli import main; main()", "prepare", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 2
    assert sentence in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pkl"]


def measured(store: Path) -> np.ndarray:
    return SequenceStore(store)[0][0, 0]


@pytest.mark.parametrize("make", SETS)
def test_every_set_takes_a_unit_and_axes(tmp_path, make):
    (tmp_path / "raw").mkdir()
    command = make(tmp_path / "raw")
    run(*command, tmp_path / "m", "--no-center")
    result = run(*command, tmp_path / "cm", "--no-center", "--unit", "cm", "--up", "-y")
    assert result.exit_code == 0
    turned = measured(tmp_path / "m") * [0.01, -0.01, -0.01]
    np.testing.assert_allclose(measured(tmp_path / "cm"), turned, rtol=1e-5)
    meta = SequenceStore(tmp_path / "cm").meta
    assert (meta["source_unit"], meta["source_up"]) == ("cm", "-y")
    for wrong in (["--unit", "inch"], ["--up", "w"]):
        with pytest.raises(HacmError, match="should be one of"):
            run(*command, tmp_path / "x", *wrong)
    assert not (tmp_path / "x").exists()


def test_options_of_coordinates(tmp_path):
    joints = np.random.default_rng(0).normal(size=(1, 4, 17, 3))
    annotations = [{"frame_dir": "a", "label": 0, "keypoint": joints}]
    (tmp_path / "own.pkl").write_bytes(pickle.dumps({"annotations": annotations}))
    result = run("pyskl", tmp_path / "own.pkl", tmp_path / "s", "--no-center")
    assert "taken for a score" in " ".join(result.output.split())
    assert not measured(tmp_path / "s")[:, 2].any()
    run("pyskl", tmp_path / "own.pkl", tmp_path / "t", "--no-center", "--coordinates", 3)
    np.testing.assert_allclose(measured(tmp_path / "t"), joints[0, 0], rtol=1e-6)
    notes = json.loads((tmp_path / "s" / "report.json").read_text())["notes"]
    assert any("17 joints: taken for coco17" in note for note in notes)
