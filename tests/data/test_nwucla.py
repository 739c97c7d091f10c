"""NW-UCLA: JSON files, ten classes, and the views that are copies of each other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacm.data.nwucla import nwucla_source, parse_skeletons
from hacm.data.prepare import prepare
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1

V = KINECT_V1.V


def write(folder: Path, name: str, seed: int, frames=5) -> Path:
    joints = np.random.default_rng(seed).normal(size=(frames, V, 3))
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"file_name": name, "skeletons": joints.tolist(), "label": 1}))
    return path


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for i, name in enumerate(("a01_s01_e00_v01", "a12_s02_e03_v02", "a08_s03_e01_v03")):
        write(folder, name, i, frames=1 + i)
    for view in (1, 2, 3):
        write(folder, f"a02_s04_e00_v0{view}", seed=10 + min(view, 2))
    return folder


def test_sequences_and_columns(raw, tmp_path):
    report = prepare(nwucla_source(raw, keep_duplicates=True), tmp_path / "s")
    store = SequenceStore(tmp_path / "s")
    assert not report.skips
    by_name = dict(zip(store.columns["name"], store.labels, strict=True))
    assert by_name["a01_s01_e00_v01"] == 0 and by_name["a12_s02_e03_v02"] == 9
    assert by_name["a08_s03_e01_v03"] == 6
    assert store.label_names[6] == "donning"
    flagged = store.columns["name"][store.columns["duplicate_of_other_view"] == 1]
    assert flagged.tolist() == ["a02_s04_e00_v02", "a02_s04_e00_v03"]
    joints = np.random.default_rng(1).normal(size=(2, V, 3))
    at = store.columns["name"].tolist().index("a12_s02_e03_v02")
    np.testing.assert_allclose(store[at][0], joints - joints[0, KINECT_V1.origin], atol=1e-6)


def test_copies_of_another_view_are_left_out_by_default(raw, tmp_path):
    report = prepare(nwucla_source(raw), tmp_path / "s", strict=True)
    store = SequenceStore(tmp_path / "s")
    assert len(store) == 4
    assert [skip.kind for skip in report.skips] == ["copy of another view"] * 2
    train, test = store.split("xsub")
    assert store.columns["subject"][train].tolist() == [1, 3]
    assert store.columns["view"][store.split("xview")[1]].tolist() == [3]
    assert len(test) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("\x00\x01", "expected text, found binary data"),
        ("[1, 2]", "the key 'skeletons'"),
        ("3", "the key 'skeletons'"),
        ("{}", "the key 'skeletons'"),
        ('{"skeletons": 3}', r"should be \(T, 20, 3\), not \(\)"),
        ('{"skeletons": []}', r"should be \(T, 20, 3\), not \(0,\)"),
        ('{"skeletons": [[[1, 2, 3]]]}', r"got \(1, 1, 3\)"),
        ('{"skeletons": [[[1, 2], [3]]]}', "cannot be read as JSON"),
        ('{"skeletons": [[["a", "b", "c"]]]}', "expected numbers"),
        (json.dumps({"skeletons": [[[float("nan")] * 3] * V]}), "NaN or infinite coordinate"),
        (json.dumps({"skeletons": [[[10**400] * 3] * V]}), "expected numbers"),
    ],
)
def test_bad_files_are_skipped_by_name(raw, tmp_path, content, message):
    (raw / "a03_s01_e00_v01.json").write_text(content)
    with pytest.raises(HacmError, match=message):
        parse_skeletons(content.encode())
    report = prepare(nwucla_source(raw), tmp_path / "s")
    faults = [skip for skip in report.skips if not skip.wanted]
    assert ["a03_s01_e00_v01.json" in skip.reason for skip in faults] == [True]
    assert report.sequences == 4


JOINTS = np.random.default_rng(0).normal(size=(4, V, 3))


@pytest.mark.parametrize(
    "content",
    [
        JOINTS,
        JOINTS.reshape(4, -1),
        JOINTS[None],
        JOINTS[:, None],
        *({key: JOINTS} for key in ("skeletons", "Skeleton", "joints", "keypoints", "DATA")),
        {"keypoints": JOINTS.reshape(4, -1), "label": 3},
        {"label": 1, "frames": 4, "skeletons": JOINTS},
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_other_keys_shapes_and_encodings(content, encoding):
    text = json.dumps(content, default=np.ndarray.tolist)
    joints = parse_skeletons(text.encode(encoding))
    np.testing.assert_array_equal(joints, JOINTS[None])


def test_a_single_frame_without_an_axis_for_it():
    for frame in (JOINTS[0], JOINTS[0].ravel()):
        joints = parse_skeletons(json.dumps({"joints": frame.tolist()}).encode())
        np.testing.assert_array_equal(joints, JOINTS[None, :1])


def test_names_in_other_forms(raw, tmp_path):
    prepare(nwucla_source(raw), tmp_path / "expected")
    for file in list(raw.iterdir()):
        file.rename(raw / file.name.upper())
    shutil.copy(raw / "A01_S01_E00_V01.JSON", raw / "a01_s01_e00_v01 (1).json")
    report = prepare(nwucla_source(raw), tmp_path / "s")
    assert [skip.kind for skip in report.skips if not skip.wanted] == ["duplicate"]
    stores = [SequenceStore(tmp_path / name) for name in ("expected", "s")]
    assert stores[0].columns["name"].tolist() == stores[1].columns["name"].tolist()
    np.testing.assert_array_equal(stores[0].frames, stores[1].frames)


def test_other_names_are_reported(raw, tmp_path):
    for name in ("a07_s01_e00_v01", "settings", "a1_s1_e1_v1"):
        write(raw, name, 0)
    source = nwucla_source(raw)
    assert [skip.kind for skip in source.skips] == ["wrong name"] * 3
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(HacmError, match="holds no file like"):
        nwucla_source(empty)


@given(st.binary(max_size=80) | st.text('{}[]":,0123.e-skeletons ', max_size=80).map(str.encode))
def test_garbage_is_a_sentence(data):
    try:
        parse_skeletons(data)
    except HacmError as error:
        assert "\n" not in str(error)


def test_the_public_set_has_95_pairs(shared_data, tmp_path):
    """Written from the arrays at hand, the flags are found again."""
    arrays = np.load(shared_data / "nwucla.npz")
    joints, offsets = arrays["joints"], arrays["offsets"]
    chosen = np.flatnonzero(np.isin(arrays["label"], [1, 2]) & (arrays["subject"] <= 3))
    (tmp_path / "raw").mkdir()
    for i in chosen:
        sequence = joints[offsets[i] : offsets[i + 1]].astype(float)
        file = tmp_path / "raw" / f"{arrays['name'][i]}.json"
        file.write_text(json.dumps({"skeletons": sequence.tolist()}))
    prepare(nwucla_source(tmp_path / "raw", keep_duplicates=True), tmp_path / "s")
    store = SequenceStore(tmp_path / "s")
    flags = dict(zip(arrays["name"], arrays["duplicate_of_other_view"], strict=True))
    found = store.columns["duplicate_of_other_view"]
    assert [flags[name] for name in store.columns["name"]] == found.astype(bool).tolist()
    assert found.any() and not found.all()
