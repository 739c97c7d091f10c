"""UTD-MHAD: MATLAB files in a joint order of their own."""

import sys

import h5py
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


def write_hdf5(folder, name, joints, key="d_skel"):
    """As MATLAB does for version 7.3: a header of 512 bytes, and the last axis first."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset(key, data=np.asarray(joints).T, compression="gzip")
        file[key].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


@pytest.mark.parametrize("frames", [1, 3, 20])
def test_version_7_3_is_the_same_as_version_5(tmp_path, frames):
    joints = np.random.default_rng(0).normal(size=(V, 3, frames))
    write(tmp_path / "five", "a2_s3_t1_skeleton", joints)
    write_hdf5(tmp_path / "seven", "A2_S3_T1_skeleton", joints[..., 0] if frames == 1 else joints)
    stores = []
    for folder in ("five", "seven"):
        assert not prepare(utd_mhad_source(tmp_path / folder), tmp_path / f"{folder}_s").skips
        stores.append(SequenceStore(tmp_path / f"{folder}_s"))
    assert [store.columns["name"].tolist() for store in stores] == [["a2_s3_t1"]] * 2
    np.testing.assert_array_equal(stores[0].frames, stores[1].frames)


def test_version_7_3_needs_h5py(tmp_path, monkeypatch):
    write_hdf5(tmp_path, "a2_s3_t1_skeleton", skeleton())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(HacmError, match=r"7.3 file, for which h5py is needed: pip install 'hacm\["):
        prepare(utd_mhad_source(tmp_path), tmp_path / "s")


def test_bad_files_of_version_7_3_are_reported(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    write_hdf5(raw, "a1_s1_t1_skeleton", skeleton())
    write_hdf5(raw, "a1_s1_t2_skeleton", skeleton(), key="skel")
    write_hdf5(raw, "a1_s1_t3_skeleton", skeleton().T)
    whole = (raw / "a1_s1_t1_skeleton.mat").read_bytes()
    (raw / "a1_s2_t1_skeleton.mat").write_bytes(whole[:900])
    (raw / "a1_s2_t2_skeleton.mat").write_bytes(whole[:600] + b"#" * len(whole[600:]))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = skeleton().T
    with h5py.File(raw / "a1_s3_t1_skeleton.mat", "w") as file:
        file["d_skel"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
    with h5py.File(raw / "a1_s3_t2_skeleton.mat", "w") as file:
        layout = h5py.VirtualLayout((3, 3, V), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3, 3, V))
        file.create_virtual_dataset("d_skel", layout)
    with h5py.File(raw / "a1_s3_t3_skeleton.mat", "w") as file:
        file.create_dataset("d_skel", shape=(10**9, 3, V), chunks=(1, 3, V), dtype="f4")
    with h5py.File(raw / "a1_s4_t1_skeleton.mat", "w") as file:
        file.create_group("d_skel")
    with h5py.File(raw / "a1_s4_t2_skeleton.mat", "w") as file:
        file["d_skel"] = "text"
    report = prepare(utd_mhad_source(raw), tmp_path / "s")
    assert report.sequences == 1
    reasons = {skip.reason.split("/")[-1][:8]: skip.reason for skip in report.skips}
    assert len(reasons) == 9
    for name in ("a1_s1_t2", "a1_s3_t1", "a1_s3_t2", "a1_s4_t1"):
        assert "'d_skel' should be (20, 3, T), not nothing" in reasons[name]
    assert "should be (20, 3, T), not (3, 3, 20)" in reasons["a1_s1_t3"]
    assert "cannot be read as a MATLAB file" in reasons["a1_s2_t1"]
    assert "larger than any skeleton" in reasons["a1_s3_t3"]


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
