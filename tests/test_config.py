"""Configurations and presets: what is published, what is rejected, and in which words."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from hacm.config import Config, parse_config
from hacm.errors import HacmError
from hacm.presets import OBJECTIVES, PRESETS, make_config

LEGAL_COMBINATIONS = [
    *PRESETS,
    "released+tiny",
    "released+small",
    "released+base_t120",
    "base_t120+released",
]


def test_defaults_are_the_published_ones() -> None:
    config = make_config()
    published = {
        **{"frames": 72, "patch_frames": 3, "patches": 24, "width": 256, "depth": 8, "heads": 8},
        **{"mlp_ratio": 4.0, "decoder_depth": 3, "mask_ratio": 0.9},
        **{"root_weight": 0.01, "curvature": 1.0, "grouping": "odd_even", "prune": True},
        **{"lr": 1e-3, "min_lr": 5e-4, "warmup_epochs": 20, "epochs": 400, "batch_size": 64},
        **{"weight_decay": 0.05, "betas": (0.9, 0.95), "rotation": 0.3, "min_crop": 0.5},
        **{"temporal": "attention", "spatial": "hierarchy", "keep": "high"},
    }
    assert {key: getattr(config, key) for key in published} == published
    long = make_config(preset="base_t120")
    assert (long.frames, long.patch_frames, long.decoder_depth, long.batch_size) == (120, 4, 5, 32)


def test_baselines_are_what_their_papers_say() -> None:
    mae, mamp = make_config("mae"), make_config("mamp", "base_t120")
    assert (mae.temporal, mae.target, mae.contrast_weight) == ("random", "position", 0)
    assert (mamp.temporal, mamp.target, mamp.keep, mamp.score_norm) == (
        *("patch_motion", "motion", "low", "max"),
    )
    assert 0.75 <= mamp.tau <= 0.8
    for config in (mae, mamp):
        assert (config.grouping, config.prune, config.space) == ("none", False, "euclidean")
        assert (config.decode_ratio, config.target_norm, config.target_stride) == (1, "patch", 1)


def test_steps_of_steps_are_refused() -> None:
    with pytest.raises(HacmError, match=r"modality = motion .* target = motion .* set target: pos"):
        make_config(overrides={"modality": "motion"})
    with pytest.raises(HacmError, match=r"score_tokens = motion .* set score_tokens: position"):
        make_config(overrides={"modality": "motion", "target": "position"})
    make_config(overrides={"modality": "motion", "target": "position", "score_tokens": "position"})


def test_released_is_unscaled_and_encodes_everyone() -> None:
    config = make_config(preset="released")
    released = {
        **{"encoder_input": "ball", "tangent_norm": "none", "tangent_scale": 1.0},
        **{"attention": "frozen", "score_norm": "max", "target": "hyperbolic_motion"},
        **{"contrast_normalize": False, "contrast_temperature": 1.0, "contrast_loss": "mse"},
        **{"decode_ratio": 1.0, "absent_bodies": "encode", "inter": True},
    }
    assert {key: getattr(config, key) for key in released} == released


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("preset", LEGAL_COMBINATIONS)
def test_every_objective_takes_every_preset(objective: str, preset: str) -> None:
    if objective in ("mamp", "mae") and "released" in preset:  # it contrasts the two groups
        with pytest.raises(HacmError, match=r"contrast_weight = 0\.5 needs two groups"):
            make_config(objective, preset)
        return
    config = make_config(objective, preset)
    assert (config.objective, config.preset) == (objective, preset)
    assert config.patches * config.patch_frames == config.frames


def test_layers_win_in_order() -> None:
    assert make_config(preset="tiny+base_t120").frames == 120
    assert make_config(preset="base_t120+tiny").frames == 48
    assert make_config("mae", overrides={"target": "motion"}).target == "motion"
    assert make_config(epochs=7, overrides={"epochs": 9}).epochs == 9
    assert make_config(preset="tiny", epochs=None).epochs == PRESETS["tiny"]["epochs"]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_json_round_trip(objective: str) -> None:
    config = make_config(objective, "base_t120+tiny", seed=3)
    assert parse_config(json.loads(config.to_json())) == config
    assert config.difference(parse_config(json.loads(config.to_json()))) == ""


def test_difference_names_the_changed_fields() -> None:
    assert (
        make_config().difference(make_config(lr=2e-3, seed=5)) == "lr: 0.001 / 0.002, seed: 0 / 5"
    )


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        make_config().lr = 1.0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"learning_rate": 1}, ["'learning_rate'", "unknown", "min_lr"]),
        ({"mask_ratio": 1.0}, ["mask_ratio", "1.0"]),
        ({"mask_ratio": 0}, ["mask_ratio", "0"]),
        ({"tau": 0}, ["tau"]),
        ({"tau": float("nan")}, ["tau", "nan"]),
        ({"lr": float("inf")}, ["lr", "inf"]),
        ({"curvature": -1}, ["curvature", "-1"]),
        ({"decode_ratio": 0}, ["decode_ratio"]),
        ({"spatial": "hierachy"}, ["spatial", "hierarchy", "hierachy"]),
        ({"grouping": "even_odd"}, ["grouping", "odd_even"]),
        ({"grouping": "none", "contrast_weight": 0.5}, ["contrast_weight = 0.5", "grouping"]),
        ({"frames": 70}, ["frames = 70", "patch_frames = 3"]),
        ({"width": 100}, ["width = 100", "heads = 8"]),
        ({"decoder_width": 100}, ["decoder_width = 100", "decoder_heads = 8"]),
        ({"epochs": 1.5}, ["epochs", "1.5"]),
        ({"seed": None}, ["seed", "None"]),
        ({"betas": [0.9]}, ["betas"]),
        ({"prune": "maybe"}, ["prune", "maybe"]),
    ],
)
def test_bad_values_are_one_sentence(fields, words) -> None:
    with pytest.raises(HacmError) as caught:
        make_config(overrides=fields)
    sentence = str(caught.value)
    assert sentence.startswith("overrides: ")
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_unknown_objective_and_preset_list_the_known_ones() -> None:
    with pytest.raises(HacmError, match=r"'simclr'; known: hacm, mamp"):
        make_config("simclr")
    for preset in ("huge", "tiny+huge", "tiny+", ""):
        with pytest.raises(HacmError, match=r"unknown preset .*; known: tiny, small"):
            make_config(preset=preset)


def test_no_field_has_two_defaults() -> None:
    rooms = Config.__bases__
    for key in Config.model_fields:
        fields = [room.model_fields[key] for room in rooms if key in room.model_fields]
        assert len({repr(field.default) for field in fields}) <= 1, key
