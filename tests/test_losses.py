"""The two losses against plain versions, and who takes part in them."""

from __future__ import annotations

import math

import pytest
import torch

from hacm.config import Config, LossOptions
from hacm.losses import (
    contrast_loss,
    cross_contrast,
    reconstruction_loss,
    reconstruction_target,
    target_is_there,
    target_patches,
    target_statistics,
)
from hacm.presets import make_config


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Targets.


def plain_target(joints: torch.Tensor, r: int, target: str, stride: int) -> torch.Tensor:
    """One body's (T, J, 3) -> (P, J, r * 3), value by value."""
    T, J = joints.shape[:2]
    vectors = {}
    for t in range(T):
        for j in range(J):
            now = joints[t, j].tolist()
            if target == "position":
                vector = now
            else:
                later = joints[min(t + stride, T - 1), j].tolist()
                vector = [b - a for a, b in zip(now, later, strict=True)]
            if target == "hyperbolic_motion":
                n = math.sqrt(sum(v * v for v in vector))
                vector = [v * (math.tanh(n) / n if n else 1.0) for v in vector]
            vectors[t, j] = vector
    result = torch.zeros(T // r, J, 3 * r, dtype=torch.float64)
    for p in range(T // r):
        for j in range(J):
            values = [v for t in range(p * r, p * r + r) for v in vectors[t, j]]
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
            for i, v in enumerate(values):
                result[p, j, i] = (v - mean) / math.sqrt(variance + 1e-6)
    return result


def everywhere(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


def options(target: str, r: int, **fields) -> Config:
    return make_config(overrides={"frames": 12, "patch_frames": r, "target": target, **fields})


@pytest.mark.parametrize("stride", [1, 2, 5, 20])
@pytest.mark.parametrize("target", ["hyperbolic_motion", "motion", "position"])
@pytest.mark.parametrize("r", [1, 3, 4])
def test_target_is_the_formula(target: str, r: int, stride: int) -> None:
    x = random(2, 12, 3, 3)
    expected = torch.stack([plain_target(body, r, target, stride) for body in x])
    config = options(target, r, target_stride=stride, target_norm="patch")
    torch.testing.assert_close(reconstruction_target(x, everywhere(x), config)[0], expected)
    single, _ = reconstruction_target(x.float(), everywhere(x), config)
    torch.testing.assert_close(single, expected.float(), atol=1e-4, rtol=1e-4)


def test_targets_of_unit_patches() -> None:
    x = random(2, 12, 3, 3)
    target, _ = reconstruction_target(x, everywhere(x), options("motion", 4, target_norm="patch"))
    torch.testing.assert_close(target.mean(-1), torch.zeros(2, 3, 3).double())
    torch.testing.assert_close(target.std(-1), torch.ones(2, 3, 3).double(), atol=1e-4, rtol=0)


def test_targets_of_unit_bodies_keep_the_proportions() -> None:
    x = random(2, 12, 3, 3)
    target, _ = reconstruction_target(x, everywhere(x), options("motion", 4, target_norm="body"))
    plain = target_patches(x, options("motion", 4))
    for body, values in zip(target, plain, strict=True):
        size = math.sqrt(sum(v * v for v in values.flatten().tolist()) / values.numel())
        torch.testing.assert_close(body, values / size)


def test_the_size_of_a_body_is_that_of_its_frames() -> None:
    """What stands in absent frames does not change the target of the others."""
    x, present = random(1, 12, 3, 3), torch.ones(1, 12, dtype=torch.bool)
    present[0, 8:] = False
    config = options("motion", 4, target_norm="body")
    here, there = reconstruction_target(x, present, config)
    assert there.tolist() == [[True, False, False]]  # the last motion of patch 1 ends in frame 8
    x[0, 8:] = 1e3
    torch.testing.assert_close(reconstruction_target(x, present, config)[0][:, :1], here[:, :1])


@pytest.mark.parametrize("norm", ["patch", "body"])
def test_a_body_that_stands_still_has_a_finite_target(norm: str) -> None:
    x = torch.ones(1, 12, 2, 3)
    for target in ("hyperbolic_motion", "motion", "position"):
        values, _ = reconstruction_target(x, everywhere(x), options(target, 3, target_norm=norm))
        still = torch.ones(1, 4, 2, 9) if (target, norm) == ("position", "body") else 0 * values
        torch.testing.assert_close(values, still)


def test_statistics_bring_a_target_back() -> None:
    patches, there = random(2, 3, 4, 9), torch.ones(2, 3, dtype=torch.bool)
    for norm, shape in (("patch", (2, 3, 4, 1)), ("body", (2, 1, 1, 1))):
        mean, std = target_statistics(patches, there, norm)
        torch.testing.assert_close((patches - mean) / std * std + mean, patches)
        assert mean.shape == std.shape == shape


def test_a_longer_motion_needs_a_later_frame() -> None:
    present = torch.ones(1, 12, dtype=torch.bool)
    present[0, 6] = False
    there = target_is_there(present, options("motion", 3, target_stride=4))
    assert there[0].tolist() == [False, True, False, True]  # frames 2 and 6 lack an end


@pytest.mark.parametrize(
    ("absent", "motion", "position"),
    [
        ([], [1, 1, 1, 1], [1, 1, 1, 1]),
        ([0], [0, 1, 1, 1], [0, 1, 1, 1]),
        ([3], [0, 0, 1, 1], [1, 0, 1, 1]),  # the last step of patch 0 leads into frame 3
        ([4], [1, 0, 1, 1], [1, 0, 1, 1]),
        ([11], [1, 1, 1, 0], [1, 1, 1, 0]),
        (range(6, 12), [1, 0, 0, 0], [1, 1, 0, 0]),
    ],
)
def test_targets_rest_on_frames_that_are_there(absent, motion, position) -> None:
    present = torch.ones(1, 12, dtype=torch.bool)
    present[0, list(absent)] = False
    for target, expected in (
        ("motion", motion),
        ("hyperbolic_motion", motion),
        ("position", position),
    ):
        assert (
            target_is_there(present, options(target, 3, target_stride=1))[0].int().tolist()
            == expected
        )


# Reconstruction.


def test_reconstruction_is_the_mean_over_what_is_there() -> None:
    prediction, target = random(2, 5, 9), random(2, 5, 9, seed=1)
    there = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0]], dtype=torch.bool)
    errors = [
        sum((float(p) - float(t)) ** 2 for p, t in zip(prediction[b, m], target[b, m], strict=True))
        / 9
        for b in range(2)
        for m in range(5)
        if there[b, m]
    ]
    expected = sum(errors) / len(errors)
    assert float(reconstruction_loss(prediction, target, there)) == pytest.approx(expected)


