"""The decoder, which never restores an order, against MAE's, which does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hacm.masking.cross_mask import Mask, cross_mask, mask_noise
from hacm.models.decoder import Decoder
from hacm.presets import make_config

P, J, K, r = 4, 5, 6, 3
CONFIG = make_config(
    overrides={
        **{"frames": P * r, "patch_frames": r, "width": 16, "heads": 4},
        **{"decoder_width": 12, "decoder_depth": 2, "decoder_heads": 3},
    }
)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG, J)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return decoder.eval()


def some_mask(B: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """ids_keep, ids_masked and ids_restore of random masks."""
    shuffled = torch.rand(B, P * J, generator=torch.Generator().manual_seed(seed)).argsort(1)
    return shuffled[:, :K], shuffled[:, K:], shuffled.argsort(1)


def like_mae(decoder: Decoder, plain_block, visible: Tensor, ids_restore: Tensor) -> Tensor:
    """Mask tokens appended, un-shuffled into the full grid, positions added: (B, L, r * 3)."""
    B = visible.shape[0]
    tokens = plain_block.linear(decoder.embed, visible.double())
    blank = decoder.mask_token.double().expand(B, P * J - visible.shape[1], -1)
    tokens = torch.cat([tokens, blank], dim=1)
    grid = torch.stack([tokens[b, ids_restore[b]] for b in range(B)])
    for p in range(P):
        for j in range(J):
            place = decoder.joint_embed[0, 0, j] + decoder.time_embed[0, p, 0]
            grid[:, p * J + j] += place.double()
    for block in decoder.blocks:
        grid = plain_block(block, grid)
    return plain_block.linear(decoder.pred, plain_block.norm(decoder.norm, grid))


@torch.no_grad()
def test_all_masked_tokens_as_mae_decodes_them(decoder, plain_block) -> None:
    ids_keep, ids_masked, ids_restore = some_mask(3)
    visible = torch.randn(3, K, 16)
    prediction = decoder(visible, ids_keep, ids_masked)
    assert prediction.shape == (3, P * J - K, r * 3)
    expected = like_mae(decoder, plain_block, visible, ids_restore)
    for b in range(3):
        torch.testing.assert_close(
            prediction[b], expected[b, ids_masked[b]].float(), atol=1e-5, rtol=1e-5
        )


@torch.no_grad()
def test_the_order_of_the_list_does_not_matter(decoder) -> None:
    ids_keep, ids_masked, _ = some_mask(2)
    visible = torch.randn(2, K, 16)
    prediction = decoder(visible, ids_keep, ids_masked)
    here, there = torch.randperm(K), torch.randperm(P * J - K)
    again = decoder(visible[:, here], ids_keep[:, here], ids_masked[:, there])
    torch.testing.assert_close(again, prediction[:, there], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_masked_token_knows_only_its_place(decoder) -> None:
    """Asked for one at a time, a token's answer depends on its own number and the visible ones."""
    ids_keep, ids_masked, _ = some_mask(1)
    visible = torch.randn(1, K, 16)
    answers = [decoder(visible, ids_keep, ids_masked[:, m : m + 1]) for m in range(3)]
    assert (answers[0] - answers[1]).abs().max() > 1e-3
    moved = ids_keep.clone()
    moved[0, 0] = ids_masked[0, 5]
    assert (decoder(visible, moved, ids_masked[:, :1]) - answers[0]).abs().max() > 1e-4


@torch.no_grad()
def test_slots_hold_the_place_of_their_token(decoder) -> None:
    """What enters the first block: embedding of (patch, joint) = divmod(token, J) in each slot."""
    entered = []
    decoder.blocks[0].register_forward_pre_hook(lambda block, inputs: entered.append(inputs[0]))
    ids_keep, ids_masked, _ = some_mask(2)
    visible = torch.randn(2, K, 16)
    decoder(visible, ids_keep, ids_masked)
    for b in range(2):
        for slot, token in enumerate([*ids_keep[b].tolist(), *ids_masked[b].tolist()]):
            p, j = divmod(token, J)
            content = decoder.embed(visible[b, slot]) if slot < K else decoder.mask_token.flatten()
            expected = content + decoder.joint_embed[0, 0, j] + decoder.time_embed[0, p, 0]
            torch.testing.assert_close(entered[0][b, slot], expected)


def test_every_parameter_learns(decoder) -> None:
    ids_keep, ids_masked, _ = some_mask(2)
    decoder(torch.randn(2, K, 16), ids_keep, ids_masked).square().sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_fits_the_mask_of_cross_masking(decoder) -> None:
    from hacm.masking.criteria import MaskInputs

    grid = torch.randn(2, P, J, 4)
    fields = dict.fromkeys(["position", "motion", "tokens"], grid * 0.1)
    inputs = MaskInputs(
        **fields, root=grid.mean(2) * 0.1, query=grid[..., None, :], key=grid[..., None, :]
    )
    mask: Mask = cross_mask(inputs, CONFIG, mask_noise(2, P, J, torch.Generator().manual_seed(0)))
    visible = torch.randn(*mask.ids_keep.shape, 16)
    assert decoder(visible, mask.ids_keep, mask.ids_masked).shape == (2, P * J - sum(mask.kept), 9)
