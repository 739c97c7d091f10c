"""Weights from the authors' checkpoints, HA-CM's and MAMP's, into this package's networks.

The order of computation is theirs: prune, patch embed, add embeddings, exp_0 (HA-CM only), blocks,
norm. Both encode an absent body as zeros and average over two bodies.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hacm.config import Config
from hacm.errors import HacmError
from hacm.models.classifier import Classifier, FinetuneHead, LinearHead
from hacm.models.encoder import Encoder
from hacm.presets import make_config
from hacm.skeleton import KINECT_V2, SkeletonLayout
from hacm.training.checkpoint import check_finite, load_torch

_PUBLISHED_HEADS = 8

_BLOCK = re.compile(r"blocks\.\d+\.")
# Their names of a block's parts, and ours.
_RENAMED = {"mlp.fc1": "mlp.0", "mlp.fc2": "mlp.2"}


def import_released(
    path: str | Path, *, layout: SkeletonLayout = KINECT_V2, heads: int | None = None
) -> Encoder:
    """The encoder of an authors' checkpoint.

    Args:
        path: a torch file with a dict of weights under `model`.
        layout: the joints the network was trained on.
        heads: attention heads; weights do not tell. Default: `num_heads` of the file's `config`,
            else 8 as published.

    Returns:
        An encoder in evaluation mode: (B, T, V, 3) with every joint of the layout, absent bodies as
        zeros, to tokens (B, L, D), time-major.

    Raises:
        HacmError: not such a checkpoint, or one that needs more than tensors to be read.
    """
    content = load_torch(path)
    return _encoder(content, Path(path), layout, heads)


def import_released_classifier(
    path: str | Path, *, layout: SkeletonLayout = KINECT_V2, heads: int | None = None
) -> Classifier:
    """Encoder and head of an authors' linear-probe or fine-tuning checkpoint.

    Takes and raises what `import_released` does; also HacmError if the file has no head.
    """
    content = load_torch(path)
    encoder = _encoder(content, Path(path), layout, heads)
    weights = _weights(content, Path(path))
    head: LinearHead | FinetuneHead
    if "head.fc2.weight" in weights:
        classes, _ = _shape(weights, "head.fc2.weight", "C H", Path(path))
        head = FinetuneHead(encoder.options.width, encoder.J, classes)
        names = {key: f"head.{key}" for key in head.state_dict()}
    elif "head.fc.1.weight" in weights:
        classes, _ = _shape(weights, "head.fc.1.weight", "C D", Path(path))
        head = LinearHead(encoder.options.width, classes)
        names = {
            key: f"head.fc.{'01'['linear' in key]}.{key.split('.')[1]}" for key in head.state_dict()
        }
    elif "head.fc.weight" in weights:
        classes, _ = _shape(weights, "head.fc.weight", "C D", Path(path))
        head = LinearHead(encoder.options.width, classes, norm=False)
        names = {key: f"head.fc.{key.split('.')[1]}" for key in head.state_dict()}
    else:
        raise HacmError(f"{path} holds an encoder but no classification head")
    _load(head, {ours: weights.get(theirs) for ours, theirs in names.items()}, Path(path))
    return Classifier(encoder, head).eval()


def _weights(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors by name of a checkpoint that looks like one of theirs."""
    weights = content.get("model")
    if not isinstance(weights, dict) or "joints_embed.proj.weight" not in weights:
        raise HacmError(
            f"{path} is no HA-CM or MAMP checkpoint: expected a dict with key 'model' that holds "
            "'joints_embed.proj.weight'"
        )
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise HacmError(
                f"{path}: expected tensors by name under 'model', found {type(tensor).__name__} "
                f"under {name!r}"
            )
    return weights


