import numpy as np
import pytest
from plotly.graph_objects import Figure

from hacm.errors import HacmError
from hacm.skeleton import KINECT_V2
from hacm.viz.scene import aspect_of, scene_layout, upright
from hacm.viz.skeleton3d import MovingSkeleton, joint_colors, on_all_joints, skeleton_animation
from hacm.viz.theme import LEFT, RIGHT, TRUNK
from tests.viz.conftest import ALL_LAYOUTS, moving

each_layout = pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=lambda layout: layout.name)


def points(trace) -> np.ndarray:
    return np.stack([trace.x, trace.y, trace.z], axis=-1)


def test_upright_turns_and_does_not_mirror():
    turn = upright(np.eye(3)).T
    assert np.linalg.det(turn) == pytest.approx(1)
    assert upright(np.array([0.0, 1.0, 0.0])) == pytest.approx([0, 0, 1])  # up is up


@each_layout
def test_every_joint_is_drawn_once_where_it_is(layout):
    x = moving(layout, 12, 2)
    hidden = np.random.default_rng(0).random((2, 4, layout.V)) < 0.5
    clip = MovingSkeleton(x, layout, hidden=hidden)
    for t in (0, 5, 11):
        frame = clip.frame(t)
        visible, masked = (np.stack([frame[i][a] for a in "xyz"], -1) for i in (2, 3))
        expected = upright(x[:, t]).reshape(-1, 3)
        ghost = hidden[:, t // 3].reshape(-1)
        assert np.allclose(visible[~ghost], expected[~ghost])
        assert np.allclose(masked[ghost], expected[ghost])
        assert np.isnan(visible[ghost]).all() and np.isnan(masked[~ghost]).all()


@each_layout
def test_a_bone_is_solid_only_between_visible_joints(layout):
    x = moving(layout, 3)
    child = layout.bones[0][1]
    hidden = np.zeros((1, 1, layout.V))
    hidden[0, 0, child] = 1
    solid, ghost = MovingSkeleton(x, layout, hidden=hidden).frame(0)[:2]
    touching = np.array([child in bone for bone in layout.bones])
    assert (np.isnan(solid["x"].reshape(-1, 3)[:, 0]) == touching).all()
    assert (np.isnan(ghost["x"].reshape(-1, 3)[:, 0]) == ~touching).all()


def test_masks_of_kept_joints_leave_the_trunk_visible():
    hidden = np.ones((1, 2, len(KINECT_V2.kept)))
    visible = MovingSkeleton(moving(KINECT_V2, 4), KINECT_V2, hidden=hidden).frame(0)[2]["x"]
    assert set(np.flatnonzero(~np.isnan(visible))) == set(KINECT_V2.trunk)


def test_an_absent_body_is_not_drawn():
    x = moving(KINECT_V2, 6, 2)
    x[1, 2:] = 0
    clip = MovingSkeleton(x, KINECT_V2)
    V = KINECT_V2.V
    assert not np.isnan(clip.frame(1)[2]["x"][V:]).any()
    assert np.isnan(clip.frame(3)[2]["x"][V:]).all()
    empty = skeleton_animation(np.zeros((1, 3, V, 3)), KINECT_V2)
    assert len(empty.frames) == 3


def test_axes_are_equal_and_hold_the_whole_clip():
    x = moving(KINECT_V2, 20, 2)
    figure = skeleton_animation(x, KINECT_V2)
    scene = figure.layout.scene
    assert scene.aspectmode == "manual" and scene.uirevision and figure.layout.uirevision
    ranges = np.array([scene[f"{axis}axis"].range for axis in "xyz"])
    spans = ranges[:, 1] - ranges[:, 0]
    ratio = np.array([scene.aspectratio[axis] for axis in "xyz"])
    assert np.allclose(ratio / spans, (ratio / spans)[0])
    cloud = upright(x).reshape(-1, 3)
    assert (cloud >= ranges[:, 0]).all() and (cloud <= ranges[:, 1]).all()
    assert all(frame.layout.scene.xaxis.range is None for frame in figure.frames)


def test_two_people_are_seen_from_their_side():
    x = np.zeros((2, 4, KINECT_V2.V, 3))
    x += moving(KINECT_V2, 4, 2) * 0.1
    x[1, ..., 2] += 2  # the second stands behind the first, seen from the sensor
    eye = scene_layout(upright(x), 1.0)["camera"]["eye"]
    assert abs(eye["x"]) > 2 * abs(eye["y"])


def on_screen(x: np.ndarray, layout: dict, aspect: float) -> np.ndarray:
    """Where WebGL draws the points (z up): within -1 and 1 across and along is inside the scene."""
    axes = [layout[f"{axis}axis"]["range"] for axis in "xyz"]
    ratio = np.array([layout["aspectratio"][axis] for axis in "xyz"])
    eye = np.array([layout["camera"]["eye"][axis] for axis in "xyz"])
    middle, span = np.mean(axes, axis=1), np.ptp(axes, axis=1)
    back = eye / np.linalg.norm(eye)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    seen = ((x - middle) / span * ratio - eye) @ np.stack([right, np.cross(back, right), back], 1)
    half = np.tan(np.radians(45) / 2)
    return seen[:, :2] / -seen[:, 2:] / half / [aspect, 1]


@pytest.mark.parametrize("aspect", [0.4, 0.75, 1.0, 2.5])
@pytest.mark.parametrize("apart", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("axis", [0, 2])
def test_nobody_is_cut_off_and_nobody_is_far_away(aspect, apart, axis):
    x = moving(KINECT_V2, 6, 2)
    x[1, ..., axis] += apart
    shown = upright(x)
    places = on_screen(shown.reshape(-1, 3), scene_layout(shown, aspect), aspect)
    assert 0.8 < np.abs(places).max() < 0.95


def test_figures_know_the_shape_of_their_scenes():
    figure = skeleton_animation(moving(KINECT_V2, 4), KINECT_V2)
    wide = aspect_of(figure)
    figure.layout.scene.domain.x = (0, 0.25)
    assert aspect_of(figure) == pytest.approx(wide / 4)
    figure.layout.width = 1600
    assert aspect_of(figure) > wide / 4


def test_colours_names_and_playback():
    figure = skeleton_animation(moving(KINECT_V2, 10), KINECT_V2, every=3)
    colors = joint_colors(KINECT_V2)
    assert colors[KINECT_V2.joints.index("left_wrist")] == LEFT
    assert colors[KINECT_V2.joints.index("right_wrist")] == RIGHT
    assert colors[KINECT_V2.joints.index("left_hip")] == TRUNK
    assert list(figure.data[2].text) == list(KINECT_V2.joints)
    assert [frame.name for frame in figure.frames] == ["0", "1", "2", "3"]
    assert [step.label for step in figure.layout.sliders[0].steps] == ["0", "3", "6", "9"]
    play = figure.layout.updatemenus[0].buttons[0].args[1]
    assert play["frame"]["redraw"] is True
    assert Figure(figure.to_dict()).frames  # survives a saved notebook


def test_reconstructions_join_the_true_trunk():
    x = moving(KINECT_V2, 6)
    kept = list(KINECT_V2.kept)
    imagined = x[:, :, kept] + 0.5
    clip = MovingSkeleton(x, KINECT_V2, hidden=np.ones((1, 1, len(kept))), reconstruction=imagined)
    shown = np.stack([clip.frame(2)[5][a] for a in "xyz"], -1)
    assert np.allclose(shown[kept], upright(imagined[0, 2]))
    assert np.isnan(shown[list(KINECT_V2.trunk)]).all()
    figure = skeleton_animation(x, KINECT_V2, reconstruction=imagined)
    assert "reconstructed" in [trace.name for trace in figure.data]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"x": np.zeros((1, 3, 7, 3))}, r"expected coordinates of shape \(B, T, 25, 3\)"),
        ({"x": np.zeros((1, 0, 25, 3))}, "expected coordinates"),
        ({"hidden": np.zeros((1, 3, 9))}, "25 joints .* or for the 18"),
        ({"hidden": np.zeros((1, 4, 18))}, "does not fit 1 bodies of 6 frames"),
        ({"hidden": np.zeros((2, 3, 18))}, "does not fit"),
    ],
)
def test_shapes_that_do_not_fit_are_said(arguments, sentence):
    arguments = {"x": moving(KINECT_V2, 6), **arguments}
    with pytest.raises(HacmError, match=sentence):
        skeleton_animation(arguments.pop("x"), KINECT_V2, **arguments)


def test_values_of_kept_joints_go_to_their_places():
    kept = KINECT_V2.kept
    whole = on_all_joints(np.array(kept), KINECT_V2, -1)
    assert [whole[joint] for joint in kept] == list(kept)
    assert all(whole[joint] == -1 for joint in KINECT_V2.trunk)
