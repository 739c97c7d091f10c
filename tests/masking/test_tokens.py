"""Patches and tokens: one order, and nothing is lost on the way there and back."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hacm.masking.tokens import grid_to_tokens, patchify, take_tokens, tokens_to_grid, unpatchify

sizes = st.integers(1, 5)


def numbered(*shape: int) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).view(shape)


@given(B=sizes, P=sizes, r=sizes, J=sizes, C=sizes)
def test_token_p_times_j_plus_j_is_patch_p_of_joint_j(B, P, r, J, C) -> None:
    x = numbered(B, P * r, J, C)
    tokens = grid_to_tokens(patchify(x, r))
    assert tokens.shape == (B, P * J, r * C)
    for p in range(P):
        for j in range(J):
            for t in range(r):
                for c in range(C):
                    value = tokens[:, p * J + j, t * C + c]
                    assert torch.equal(value, x[:, p * r + t, j, c])


@given(B=sizes, P=sizes, r=sizes, J=sizes, C=sizes)
def test_there_and_back(B, P, r, J, C) -> None:
    x = numbered(B, P * r, J, C)
    patches = patchify(x, r)
    assert torch.equal(unpatchify(patches, r), x)
    assert torch.equal(tokens_to_grid(grid_to_tokens(patches), J), patches)
    scores = numbered(B, P, J)
    assert torch.equal(tokens_to_grid(grid_to_tokens(scores), J), scores)


@given(B=sizes, L=st.integers(1, 20), D=sizes, data=st.data())
def test_take_tokens(B, L, D, data) -> None:
    tokens = numbered(B, L, D)
    rows = [data.draw(st.permutations(range(L))) for _ in range(B)]
    taken = take_tokens(tokens, torch.tensor(rows))
    for b in range(B):
        for k in range(L):
            assert torch.equal(taken[b, k], tokens[b, rows[b][k]])


def test_frames_must_fill_the_patches() -> None:
    with pytest.raises(ValueError, match="10 frames cannot be cut into patches of 3"):
        patchify(torch.zeros(1, 10, 2, 3), 3)


@pytest.mark.parametrize("module", ["tokens", "criteria", "cross_mask", "hyperbolic"])
def test_masks_need_no_model(module: str) -> None:
    """Nothing of hacm.models, hacm.losses or hacm.training is loaded along with hacm.masking."""
    code = (
        f"import sys, hacm.masking.{module}\n"
        "rooms = ('hacm.models', 'hacm.losses', 'hacm.training', 'hacm.viz', 'geoopt', 'plotly')\n"
        "print([name for name in sys.modules if name.startswith(rooms)])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
