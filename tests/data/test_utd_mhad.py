"""UTD-MHAD: MATLAB files in a joint order of their own."""

import numpy as np
import pytest
from scipy.io import savemat

from hacm.data.prepare import prepare
from hacm.data.store import SequenceStore
from hacm.data.utd_mhad import JOINTS, utd_mhad_source
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1

V = KINECT_V1.V


def write(folder, name, joints, key="d_skel", **options):
    folder.mkdir(exist_ok=True)
    savemat(folder / f"{name}.mat", {key: joints}, **options)


def skeleton(frames=3):
    """(V, 3, frames): x is the joint's number in the files, z the frame's."""
    values = np.zeros((V, 3, frames))
    values[:, 0] = np.arange(V)[:, None]
    values[:, 2] = np.arange(frames)
    return values


def test_joints_are_put_in_the_order_of_the_layout(tmp_path):
    write(tmp_path / "raw", "a27_s1_t4_skeleton", skeleton(), do_compression=True)
    write(tmp_path / "raw", "a1_s8_t1_skeleton", skeleton(1))
    report = prepare(utd_mhad_source(tmp_path / "raw"), tmp_path / "s", center=False)
    store = SequenceStore(tmp_path / "s")
    assert not report.skips
    assert store.columns["name"].tolist() == ["a1_s8_t1", "a27_s1_t4"]
    assert store.labels.tolist() == [0, 26]
    assert [ids.tolist() for ids in store.split("xsub")] == [[1], [0]]
    joints = store[1][0]
    for place, name in enumerate(KINECT_V1.joints):
        assert JOINTS[int(joints[0, place, 0])] == name
    assert joints[:, 0, 2].tolist() == [0, 1, 2]
    assert store[0].shape == (1, 1, V, 3)


def test_bad_files_are_reported(tmp_path):
    raw = tmp_path / "raw"
    write(raw, "a1_s1_t1_skeleton", skeleton())
    write(raw, "a1_s1_t2_skeleton", skeleton(), key="skel")
    write(raw, "a1_s1_t3_skeleton", skeleton()[:19])
    write(raw, "a1_s2_t1_skeleton", "text")
    write(raw, "a1_s2_t2_skeleton", np.full((V, 3, 2), np.inf))
    write(raw, "a28_s2_t2_skeleton", skeleton())
    (raw / "a1_s3_t1_skeleton.mat").write_bytes(b"")
    (raw / "a1_s3_t2_skeleton.mat").write_bytes(b"\x00garbage" * 100)
    (raw / "a1_s3_t3_skeleton.mat").write_bytes((raw / "a1_s1_t1_skeleton.mat").read_bytes()[:200])
    report = prepare(utd_mhad_source(raw), tmp_path / "s")
    assert report.sequences == 1
    reasons = sorted(skip.reason.split("/")[-1] for skip in report.skips)
    assert len(reasons) == 8
    assert any(
        "a1_s1_t2_skeleton.mat: 'd_skel' should be (20, 3, T), not nothing" in r for r in reasons
    )
    assert any(
        "a1_s1_t3_skeleton.mat: 'd_skel' should be (20, 3, T), not (19, 3, 3)" in r for r in reasons
    )
    assert sum("cannot be read as a MATLAB file" in reason for reason in reasons) == 3


def test_nothing_to_read(tmp_path):
    with pytest.raises(HacmError, match="holds no file like"):
        utd_mhad_source(tmp_path)
