"""The benchmark compares like with like: the plain step and the package's compute the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_released import PlainLoader, PlainPretrainer

from hacm.data.sequences import Sequences
from hacm.data.store import SequenceStore
from hacm.models.pretrainer import Pretrainer
from hacm.presets import make_config
from hacm.skeleton import KINECT_V2

SIZES = {
    **{"frames": 24, "patch_frames": 3, "width": 16, "depth": 2, "heads": 4, "decode_ratio": 1.0},
    **{"decoder_width": 12, "decoder_heads": 3, "decoder_depth": 2, "mask_ratio": 0.8},
}
CONFIGS = {
    "released": make_config("hacm", "released", overrides=SIZES),
    "mamp": make_config("mamp", overrides=SIZES),
}


@pytest.mark.parametrize("switches", [{}, {"sdpa": True}, {"lean_scores": True}], ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_masks_losses_and_gradients(name: str, switches: dict) -> None:
    config = CONFIGS[name]
    torch.manual_seed(0)
    ours = Pretrainer(KINECT_V2, config)
    plain = PlainPretrainer(KINECT_V2, config, **switches)
    plain.load_state_dict(ours.state_dict())
    x = 0.3 * torch.randn(5, 24, KINECT_V2.V, 3)
    x[3:] = 0  # absent bodies count
    noise = ours.draw_noise(5, torch.Generator().manual_seed(0))
    there = torch.ones(5, 24, dtype=torch.bool)

    losses = ours(x, there, noise)
    loss, mask = plain(x, noise.mask.tokens)
    assert torch.equal(mask, losses.mask.mask)
    torch.testing.assert_close(loss, losses.total)
    losses.total.backward()
    loss.backward()
    theirs = dict(plain.named_parameters())
    for key, parameter in ours.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(theirs[key].grad, parameter.grad, rtol=1e-4, atol=1e-6)


def test_the_same_batches(tmp_path, monkeypatch) -> None:
    """Without randomness: whole clips, no rotation."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(1 + i % 2, 30 + i, KINECT_V2.V, 3)) for i in range(4)]
    store = SequenceStore.from_arrays(arrays, [0] * 4, KINECT_V2, path=tmp_path / "store")

    class Still:
        def uniform(self, low, high, size=None):
            return high if size is None else np.zeros(size)

        def integers(self, low, high):
            return 0

    loader = PlainLoader(store, 24)
    monkeypatch.setattr(loader, "rng", Still())
    samples = torch.stack([loader[i][0] for i in range(4)])
    sequences = Sequences(store, 24, absent_bodies="encode")
    batch = sequences.batch(
        np.arange(4), crop="random", min_crop=1.0, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(samples.flatten(0, 1), batch.x, rtol=0, atol=1e-5)