def test_garbage_in_what_is_not_there_changes_nothing() -> None:
    prediction, target = random(2, 5, 9).requires_grad_(), random(2, 5, 9, seed=1)
    there = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0]], dtype=torch.bool)
    clean = reconstruction_loss(prediction, target, there)
    (gradient,) = torch.autograd.grad(clean, prediction)
    target[~there] = 1e12
    dirty = reconstruction_loss(prediction, target, there)
    (again,) = torch.autograd.grad(dirty, prediction)
    assert torch.equal(clean, dirty)
    assert torch.equal(gradient, again)
    assert (gradient[~there] == 0).all()
    assert (gradient[there] != 0).all()


def test_nothing_there_is_0_and_has_a_gradient() -> None:
    prediction = random(2, 5, 9).requires_grad_()
    loss = reconstruction_loss(prediction, random(2, 5, 9), torch.zeros(2, 5, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert prediction.grad is not None
    assert (prediction.grad == 0).all()


# Contrast.

VARIANTS = [
    LossOptions(contrast_loss=kind, contrast_normalize=normalize, contrast_temperature=t)
    for kind in ("mse", "cross_entropy")
    for normalize in (True, False)
    for t in (0.2, 1.0)
]
THERE = torch.tensor([True, True, False, True, False])


def plain_contrast(a, b, there, options: LossOptions) -> float:
    """Bodies that are not there are deleted; then softmax rows against the identity."""
    a, b = ([row.tolist() for row, here in zip(x, there, strict=True) if here] for x in (a, b))

    def unit(row: list[float]) -> list[float]:
        length = math.sqrt(sum(v * v for v in row)) if options.contrast_normalize else 1
        return [v / length for v in row]

    n, total = len(a), 0.0
    for i in range(n):
        logits = [
            sum(x * y for x, y in zip(unit(a[i]), unit(b[k]), strict=True))
            / options.contrast_temperature
            for k in range(n)
        ]
        top = max(logits)
        share = [math.exp(value - top) for value in logits]
        share = [value / sum(share) for value in share]
        if options.contrast_loss == "cross_entropy":
            total -= math.log(share[i]) / n
        else:
            total += sum((share[k] - (i == k)) ** 2 for k in range(n)) / n**2
    return total


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("there", [THERE, torch.ones(5, dtype=torch.bool)])
def test_contrast_is_the_formula(options: LossOptions, there: torch.Tensor) -> None:
    a, b = random(5, 6), random(5, 6, seed=1)
    expected = plain_contrast(a, b, there, options)
    assert float(contrast_loss(a, b, there, options)) == pytest.approx(expected)
    single = contrast_loss(a.float(), b.float(), there, options)
    assert float(single) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_absent_bodies_take_no_part(options: LossOptions) -> None:
    a, b = random(5, 6).requires_grad_(), random(5, 6, seed=1).requires_grad_()
    clean = contrast_loss(a, b, THERE, options)
    gradients = torch.autograd.grad(clean, (a, b))
    for gradient in gradients:
        assert torch.isfinite(gradient).all()
        assert (gradient[~THERE] == 0).all()
        assert (gradient[THERE] != 0).any(1).all()
    with torch.no_grad():
        a[~THERE], b[~THERE] = 1e6, -1e6
    assert torch.equal(clean, contrast_loss(a, b, THERE, options))


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_nobody_there_is_0(options: LossOptions) -> None:
    a, b = random(3, 6).requires_grad_(), random(3, 6, seed=1)
    loss = contrast_loss(a, b, torch.zeros(3, dtype=torch.bool), options)
    assert float(loss.detach()) == 0
    loss.backward()
    assert a.grad is not None
    assert (a.grad == 0).all()


def test_a_perfect_match_costs_nothing_and_a_mix_up_much() -> None:
    features = torch.eye(4).double() * 50
    there = torch.ones(4, dtype=torch.bool)
    for kind in ("mse", "cross_entropy"):
        options = LossOptions(contrast_loss=kind, contrast_normalize=False)
        assert float(contrast_loss(features, features, there, options)) < 1e-8
        assert float(contrast_loss(features, features.roll(1, 0), there, options)) > 0.4


@pytest.mark.parametrize("inter", [True, False])
def test_cross_contrast_adds_the_pairs(inter: bool) -> None:
    even, odd, both = random(3, 5, 6)
    options = LossOptions(inter=inter, contrast_temperature=1.0)
    expected = plain_contrast(even, both, THERE, options)
    expected += plain_contrast(odd, both, THERE, options)
    if inter:
        expected += plain_contrast(odd, even, THERE, options)
    assert float(cross_contrast(even, odd, both, THERE, options)) == pytest.approx(expected)
