"""One step of pretraining: its losses from the formulas, its gradients, its pictures."""

from __future__ import annotations

import math

import pytest
import torch

from hacm.config import Config, LossOptions
from hacm.errors import HacmError
from hacm.masking.cross_mask import Mask
from hacm.masking.tokens import take_tokens
from hacm.models import pretrainer as module
from hacm.models.pretrainer import Pretrainer, choose_decoded
from hacm.presets import make_config

SIZES = {
    **{"frames": 24, "patch_frames": 3, "width": 16, "depth": 2, "heads": 4, "mask_ratio": 0.7},
    **{"decoder_width": 12, "decoder_heads": 3, "decoder_depth": 1},
}
CONFIGS = {
    "hacm": make_config("hacm", overrides=SIZES),
    "contrast": make_config("hacm", overrides={**SIZES, "contrast_weight": 0.3, "inter": False}),
    "mamp": make_config("mamp", overrides=SIZES),
    "mae": make_config("mae", overrides=SIZES),
    "released": make_config("hacm", "released", overrides=SIZES),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def make(stick, config: Config) -> Pretrainer:
    torch.manual_seed(0)
    pretrainer = Pretrainer(stick, config)
    for parameter in pretrainer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return pretrainer


def batch(stick, B: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Body 1 vanishes for a while, body 2 is not there at all."""
    x = torch.randn(B, 24, stick.V, 3, generator=torch.Generator().manual_seed(1)) * 0.3
    present = torch.ones(B, 24, dtype=torch.bool)
    present[1:2, 7:12] = False
    present[2:3] = False
    return x * present[..., None, None], present


def noise(pretrainer: Pretrainer, B: int = 3, seed: int = 0):
    return pretrainer.draw_noise(B, torch.Generator().manual_seed(seed))


# The losses.


def plain_targets(
    x: torch.Tensor, present: torch.Tensor, config: Config
) -> dict[tuple[int, int], torch.Tensor]:
    """Targets of one body (T, J, 3) by patch and joint, where all frames they need are there."""
    last, r = len(x) - 1, config.patch_frames
    targets = {}
    for p in range(len(x) // r):
        for j in range(x.shape[1]):
            values, needed = [], []
            for t in range(p * r, p * r + r):
                value, needed = x[t, j].double(), [*needed, t]
                if config.target != "position":
                    later = min(t + config.target_stride, last)
                    value, needed = x[later, j].double() - value, [*needed, later]
                if config.target == "hyperbolic_motion":
                    n = float(value.norm())
                    value = value * (math.tanh(n) / n if n else 1)
                values.append(value)
            if present[needed].all():
                targets[p, j] = torch.cat(values)
    if config.target_norm == "patch":
        return {
            key: (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            for key, patch in targets.items()
        }
    size = torch.cat(list(targets.values())).square().mean().sqrt() if targets else 1
    return {key: patch / size for key, patch in targets.items()}


@every_config
@torch.no_grad()
def test_losses_are_the_formulas(stick, config: Config) -> None:
    pretrainer = make(stick, config)
    x, present = batch(stick)
    drawn = noise(pretrainer)
    losses = pretrainer(x, present, drawn)
    mask = losses.mask
    if config.absent_bodies == "encode":
        present = torch.ones_like(present)

    joints = pretrainer.encoder.joints
    J = len(joints)
    errors, features, queries = [], {}, 0
    for b in range(3):  # one body at a time, with nothing but the tokens it has
        there = present[b].view(8, 3).all(1)
        shown = (mask.mask[b] == 0).nonzero()[:, 0]
        assert there[shown // J].all()
        assert len(shown) or not there.any()
        if not len(shown):
            continue
        targets = plain_targets(x[b][:, joints], present[b], config)
        ids = asked_for(mask, drawn.decode, config, b, [p * J + j for p, j in targets])
        tokens = pretrainer.encoder.block_input(pretrainer.encoder.embed(x[b : b + 1])).flatten(
            1, 2
        )
        features[b] = pretrainer.encoder.encode(tokens[:, shown])
        prediction = pretrainer.decoder(features[b], shown[None], torch.tensor([ids]))[0]
        for m, token in enumerate(ids):
            target = targets[divmod(token, J)]
            errors.append(float((prediction[m] - target).square().mean()))
        features[b] = {parity: features[b][0, shown // J % 2 == parity] for parity in (0, 1)}
        queries += len(ids)
    assert queries > 0
    assert float(losses.reconstruction) == pytest.approx(sum(errors) / len(errors), rel=1e-4)

    contrast = 0.0
    if config.contrast_weight > 0:
        here = list(features)
        means = {
            "even": torch.stack([features[b][0].mean(0) for b in here]),
            "odd": torch.stack([features[b][1].mean(0) for b in here]),
            "all": torch.stack([torch.cat(list(features[b].values())).mean(0) for b in here]),
        }
        pairs = [("even", "all"), ("odd", "all"), *([("odd", "even")] if config.inter else [])]
        for one, other in pairs:
            a, b = means[one].double(), means[other].double()
            if config.contrast_normalize:
                a, b = (z / z.norm(dim=1, keepdim=True) for z in (a, b))
            share = (a @ b.T / config.contrast_temperature).softmax(1)
            if config.contrast_loss == "mse":
                contrast += float((share - torch.eye(len(here))).square().mean())
            else:
                contrast -= float(share.diagonal().log().mean())
    assert float(losses.contrast) == pytest.approx(contrast, rel=1e-4, abs=1e-12)
    alpha = config.contrast_weight
    total = alpha * contrast + (1 - alpha) * sum(errors) / len(errors)
    assert float(losses.total) == pytest.approx(total, rel=1e-4)


def asked_for(
    mask: Mask, uniform: torch.Tensor, config: Config, b: int, known: list[int]
) -> list[int]:
    """The masked tokens of body b that are decoded: Gumbel-max over those with a target."""
    slots = [*mask.ids_masked[b].tolist(), *mask.ids_keep[b].tolist()]
    noise = dict(zip(slots, uniform[b].double().tolist(), strict=True))
    candidates = [token for token in known if mask.mask[b, token] == 1]
    count = len(candidates)
    if config.decode_ratio < 1:
        count = max(1, math.floor(config.decode_ratio * count))

    def key(token: int) -> float:
        weight = float(mask.log_weight[b, token]) if config.decode == "score" else 0.0
        return weight - math.log(-math.log(noise[token]))

    return sorted(candidates, key=key, reverse=True)[:count]


@torch.no_grad()
def test_hidden_frames_reach_no_loss(stick) -> None:
    """Garbage in patches that are masked and not there changes nothing (random masks)."""
    overrides = {**SIZES, "absent_bodies": "skip"}
    pretrainer = make(stick, make_config("mae", overrides=overrides))
    x, present = batch(stick, 1)
    present[0, 6:9] = False  # patch 2
    drawn = noise(pretrainer, 1)
    before = pretrainer(x, present, drawn)
    hidden = before.mask.mask[0].view(8, 6)[2] > 0
    assert hidden.any()
    x[0, 6:9, hidden] = 1e4
    after = pretrainer(x, present, drawn)
    assert float(after.total) == float(before.total)
    present[0, 6:9] = True
    assert float(pretrainer(x, present, drawn).total) != float(before.total)


@every_config
def test_the_same_noise_gives_the_same_step(stick, config: Config) -> None:
    pretrainer = make(stick, config)
    x, present = batch(stick)
    first = pretrainer(x, present, noise(pretrainer))
    again = pretrainer(x, present, noise(pretrainer))
    assert torch.equal(first.total, again.total)
    other = pretrainer(x, present, noise(pretrainer, seed=1))
    assert not torch.equal(first.mask.ids_keep, other.mask.ids_keep)


# Gradients.


def gradients(pretrainer: Pretrainer, total: torch.Tensor) -> dict[str, torch.Tensor | None]:
    names, parameters = zip(*pretrainer.named_parameters(), strict=True)
    learned = [p for p in parameters if p.requires_grad]
    found = iter(torch.autograd.grad(total, learned, allow_unused=True))
    return {
        n: next(found) if p.requires_grad else None for n, p in zip(names, parameters, strict=True)
    }


@pytest.mark.parametrize(
    "overrides",
    [
        {"attention": "encoder"},
        {"attention": "frozen"},
        {"attention": "encoder", "temporal": "hierarchy", "spatial": "attention"},
        {"encoder_input": "ball", "learn_tangent_scale": True},
        {"encoder_input": "ball", "tangent_norm": "none", "contrast_weight": 0.5},
    ],
    ids=str,
)
def test_no_gradient_through_the_scores(stick, monkeypatch, overrides) -> None:
    """Gradients are those of a step whose mask was computed beforehand, to the last bit."""
    pretrainer = make(stick, make_config(overrides={**SIZES, **overrides}))
    x, present = batch(stick)
    losses = pretrainer(x, present, noise(pretrainer))
    expected = gradients(pretrainer, losses.total)
    monkeypatch.setattr(module, "cross_mask", lambda *_: losses.mask)
    monkeypatch.setattr(pretrainer.encoder, "mask_inputs", lambda *_, **__: None)
    fixed = pretrainer(x, present, noise(pretrainer))
    found = gradients(pretrainer, fixed.total)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        if gradient is None:
            assert found[name] is None, name
        else:
            assert torch.equal(gradient, found[name]), name


@every_config
def test_every_parameter_learns_but_the_frozen_maps(stick, config: Config) -> None:
    pretrainer = make(stick, config)
    x, present = batch(stick)
    for name, gradient in gradients(
        pretrainer, pretrainer(x, present, noise(pretrainer)).total
    ).items():
        if name.startswith("frozen_query_key"):
            assert gradient is None
        else:
            assert gradient is not None, name
            assert torch.isfinite(gradient).all(), name
            assert gradient.abs().sum() > 0, name


def test_frozen_maps_travel_with_the_weights(stick) -> None:
    frozen = make(stick, CONFIGS["released"])
    assert not any(p.requires_grad for p in frozen.frozen_query_key.parameters())
    assert {name for name in frozen.state_dict() if name.startswith("frozen")} == {
        "frozen_query_key.weight",
        "frozen_query_key.bias",
    }
    assert not any(n.startswith("frozen") for n in make(stick, CONFIGS["hacm"]).state_dict())


# Which masked tokens are decoded.


@torch.no_grad()
def test_decoded_tokens_are_a_random_part_of_the_masked(stick) -> None:
    pretrainer = make(stick, CONFIGS["hacm"])
    x, _ = batch(stick)
    mask = pretrainer(x, None, noise(pretrainer)).mask
    B, M = mask.ids_masked.shape
    everything = LossOptions(decode_ratio=1)
    ids, asked = choose_decoded(mask, torch.rand(B, 32), everything)
    assert torch.equal(ids, mask.ids_masked)
    assert asked is None
    for ratio in (0.25, 0.5, 1e-6):
        ids, _ = choose_decoded(mask, torch.rand(B, 32), LossOptions(decode_ratio=ratio))
        assert ids.shape == (B, max(1, math.floor(ratio * M)))
        for b in range(B):
            assert set(ids[b].tolist()) <= set(mask.ids_masked[b].tolist())
            assert len(set(ids[b].tolist())) == ids.shape[1]
    uniform = LossOptions(decode_ratio=0.25, decode="uniform")
    drawn = how_often(mask, uniform)[mask.ids_masked[0]]
    expected = 1500 * math.floor(0.25 * M) / M
    assert (abs(drawn - expected) < 5 * math.sqrt(expected)).all()


def how_often(mask: Mask, options: LossOptions) -> torch.Tensor:
    """How often each token of the first body is decoded in 1,500 draws."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(32)
    for _ in range(1500):
        drawn = torch.rand(len(mask.ids_masked), 32, generator=generator)
        counts[choose_decoded(mask, drawn, options)[0][0]] += 1
    return counts


@torch.no_grad()
def test_guided_decoding_draws_with_the_weights_of_the_criteria(stick) -> None:
    sharp = make_config(overrides={**SIZES, "tau": 0.5})
    pretrainer = make(stick, sharp)
    x, present = batch(stick)
    mask = pretrainer(x, present, noise(pretrainer)).mask
    # One token at a time is drawn exactly in proportion to the weights.
    counts = how_often(mask, LossOptions(decode_ratio=1e-6, decode="score"))
    weight = mask.weight[0] * mask.mask[0]
    expected = 1500 * weight / weight.sum()
    assert (abs(counts - expected) <= 5 * expected.sqrt() + 1).all()
    assert counts.max() > 3 * 1500 / mask.ids_masked.shape[1]  # far from all alike


# Pictures.


def perfect(pretrainer: Pretrainer, x: torch.Tensor):
    """A decoder that knows the answer to every masked token."""
    config = pretrainer.config
    joints = x[:, :, pretrainer.encoder.joints]
    grid, _ = module.reconstruction_target(joints, torch.ones(x.shape[:2]) > 0, config)
    return lambda visible, ids_keep, ids, there=None: take_tokens(grid.flatten(1, 2), ids)


@pytest.mark.parametrize(
    ("target", "tolerance"), [("position", 1e-5), ("motion", 1e-5), ("hyperbolic_motion", 2e-3)]
)
def test_a_perfect_decoder_gives_the_truth_back(stick, monkeypatch, target, tolerance) -> None:
    pretrainer = make(stick, make_config(overrides={**SIZES, "target": target, "target_stride": 1}))
    x = torch.randn(2, 24, stick.V, 3, generator=torch.Generator().manual_seed(1)).cumsum(1) * 0.05
    monkeypatch.setattr(pretrainer.decoder, "forward", perfect(pretrainer, x))
    picture, mask = pretrainer.reconstruct(x, noise(pretrainer, 2))
    assert picture.shape == (2, 24, 4, 3)
    torch.testing.assert_close(picture, x[:, :, [1, 3, 4, 5]], atol=tolerance, rtol=0)
    assert mask.mask.sum() > 0


def test_a_longer_motion_is_walked_frame_by_frame(stick, monkeypatch) -> None:
    """At a steady pace a frame's share of the motion is the frame's motion."""
    pretrainer = make(stick, make_config(overrides={**SIZES, "target_stride": 5}))
    pace = torch.randn(2, 1, stick.V, 3, generator=torch.Generator().manual_seed(1))
    x = 0.05 * pace * torch.arange(24)[None, :, None, None]
    monkeypatch.setattr(pretrainer.decoder, "forward", perfect(pretrainer, x))
    picture, _ = pretrainer.reconstruct(x, noise(pretrainer, 2))
    torch.testing.assert_close(picture, x[:, :, [1, 3, 4, 5]], atol=1e-5, rtol=0)


def test_visible_patches_are_shown_as_they_are(stick) -> None:
    for config in CONFIGS.values():
        pretrainer = make(stick, config)
        x, _ = batch(stick)
        picture, mask = pretrainer.reconstruct(x, noise(pretrainer))
        joints = x[:, :, pretrainer.encoder.joints]
        visible = (mask.mask == 0).view(3, 8, -1).repeat_interleave(3, dim=1)
        assert torch.equal(picture[visible], joints[visible])
        assert (picture[~visible] != joints[~visible]).any()


def test_reconstruct_draws_the_mask_of_the_step(stick) -> None:
    pretrainer = make(stick, CONFIGS["hacm"])
    x, present = batch(stick)
    step = pretrainer(x, present, noise(pretrainer)).mask
    _, shown = pretrainer.reconstruct(x, noise(pretrainer), present)
    assert torch.equal(step.ids_keep, shown.ids_keep)


def test_too_much_masking_is_a_sentence(stick) -> None:
    pretrainer = make(stick, make_config(overrides={**SIZES, "mask_ratio": 0.99}))
    x, present = batch(stick)
    with pytest.raises(HacmError, match=r"mask_ratio = 0\.99 leaves none of a group's 16 tokens"):
        pretrainer(x, present, noise(pretrainer))
