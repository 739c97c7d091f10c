"""The decoder: from visible tokens and mask tokens to the motion of masked patches."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hacm.config import ModelOptions
from hacm.masking.tokens import grid_to_tokens, take_tokens
from hacm.models.blocks import Block, attend_to, init_linear


class Decoder(nn.Module):
    """Predicts r frames of one joint for each token asked for.

    A token knows its place through its position embedding alone, so visible and mask tokens need
    not be put back in order: attention does not see the order of a list.

    Args:
        options: sizes.
        joints: J, joints that are tokens.
    """

    def __init__(self, options: ModelOptions, joints: int) -> None:
        super().__init__()
        D = options.decoder_width
        self.embed = nn.Linear(options.width, D)
        self.mask_token = nn.Parameter(torch.empty(1, 1, D))
        self.joint_embed = nn.Parameter(torch.empty(1, 1, joints, D))
        self.time_embed = nn.Parameter(torch.empty(1, options.patches, 1, D))
        for parameter in (self.mask_token, self.joint_embed, self.time_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        self.blocks = nn.ModuleList(
            Block(D, options.decoder_heads, options.mlp_ratio) for _ in range(options.decoder_depth)
        )
        self.norm = nn.LayerNorm(D)
        self.pred = nn.Linear(D, options.patch_frames * 3)
        init_linear(self)

    def forward(
        self,
        visible: Float[Tensor, "B K D"],
        ids_keep: Int[Tensor, "B K"],
        ids_decode: Int[Tensor, "B M"],
        there: Bool[Tensor, "B K+M"] | None = None,
    ) -> Float[Tensor, "B M r*3"]:
        """Predict the tokens `ids_decode`.

        Args:
            visible: the encoder's output for the visible tokens.
            ids_keep: their token numbers.
            ids_decode: the masked tokens to predict: all, or a random part (`decode_ratio`).
            there: which tokens, visible ones first, a body with gaps really has; the others are
                attended to by none and their predictions mean nothing. None: all.
        """
        B, K = ids_keep.shape
        place = grid_to_tokens(self.joint_embed + self.time_embed).expand(B, -1, -1)
        tokens = torch.cat(
            [
                self.embed(visible) + take_tokens(place, ids_keep),
                self.mask_token + take_tokens(place, ids_decode),
            ],
            dim=1,
        )
        attend = attend_to(there)
        for block in self.blocks[:-1]:
            tokens = block(tokens, attend=attend)
        # The last block need not renew the visible tokens: only predictions are read from it.
        return self.pred(self.norm(self.blocks[-1](tokens, first=K, attend=attend)))
