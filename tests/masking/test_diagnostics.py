import numpy as np
import pytest
import torch

from hacm.config import MaskOptions, ModelOptions
from hacm.masking.criteria import build_inputs
from hacm.masking.cross_mask import cross_mask, mask_noise
from hacm.masking.diagnostics import keep_frequency, mask_statistics, radius_statistics
from hacm.skeleton import KINECT_V1

J = len(KINECT_V1.kept)


def draw(seed: int = 0, **options):
    x = torch.randn(2, 18, KINECT_V1.V, 3, generator=torch.Generator().manual_seed(9))
    inputs = build_inputs(x, KINECT_V1, ModelOptions(frames=18))
    noise = mask_noise(2, 6, J, torch.Generator().manual_seed(seed))
    return cross_mask(inputs, MaskOptions(**{"mask_ratio": 0.8, **options}), noise)


@pytest.mark.parametrize("curvature", [1.0, 0.25])
def test_quantiles_and_share_at_the_rim(curvature):
    radius = np.array([*np.linspace(0, 0.9, 91), 0.9995, 0.9999, 0.99999, *[0.95] * 6])
    points = torch.zeros(len(radius), 8, dtype=torch.float64)
    points[:, 3] = torch.from_numpy(radius) / curvature**0.5
    found = radius_statistics(points.view(4, 25, 8), curvature)
    assert found["share_at_rim"] == pytest.approx(3 / 100)
    for q in (5, 25, 50, 75, 95):
        assert found[f"radius_q{q:02d}"] == pytest.approx(np.quantile(radius, q / 100), abs=0.03)
    middle = np.sort(radius)[49]
    assert found["distance_q50"] == pytest.approx(2 * np.arctanh(middle) / curvature**0.5, rel=1e-4)


def test_statistics_by_hand():
    mask = draw()
    found = mask_statistics(mask, J)
    weight = mask.weight.view(2, 6, J).double().numpy()
    for number, name in enumerate(("temporal", "spatial")):
        w = weight[:, mask.group.numpy() == number].reshape(2, -1)
        entropy = -(w * np.log(w)).sum(1) / np.log(w.shape[1])
        assert found[f"entropy_{name}"] == pytest.approx(entropy.mean(), rel=1e-5)
        ratio = (w.max(1) / w.min(1)).mean()
        assert found[f"weight_ratio_{name}"] == pytest.approx(ratio, rel=1e-4)


def test_a_random_mask_steers_nothing():
    found = mask_statistics(draw(temporal="random", grouping="none"), J)
    assert found == pytest.approx({"entropy_temporal": 1, "weight_ratio_temporal": 1})


@pytest.mark.parametrize(
    "options", [{"keep": "high"}, {"keep": "low"}, {"grouping": "halves"}, {"tau": 0.2}]
)
def test_frequencies_are_those_of_many_masks(options):
    keep = options.get("keep", MaskOptions().keep)
    mask, draws = draw(**options), 1000
    generator = torch.Generator().manual_seed(1)
    fast = keep_frequency(mask, draws=draws, keep=keep, generator=generator)
    slow = sum(1 - draw(seed, **options).mask for seed in range(draws)) / draws
    assert torch.allclose(fast.sum(1), torch.tensor(float(sum(mask.kept))))
    # Five standard errors of the difference of two frequencies.
    error = (2 * slow * (1 - slow) / draws).sqrt()
    assert ((fast - slow).abs() <= 5 * error + 5 / draws).all()
