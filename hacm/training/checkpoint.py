"""Weights on disk: safetensors for encoders, `weights_only` torch files for resuming."""

from __future__ import annotations

import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hacm.config import parse_config
from hacm.errors import HacmError
from hacm.models.encoder import Encoder
from hacm.skeleton import SkeletonLayout

ENCODER, CHECKPOINT = "encoder.safetensors", "checkpoint.pt"


def save_encoder(path: str | Path, encoder: Encoder, config_json: str) -> None:
    """An encoder with its configuration and layout in one safetensors file, atomically."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    weights = {name: tensor.detach().cpu() for name, tensor in encoder.state_dict().items()}
    layout = json.dumps(encoder.layout.to_dict())
    save_file(weights, aside, metadata={"config": config_json, "layout": layout})
    os.replace(aside, path)


def load_encoder(path: str | Path) -> Encoder:
    """An encoder from a run directory or an `encoder.safetensors` file, on the CPU.

    Raises:
        HacmError: the file is missing, damaged, or no encoder of this package.
    """
    path = Path(path)
    file = path / ENCODER if path.is_dir() else path
    if not file.is_file():
        raise HacmError(f"{file} is missing: this run has not finished; run it again to resume it")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        config = parse_config(json.loads(metadata["config"]), str(file))
        layout = SkeletonLayout.from_dict(json.loads(metadata["layout"]))
        encoder = Encoder(layout, config)
        encoder.load_state_dict(weights)
    except (SafetensorError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise HacmError(f"{file} is not an encoder written by hacm: {error}") from error
    return encoder.eval()


def save_checkpoint(run_dir: Path, state: dict[str, Any]) -> None:
    """What resuming needs, atomically."""
    aside = run_dir / f".{CHECKPOINT}.{os.getpid()}"
    torch.save(state, aside)
    os.replace(aside, run_dir / CHECKPOINT)


def load_checkpoint(run_dir: Path) -> dict[str, Any] | None:
    """The last checkpoint of a run, if there is one."""
    file = run_dir / CHECKPOINT
    return load_torch(file) if file.exists() else None


def load_torch(path: str | Path) -> dict[str, Any]:
    """A torch file of tensors and plain containers.

    Raises:
        HacmError: it is missing, damaged, or would need to run code to be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols, on files that are then refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise HacmError(f"{path} does not exist") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise HacmError(
            f"{path} is damaged or holds more than tensors and plain containers; such files can "
            "run code and are not read"
        ) from error
    if not isinstance(content, dict):
        raise HacmError(f"{path}: expected a dictionary, got {type(content).__name__}")
    return content
