"""The encoder: temporal pooling, position embedding, hyperbolic mapping, transformer blocks."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from hacm.config import ModelOptions
from hacm.data.sequences import motion
from hacm.errors import HacmError
from hacm.masking.criteria import MaskInputs, build_inputs, tangent_factor, to_space
from hacm.masking.tokens import (
    grid_to_tokens,
    patches_there,
    patchify,
    take_joints,
    tokens_to_grid,
)
from hacm.models.blocks import Block, attend_to, init_linear
from hacm.skeleton import SkeletonLayout


class Encoder(nn.Module):
    """Skeletons to tokens.

    Args:
        layout: the joints that come in; its trunk joints are pruned inside (`options.prune`).
        options: sizes and the hyperbolic mapping.
        drop_path: largest stochastic depth, growing linearly over the blocks (fine-tuning).

    Raises:
        HacmError: pruning is asked for but the layout has no trunk joints, or nothing but trunk.
    """

    def __init__(
        self,
        layout: SkeletonLayout,
        options: ModelOptions,
        *,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if options.prune and not (layout.trunk and layout.kept):
            amount = "only" if layout.trunk else "no"
            raise HacmError(
                f"layout {layout.name!r} has {amount} trunk joints, so spatial pruning leaves no "
                "limb or no virtual root; name the layout's trunk joints or set prune: false"
            )
        self.layout, self.options = layout, options
        D, J, P = options.width, self.J, options.patches
        # Temporal pooling (paper III-A): a linear map of r frames of one joint.
        self.patch_embed = nn.Linear(options.patch_frames * 3, D)
        self.joint_embed = nn.Parameter(torch.empty(1, 1, J, D))
        self.time_embed = nn.Parameter(torch.empty(1, P, 1, D))
        nn.init.trunc_normal_(self.joint_embed, std=0.02)
        nn.init.trunc_normal_(self.time_embed, std=0.02)
        self.tangent_scale = (
            nn.Parameter(torch.tensor(options.tangent_scale))
            if options.learn_tangent_scale
            else None
        )
        depth = options.depth
        self.blocks = nn.ModuleList(
            Block(D, options.heads, options.mlp_ratio, drop_path * i / max(depth - 1, 1))
            for i in range(depth)
        )
        self.norm = nn.LayerNorm(D)
        init_linear(self.blocks)

    @property
    def joints(self) -> list[int]:
        """The layout's joints that become tokens."""
        return list(self.layout.kept if self.options.prune else range(self.layout.V))

    @property
    def J(self) -> int:
        """Number of joints that become tokens."""
        return len(self.joints)

    def embed(self, x: Float[Tensor, "B T V 3"]) -> Float[Tensor, "B P J D"]:
        """Tangent tokens: prune, pool r frames, add the position embeddings (paper III-A).

        Raises:
            HacmError: x is not (B, T, V, 3) with this encoder's T and V.
        """
        expected = (self.options.frames, self.layout.V, 3)
        if x.ndim != 4 or tuple(x.shape[1:]) != expected:
            raise HacmError(
                f"the encoder expects (B, T, V, 3) with (T, V, 3) = {expected} for layout "
                f"{self.layout.name!r}, got {tuple(x.shape)}"
            )
        pooled = self.patch_embed(patchify(take_joints(x, self.joints), self.options.patch_frames))
        return pooled + self.joint_embed + self.time_embed

    def encode(
        self, tokens: Float[Tensor, "B K D"], there: Bool[Tensor, "B K"] | None = None
    ) -> Float[Tensor, "B K D"]:
        """Blocks and final norm, on all or on the visible tokens.

        Args:
            tokens: what the first block receives.
            there: tokens that a body with gaps really has; the others are attended to by none and
                what becomes of them means nothing. None: all.
        """
        attend = attend_to(there)
        for block in self.blocks:
            tokens = block(tokens, attend=attend)
        return self.norm(tokens)

    def block_input(
        self, tangent: Float[Tensor, "B P J D"], there: Bool[Tensor, "B P"] | None = None
    ) -> Float[Tensor, "B P J D"]:
        """What the first block receives: points of the ball, or the tangent tokens themselves."""
        if self.options.encoder_input == "tangent":
            return tangent
        factor = tangent_factor(tangent, self.options, self.tangent_scale, there)
        return to_space(tangent * factor, self.options)

    def tokens_there(self, present: Bool[Tensor, "B T"] | None) -> Bool[Tensor, "B L"] | None:
        """Tokens of the patches in all of whose frames the body is there; None: all tokens.

        With `absent_bodies = encode` all are, whatever `present` says.
        """
        if present is None or self.options.absent_bodies == "encode":
            return None
        there = patches_there(present, self.options.patch_frames)
        return there.repeat_interleave(self.J, dim=1)

    def forward(
        self, x: Float[Tensor, "B T V 3"], present: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B L D"]:
        """All tokens of every body, in time-major order.

        Args:
            x: coordinates of all joints.
            present: frames in which the body is there (`Batch.gaps`); None: all. Tokens of patches
                in which it is not are left out: they are 0 and no other token depends on them.
        """
        there = self.tokens_there(present)
        patches = None if there is None else tokens_to_grid(there, self.J)[..., 0]
        tokens = self.encode(grid_to_tokens(self.block_input(self.embed(x), patches)), there)
        return tokens if there is None else tokens * there[..., None]

    @torch.no_grad()
    def mask_inputs(
        self,
        x: Float[Tensor, "B T V 3"],
        tangent: Float[Tensor, "B P J D"] | None = None,
        projections: nn.Linear | None = None,
        present: Bool[Tensor, "B T"] | None = None,
    ) -> MaskInputs:
        """What the criteria look at, seen by this encoder; never differentiated.

        Args:
            x: coordinates of all joints.
            tangent: `embed(x)`, if it is at hand.
            projections: fixed maps D -> 2 D to queries and keys, for `attention = frozen`; without
                them the first block's are taken.
            present: frames in which the body is there; None: all.
        """
        options, r = self.options, self.options.patch_frames
        tangent = self.embed(x) if tangent is None else tangent.detach()
        trunk_joints = self.layout.trunk
        if options.score_tokens == "motion":
            # Without bias and position embedding: a joint at rest is at the origin.
            steps, weight = motion(x, present=present), self.patch_embed.weight
            tokens = F.linear(patchify(take_joints(steps, self.joints), r), weight)
            trunk = F.linear(patchify(take_joints(steps, trunk_joints), r), weight)
        else:
            tokens = tangent
            trunk = self.patch_embed(patchify(take_joints(x, trunk_joints), r))
        query_key = None
        if options.attention != "tokens":
            there = None if present is None else patches_there(present, r)
            query_key = self._query_key(tangent, projections, there)
        return build_inputs(
            x,
            self.layout,
            options,
            tokens,
            trunk if trunk_joints else None,
            query_key,
            self.tangent_scale,
            present,
        )

    def _query_key(
        self,
        tangent: Float[Tensor, "B P J D"],
        projections: nn.Linear | None,
        there: Bool[Tensor, "B P"] | None,
    ) -> tuple[Float[Tensor, "B P J H d"], Float[Tensor, "B P J H d"]]:
        """Queries and keys of fixed projections, or of the first block per head."""
        if projections is not None:
            query, key = projections(tangent).unflatten(-1, (2, 1, -1)).unbind(-3)
            return query, key
        block = cast(Block, self.blocks[0])
        D = self.options.width
        tokens = block.norm1(self.block_input(tangent, there))
        # The first 2 D rows of the joint map; the values are not needed.
        both = F.linear(tokens, block.attn.qkv.weight[: 2 * D], block.attn.qkv.bias[: 2 * D])
        query, key = both.unflatten(-1, (2, block.attn.heads, -1)).unbind(-3)
        return query, key
