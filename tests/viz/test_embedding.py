import itertools

import numpy as np
import pytest
import torch

from hacm.masking.hyperbolic import distance
from hacm.skeleton import LAYOUTS
from hacm.viz.embedding import (
    distortion,
    embed_tree,
    geodesics,
    mean_average_precision,
    recentre,
)


def random_points(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    radius = 0.97 * torch.rand(count, 1, generator=generator, dtype=torch.float64).sqrt()
    return direction / direction.norm(dim=-1, keepdim=True) * radius


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_the_disk_renders_the_tree_better_than_the_plane(layout):
    graph = layout.graph_distances
    maps = [
        embed_tree(graph, space, root=layout.root, starts=3, steps=300, seed=1)
        for space in ("hyperbolic", "euclidean")
    ]
    disk, plane = (distortion(one.distances, graph) for one in maps)
    assert disk < 0.8 * plane
    assert mean_average_precision(maps[0].distances, graph) > 0.95
    assert (np.linalg.norm(maps[0].points, axis=1) < 1).all()
    assert np.allclose(maps[0].points[layout.root], 0)
    assert maps[0].history.shape == (len(maps[0].steps), layout.V, 2)
    assert maps[0].steps[0] == 0 and maps[0].steps[-1] == 300


def test_the_seed_alone_decides():
    graph = LAYOUTS["coco17"].graph_distances
    few = {"starts": 2, "steps": 20, "pictures": 3}
    first, again, other = (
        embed_tree(graph, "hyperbolic", seed=seed, **few).points for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.allclose(first, other)


def test_distances_are_those_of_the_space():
    graph = LAYOUTS["coco17"].graph_distances
    disk = embed_tree(graph, "hyperbolic", starts=2, steps=30)
    points = torch.from_numpy(disk.points)
    assert np.allclose(disk.distances, distance(points[:, None], points[None]), atol=1e-9)
    plane = embed_tree(graph, "euclidean", starts=2, steps=30)
    gaps = plane.points[:, None] - plane.points[None]
    assert np.allclose(plane.distances, np.linalg.norm(gaps, axis=-1))


def test_distortion_is_the_smallest_over_all_scales():
    rng = np.random.default_rng(0)
    graph = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    embedded = graph * rng.uniform(0.5, 2, graph.shape)
    embedded = (embedded + embedded.T) / 2
    pairs = np.triu_indices(6, 1)
    ratio = embedded[pairs] / graph[pairs]
    tried = [np.abs(scale * ratio - 1).mean() for scale in np.linspace(0.1, 3, 20001)]
    assert distortion(embedded, graph) == pytest.approx(min(tried), abs=1e-4)
    assert distortion(3.7 * graph, graph) == pytest.approx(0, abs=1e-12)


def test_precision_by_counting():
    layout = LAYOUTS["kinect_v1"]
    graph = layout.graph_distances
    gaps = np.random.default_rng(0).random((layout.V, layout.V))
    gaps = (gaps + gaps.T) / 2
    per_joint = []
    for a in range(layout.V):
        ranked = sorted((b for b in range(layout.V) if b != a), key=lambda b: gaps[a, b])
        hits = [graph[a, b] == 1 for b in ranked]
        precise = [sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit]
        per_joint.append(np.mean(precise))
    assert mean_average_precision(gaps, graph) == pytest.approx(np.mean(per_joint))
    assert mean_average_precision(graph, graph) == 1


def test_recentring_changes_no_distance():
    points = random_points(8)
    for joint in range(8):
        moved = recentre(points, points[joint], "hyperbolic")
        assert moved[joint].norm() < 1e-12
        for a, b in itertools.combinations(range(8), 2):
            before, after = distance(points[a], points[b]), distance(moved[a], moved[b])
            assert after == pytest.approx(before.item(), rel=1e-9)


@pytest.mark.parametrize("space", ["hyperbolic", "euclidean"])
def test_bones_are_shortest_paths(space):
    u, v = random_points(5, 1), random_points(5, 2)
    paths = torch.from_numpy(geodesics(u.numpy(), v.numpy(), space))
    assert torch.allclose(paths[:, 0], u) and torch.allclose(paths[:, -1], v)
    apart = distance if space == "hyperbolic" else lambda a, b: (a - b).norm(dim=-1)
    steps = apart(paths[:, 1:], paths[:, :-1]).sum(1)
    assert torch.allclose(steps, apart(u, v), rtol=1e-6)
