"""Named starting points: objectives (what is learned) and presets (how large, how published).

`make_config` layers them: the field defaults, then the objective, then each preset, then overrides.
Presets can be joined with `+`, the later ones win: `released+small`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hacm.config import Config, parse_config
from hacm.errors import HacmError

_PUBLISHED_TARGET = {"target_norm": "patch", "target_stride": 1, "decode": "uniform"}

_AS_MAMP_RELEASED = {  # MAMP's code, which holds its MAE as well
    **_PUBLISHED_TARGET,
    **{"prune": False, "space": "euclidean", "encoder_input": "tangent", "contrast_weight": 0.0},
    **{"grouping": "none", "rounded_count": True, "decode_ratio": 1.0, "absent_bodies": "encode"},
}

OBJECTIVES: dict[str, dict[str, Any]] = {
    "hacm": {},
    "mamp": {
        **_AS_MAMP_RELEASED,
        **{"temporal": "patch_motion", "spatial": "patch_motion", "keep": "low"},
        **{"tau": 0.8, "score_norm": "max", "target": "motion"},
    },
    "mae": {**_AS_MAMP_RELEASED, "temporal": "random", "spatial": "random", "target": "position"},
    "none": {},
    "supervised": {"lr": 3e-4, "min_lr": 1e-5},
}
"""`hacm`: this kit's method, after the paper's idea. `mamp`: Masked Motion Predictors (ICCV 2023),
`mae`: random masks and positions, both as MAMP's released code computes them. `none`: the untrained
encoder of `hacm`. `supervised`: the encoder trained with labels only."""

_TWO_CORES = {
    **{"frames": 48, "patch_frames": 4, "depth": 3, "heads": 4},
    **{"decoder_depth": 1, "decoder_heads": 4, "batch_size": 32},
    **{"lr": 3e-4, "min_lr": 1.5e-4, "warmup_epochs": 3},
}

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {**_TWO_CORES, "width": 64, "decoder_width": 64, "epochs": 60},
    "small": {**_TWO_CORES, "width": 128, "decoder_width": 128, "epochs": 70},
    "base": {},
    # NTU-120 cross-setup and NTU-60 cross-view, as in the published configuration files.
    "base_t120": {"frames": 120, "patch_frames": 4, "decoder_depth": 5, "batch_size": 32},
    # What the authors' release computes once it runs, in the right token order.
    "released": {
        **{"encoder_input": "ball", "tangent_norm": "none", "tangent_scale": 1.0},
        **{"score_tokens": "position", "attention": "frozen", "score_norm": "max"},
        **{"tau": 0.9, "target": "hyperbolic_motion"},
        **_PUBLISHED_TARGET,
        **{"contrast_weight": 0.5, "contrast_loss": "mse", "contrast_temperature": 1.0},
        **{"contrast_normalize": False, "decode_ratio": 1.0, "absent_bodies": "encode"},
    },
}


def make_config(
    objective: str = "hacm",
    preset: str = "base",
    overrides: Mapping[str, Any] | None = None,
    **values: Any,
) -> Config:
    """A complete configuration.

    Args:
        objective: a key of `OBJECTIVES`.
        preset: a key of `PRESETS`, or several joined with `+`.
        overrides: single fields by name, as in a parameter file; they win over everything.
        values: fields that come from parameters of their own (epochs, seed, ...); None means
            unset.

    Raises:
        HacmError: unknown objective, preset or key, or a value out of range.
    """
    if objective not in OBJECTIVES:
        raise HacmError(f"unknown objective {objective!r}; known: {', '.join(OBJECTIVES)}")
    fields: dict[str, Any] = {**OBJECTIVES[objective], "objective": objective, "preset": preset}
    for name in preset.split("+"):
        if name not in PRESETS:
            raise HacmError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
        fields |= PRESETS[name]
    if overrides is not None and not isinstance(overrides, Mapping):
        raise HacmError(
            f"overrides: expected a mapping of keys to values, got {overrides!r}; put them into a "
            "YAML file and pass it with -f"
        )
    fields |= {key: value for key, value in values.items() if value is not None}
    return parse_config({**fields, **(overrides or {})}, "overrides")
