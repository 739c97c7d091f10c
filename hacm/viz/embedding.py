"""A 2-D embedding of the joint tree, in the Poincare disk or in the plane, and how good it is.

The bone tree branches at every hub; a disk of negative curvature has room for that, the plane has
not. Both embeddings are learned with the same loss, the same steps and the same random starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import geoopt
import numpy as np
import torch
from jaxtyping import Float, Int

from hacm.randomness import stream

Space = Literal["hyperbolic", "euclidean"]
GROWING = 0.7
"""Share of the steps during which the tree grows to its full size. Starting at full size tangles
it: points near the rim can hardly pass each other."""


@dataclass(frozen=True)
class TreeEmbedding:
    """V joints in two dimensions.

    Attributes:
        space: where they lie: the Poincare disk of curvature -1, or the plane.
        history: the positions while learning, of the best start, root in the middle.
        steps: after which step each of the S positions was taken.
        distances: between all joints at the end, in that space.
    """

    space: Space
    history: Float[np.ndarray, "S V 2"]
    steps: tuple[int, ...]
    distances: Float[np.ndarray, "V V"]

    @property
    def points(self) -> Float[np.ndarray, "V 2"]:
        """The learned positions."""
        return self.history[-1]


def embed_tree(
    graph: Int[np.ndarray, "V V"],
    space: Space,
    *,
    root: int = 0,
    bone: float = 0.75,
    starts: int = 8,
    steps: int = 600,
    pictures: int = 25,
    lr: float = 0.03,
    seed: int = 0,
) -> TreeEmbedding:
    """Place a tree's nodes so that distances in `space` are proportional to those in the tree.

    Riemannian Adam on the mean squared relative error of all distances, from several random starts
    at once; the best one counts.

    Args:
        graph: distances in the tree (`SkeletonLayout.graph_distances`).
        space: `hyperbolic` or `euclidean`.
        root: the node that is moved to the middle afterwards (an isometry: it changes no distance).
        bone: length of one bone in the embedding. In the plane only a unit; in the disk a longer
            bone means more curvature per bone, thus less distortion and more crowding at the rim.
        starts: random starts.
        steps: optimiser steps.
        pictures: positions kept in `history`.
        lr: learning rate at the beginning; it falls to 0.
        seed: of the random starts.
    """
    V = len(graph)
    manifold = _manifold(space)
    tree = torch.as_tensor(graph, dtype=torch.float64)
    a, b = torch.triu_indices(V, V, 1)
    generator = stream("cpu", "embedding", seed)
    first = 1e-2 * torch.randn(starts, V, 2, generator=generator, dtype=torch.float64)
    points = geoopt.ManifoldParameter(first, manifold=manifold)
    optimizer = geoopt.optim.RiemannianAdam([points], lr=lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    kept_steps = sorted({round(i) for i in np.linspace(0, steps, pictures)})
    kept = []
    loss = torch.zeros(starts)
    for step in range(steps + 1):
        if step in kept_steps:
            kept.append(points.detach().clone())
        grown = bone * min(1, (step + 1) / (GROWING * steps))
        optimizer.zero_grad()
        gap = manifold.dist(points[:, a], points[:, b]) - grown * tree[a, b]
        loss = (gap / tree[a, b]).square().mean(1)
        if step < steps:
            loss.sum().backward()
            optimizer.step()
            schedule.step()
    best = int(loss.argmin())
    history = torch.stack([moment[best] for moment in kept])
    history = recentre(history, history[:, root], space)
    distances = manifold.dist(history[-1][:, None], history[-1][None])
    return TreeEmbedding(space, history.numpy(), tuple(kept_steps), distances.numpy())


def recentre(
    points: Float[torch.Tensor, "... V 2"], middle: Float[torch.Tensor, "... 2"], space: Space
) -> Float[torch.Tensor, "... V 2"]:
    """Move `middle` to the origin and all points with it, without changing a distance.

    In the disk this is the Moebius translation (-m) + x, in the plane a shift.
    """
    middle = middle[..., None, :]
    return points - middle if space == "euclidean" else _manifold(space).mobius_add(-middle, points)


def geodesics(
    start: Float[np.ndarray, "E 2"], end: Float[np.ndarray, "E 2"], space: Space, points: int = 12
) -> Float[np.ndarray, "E K 2"]:
    """K points along the shortest path between each pair: arcs in the disk, lines in the plane."""
    u, v = (torch.as_tensor(x, dtype=torch.float64)[:, None] for x in (start, end))
    along = torch.linspace(0, 1, points, dtype=torch.float64)[None, :, None]
    if space == "euclidean":
        return torch.lerp(u, v, along).numpy()
    return _manifold(space).geodesic(along, u, v).numpy()


def distortion(distances: Float[np.ndarray, "V V"], graph: Int[np.ndarray, "V V"]) -> float:
    """Mean relative error of all distances at the unit of length that suits them best.

    min over s of mean |s d(a, b) - g(a, b)| / g(a, b); 0 if the embedding is perfect.
    """
    pairs = np.triu_indices(len(graph), 1)
    ratio = distances[pairs] / graph[pairs]
    # sum |s r - 1| = sum r |s - 1 / r| is smallest at the median of 1 / r weighted by r.
    order = np.argsort(1 / ratio)
    heavy = np.cumsum(ratio[order]) >= ratio.sum() / 2
    scale = 1 / ratio[order][np.argmax(heavy)]
    return float(np.abs(scale * ratio - 1).mean())


def mean_average_precision(
    distances: Float[np.ndarray, "V V"], graph: Int[np.ndarray, "V V"]
) -> float:
    """How well a joint's nearest points are its neighbours in the tree; 1 is perfect.

    For joint a with neighbour b: among all joints at most as far from a as b, the share that are
    neighbours of a. Averaged over b, then over a.
    """
    V = len(graph)
    precisions = []
    for a in range(V):
        others = np.arange(V) != a
        near = graph[a] == 1
        within = [others & (distances[a] <= distances[a, b]) for b in np.flatnonzero(near)]
        precisions.append(np.mean([(w & near).sum() / w.sum() for w in within]))
    return float(np.mean(precisions))


def _manifold(space: Space) -> geoopt.Manifold:
    return geoopt.PoincareBall() if space == "hyperbolic" else geoopt.Euclidean(ndim=1)
