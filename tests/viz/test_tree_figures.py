"""Figures of the joint tree: `poincare.py` and `tree.py`."""

from types import SimpleNamespace

import numpy as np
import pytest

from hacm.viz.embedding import embed_tree
from hacm.viz.poincare import clickable_disk, poincare_disk, recentred_disk, seen_from
from hacm.viz.tree import compare_embeddings, distance_map, embedding_quality
from tests.viz.conftest import ALL_LAYOUTS

each_layout = pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=lambda layout: layout.name)


def embeddings(layout):
    few = {"root": layout.root, "starts": 2, "steps": 20, "pictures": 4}
    return [embed_tree(layout.graph_distances, s, **few) for s in ("hyperbolic", "euclidean")]


def joints_of(traces) -> np.ndarray:
    return np.stack([traces[-1].x, traces[-1].y], axis=-1)


@each_layout
def test_the_disk_shows_the_tree_growing(layout):
    disk, plane = embeddings(layout)
    figure = poincare_disk(disk.history, layout)
    assert len(figure.frames) == len(disk.history)
    for moment, frame in zip(disk.history, figure.frames, strict=True):
        assert np.allclose(joints_of(frame.data), moment, atol=1e-6)
    for name, hover in zip(layout.joints, figure.data[-1].text, strict=True):
        assert hover.startswith(name)
    both = compare_embeddings(disk, plane, layout)
    assert len(both.frames) == len(disk.steps)
    assert {len(frame.data) for frame in both.frames} == {len(both.data) - 1}
    drawn = embedding_quality(disk, plane, layout)
    assert np.allclose(drawn.data[0].y, np.linalg.norm(disk.points, axis=1))


@each_layout
def test_each_joint_comes_to_the_middle(layout):
    points = embeddings(layout)[0].points
    figure = recentred_disk(points, layout)
    assert len(figure.frames) == layout.V
    for joint, frame in enumerate(figure.frames):
        assert np.abs(joints_of(frame.data)[joint]).max() < 1e-6
        assert np.linalg.norm(joints_of(frame.data), axis=1).max() < 1
    assert len(figure.layout.sliders[0].steps) == layout.V


def test_a_click_moves_the_joint_to_the_middle():
    layout = ALL_LAYOUTS[0]
    points = embeddings(layout)[0].points
    widget = clickable_disk(points, layout)
    joints = widget.data[-1]
    for clicked in (6, 20):
        before = joints_of(widget.data)
        for react in joints._click_callbacks:
            react(joints, SimpleNamespace(point_inds=[clicked]), None)
        expected = seen_from(before, clicked)
        assert np.allclose(joints_of(widget.data), expected, atol=1e-5)
        assert np.abs(joints_of(widget.data)[clicked]).max() < 1e-5
    react(joints, SimpleNamespace(point_inds=[]), None)  # a click beside all joints


def test_distances_of_the_tree():
    layout = ALL_LAYOUTS[2]
    assert np.array_equal(distance_map(layout).data[0].z, layout.graph_distances)
