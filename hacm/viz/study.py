"""One clip under one set of masking options: what the notebook and the Mask Lab show."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hacm.config import Config, ModelOptions, parse_config
from hacm.errors import HacmError
from hacm.masking.criteria import MaskInputs, Score, group_score
from hacm.masking.cross_mask import Mask
from hacm.masking.diagnostics import keep_frequency, mask_statistics
from hacm.masking.draw import draw_mask
from hacm.masking.tokens import tokens_to_grid
from hacm.models.encoder import Encoder
from hacm.models.pretrainer import frozen_projections
from hacm.randomness import stream

CRITERIA: dict[str, tuple[str, str]] = {
    "hierarchy+attention": ("attention", "hierarchy"),
    "hierarchy": ("hierarchy", "hierarchy"),
    "attention": ("attention", "attention"),
    "motion": ("motion", "motion"),
    "random": ("random", "random"),
}
"""Name -> criterion of the temporal and of the spatial group."""


def mask_config(options: ModelOptions, criterion: str, **values: Any) -> Config:
    """A configuration of the same model with other masking options.

    Args:
        options: usually the encoder's (`encoder.options`).
        criterion: a key of `CRITERIA`.
        values: any other fields.

    Raises:
        HacmError: unknown criterion or field, or a value out of range.
    """
    if criterion not in CRITERIA:
        raise HacmError(f"unknown criterion {criterion!r}; known: {', '.join(CRITERIA)}")
    temporal, spatial = CRITERIA[criterion]
    fields = {**options.model_dump(), "temporal": temporal, "spatial": spatial, **values}
    # No loss is computed here, so `grouping = none` need not go without the contrast.
    fields["contrast_weight"] = 0.0
    return parse_config(fields, "masking options")


@torch.no_grad()
def seen_by(
    encoder: Encoder,
    x: Float[Tensor, "B T V 3"],
    config: Config,
    present: Bool[Tensor, "B T"] | None = None,
) -> MaskInputs:
    """What criteria look at, through this encoder's weights but with `config`'s ball and attention.

    A learned tangent scale gives way to `config.tangent_scale`; random projections (`attention =
    frozen`) are those of the encoder's own run.

    Args:
        encoder: whose weights.
        x: coordinates of all joints.
        config: the options.
        present: frames in which the bodies are there; None: all.
    """
    viewer = copy.copy(encoder)  # shares the weights
    viewer._parameters = {**encoder._parameters, "tangent_scale": None}
    viewer.options = config
    frozen = None
    if config.attention == "frozen":
        own = encoder.options
        frozen = frozen_projections(config.width, own.seed if isinstance(own, Config) else 0)
    return viewer.mask_inputs(x, projections=frozen, present=present)


def compared_tokens(
    encoder: Encoder, x: Float[Tensor, "B T V 3"], score_tokens: str
) -> Float[Tensor, "B P J D"]:
    """The tangent vectors that the hierarchy compares, before scale and ball."""
    as_they_come = {"space": "euclidean", "tangent_norm": "none", "tangent_scale": 1.0}
    config = mask_config(encoder.options, "random", score_tokens=score_tokens, **as_they_come)
    return seen_by(encoder, x, config).tokens


@dataclass(frozen=True)
class Study:
    """A clip's mask and how it came about, for all bodies.

    Attributes:
        inputs: what the criteria looked at.
        mask: one draw.
        statistics: entropy of the weights and their largest ratio (`mask_statistics`).
        joints: which of the layout's joints are tokens.
        keep, draws, generator: of the many masks behind `frequency`.
    """

    inputs: MaskInputs
    mask: Mask
    statistics: dict[str, float]
    joints: tuple[int, ...]
    keep: str
    draws: int
    generator: torch.Generator

    @cached_property
    def frequency(self) -> Float[Tensor, "B L"]:
        """How often each token stays visible; drawn when first asked for, to let pictures begin."""
        return keep_frequency(self.mask, draws=self.draws, keep=self.keep, generator=self.generator)

    def grid(self, tokens: Float[Tensor, "B L"]) -> Float[np.ndarray, "B P J"]:
        """One value a token as (patch, joint) maps, for pictures; a copy."""
        return tokens_to_grid(tokens, len(self.joints)).numpy().copy()

    @property
    def hidden(self) -> Float[np.ndarray, "B P J"]:
        """1 where a token is masked."""
        return self.grid(self.mask.mask)

    @property
    def score(self) -> Float[np.ndarray, "B P J"]:
        """What the criteria said; the two groups have units of their own."""
        return self.grid(self.mask.score)

    @property
    def preference(self) -> Float[np.ndarray, "B P J"]:
        """Sampling weight over uniform, within each group: 1 is no preference, 0 is not there."""
        weight, there = self.grid(self.mask.weight), self.there
        for patches in self._groups():
            weight[:, patches] *= there[:, patches].sum((1, 2), keepdims=True)
        return weight

    @property
    def standard_score(self) -> Float[np.ndarray, "B P J"]:
        """Scores with mean 0 and deviation 1 in each body's group; 0 if all alike, or not there."""
        score, there = self.score, self.there
        for patches in self._groups():
            known = there[:, patches]
            count = np.maximum(known.sum((1, 2), keepdims=True), 1)
            part = np.where(known, score[:, patches], 0)
            centred = np.where(known, part - part.sum((1, 2), keepdims=True) / count, 0)
            spread = np.sqrt((centred**2).sum((1, 2), keepdims=True) / count)
            score[:, patches] = np.where(spread > 0, centred / np.maximum(spread, 1e-12), 0)
        return score

    @property
    def there(self) -> Bool[np.ndarray, "B P J"]:
        """Tokens of patches in which the body is there."""
        return self.grid(self.mask.log_weight) > -np.inf

    def _groups(self) -> list[Bool[np.ndarray, "P"]]:
        group = self.mask.group.numpy()
        return [group == number for number in np.unique(group)]

    @property
    def group(self) -> Int[np.ndarray, "P J"]:
        """0 temporal, 1 spatial."""
        return self.mask.group[:, None].expand(-1, len(self.joints)).numpy()


