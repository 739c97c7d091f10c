"""Units, axes, and bodies that are not where or as large as people are."""

import logging

import numpy as np
import pytest
from small_stores import STICK

from hacm.data.coordinates import UNITS, UP, Coordinates, as_xyz, coordinates_of, median_bone
from hacm.data.prepare import prepare
from hacm.data.remarks import remarks
from hacm.data.source import Result, Sample, Source
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import COCO17, SkeletonLayout

BONES = 0.3


def stick(frames=4, scale=1.0, up=(0, 1, 0), at=(0, 0, 0)) -> np.ndarray:
    """A stick of two bones that stands along `up`."""
    joints = np.arange(3)[:, None] * BONES * np.array(up, float) + np.array(at)
    return np.broadcast_to(joints * scale, (1, frames, 3, 3)).copy()


def from_arrays(path, *arrays, **options) -> SequenceStore:
    return SequenceStore.from_arrays(arrays, [0] * len(arrays), STICK, path=path, **options)


@pytest.mark.parametrize("unit", ["mm", "cm"])
def test_other_units_are_refused_until_named(tmp_path, unit) -> None:
    long = stick(scale=1 / UNITS[unit])
    bone = f"bones measure {BONES / UNITS[unit]:.4g}"
    with pytest.raises(HacmError, match=rf"'sequence_00000': {bone}.*--unit mm or --unit cm"):
        from_arrays(tmp_path / "s", long)
    assert list(tmp_path.iterdir()) == []
    store = from_arrays(tmp_path / "s", long, unit=unit)
    np.testing.assert_allclose(store[0], stick(), rtol=1e-6)
    assert (store.meta["units"], store.meta["source_unit"]) == ("metres", unit)
    asis = from_arrays(tmp_path / "asis", long, unit="m")
    np.testing.assert_allclose(asis[0], long, rtol=1e-6)


def test_metres_pass_and_are_noted(tmp_path) -> None:
    store = from_arrays(tmp_path / "s", stick())
    assert (store.meta["source_unit"], store.meta["source_up"]) == ("m", "y")


@pytest.mark.parametrize("up", UP)
def test_up_becomes_y_by_a_rotation(tmp_path, up) -> None:
    axis = np.zeros(3)
    axis["xyz".index(up[-1])] = -1 if up.startswith("-") else 1
    store = from_arrays(tmp_path / "s", stick(up=axis), up=up)
    np.testing.assert_allclose(store[0], stick(), atol=1e-7)
    assert store.meta["source_up"] == up
    rotated = Coordinates("m", up).to_store(np.eye(3)[None, None], STICK, "x")[0, 0]
    assert np.linalg.det(rotated) == 1
    np.testing.assert_array_equal(rotated @ rotated.T, np.eye(3))


@pytest.mark.parametrize(
    "wrong", [{"unit": "inch"}, {"unit": 1}, {"up": "Y "}, {"up": ["y"]}, {"unit": ""}]
)
def test_unknown_units_and_axes(tmp_path, wrong) -> None:
    with pytest.raises(HacmError, match="should be one of"):
        from_arrays(tmp_path / "s", stick(), **wrong)
    assert list(tmp_path.iterdir()) == []


def source(*arrays, center=True) -> Source:
    def read(i: int) -> Result:
        return Result([Sample(str(i), 0, arrays[i])])

    return Source("test", STICK, ["x"], range(len(arrays)), len(arrays), read, "1", center=center)


def test_a_single_giant_costs_itself_only(tmp_path) -> None:
    report = prepare(source(stick(), stick(scale=1000), stick()), tmp_path / "s")
    assert report.sequences == 2
    assert [skip.kind for skip in report.skips] == ["damaged"]
    assert "bones measure 300" in report.skips[0].reason
    with pytest.raises(HacmError, match="bones measure 300"):
        prepare(source(stick(scale=1000), stick()), tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_units_are_part_of_what_is_resumed(tmp_path) -> None:
    report = prepare(source(stick(scale=100)), tmp_path / "s", unit="cm", up="-y")
    assert report.notes == []
    meta = SequenceStore(tmp_path / "s").meta
    assert (meta["source_unit"], meta["source_up"]) == ("cm", "-y")


def test_bodies_far_from_the_origin_are_pointed_out(tmp_path, caplog) -> None:
    far = stick(at=(0, 0, 3))
    report = prepare(source(far, far, center=False), tmp_path / "s")
    assert len(report.notes) == 1 and "start 3 metres from the origin" in report.notes[0]
    assert prepare(source(far, far), tmp_path / "t").notes == []
    assert prepare(source(stick(), center=False), tmp_path / "u").notes == []
    with caplog.at_level(logging.WARNING):
        from_arrays(tmp_path / "v", far, center=False)
    assert "not centred" in caplog.text and str(tmp_path / "v") in caplog.text


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_wrong_unit_is_pointed_out(tmp_path, scale) -> None:
    report = prepare(source(stick(scale=scale)), tmp_path / "s", unit="m")
    assert f"bones measure {BONES * scale:.3g}" in report.notes[0]


def test_a_store_without_bones_has_no_remarks(tmp_path) -> None:
    one = SkeletonLayout.from_parents("one", ["only"], [-1])
    store = SequenceStore.from_arrays(
        [np.full((2, 1, 3), 9.0)], [0], one, path=tmp_path / "s", center=False
    )
    assert remarks(store) == []


def test_missing_joints_and_frames_do_not_count_as_bones() -> None:
    joints = stick(frames=9)
    joints[0, 1:] = 0
    assert median_bone(joints, STICK) == pytest.approx(BONES)
    assert np.isnan(median_bone(joints * 0, STICK))


def test_two_coordinates_become_three() -> None:
    xy = np.random.default_rng(0).normal(size=(2, 4, 3, 2))
    xyz = as_xyz(xy, 2)
    np.testing.assert_array_equal(xyz[..., :2], xy)
    assert xyz.shape[-1] == 3 and not xyz[..., 2].any()
    scored = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)
    np.testing.assert_array_equal(as_xyz(scored, 2), xyz)
    assert as_xyz(scored, 3) is not None and (as_xyz(scored, 3)[..., 2] == 1).all()


@pytest.mark.parametrize(
    ("values", "layout", "chosen", "count", "said"),
    [
        (3, STICK, None, 3, None),
        (2, STICK, None, 2, "2-D"),
        (3, STICK, 2, 2, "2-D"),
        (3, COCO17, None, 2, "taken for a score"),
        (3, COCO17, 3, 3, None),
        (2, COCO17, None, 2, "2-D"),
        (4, STICK, 3, 3, None),
    ],
)
def test_how_many_values_are_coordinates(values, layout, chosen, count, said) -> None:
    found, notes = coordinates_of(values, layout, chosen, "x")
    assert found == count
    assert (said is None and not notes) or said in notes[0]


@pytest.mark.parametrize(("values", "chosen"), [(1, None), (4, None), (2, 3), (3, 4), (3, "3")])
def test_other_numbers_of_values_are_refused(values, chosen) -> None:
    with pytest.raises(HacmError):
        coordinates_of(values, STICK, chosen, "x")


def test_pixels_have_a_cure(tmp_path) -> None:
    pixels = stick(scale=500)[..., :2]
    with pytest.raises(HacmError, match="pixels: --unit mm --up -y"):
        from_arrays(tmp_path / "s", pixels)
    assert from_arrays(tmp_path / "s", pixels, unit="mm", up="-y")[0].any()
