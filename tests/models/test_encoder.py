"""The encoder: the authors' features, the formulas, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from hacm.config import Config
from hacm.errors import HacmError
from hacm.masking.tokens import grid_to_tokens
from hacm.models.blocks import Block
from hacm.models.encoder import Encoder
from hacm.presets import make_config
from hacm.skeleton import KINECT_V2, SkeletonLayout

SMALL = {
    **{"frames": 12, "patch_frames": 3, "width": 16, "depth": 2, "heads": 4},
    **{"decoder_width": 12, "decoder_heads": 2},
}


def small(objective: str = "hacm", preset: str = "base", **fields) -> Config:
    return make_config(objective, preset, {**SMALL, **fields})


def make(layout: SkeletonLayout, config: Config, seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    encoder = Encoder(layout, config)
    for parameter in encoder.parameters():  # biases and norms that matter
        torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


def clips(layout: SkeletonLayout, B: int = 2, T: int = 12) -> torch.Tensor:
    return torch.randn(B, T, layout.V, 3, generator=torch.Generator().manual_seed(1))


# The authors' networks.


@pytest.mark.parametrize(
    ("file", "objective", "preset"),
    [("hacm_linear.pt", "hacm", "released"), ("mamp_linear.pt", "mamp", "base_t120")],
)
@pytest.mark.parametrize("absent", ["", "_absent"])
def test_features_are_the_authors(shared_data, file, objective, preset, absent) -> None:
    saved = torch.load(shared_data / "parity" / file, weights_only=True)
    sizes = saved["config"]
    config = make_config(
        objective,
        preset,
        {"width": sizes["dim_feat"], "depth": sizes["depth"], "heads": sizes["num_heads"]},
    )
    names = {
        **{"joints_embed.proj": "patch_embed", "temp_embed": "time_embed"},
        **{"pos_embed": "joint_embed", "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.2"},
    }
    state = {}
    for name, value in saved["model"].items():
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        if name == "patch_embed.weight":  # (D, 3, r, 1): our patches are frame-major
            value = value.squeeze(-1).transpose(1, 2).flatten(1)
        state[name] = value
    encoder = Encoder(KINECT_V2, config).eval()
    encoder.load_state_dict({k: v for k, v in state.items() if not k.startswith("head.")})
    x = saved["input" + absent].permute(0, 4, 2, 3, 1).flatten(0, 1)
    with torch.no_grad():
        features = encoder(x)
    expected = saved["tokens" + absent].flatten(0, 1)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=0)


# The formulas.


def test_blocks_are_the_formulas(plain_block) -> None:
    torch.manual_seed(0)
    block = Block(12, 3, mlp_ratio=2).eval()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 7, 12)
    torch.testing.assert_close(block(x), plain_block(block, x).float(), atol=1e-4, rtol=1e-4)
    wide = block.double()
    torch.testing.assert_close(wide(x.double()), plain_block(wide, x))


def test_embed_is_a_linear_map_of_a_joint_s_frames(stick) -> None:
    encoder = make(stick, small())
    x = clips(stick)
    tokens = encoder.embed(x)
    assert tokens.shape == (2, 4, 4, 16)
    weight, bias = encoder.patch_embed.weight, encoder.patch_embed.bias
    for p in range(4):
        for j, joint in enumerate([1, 3, 4, 5]):
            pieces = x[:, 3 * p : 3 * p + 3, joint].flatten(1)
            place = encoder.joint_embed[0, 0, j] + encoder.time_embed[0, p, 0]
            torch.testing.assert_close(tokens[:, p, j], pieces @ weight.T + bias + place)


@pytest.mark.parametrize("space", ["hyperbolic", "euclidean"])
@pytest.mark.parametrize("norm", ["mean", "none"])
def test_forward_is_the_formula(stick, plain_block, space, norm) -> None:
    config = small(encoder_input="ball", space=space, tangent_norm=norm, curvature=1.7)
    encoder = make(stick, config).double()
    x = clips(stick).double()
    e = grid_to_tokens(encoder.embed(x))
    length = e.norm(dim=-1, keepdim=True)
    scale = config.tangent_scale
    factor = scale / length.mean(1, keepdim=True) if norm == "mean" else scale
    e, length = e * factor, length * factor
    if space == "hyperbolic":
        root = 1.7**0.5
        e = torch.tanh(root * length) / (root * length) * e
    for block in encoder.blocks:
        e = plain_block(block, e)
    torch.testing.assert_close(encoder(x), plain_block.norm(encoder.norm, e))


def test_tangent_input_bypasses_the_ball(stick) -> None:
    encoder = make(stick, small(encoder_input="tangent"))
    x = clips(stick)
    expected = encoder.encode(grid_to_tokens(encoder.embed(x)))
    assert torch.equal(encoder(x), expected)


def test_pruned_joints_do_not_reach_the_blocks(stick) -> None:
    encoder = make(stick, small())
    x = clips(stick)
    before = encoder(x)
    x[:, :, [0, 2]] += 5
    assert torch.equal(encoder(x), before)
    x[:, :, 1] += 5
    assert not torch.equal(encoder(x), before)


def test_without_pruning_every_joint_is_a_token(stick) -> None:
    encoder = make(stick, small(prune=False))
    assert encoder.joints == list(range(6))
    assert encoder(clips(stick)).shape == (2, 4 * 6, 16)


def test_bodies_do_not_mix(stick) -> None:
    for norm in ("mean", "none"):
        encoder = make(stick, small(encoder_input="ball", tangent_norm=norm))
        x = clips(stick, B=3)
        torch.testing.assert_close(encoder(x)[1:2], encoder(x[1:2]), atol=1e-5, rtol=1e-5)


# What the criteria are shown.


def test_mask_inputs_attention_is_the_first_block_s(stick, plain_block) -> None:
    encoder = make(stick, small(attention="encoder"))
    x = clips(stick)
    inputs = encoder.mask_inputs(x)
    block = encoder.blocks[0]
    tokens = plain_block.norm(block.norm1, grid_to_tokens(encoder.embed(x)).double())
    whole = plain_block.linear(block.attn.qkv, tokens).float()  # B L 3D
    for p in range(4):
        for j in range(4):
            for head in range(4):
                at = slice(head * 4, head * 4 + 4)
                q, k = whole[:, p * 4 + j, :16], whole[:, p * 4 + j, 16:32]
                torch.testing.assert_close(inputs.query[:, p, j, head], q[:, at])
                torch.testing.assert_close(inputs.key[:, p, j, head], k[:, at])


def test_mask_inputs_of_frozen_projections(stick) -> None:
    encoder = make(stick, small(attention="frozen"))
    x = clips(stick)
    projections = torch.nn.Linear(16, 32)
    inputs = encoder.mask_inputs(x, projections=projections)
    expected = projections(encoder.embed(x))
    torch.testing.assert_close(inputs.query[..., 0, :], expected[..., :16])
    torch.testing.assert_close(inputs.key[..., 0, :], expected[..., 16:])


def test_the_root_is_the_trunk_without_position_embedding(stick) -> None:
    plain = {"space": "euclidean", "tangent_norm": "none", "tangent_scale": 1.0}
    config = small(**plain, score_tokens="position")
    encoder = make(stick, config)
    x = clips(stick)
    root = encoder.mask_inputs(x).root
    expected = torch.zeros(2, 4, 16)
    for p in range(4):
        for joint in (0, 2):
            expected[:, p] += encoder.patch_embed(x[:, 3 * p : 3 * p + 3, joint].flatten(1)) / 2
    torch.testing.assert_close(root, expected)


def test_motion_tokens_are_the_pooled_steps_of_limbs_and_trunk(stick) -> None:
    """Linear in the movement alone: no bias, no place, nothing for a body at rest."""
    plain = {"space": "euclidean", "tangent_norm": "none", "tangent_scale": 1.0}
    encoder = make(stick, small(**plain, score_tokens="motion"))
    x = clips(stick)
    steps = torch.cat([x[:, 1:] - x[:, :-1], torch.zeros_like(x[:, :1])], 1)
    weight = encoder.patch_embed.weight
    inputs = encoder.mask_inputs(x)
    for p in range(4):
        pooled = [steps[:, 3 * p : 3 * p + 3, joint].flatten(1) @ weight.T for joint in range(6)]
        for j, joint in enumerate(stick.kept):
            torch.testing.assert_close(inputs.tokens[:, p, j], pooled[joint])
        torch.testing.assert_close(inputs.root[:, p], (pooled[0] + pooled[2]) / 2)
    rest = encoder.mask_inputs(x[:, :1].expand(-1, 12, -1, -1))
    assert not rest.tokens.any() and not rest.root.any()


def test_the_learned_scale_is_used(stick) -> None:
    scaled = {"encoder_input": "ball", "learn_tangent_scale": True}
    encoder = make(stick, small(**scaled, score_tokens="position"))
    x = clips(stick)
    with torch.no_grad():
        encoder.tangent_scale.fill_(0.2)
    radius = torch.atanh(encoder.block_input(encoder.embed(x)).norm(dim=-1))
    torch.testing.assert_close(radius.mean((1, 2)), torch.full((2,), 0.2))
    shown = torch.atanh(encoder.mask_inputs(x).tokens.norm(dim=-1))
    torch.testing.assert_close(shown, radius)
    # Weighted: the plain sum of layer-normed features does not depend on the input.
    (encoder(x) * torch.randn(2, 16, 16)).sum().backward()
    assert float(encoder.tangent_scale.grad.abs()) > 0


# What it refuses.


@pytest.mark.parametrize("shape", [(2, 12, 6, 2), (2, 12, 5, 3), (2, 9, 6, 3), (12, 6, 3)])
def test_wrong_shapes_are_named(stick, shape) -> None:
    with pytest.raises(HacmError, match=r"\(12, 6, 3\) for layout 'stick'") as caught:
        make(stick, small())(torch.zeros(shape))
    assert str(tuple(shape)) in str(caught.value)


def test_pruning_needs_a_trunk_and_a_limb() -> None:
    bare = SkeletonLayout.from_parents("bare", ["a", "b"], [-1, 0])
    with pytest.raises(HacmError, match="'bare' has no trunk joints"):
        Encoder(bare, small())
    Encoder(bare, small(prune=False))
    full = SkeletonLayout.from_parents("full", ["a", "b"], [-1, 0], trunk=[0, 1])
    with pytest.raises(HacmError, match="'full' has only trunk joints"):
        Encoder(full, small())


def test_stochastic_depth_is_only_for_training(stick) -> None:
    torch.manual_seed(0)
    encoder = Encoder(stick, small(), drop_path=0.9)
    x = clips(stick)
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))
    encoder.train()
    draws = [encoder(x) for _ in range(20)]
    assert any(not torch.equal(draw, draws[0]) for draw in draws)
    assert [block.drop_path for block in encoder.blocks] == [0, 0.9]
