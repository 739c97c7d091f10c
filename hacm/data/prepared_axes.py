"""In which order a prepared array has its axes.

N sequences, M bodies, T frames, V joints, C values a joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from hacm.errors import HacmError
from hacm.skeleton import LAYOUTS, SkeletonLayout

ORDERS = ("NCTVM", "NMTVC", "NTMVC", "NTVC", "NCTV")
MOST_BODIES = 10
FORMS = "(N, T, M*V*3), (N, T, V, C), (N, T, M, V, C) or (N, C, T, V, M)"


@dataclass(frozen=True)
class Axes:
    """The axes of an array.

    Attributes:
        order: one of `ORDERS`, or `NTW`: all bodies' joints of a frame in a row.
        layout: the joints.
        values: C, values a joint.
    """

    order: str
    layout: SkeletonLayout
    values: int

    def sequence(self, row: Shaped[np.ndarray, "*axes"]) -> Shaped[np.ndarray, "M T V C"]:
        """A row of the array as bodies."""
        order = self.order[1:]
        if order == "TW":
            row, order = row.reshape(len(row), -1, self.layout.V, self.values), "TMVC"
        if "M" not in order:
            row, order = row[None], f"M{order}"
        return row.transpose([order.index(axis) for axis in "MTVC"])


def axes_of(shape: tuple[int, ...], layout: SkeletonLayout | None) -> Axes | None:
    """The order that fits an array's shape, or None; x, y and z are likelier than x and y.

    Args:
        shape: of the array.
        layout: the joints; else the built-in ones are tried.

    Raises:
        HacmError: two orders fit.
    """
    layouts = LAYOUTS.values() if layout is None else [layout]
    for candidate in layouts:
        bodies, rest = divmod(shape[-1], candidate.V * 3) if len(shape) == 3 else (0, 1)
        if rest == 0 and 1 <= bodies <= 2:
            return Axes("NTW", candidate, 3)
        for values in (3, 2):
            fitting = [order for order in ORDERS if _fits(order, shape, candidate.V, values)]
            if len(fitting) > 1:
                orders = " and ".join(f"({', '.join(order)})" for order in fitting)
                raise HacmError(f"{shape} could be {orders}; save it as (N, T, M, V, C)")
            if fitting:
                return Axes(fitting[0], candidate, values)
    return None


def _fits(order: str, shape: tuple[int, ...], V: int, values: int) -> bool:
    if len(order) != len(shape):
        return False
    size = dict(zip(order, shape, strict=True))
    bodies = size.get("M", 1)
    few = bodies <= MOST_BODIES and bodies <= max(size["T"], 2)
    return size["V"] == V and size["C"] == values and few
