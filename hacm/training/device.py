"""Where and how precisely to compute."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from hacm.errors import HacmError
from hacm.models.blocks import Block


def choose_device(name: str = "auto") -> torch.device:
    """`auto`: CUDA, else Apple's MPS, else the CPU.

    Raises:
        HacmError: the device asked for is not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()  # `meta` has no values
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:
        raise HacmError(f"device {name!r} is not available here; use auto or cpu") from error
    return device


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """bfloat16 where it is asked for; float32 otherwise."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


@contextlib.contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """TF32 matrix products on CUDA, for training alone; afterwards the precision is as before."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def compile_blocks(model: nn.Module, device: torch.device) -> None:
    """Compile the transformer blocks where they stand; all else stays as it is.

    All blocks of one width share a graph, and a graph serves any number of bodies and tokens. Where
    torch.compile does not work (no compiler, an unknown system) a warning says so and nothing
    changes.
    """
    try:
        torch.compile(torch.sin)(torch.zeros(2, device=device))
    except Exception as error:  # backends fail in many ways
        first_line = str(error).strip().split("\n")[0]
        warnings.warn(
            f"compile: true has no effect, torch.compile does not work here: {first_line}",
            stacklevel=2,
        )
        return
    for module in model.modules():
        if isinstance(module, Block):
            module.compile(dynamic=True)
