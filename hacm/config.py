"""Every choice of an experiment, typed, frozen and flat: an ablation is one changed value.

The option classes group the fields by the room that reads them; `Config` is all of them together,
so a function that needs the mask's options takes a `Config` as well. Names follow the paper and
`notebooks/02_cross_masking.ipynb` shows what they do.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hacm.errors import HacmError

Criterion = Literal["hierarchy", "attention", "motion", "patch_motion", "random"]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataOptions(_Options):
    """Which sequences, and what a network sees of them (paper IV-A)."""

    split: str = "xsub"
    """A split of the store, or `COLUMN:odd`, `COLUMN:1,2,3` (the values that train)."""
    modality: Literal["joint", "bone", "motion"] = "joint"
    frames: int = Field(72, ge=2)
    """T: frames a sequence is resized to."""
    rotation: float = Field(0.3, ge=0)
    """Random rotation about each axis, uniform within +- this angle, radians."""
    min_crop: float = Field(0.5, gt=0, le=1)
    """A random crop keeps at least this share of the frames (and at least 64 of them)."""


class ModelOptions(_Options):
    """Encoder and decoder (paper III, figure 2)."""

    frames: int = Field(72, ge=2)
    patch_frames: int = Field(3, ge=1)
    """r: frames of one joint that become one token."""
    prune: bool = True
    """Spatial pruning: drop the layout's trunk joints; together they are the virtual root."""
    width: int = Field(256, ge=1)
    depth: int = Field(8, ge=1)
    heads: int = Field(8, ge=1)
    mlp_ratio: float = Field(4.0, gt=0)
    decoder_width: int = Field(256, ge=1)
    decoder_depth: int = Field(3, ge=1)
    decoder_heads: int = Field(8, ge=1)
    space: Literal["hyperbolic", "euclidean"] = "hyperbolic"
    """Where joints are compared, and what `encoder_input = ball` maps to."""
    score_tokens: Literal["motion", "position"] = "motion"
    """What the hierarchy (and `attention = tokens`) compares: the pooled motion of a patch, so that
    a joint is far out when it moves unlike the others, or the encoder's tokens (as released)."""
    attention: Literal["tokens", "encoder", "frozen"] = "tokens"
    """Queries and keys: the compared tokens themselves, the encoder's first block, or random
    projections of its tokens that never learn (as released)."""
    encoder_input: Literal["ball", "tangent"] = "tangent"
    curvature: float = Field(1.0, gt=0)
    tangent_norm: Literal["none", "mean"] = "mean"
    """`mean`: divide a body's tokens by their mean norm before `tangent_scale`, so that the scale
    is the mean norm; `none`: tokens as they come (the released behaviour)."""
    tangent_scale: float = Field(0.7, gt=0)
    """Factor before exp_0. Large values crowd all tokens at the rim of the ball."""
    learn_tangent_scale: bool = False
    """The factor is a parameter; it has a gradient only with `encoder_input = ball`."""
    absent_bodies: Literal["skip", "encode"] = "skip"
    """`encode`: feed absent second bodies as zeros and average over them, as released."""

    @property
    def patches(self) -> int:
        """P: patches along time."""
        return self.frames // self.patch_frames

    @model_validator(mode="after")
    def _divisible(self) -> ModelOptions:
        for whole, part in (
            ("frames", "patch_frames"),
            ("width", "heads"),
            ("decoder_width", "decoder_heads"),
        ):
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"{whole} = {getattr(self, whole)} is not a multiple of "
                    f"{part} = {getattr(self, part)}"
                )
        return self


class MaskOptions(_Options):
    """Cross masking (paper III-C; the baselines' masks are values of the same options)."""

    temporal: Criterion = "attention"
    """Score of the temporal group (even patches)."""
    spatial: Criterion = "hierarchy"
    """Score of the spatial group (odd patches)."""
    grouping: Literal["odd_even", "halves", "random", "none"] = "odd_even"
    """How patches are split; `none`: one group, scored by `temporal` alone."""
    mask_ratio: float = Field(0.9, gt=0, lt=1)
    rounded_count: bool = False
    """Count visible tokens in floating point, where 1 - 0.9 is a little less than 0.1: 74 of 750
    and not 75 (released code of MAMP and MAE)."""
    tau: float = Field(1.0, gt=0)
    """Temperature of the sampling weights: small is sharp. (Published: 0.9 with `score_norm = max`,
    which is far softer than 1 with `zscore`.)"""
    score_norm: Literal["max", "zscore"] = "zscore"
    keep: Literal["high", "low"] = "high"
    """Which end of the score tends to stay visible."""
    root_weight: float = Field(0.01, ge=0)
    """lambda: the virtual root's share in the hierarchy score."""


class LossOptions(_Options):
    """Reconstruction and cross-contrast (paper III-D)."""

    target: Literal["hyperbolic_motion", "motion", "position"] = "motion"
    target_stride: int = Field(4, ge=1)
    """Frames between the two positions of a motion (published: 1); the longer, the less of it is
    jitter."""
    target_norm: Literal["patch", "body"] = "body"
    """Targets of zero mean and unit variance in every patch (as published), or of unit size over a
    body's clip: then joints at rest, whose motion is noise, hardly count."""
    decode_ratio: float = Field(0.25, gt=0, le=1)
    """Share of the masked tokens that are decoded (`decode` says which); 1 is the exact method."""
    decode: Literal["uniform", "score"] = "score"
    """Draw them all alike, or with the weights of the criteria: what stands out is predicted more
    often."""
    contrast_weight: float = Field(0.0, ge=0, le=1)
    """alpha: loss = alpha * contrast + (1 - alpha) * reconstruction. The released code adds them
    unweighted, which AdamW cannot tell from 0.5."""
    contrast_loss: Literal["mse", "cross_entropy"] = "cross_entropy"
    contrast_temperature: float = Field(0.2, gt=0)
    contrast_normalize: bool = True
    inter: bool = True
    """Also contrast the odd group with the even group."""


