"""Weights on disk: safetensors for encoders, `weights_only` torch files for resuming.

A torch file is a zip archive, which carries a CRC-32 of each of its parts: damage is found by it.
"""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hacm.config import differences, parse_config
from hacm.errors import HacmError
from hacm.files import saying, write_with
from hacm.models.encoder import Encoder
from hacm.skeleton import SkeletonLayout

ENCODER, CHECKPOINT, PREVIOUS = "encoder.safetensors", "checkpoint.pt", "checkpoint.previous.pt"


def save_encoder(path: str | Path, encoder: Encoder, config_json: str) -> None:
    """An encoder with its configuration and layout in one safetensors file, atomically.

    Raises:
        HacmError: a weight is not finite, or the file cannot be written.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in encoder.state_dict().items()}
    check_finite(weights, f"{path} is not written: the encoder")
    layout = json.dumps(encoder.layout.to_dict())
    content = save(weights, metadata={"config": config_json, "layout": layout})
    write_with(path, lambda file: file.write(content))


def load_encoder(path: str | Path) -> Encoder:
    """An encoder from a run directory or an `encoder.safetensors` file, on the CPU.

    Raises:
        HacmError: the file is missing, damaged, or no encoder of this package, or a weight in it is
            not finite.
    """
    path = Path(path)
    with saying(path, "read"):
        file = path / ENCODER if path.is_dir() else path
        there = file.is_file()
    if not there:
        raise HacmError(f"{file} is missing: this run has not finished; run it again to resume it")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        config = parse_config(json.loads(metadata["config"]), str(file))
        layout = SkeletonLayout.from_dict(json.loads(metadata["layout"]))
        encoder = Encoder(layout, config)
        encoder.load_state_dict(weights)
    except HacmError:
        raise
    except (SafetensorError, KeyError, RuntimeError, ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise HacmError(f"{file} is not an encoder written by hacm: {reason}") from error
    check_finite(encoder.state_dict(), str(file))
    return encoder.eval()


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights that a training has driven to infinity.

    Raises:
        HacmError: one holds NaN or infinity.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise HacmError(
                f"{where} has weights that are not finite ({name}): its training diverged; train "
                "it again with a lower lr"
            )


def save_checkpoint(folder: Path, state: dict[str, Any], of: Mapping[str, Any]) -> None:
    """What resuming needs, atomically; the checkpoint before it is kept.

    Args:
        folder: where it goes.
        state: `epoch`, the number of whole epochs, and state dicts of modules and optimisers.
        of: which training it is of, as plain values by name.

    Raises:
        HacmError: a number is not finite, or the file cannot be written.
    """
    check_finite(_tensors(state), f"{folder / CHECKPOINT} is not written: epoch {state['epoch']}")
    content = io.BytesIO()
    torch.save({"of": json.dumps(of), **state}, content)
    write_with(
        folder / CHECKPOINT,
        lambda file: file.write(content.getbuffer()),
        previous=folder / PREVIOUS,
    )


def load_checkpoint(folder: Path, of: Mapping[str, Any]) -> dict[str, Any] | None:
    """The last checkpoint of a training, if there is one; with a warning, the one before it.

    Args:
        folder: where it is.
        of: which training it must be of (see `save_checkpoint`).

    Raises:
        HacmError: it is of another training, or no checkpoint there is whole.
    """
    damage = None
    for file in (folder / CHECKPOINT, folder / PREVIOUS):
        if not file.exists():
            continue
        try:
            state = _read_checkpoint(file)
        except HacmError as error:
            damage = damage or error
            continue
        if changed := differences(dict(of), json.loads(state.pop("of"))):
            raise HacmError(
                f"{file} is of another training ({changed}; asked for / there): remove it to train "
                "from the start, or use another directory"
            )
        if damage is not None:
            warnings.warn(
                f"{damage}; resuming from {PREVIOUS}, epoch {state['epoch']}", stacklevel=2
            )
        return state
    if damage is not None:
        raise HacmError(f"{damage}; remove it to train from the start") from damage
    return None


def _read_checkpoint(file: Path) -> dict[str, Any]:
    """A whole checkpoint.

    Raises:
        HacmError: it is damaged or lacks something.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
        raise HacmError(f"{file} is damaged: {error}") from None
    if broken is not None:
        raise HacmError(f"{file} is damaged: the checksum of its part {broken} is wrong")
    state = load_torch(file)
    of, epoch = state.get("of"), state.get("epoch")
    try:
        known = isinstance(of, str) and isinstance(json.loads(of), dict)
    except ValueError:
        known = False
    if not known or not isinstance(epoch, int) or epoch < 0:
        raise HacmError(f"{file} does not say which training and epoch it is of")
    check_finite(_tensors(state), str(file))
    return state


def _tensors(content: Any, name: str = "") -> dict[str, Tensor]:
    """All tensors in nested containers, by where they are."""
    if isinstance(content, Tensor):
        return {name: content}
    if isinstance(content, list | tuple):
        content = dict(enumerate(content))
    found: dict[str, Tensor] = {}
    for key, value in content.items() if isinstance(content, dict) else ():
        found |= _tensors(value, f"{name}.{key}" if name else str(key))
    return found


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
    except (
        *(pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError),
        *(TypeError, AttributeError, IndexError, AssertionError),  # of pickles that make no sense
    ) as error:
        raise HacmError(
            f"{path} is damaged or holds more than tensors and plain containers; such files can "
            "run code and are not read"
        ) from error
    if not isinstance(content, dict):
        raise HacmError(f"{path}: expected a dictionary, got {type(content).__name__}")
    return content
