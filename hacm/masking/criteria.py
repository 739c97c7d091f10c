"""What a mask can be based on, and the criteria by name.

A criterion is a function of `MaskInputs` and the mask's options that returns one score a token.
Write your own with the same shape and hand it to `cross_mask` (the Mask Lab does).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hacm.config import MaskOptions, ModelOptions
from hacm.data.sequences import motion
from hacm.errors import HacmError
from hacm.masking import hyperbolic
from hacm.masking.attention import attention_score
from hacm.masking.baselines import constant_score, motion_score
from hacm.masking.hierarchy import hierarchy_score
from hacm.masking.tokens import patches_there, patchify, take_joints
from hacm.skeleton import SkeletonLayout


@dataclass(frozen=True)
class MaskInputs:
    """Everything a criterion may look at, for P patches of J joints.

    Attributes:
        position: patches of coordinates, metres.
        motion: patches of m[t] = x[t + 1] - x[t], metres; a step from or to a frame without the
            body is 0.
        tokens: points of the ball (or tangent vectors if `space = euclidean`).
        root: the virtual root of each patch, in the same space; None without trunk joints.
        query, key: what attention compares, per head.
        there: patches in which the body is there; scores of others are not looked at. None: all.
        change: patch p of `position` minus patch p - 1 of the whole clip, metres (`patch_change`);
            None: these are all patches, and it is worked out from `position`.
        space, curvature: where `tokens` and `root` lie.
    """

    position: Float[Tensor, "B P J r*3"]
    motion: Float[Tensor, "B P J r*3"]
    tokens: Float[Tensor, "B P J D"]
    root: Float[Tensor, "B P D"] | None
    query: Float[Tensor, "B P J H d"]
    key: Float[Tensor, "B P J H d"]
    there: Bool[Tensor, "B P"] | None = None
    change: Float[Tensor, "B P J r*3"] | None = None
    space: str = "hyperbolic"
    curvature: float = 1.0

    def patches(self, ids: Int[Tensor, "G"]) -> MaskInputs:
        """The same inputs at some of the patches."""

        def at(x: Tensor) -> Tensor:
            return x.index_select(1, ids)

        return MaskInputs(
            position=at(self.position),
            motion=at(self.motion),
            tokens=at(self.tokens),
            root=None if self.root is None else at(self.root),
            query=at(self.query),
            key=at(self.key),
            there=None if self.there is None else at(self.there),
            change=None if self.change is None else at(self.change),
            space=self.space,
            curvature=self.curvature,
        )


Score = Callable[[MaskInputs, MaskOptions], Float[Tensor, "B P J"]]


def _hierarchy(inputs: MaskInputs, options: MaskOptions) -> Tensor:
    if inputs.root is None:
        raise HacmError(
            "the hierarchy criterion needs a virtual root, but this layout has no trunk joints: "
            "give the layout `trunk` joints or choose another criterion"
        )
    return hierarchy_score(
        inputs.tokens,
        inputs.root,
        root_weight=options.root_weight,
        curvature=inputs.curvature,
        space=inputs.space,
    )


def _patch_motion(inputs: MaskInputs, options: MaskOptions) -> Tensor:
    if inputs.change is None:
        return motion_score(patch_change(inputs.position, inputs.there))
    return motion_score(inputs.change)


CRITERIA: dict[str, Score] = {
    "hierarchy": _hierarchy,
    "attention": lambda inputs, options: attention_score(inputs.query, inputs.key, inputs.there),
    "motion": lambda inputs, options: motion_score(inputs.motion),
    "patch_motion": _patch_motion,
    "random": lambda inputs, options: constant_score(inputs.motion),
}


def tangent_factor(
    tokens: Float[Tensor, "B P J D"],
    options: ModelOptions,
    scale: float | Tensor | None = None,
    there: Bool[Tensor, "B P"] | None = None,
) -> Float[Tensor, "B 1 1 1"] | float | Tensor:
    """What tangent vectors are multiplied with before exp_0 (see `tangent_norm`)."""
    scale = options.tangent_scale if scale is None else scale
    if options.tangent_norm == "none":
        return scale
    return scale / mean_norm(tokens, there)


def mean_norm(
    tokens: Float[Tensor, "B P J D"], there: Bool[Tensor, "B P"] | None = None
) -> Float[Tensor, "B 1 1 1"]:
    """Mean norm of each body's tokens, of the patches that are there; never 0."""
    norm = tokens.norm(dim=-1).mean(2)
    weight = torch.ones_like(norm) if there is None else there.to(norm.dtype)
    mean = (norm * weight).sum(1) / weight.sum(1).clamp_min(1)
    return mean.clamp_min(1e-12)[:, None, None, None]