class TrainOptions(_Options):
    """Optimisation (AdamW, cosine with warm-up)."""

    epochs: int = Field(400, ge=0)
    batch_size: int = Field(64, ge=2)
    """Sequences a step."""
    lr: float = Field(1e-3, gt=0)
    min_lr: float = Field(5e-4, ge=0)
    warmup_epochs: float = Field(20, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    """torch.compile the transformer blocks in pretraining: worth trying on a GPU; on a CPU it gains
    nothing and takes minutes to start."""
    checkpoint_every: int = Field(10, ge=1)
    """Epochs between checkpoints."""
    checkpoint_minutes: float = Field(10.0, gt=0)
    """A checkpoint is also written at an epoch's end when the last one is this old."""
    seed: int = Field(0, ge=0)


class Config(DataOptions, ModelOptions, MaskOptions, LossOptions, TrainOptions):
    """One experiment's complete configuration; see `hacm.presets.make_config`."""

    objective: Literal["hacm", "mamp", "mae", "none", "supervised"] = "hacm"
    preset: str = "base"

    @model_validator(mode="after")
    def _no_motion_of_motion(self) -> Config:
        if self.modality != "motion":
            return self
        for field, wanted in (("target", "position"), ("score_tokens", "position")):
            if getattr(self, field) != wanted:
                raise ValueError(
                    f"modality = motion shows the network steps already, so {field} = "
                    f"{getattr(self, field)} would be steps of steps: set {field}: {wanted}"
                )
        return self

    @model_validator(mode="after")
    def _two_groups_to_contrast(self) -> Config:
        if self.grouping == "none" and self.contrast_weight > 0:
            raise ValueError(
                f"contrast_weight = {self.contrast_weight} needs two groups of patches, but "
                "grouping = none"
            )
        return self

    def difference(self, other: Config) -> str:
        """Which fields differ, as `key: here / there`; empty if none."""
        return differences(self.identity(), other.identity())

    def identity(self) -> dict[str, Any]:
        """What the run's numbers depend on: all fields but those of keeping checkpoints."""
        return self.model_dump(mode="json", exclude=_FREE)

    def to_json(self) -> str:
        """JSON text; `parse_config` reads it back."""
        return json.dumps(self.model_dump(mode="json"), indent=1)


class ProbeOptions(_Options):
    """The linear probe on frozen features, as published but for `views`."""

    epochs: int = Field(100, ge=1)
    views: int = Field(5, ge=0)
    """Augmented views of the training sequences; as many as epochs is the published protocol, fewer
    save time, 0 trains on the central crop."""
    batch_size: int = Field(128, ge=2)
    lr: float = Field(0.1, gt=0)
    seed: int = Field(0, ge=0)


class FinetuneOptions(_Options):
    """Training with labels (fine-tuning, semi-supervised, transfer), as published."""

    epochs: int = Field(100, ge=0)
    batch_size: int = Field(48, ge=2)
    """Sequences a step."""
    lr: float = Field(3e-4, gt=0)
    min_lr: float = Field(1e-5, ge=0)
    warmup_epochs: float = Field(5, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    layer_decay: float = Field(0.8, gt=0, le=1)
    """Each layer of a pretrained encoder learns this much slower than the one above it; an encoder
    that starts from scratch learns at one rate."""
    drop_path: float = Field(0.3, ge=0, lt=1)
    """Stochastic depth of the last block."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Of the tokens the head receives."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    draw: Literal["published", "balanced"] = "published"
    """How `semi_1` and `semi_10` draw their share: int(N * share) of the N training sequences
    whatever their class, or that share of every class, at least one (more than 1 % of a small
    set)."""
    seed: int = Field(0, ge=0)


_FREE = {"checkpoint_every", "checkpoint_minutes"}
"""Fields of `Config` that change no number that comes out."""

OptionsType = TypeVar("OptionsType", bound=BaseModel)


def differences(here: dict[str, Any], there: dict[str, Any]) -> str:
    """What differs between two sets of plain values, as `key: here / there`; empty if nothing."""
    return ", ".join(
        f"{key}: {here.get(key)} / {there.get(key)}"
        for key in here | there
        if here.get(key) != there.get(key)
    )


def parse_config(fields: dict[str, Any], where: str = "configuration") -> Config:
    """A validated configuration; see `parse_options`."""
    return parse_options(Config, fields, where)


def parse_options(kind: type[OptionsType], fields: dict[str, Any], where: str) -> OptionsType:
    """Validated options.

    Args:
        kind: which options.
        fields: values by field name.
        where: what the fields come from, for the error message.

    Raises:
        HacmError: an unknown key or a value out of range; one sentence that names the first.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(kind.model_fields))
            raise HacmError(f"{where}: unknown key {key!r}; known keys: {known}") from None
        reason = str(first["msg"]).removeprefix("Value error, ")
        given = f", got {first['input']!r}" if key and first["type"] != "missing" else ""
        raise HacmError(f"{where}: {key + ': ' if key else ''}{reason}{given}") from None
