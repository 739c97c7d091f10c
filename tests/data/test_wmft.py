"""WMFT-JBHI: raw float32 files."""

import numpy as np
import pytest

from hacm.data.prepare import prepare
from hacm.data.store import SequenceStore
from hacm.data.wmft import wmft_source
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2

V = KINECT_V2.V


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw" / "data"
    folder.mkdir(parents=True)
    for i, name in enumerate(("S01_healthy_task01", "S02_mild_task15", "S24_moderate_task03")):
        values = np.random.default_rng(i).normal(size=(4 + i, V, 3)).astype("<f4")
        (folder / f"{name}.bin").write_bytes(values.tobytes())
    return folder


def test_sequences_and_columns(raw, tmp_path):
    report = prepare(wmft_source(raw.parent), tmp_path / "s")
    store = SequenceStore(tmp_path / "s")
    assert not report.skips
    assert store.labels.tolist() == [0, 14, 2]
    assert store.columns["condition"].tolist() == [0, 1, 2]
    assert store.columns["frames"].tolist() == [4, 5, 6]
    assert store.columns["subject"][store.split("xsub")[0]].tolist() == [1]
    joints = np.random.default_rng(1).normal(size=(5, V, 3)).astype(np.float32)
    np.testing.assert_allclose(store[1][0], joints - joints[0, KINECT_V2.origin], atol=1e-6)


def test_names_in_other_forms(raw, tmp_path):
    for file in list(raw.iterdir()):
        file.rename(raw / file.name.upper())
    report = prepare(wmft_source(raw), tmp_path / "s")
    store = SequenceStore(tmp_path / "s")
    assert not report.skips
    names = ["S01_healthy_task01", "S02_mild_task15", "S24_moderate_task03"]
    assert store.columns["name"].tolist() == names
    assert store.columns["condition"].tolist() == [0, 1, 2]


def test_the_classes_are_those_of_the_converted_copy(shared_data, raw):
    arrays = np.load(shared_data / "wmft_jbhi.npz")
    assert list(wmft_source(raw).label_names) == arrays["label_names"].tolist()


def test_bad_files_are_reported(raw, tmp_path):
    (raw / "S03_mild_task01.bin").write_bytes(b"")
    (raw / "S04_mild_task01.bin").write_bytes(bytes(V * 12 + 1))
    (raw / "S05_mild_task01.bin").write_bytes(np.full(V * 3, np.nan, "<f4").tobytes())
    for name in ("S06_mild_task16", "S06_severe_task01", "notes"):
        (raw / f"{name}.bin").write_bytes(bytes(V * 12))
    report = prepare(wmft_source(raw), tmp_path / "s")
    assert report.sequences == 3
    reasons = " ".join(skip.reason for skip in report.skips)
    assert len(report.skips) == 6
    assert "S03_mild_task01.bin: 0 bytes are no whole number of frames" in reasons
    assert "S04_mild_task01.bin: 301 bytes" in reasons
    assert "'S05_mild_task01': NaN or infinite" in reasons
    for file in raw.iterdir():
        file.unlink()
    with pytest.raises(HacmError, match="holds no file like"):
        wmft_source(raw)
