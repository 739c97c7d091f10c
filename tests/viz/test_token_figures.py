import numpy as np
import pytest
import torch

from hacm.config import ModelOptions
from hacm.masking.criteria import build_inputs
from hacm.masking.hyperbolic import exp_0
from hacm.skeleton import KINECT_V1
from hacm.viz.tokens import disk_projection, radius_by_joint, saturation, saturation_figure
from tests.viz.conftest import ALL_LAYOUTS, moving

SCALES = [0.1, 0.7, 6.0]


def tangent_tokens() -> torch.Tensor:
    return torch.randn(2, 4, 6, 16, generator=torch.Generator().manual_seed(0))


def test_the_projection_keeps_radii():
    points = exp_0(0.2 * tangent_tokens()[0])
    root = points.mean(1) * 0.5
    flat, flat_root = disk_projection(points, root)
    assert np.allclose(np.linalg.norm(flat, axis=-1), points.norm(dim=-1), atol=1e-5)
    assert np.allclose(np.linalg.norm(flat_root, axis=-1), root.norm(dim=-1), atol=1e-5)
    small, none = disk_projection(exp_0(0.2 * tangent_tokens()[0], 4.0), None, 4.0)
    assert np.linalg.norm(small, axis=-1).max() < 1 and none is None
    plane, _ = disk_projection(tangent_tokens()[0], None, space="euclidean")
    assert np.linalg.norm(plane, axis=-1).max() == pytest.approx(1, rel=1e-5)


def test_a_still_body_can_be_projected():
    flat, _ = disk_projection(torch.zeros(4, 6, 16), None)
    assert np.isfinite(flat).all()


def test_saturation_by_hand():
    tangent, options = tangent_tokens(), ModelOptions()
    rows = saturation(tangent, options, SCALES)
    assert [row["scale"] for row in rows] == SCALES
    assert rows[0]["share_at_rim"] == 0 and rows[-1]["share_at_rim"] > 0.9
    # At the rim every distance is about the sum of two radii.
    assert rows[0]["norm_explains"] < rows[-1]["norm_explains"]
    lengths = tangent.norm(dim=-1)
    unit = torch.tanh(0.7 * lengths / lengths.mean((1, 2), keepdim=True)).flatten().sort().values
    assert rows[1]["radius_q50"] == pytest.approx(float(unit[round(0.5 * (len(unit) - 1))]), 1e-5)


def test_the_slider_starts_at_the_option():
    figure = saturation_figure(tangent_tokens(), ModelOptions(tangent_scale=0.6), SCALES)
    assert len(figure.frames) == 3 and figure.layout.sliders[0].active == 1
    for frame in figure.frames:
        assert [sum(bars.y) for bars in frame.data] == pytest.approx([100, 100])
    assert "0.001 of the rim" in figure.layout.title.text


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=lambda layout: layout.name)
def test_radius_by_joint_in_every_layout(layout):
    options = ModelOptions(frames=12, prune=bool(layout.trunk))
    x = torch.from_numpy(moving(layout, 12, 2))
    joints = layout.kept if layout.trunk else range(layout.V)
    figure = radius_by_joint(build_inputs(x, layout, options), layout, joints)
    assert len(figure.data) == (2 if layout.trunk else 1)
    radius = build_inputs(x, layout, options).tokens.norm(dim=-1)
    middle = np.quantile(radius.flatten(0, 1).numpy(), 0.5, axis=0)
    assert np.allclose(figure.data[0].y, middle)
    assert list(figure.data[0].text) == [layout.joints[joint] for joint in joints]


def test_joints_of_one_depth_do_not_hide_each_other():
    x = torch.from_numpy(moving(KINECT_V1, 12))
    inputs = build_inputs(x, KINECT_V1, ModelOptions(frames=12))
    places = np.array(radius_by_joint(inputs, KINECT_V1, KINECT_V1.kept).data[0].x)
    assert len(set(places)) == len(places)
    assert (np.round(places) == np.array(KINECT_V1.limb_depth)[list(KINECT_V1.kept)]).all()
