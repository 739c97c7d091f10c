"""Measuring side by side: who is measured takes turns, so that what else runs meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

Step = Callable[[], object]


def in_turns(steps: Mapping[str, Step], rounds: int, warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of each step in each round; every round begins with another step.

    Args:
        steps: what to measure, by name.
        rounds: how often each is measured.
        warmup: unmeasured calls before.
    """
    names = list(steps)
    for name in names:
        for _ in range(warmup):
            steps[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            began = time.perf_counter()
            steps[name]()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def times_faster(seconds: Mapping[str, list[float]], than: str) -> dict[str, dict[str, float]]:
    """Ratio to the step `than`, round by round."""
    return {
        name: spread([a / b for a, b in zip(seconds[than], values, strict=True)])
        for name, values in seconds.items()
    }


def matrix_product(size: int = 1536, dtype: torch.dtype = torch.float32) -> tuple[Step, int]:
    """A product that runs as fast as this machine can multiply, and its operations."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    out = torch.empty(size, size, dtype=dtype)
    return lambda: torch.mm(a, b, out=out), 2 * size**3


class _Counter(TorchDispatchMode):
    """Adds up the operations of matrix products and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        kind = function._overloadpacket
        if kind is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
            self.operations += sdpa_flop_count(*(x.shape for x in args[:3]))
        elif kind is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward:
            self.operations += 2 * sdpa_flop_count(*(x.shape for x in args[1:4]))
        elif kind in flop_registry:
            self.operations += flop_registry[kind](*args, **(kwargs or {}), out_val=result)
        return result


def count_operations(step: Step) -> int:
    """Floating-point operations of the step's matrix products, attention included.

    Elementwise operations are not counted. Attention's backward pass counts as two forward passes,
    whether it recomputes its weights or not: what the method needs, not what a kernel spends.
    """
    with _Counter() as counter:
        step()
    return counter.operations


def table(rows: list[dict[str, object]]) -> str:
    """Rows of equal keys as text."""
    head = list(rows[0])
    cells = [head] + [
        [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()]
        for row in rows
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    return "\n".join(lines)