def _encoder(
    content: dict[str, Any], path: Path, layout: SkeletonLayout, heads: int | None
) -> Encoder:
    weights = _weights(content, path)
    config = _config(weights, content.get("config"), path, layout, heads)
    encoder = Encoder(layout, config)
    _load(encoder, {name: _released_tensor(weights, name) for name in encoder.state_dict()}, path)
    return encoder.eval()


def _config(
    weights: dict[str, Tensor], config: Any, path: Path, layout: SkeletonLayout, heads: int | None
) -> Config:
    """Sizes from the weights' shapes; HA-CM prunes to the layout's limbs, MAMP keeps all joints."""
    shapes = {
        name: _shape(weights, name, axes, path)
        for name, axes in {
            "joints_embed.proj.weight": "D 3 r 1",
            "temp_embed": "1 P 1 D",
            "pos_embed": "1 1 J D",
            "blocks.0.mlp.fc1.weight": "H D",
        }.items()
    }
    width, _, r, _ = shapes["joints_embed.proj.weight"]
    joints, patches = shapes["pos_embed"][2], shapes["temp_embed"][1]
    if joints not in (layout.V, len(layout.kept)):
        raise HacmError(
            f"{path} has embeddings of {joints} joints; layout {layout.name!r} has {layout.V}, or "
            f"{len(layout.kept)} without its trunk: pass the layout it was trained on"
        )
    if heads is None:
        heads = config.get("num_heads") if isinstance(config, dict) else None
    prune = joints != layout.V
    blocks = {int(name.split(".")[1]) for name in weights if _BLOCK.match(name)}
    if blocks != set(range(len(blocks))):
        missing = next(i for i in range(len(blocks)) if i not in blocks)
        raise HacmError(f"{path} has blocks up to number {max(blocks)}, but not number {missing}")
    return make_config(
        "hacm" if prune else "mamp",
        "base+released",
        {
            "frames": patches * r,
            "patch_frames": r,
            "width": width,
            "heads": heads or _PUBLISHED_HEADS,
            "depth": len(blocks),
            "mlp_ratio": shapes["blocks.0.mlp.fc1.weight"][0] / width,
            "encoder_input": "ball" if prune else "tangent",
            "decoder_heads": 1,
            "contrast_weight": 0.0,
        },
    )


def _shape(weights: dict[str, Tensor], name: str, axes: str, path: Path) -> tuple[int, ...]:
    """A tensor's shape, which must have the axes; those named by a number have that size."""
    wanted = axes.split()
    shape = tuple(weights[name].shape) if name in weights else ()
    fits = len(shape) == len(wanted) and 0 not in shape
    if not fits or any(a.isdigit() and int(a) != n for a, n in zip(wanted, shape, strict=True)):
        found = f"shape {shape}" if name in weights else "nothing"
        raise HacmError(f"{path}: expected {name} of shape ({', '.join(wanted)}), found {found}")
    return shape


def _released_tensor(weights: dict[str, Tensor], name: str) -> Tensor | None:
    """Their tensor for one of our parameters."""
    if name == "patch_embed.weight":  # their convolution is (D, 3, r, 1), our patches are (r, 3)
        return weights["joints_embed.proj.weight"].squeeze(-1).transpose(1, 2).flatten(1)
    if name == "patch_embed.bias":
        return weights.get("joints_embed.proj.bias")
    if name == "joint_embed":
        return weights.get("pos_embed")
    if name == "time_embed":
        return weights.get("temp_embed")
    for theirs, ours in _RENAMED.items():
        name = name.replace(ours, theirs)
    return weights.get(name)


def _load(module: torch.nn.Module, tensors: dict[str, Tensor | None], path: Path) -> None:
    for name, tensor in tensors.items():
        expected = module.state_dict()[name].shape
        if tensor is None or tensor.shape != expected:
            found = "nothing" if tensor is None else f"shape {tuple(tensor.shape)}"
            raise HacmError(f"{path}: expected {name} of shape {tuple(expected)}, found {found}")
    module.load_state_dict(tensors)
    check_finite(module.state_dict(), str(path))