def patch_change(
    position: Float[Tensor, "B P J r*3"], there: Bool[Tensor, "B P"] | None = None
) -> Float[Tensor, "B P J r*3"]:
    """Each patch minus the one before it; a patch without one before has the next one's difference.

    As in MAMP's released code, whose first patch repeats the second's. A patch with no neighbour in
    which the body is there has 0.
    """
    if position.shape[1] < 2:
        return torch.zeros_like(position)
    step = position[:, 1:] - position[:, :-1]
    if there is None:
        return torch.cat([step[:, :1], step], dim=1)
    known = (there[:, 1:] & there[:, :-1])[..., None, None]
    step, nothing = step * known, torch.zeros_like(position[:, :1])
    before, after = torch.cat([nothing, step], 1), torch.cat([step, nothing], 1)
    has_before = torch.cat([torch.zeros_like(known[:, :1]), known], 1)
    return torch.where(has_before, before, after)


def to_space(tangent: Float[Tensor, "... D"], options: ModelOptions) -> Float[Tensor, "... D"]:
    """exp_0, or nothing in the Euclidean ablation."""
    if options.space == "euclidean":
        return tangent
    return hyperbolic.exp_0(tangent, options.curvature)


def build_inputs(
    x: Float[Tensor, "B T V 3"],
    layout: SkeletonLayout,
    options: ModelOptions,
    tokens: Float[Tensor, "B P J D"] | None = None,
    trunk: Float[Tensor, "B P K D"] | None = None,
    query_key: tuple[Tensor, Tensor] | None = None,
    scale: float | Tensor | None = None,
    present: Bool[Tensor, "B T"] | None = None,
) -> MaskInputs:
    """Gather a criterion's inputs; without `tokens` from the patches alone, no model needed.

    Args:
        x: coordinates of all joints, metres.
        layout: which joints are kept and which are trunk.
        options: pruning, patch length, space, curvature, tangent scale, `score_tokens`.
        tokens: tangent vectors of the kept joints; default: each patch's motion or coordinates.
        trunk: tangent vectors of the trunk joints, whose midpoint is the virtual root.
        query_key: (B, P, J, H, d) each; default: the tokens themselves, one head, scaled so that a
            body's mean token attends to itself with logit 1.
        scale: a learned tangent scale.
        present: frames in which the body is there; None: all.
    """
    r = options.patch_frames
    joints = layout.kept if options.prune else range(layout.V)
    there = None if present is None else patches_there(present, r)
    moved = motion(x, present=present)
    position, steps = patchify(take_joints(x, joints), r), patchify(take_joints(moved, joints), r)
    if tokens is None:
        tokens, seen = (steps, moved) if options.score_tokens == "motion" else (position, x)
        trunk = patchify(take_joints(seen, layout.trunk), r) if layout.trunk else None
    factor = tangent_factor(tokens, options, scale, there)
    root = None
    if trunk is not None:
        mapped = to_space(trunk * factor, options)
        euclidean = options.space == "euclidean"
        root = mapped.mean(2) if euclidean else hyperbolic.midpoint(mapped, options.curvature)
    if query_key is None:
        unit = (tokens / mean_norm(tokens, there))[..., None, :]
        query_key = unit * unit.shape[-1] ** 0.5, unit
    query, key = query_key
    return MaskInputs(
        position=position,
        motion=steps,
        change=patch_change(position, there),
        tokens=to_space(tokens * factor, options),
        root=root,
        query=query,
        key=key,
        there=there,
        space=options.space,
        curvature=options.curvature,
    )


@torch.no_grad()
def group_score(
    criterion: str | Score, inputs: MaskInputs, options: MaskOptions
) -> Float[Tensor, "B P J"]:
    """The score of one group, from a criterion's name or a function; never differentiated."""
    score = CRITERIA[criterion] if isinstance(criterion, str) else criterion
    return score(inputs, options)
