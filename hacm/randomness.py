"""Random streams with names: no purpose shares its draws with another.

A stream is keyed, not carried along: resuming at an epoch needs no saved generator state.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np
import torch


def stream_seed(name: str, *key: int) -> int:
    """A 63-bit seed for a purpose and numbers such as (seed, epoch), from their SHA-256.

    Args:
        name: the purpose, such as `pretrain/mask`; every call site has its own.
        key: what distinguishes streams of the same purpose.
    """
    text = "/".join([name, *(str(int(part)) for part in key)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(device: torch.device | str, name: str, *key: int) -> torch.Generator:
    """The random stream of a purpose and a key (see `stream_seed`) on a device."""
    return torch.Generator(device).manual_seed(stream_seed(name, *key))


def numpy_stream(name: str, *key: int) -> np.random.Generator:
    """The same for numpy."""
    return np.random.default_rng(stream_seed(name, *key))


@contextlib.contextmanager
def seeded(name: str, *key: int, device: torch.device | None = None) -> Iterator[None]:
    """Within it, torch's global generators draw from a stream; afterwards they are as before.

    For what draws from them by itself: the start of weights, dropout.

    Args:
        name, key: as for `stream_seed`.
        device: a CUDA device whose generator counts too.
    """
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(stream_seed(name, *key))
        yield
