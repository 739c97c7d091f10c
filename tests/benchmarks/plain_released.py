"""The published training step, written the plain way: what the benchmark measures against.

The structure is that of the authors' release, with the token order put right so that it can be
compared value by value: every body is encoded, also those that are not there; attention is
softmax(Q K^T) V; distances between joints come from all differences, a (B, P, J, J, D) tensor that
autograd records; the decoder sees the whole grid, put back in order by `ids_restore`, and predicts
all of it; batches are made sample by sample. Parameters have the names of the package's, so the
same weights fit both, and a test holds that both compute the same masks, losses and gradients.

Two switches turn single improvements on: `sdpa` (fused attention) and `lean_scores` (distances from
a Gram matrix, nothing recorded).
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hacm.config import Config
from hacm.data.sequences import MIN_CROP_FRAMES
from hacm.data.store import SequenceStore
from hacm.masking.cross_mask import visible_count
from hacm.masking.hyperbolic import pairwise_distance
from hacm.skeleton import SkeletonLayout


class PlainAttention(nn.Module):
    """Attention that writes down all its weights."""

    def __init__(self, width: int, heads: int, sdpa: bool) -> None:
        super().__init__()
        self.heads, self.sdpa = heads, sdpa
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        B, K, D = x.shape
        q, k, v = self.qkv(x).reshape(B, K, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        if self.sdpa:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = (q @ k.transpose(-2, -1) * (D // self.heads) ** -0.5).softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(B, K, D))


class PlainBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, sdpa: bool) -> None:
        super().__init__()
        hidden = int(width * mlp_ratio)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = PlainAttention(width, heads, sdpa)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PlainPretrainer(nn.Module):
    """HA-CM as released, or MAMP (`config.objective`).

    Args:
        layout: the joints.
        config: sizes, mask ratio and temperature; `make_config("hacm", "released")` or `mamp`.
        sdpa: fused attention.
        lean_scores: distances from a Gram matrix, no gradient recorded.
    """

    def __init__(
        self,
        layout: SkeletonLayout,
        config: Config,
        *,
        sdpa: bool = False,
        lean_scores: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.layout, self.lean_scores = config, layout, lean_scores
        self.joints = list(layout.kept if config.prune else range(layout.V))
        J, P, r = len(self.joints), config.patches, config.patch_frames
        for name, width, heads, depth in (
            ("encoder", config.width, config.heads, config.depth),
            ("decoder", config.decoder_width, config.decoder_heads, config.decoder_depth),
        ):
            half = nn.Module()
            half.joint_embed = nn.Parameter(0.02 * torch.randn(1, 1, J, width))
            half.time_embed = nn.Parameter(0.02 * torch.randn(1, P, 1, width))
            half.blocks = nn.ModuleList(
                PlainBlock(width, heads, config.mlp_ratio, sdpa) for _ in range(depth)
            )
            half.norm = nn.LayerNorm(width)
            setattr(self, name, half)
        self.encoder.patch_embed = nn.Linear(r * 3, config.width)
        self.decoder.embed = nn.Linear(config.width, config.decoder_width)
        self.decoder.mask_token = nn.Parameter(0.02 * torch.randn(1, 1, config.decoder_width))
        self.decoder.pred = nn.Linear(config.decoder_width, r * 3)
        if config.objective == "hacm":
            self.frozen_query_key = nn.Linear(config.width, 2 * config.width)

    def forward(self, x: Tensor, gumbel: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and mask of the bodies x (B, T, V, 3); one Gumbel value a token."""
        config = self.config
        kept, trunk = x[:, :, self.joints], x[:, :, list(self.layout.trunk)]
        tangent = self.encoder.patch_embed(self._patches(kept))
        tangent = tangent + self.encoder.joint_embed + self.encoder.time_embed
        B, P, J, D = tangent.shape
        hacm = config.objective == "hacm"
        tokens = exp_0(tangent) if hacm else tangent
        with torch.no_grad() if self.lean_scores else contextlib.nullcontext():
            root = exp_0(self.encoder.patch_embed(self._patches(trunk))) if hacm else None
            ids_shuffle, groups = self._shuffle(tokens, tangent, root, kept, gumbel)
        K = sum(groups)
        ids_restore = ids_shuffle.argsort(dim=1)
        ids_keep = ids_shuffle[:, :K]
        mask = torch.ones(B, P * J)
        mask[:, :K] = 0
        mask = mask.gather(1, ids_restore)

        visible = tokens.reshape(B, P * J, D)
        visible = visible.gather(1, ids_keep[..., None].expand(-1, -1, D))
        for block in self.encoder.blocks:
            visible = block(visible)
        visible = self.encoder.norm(visible)

        grid = self.decoder.embed(visible)
        empty = self.decoder.mask_token.expand(B, P * J - K, -1)
        grid = torch.cat([grid, empty], dim=1)
        grid = grid.gather(1, ids_restore[..., None].expand(-1, -1, grid.shape[-1]))
        grid = grid + (self.decoder.joint_embed + self.decoder.time_embed).flatten(1, 2)
        for block in self.decoder.blocks:
            grid = block(grid)
        prediction = self.decoder.pred(self.decoder.norm(grid))

        steps = torch.cat([kept[:, 1:] - kept[:, :-1], torch.zeros_like(kept[:, :1])], dim=1)
        target = self._patches(exp_0(steps) if hacm else steps).flatten(1, 2)
        mean, var = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
        target = (target - mean) / (var + 1e-6).sqrt()
        error = ((prediction - target) ** 2).mean(-1)
        loss = (error * mask).sum() / mask.sum()
        if hacm:
            even, odd, both = visible[:, : groups[0]], visible[:, groups[0] :], visible
            z_e, z_o, z = even.mean(1), odd.mean(1), both.mean(1)
            contrast = sum(
                F.mse_loss((a @ b.T).softmax(1), torch.eye(B))
                for a, b in ((z_e, z), (z_o, z), (z_o, z_e))
            )
            loss = 0.5 * contrast + 0.5 * loss
        return loss, mask

    def _patches(self, x: Tensor) -> Tensor:
        B, T, J, C = x.shape
        r = self.config.patch_frames
        return x.reshape(B, T // r, r, J, C).permute(0, 1, 3, 2, 4).reshape(B, T // r, J, r * C)

    def _shuffle(
        self, tokens: Tensor, tangent: Tensor, root: Tensor | None, kept: Tensor, gumbel: Tensor
    ) -> tuple[Tensor, list[int]]:
        """Token numbers, visible ones first, and how many of each group are visible."""
        config = self.config
        B, P, J, _ = tokens.shape
        ids = torch.arange(P * J).reshape(P, J)
        if config.objective == "mamp":
            # Each patch minus the one before it; the first repeats the second.
            patches = self._patches(kept)
            steps = (patches[:, 1:] - patches[:, :-1]).abs().mean(-1)
            parts = [(ids.flatten(), torch.cat([steps[:, :1], steps], dim=1))]
        else:
            attention = self._attention_score(tangent[:, 0::2])
            parts = [
                (ids[0::2].flatten(), attention),
                (ids[1::2].flatten(), self._distance_score(tokens[:, 1::2], root[:, 1::2])),
            ]
        visible, hidden, groups = [], [], []
        for numbers, score in parts:
            score = score.reshape(B, -1)
            weight = (score / (config.tau * score.amax(1, keepdim=True).clamp_min(1e-12))).softmax(
                1
            )
            keys = weight.log() + gumbel[:, numbers]
            order = numbers[keys.argsort(dim=1, descending=config.keep == "high")]
            groups.append(
                visible_count(len(numbers), config.mask_ratio, rounded=config.rounded_count)
            )
            visible.append(order[:, : groups[-1]])
            hidden.append(order[:, groups[-1] :])
        return torch.cat(visible + hidden, dim=1), groups

    def _attention_score(self, tangent: Tensor) -> Tensor:
        q, k = self.frozen_query_key(tangent).permute(0, 2, 1, 3).chunk(2, dim=-1)  # B J P D
        weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
        return weights.sum(2).transpose(1, 2)

    def _distance_score(self, h: Tensor, trunk: Tensor) -> Tensor:
        if self.lean_scores:
            between = pairwise_distance(h)
        else:
            between = arcosh_distance(h[:, :, :, None], h[:, :, None])
        gamma = 2 / (1 - (trunk**2).sum(-1, keepdim=True))
        middle = (gamma * trunk).sum(2) / (gamma - 1).sum(2)
        middle = middle / (1 + (1 - (middle**2).sum(-1, keepdim=True)).clamp_min(0).sqrt())
        to_root = arcosh_distance(h, middle[:, :, None])
        return between.sum(2) + self.config.root_weight * to_root


def exp_0(tangent: Tensor) -> Tensor:
    """To the unit ball, kept 1e-5 inside."""
    norm = tangent.norm(dim=-1, keepdim=True).clamp_min(1e-15)
    return norm.tanh().clamp_max(1 - 1e-5) * tangent / norm


def arcosh_distance(u: Tensor, v: Tensor) -> Tensor:
    """Poincare distance from all differences."""
    gap = ((u - v) ** 2).sum(-1)
    margins = (1 - (u**2).sum(-1)) * (1 - (v**2).sum(-1))
    return torch.acosh((1 + 2 * gap / margins.clamp_min(1e-10)).clamp_min(1))


def plain_optimizer(model: nn.Module, config: Config) -> torch.optim.AdamW:
    """AdamW as everyone writes it: one parameter after the other."""
    return torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=config.betas, weight_decay=config.weight_decay
    )


