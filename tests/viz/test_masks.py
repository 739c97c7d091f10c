"""Maps and what plays beside them: `masks.py` and `masked_clip.py`."""

import numpy as np
import pytest

from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1
from hacm.viz.masked_clip import Map, clip_with_maps, compare_masks
from hacm.viz.masks import color_range, frequency_histogram, mask_map
from hacm.viz.theme import MASKED, VISIBLE
from tests.viz.conftest import ALL_LAYOUTS, moving


def test_rows_are_joints_and_columns_are_patches():
    values = np.arange(6.0).reshape(3, 2)
    figure = mask_map(values, ["left_hand", "head"], patch_frames=4)
    heat = figure.data[0]
    assert np.array_equal(heat.z, values.T)
    assert list(heat.x) == [1.5, 5.5, 9.5]
    assert list(figure.layout.yaxis.ticktext) == ["left hand", "head"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first joint on top
    assert "left_hand" in heat.customdata[0][2] and "frames 8-11" in heat.customdata[0][2]
    with pytest.raises(HacmError, match=r"\(patches, 3 joints\), got \(3, 2\)"):
        mask_map(values, ["a", "b", "c"])


def test_masks_have_two_colours():
    heat = mask_map(np.eye(2), ["a", "b"], label="mask").data[0]
    scale = {position: color for position, color in heat.colorscale if position in (0, 1)}
    assert (heat.zmin, heat.zmax) == (0, 1) and scale == {0: VISIBLE, 1: MASKED}


def test_one_extreme_does_not_darken_the_rest():
    values = np.ones((20, 10))
    values[0, 0] = 1e6
    values[1:3] = 2
    assert color_range(values) == {"zmin": 1, "zmax": 2}
    assert color_range(np.ones((2, 2))) == {"zmin": 1, "zmax": 1}


def test_curves_hold_every_token():
    figure = frequency_histogram({"a": np.full((4, 5), 0.1), "b": np.linspace(0, 1, 20)[None]})
    for curve in figure.data:
        assert sum(curve.y) == pytest.approx(100)


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=lambda layout: layout.name)
def test_the_cursor_follows_the_playback(layout):
    x = moving(layout, 12, 2)
    values = np.random.default_rng(0).random((4, len(layout.kept)))
    maps = [Map("score", values), Map("mask", (values > 0.5) * 1.0, "mask")]
    hidden = np.stack([values > 0.5] * 2)
    figure = clip_with_maps(x, layout, maps, layout.kept, hidden=hidden)
    assert len(figure.frames) == 4  # one a patch
    for i, frame in enumerate(figure.frames):
        assert [shape.x0 for shape in frame.layout.shapes] == [3 * i, 3 * i]
        assert [shape.xref for shape in frame.layout.shapes] == ["x", "x2"]
        # Animated traces of a map's subplot would wipe out the map.
        assert {figure.data[number].type for number in frame.traces} == {"scatter3d"}


def test_masks_of_different_joints_side_by_side():
    x = moving(KINECT_V1, 12, 2)
    pruned, whole = np.ones((2, 4, len(KINECT_V1.kept))), np.zeros((2, 6, KINECT_V1.V))
    figure = compare_masks(
        x, KINECT_V1, {"a": (pruned, KINECT_V1.kept), "b": (whole, range(KINECT_V1.V))}, body=1
    )
    heats = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [heat.z.shape for heat in heats] == [(len(KINECT_V1.kept), 4), (KINECT_V1.V, 6)]
    assert len(figure.frames) == 6
    scenes = {figure.data[number].scene for number in figure.frames[0].traces}
    assert scenes == {"scene", "scene2"}
