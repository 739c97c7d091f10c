"""Layouts: trees, what pruning keeps, distances, and every sentence about a bad one."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import shortest_path

from hacm.errors import HacmError
from hacm.skeleton import COCO17, KINECT_V1, KINECT_V2, LAYOUTS, SkeletonLayout, get_layout


@st.composite
def trees(draw: st.DrawFn) -> SkeletonLayout:
    """Random trees in random joint order, with a random trunk."""
    V = draw(st.integers(1, 12))
    above = [-1, *(draw(st.integers(0, joint - 1)) for joint in range(1, V))]
    order = draw(st.permutations(range(V)))  # order[k]: where the k-th joint of the tree stands
    parents = [0] * V
    for joint, parent in enumerate(above):
        parents[order[joint]] = -1 if parent == -1 else order[parent]
    trunk = draw(st.sets(st.integers(0, V - 1)))
    return SkeletonLayout.from_parents("tree", [f"j{i}" for i in range(V)], parents, sorted(trunk))


def test_kinect_v2_is_the_layout_of_the_paper() -> None:
    assert KINECT_V2.V == 25
    assert KINECT_V2.trunk == (0, 1, 4, 8, 12, 16, 20)
    assert len(KINECT_V2.kept) == 18
    assert KINECT_V2.joints[KINECT_V2.origin] == "spine_mid"
    # The anatomy that the indices must spell.
    by_name = {joint: i for i, joint in enumerate(KINECT_V2.joints)}
    for child, parent in {
        "neck": "spine_shoulder",
        "left_elbow": "left_shoulder",
        "right_hand_tip": "right_hand",
        "left_thumb": "left_hand",
        "right_foot": "right_ankle",
        "left_hip": "spine_base",
    }.items():
        assert KINECT_V2.parents[by_name[child]] == by_name[parent]


def test_layouts_match_the_recordings(shared_data) -> None:
    for file, layout in (("wmft_jbhi.npz", KINECT_V2), ("nwucla.npz", KINECT_V1)):
        with np.load(shared_data / file, allow_pickle=False) as arrays:
            assert tuple(arrays["parent"]) == layout.parents


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=str)
def test_pairs_are_mirror_images(layout: SkeletonLayout) -> None:
    sided = [j for j, name in enumerate(layout.joints) if name.startswith(("left_", "right_"))]
    assert sorted(joint for pair in layout.pairs for joint in pair) == sided
    for left, right in layout.pairs:
        assert layout.joints[left].replace("left", "right") == layout.joints[right]
        assert layout.depth[left] == layout.depth[right] or layout is COCO17
        assert (left in layout.trunk) == (right in layout.trunk)
        assert (layout.side(left), layout.side(right)) == ("left", "right")
    assert {layout.side(j) for j in range(layout.V) if j not in sided} <= {"middle"}


@given(trees())
def test_graph_distances_are_shortest_paths(layout: SkeletonLayout) -> None:
    edges = np.zeros((layout.V, layout.V))
    for parent, child in layout.bones:
        edges[parent, child] = 1
    expected = shortest_path(edges, directed=False)
    assert (layout.graph_distances == expected).all()
    assert list(layout.depth) == expected[layout.root].tolist()
    trunk = list(layout.trunk) or [layout.root]
    assert list(layout.limb_depth) == expected[trunk].min(0).tolist()


@given(trees())
def test_kept_and_trunk_share_out_the_joints(layout: SkeletonLayout) -> None:
    assert sorted(layout.kept + layout.trunk) == list(range(layout.V))
    assert list(layout.kept) == sorted(layout.kept)
    assert len(layout.bones) == layout.V - 1


@given(trees())
def test_json_round_trip(layout: SkeletonLayout) -> None:
    assert SkeletonLayout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout


def test_from_parents_by_name() -> None:
    layout = SkeletonLayout.from_parents(
        "hand", ["tip", "l_a", "r_a", "base"], [1, 3, 3, -1], trunk=["r_a", "base"], origin="tip"
    )
    assert (layout.root, layout.trunk, layout.origin, layout.pairs) == (3, (2, 3), 0, ((1, 2),))
    assert SkeletonLayout.from_parents("hand", ["a", "b"], [1, -1]).origin == 1


AB = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("joints", "parents", "extra", "sentence"),
    [
        ([], [], {}, "names must be present"),
        (["a", "a"], [-1, 0], {}, "distinct"),
        (AB, [-1, 0], {}, "3 joints but 2 parents"),
        (AB, [-1, 0, 3], {}, "parent 3 is not in -1..2"),
        (AB, [-1, 0, -2], {}, "parent -2"),
        (AB, [-1, -1, 0], {}, re.escape("one joint with parent -1, got [0, 1]")),
        (AB, [1, 2, 0], {}, re.escape("one joint with parent -1, got []")),
        (AB, [-1, 2, 1], {}, "the parents of 'b' form a loop"),
        (AB, [-1, 1, 0], {}, "the parents of 'b' form a loop"),
        (AB, [-1, 0, 1], {"trunk": [3]}, r"joint 3 is not in 0\.\.2"),
        (AB, [-1, 0, 1], {"trunk": [-1]}, "joint -1"),
        (AB, [-1, 0, 1], {"trunk": ["d"]}, "no joint 'd'; joints: a, b, c"),
        (AB, [-1, 0, 1], {"origin": "d"}, "no joint 'd'"),
        (AB, [-1, 0, 1], {"origin": 7}, "joint 7"),
    ],
)
def test_bad_trees_are_named(joints, parents, extra, sentence) -> None:
    with pytest.raises(HacmError, match=sentence) as caught:
        SkeletonLayout.from_parents("mine", joints, parents, **extra)
    assert "'mine'" in str(caught.value)


@pytest.mark.parametrize("fields", [{}, [], {**KINECT_V1.to_dict(), "parents": ["x"]}, None])
def test_bad_descriptions(fields) -> None:
    with pytest.raises(HacmError, match="layout"):
        SkeletonLayout.from_dict(fields)


def test_unknown_name_lists_the_known_ones() -> None:
    assert get_layout("coco17") is COCO17
    with pytest.raises(HacmError, match=r"'kinect_v3'.*kinect_v2, kinect_v1, coco17"):
        get_layout("kinect_v3")