class PlainLoader(torch.utils.data.Dataset):
    """Samples of two bodies, cropped, resized and rotated one by one.

    Args:
        store: the sequences.
        frames: T.
        seed: of crops and rotations.
    """

    def __init__(self, store: SequenceStore, frames: int, seed: int = 0) -> None:
        self.store, self.frames = store, frames
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        bodies = self.store[index][:2]
        n = bodies.shape[1]
        x = np.zeros((2, *bodies.shape[1:]), np.float32)
        x[: len(bodies)] = bodies
        span = min(max(int(n * self.rng.uniform(0.5, 1)), MIN_CROP_FRAMES), n)
        first = self.rng.integers(0, n - span + 1)
        x = x[:, first : first + span]
        B, t, V, C = x.shape
        lines = torch.from_numpy(x).permute(0, 2, 3, 1).reshape(1, B * V * C, t)
        lines = F.interpolate(lines, size=self.frames, mode="linear", align_corners=False)
        x = lines.reshape(B, V, C, self.frames).permute(0, 3, 1, 2).numpy()
        (ca, cb, cg), (sa, sb, sg) = (
            f(angles) for angles in [self.rng.uniform(-0.3, 0.3, 3)] for f in (np.cos, np.sin)
        )
        rx = np.array([[1, 0, 0], [0, ca, sa], [0, -sa, ca]])
        ry = np.array([[cb, 0, -sb], [0, 1, 0], [sb, 0, cb]])
        rz = np.array([[cg, sg, 0], [-sg, cg, 0], [0, 0, 1]])
        x = np.matmul(x, (rz @ ry @ rx).T.astype(np.float32))
        return torch.from_numpy(x), int(self.store.labels[index])