def study(
    inputs: MaskInputs,
    joints: Sequence[int],
    config: Config,
    *,
    seed: int = 0,
    draws: int = 500,
    criteria: Sequence[str | Score] | None = None,
) -> Study:
    """Draw a mask.

    Args:
        inputs: from `seen_by`, `Encoder.mask_inputs` or `build_inputs`.
        joints: which of the layout's joints are tokens.
        config: the options.
        seed: of the draws.
        draws: for the frequencies, if they are asked for.
        criteria: functions instead of `config`'s criteria, as in `cross_mask`.
    """
    generator = stream("cpu", "draw_masks", seed)
    mask = draw_mask(inputs, config, generator, criteria)
    statistics = mask_statistics(mask, inputs.tokens.shape[2])
    return Study(inputs, mask, statistics, tuple(joints), config.keep, draws, generator)


def group_scores(inputs: MaskInputs, config: Config) -> dict[str, Float[np.ndarray, "B P J"]]:
    """The two scores of the paper for all patches; without a virtual root only the attention."""
    names = ["attention"] if inputs.root is None else ["hierarchy", "attention"]
    return {name: group_score(name, inputs, config).numpy() for name in names}


def compare_options(
    encoder: Encoder,
    x: Float[Tensor, "B T V 3"],
    config: Config,
    trials: Mapping[str, Sequence[Any]],
    seed: int = 0,
    present: Bool[Tensor, "B T"] | None = None,
) -> list[dict[str, Any]]:
    """What single options do to the mask, all else equal.

    Args:
        encoder: through whose weights the criteria look.
        x: the clip.
        config: the starting point.
        trials: values to try by field name.
        seed: the same draws for all.
        present: frames in which the bodies are there; None: all.

    Returns:
        One row a value: `option`, `value`, the keys of `mask_statistics`, and `moved`: share of the
        visible tokens that are not visible at the starting point with the same noise.
    """
    start = study(seen_by(encoder, x, config, present), encoder.joints, config, seed=seed)
    rows = []
    for option, values in trials.items():
        for value in values:
            changed = parse_config({**config.model_dump(), option: value}, "masking options")
            inputs = seen_by(encoder, x, changed, present)
            other = study(inputs, encoder.joints, changed, seed=seed)
            visible = other.mask.mask == 0
            moved = float((start.mask.mask[visible] == 1).float().mean())
            rows.append({"option": option, "value": value, **other.statistics, "moved": moved})
    return rows
