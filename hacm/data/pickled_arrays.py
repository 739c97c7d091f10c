"""What a pickle makes arrays with: functions that stand for numpy's and torch's own.

None of them reaches anything outside. An array is made from bytes whose number is checked first.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import warnings
from typing import Any

import numpy as np

_KIND = re.compile(r"[fiu][1248]|b1|[US]\d{1,6}|O8?")
_LAST_CHARACTER = 0x10FFFF


class Array:
    """A numpy array of the pickle; `values` is the real one."""

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray | None = None) -> None:
        self.values = values

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        order = "F" if fortran else "C"
        if isinstance(dtype, Dtype) and dtype.code.startswith("O"):
            self.values = _from_list(data, shape, order)
        else:
            self.values = from_bytes(data, dtype, shape, order)


class Dtype:
    """A type of the pickle's arrays: numbers, text, or the plain objects that it also holds."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _KIND.fullmatch(code):
            raise pickle.UnpicklingError(f"it holds arrays of {str(code)[:20]!r}")
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a numeric type has an unknown byte order")
        self.order = state[1]

    @property
    def real(self) -> np.dtype:
        return np.dtype(self.order + self.code)


def from_bytes(data: Any, dtype: Any, shape: Any, order: Any = "C", axes: Any = None) -> np.ndarray:
    """An array of numbers or text; with `axes`, the transpose by them of an array in C order."""
    data = data.encode("latin-1") if isinstance(data, str) else data  # Python 2 wrote text
    if not (isinstance(dtype, Dtype) and isinstance(data, bytes | bytearray)):
        raise pickle.UnpicklingError("an array is not made of numbers")
    if dtype.code.startswith("O"):
        raise pickle.UnpicklingError("an array of objects is made of bytes")
    _check_shape(shape, order)
    real = dtype.real
    if math.prod(shape) * real.itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {tuple(shape)} has {len(data)} bytes")
    if axes is not None and sorted(axes) != list(range(len(shape))):
        raise pickle.UnpicklingError("an array has no proper order of axes")
    if real.kind == "U":
        characters = np.frombuffer(data, dtype=f"{real.str[0]}u4")
        if (characters > _LAST_CHARACTER).any():
            raise pickle.UnpicklingError("a text holds what is no character")
    array = np.frombuffer(data, dtype=real).reshape(shape, order="C" if order == "K" else order)
    return array if axes is None else array.transpose(axes)


def scalar(dtype: Any, data: Any) -> Any:
    """A numpy number or text as Python's own."""
    return from_bytes(data, dtype, ())[()].item()


def torch_storage(data: Any) -> np.ndarray:
    """The numbers of a tensor's memory.

    They are wrapped in a pickle of torch's, which torch reads with `weights_only`.
    """
    import torch

    if not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError("a tensor is not made of bytes")
    stream = io.BytesIO(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of typed storages, which such files are made of
        storage = torch.load(stream, map_location="cpu", weights_only=True)
        if not isinstance(storage, torch.storage.TypedStorage):
            raise pickle.UnpicklingError("a tensor is not made of numbers")
        flat = torch.empty(0, dtype=storage.dtype).set_(storage.untyped())
    return (flat.float() if flat.dtype == torch.bfloat16 else flat).numpy()


def torch_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
    """A tensor, as the array it looks at."""
    if not isinstance(storage, np.ndarray):
        raise pickle.UnpicklingError("a tensor is not made of numbers")
    _check_shape(size, "C")
    _check_shape(stride, "C")
    count = math.prod(size)
    reach = sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if type(offset) is not int or offset < 0:
        raise pickle.UnpicklingError("a tensor has no proper place")
    if count > len(storage) or (count and offset + reach >= len(storage)):
        raise pickle.UnpicklingError(f"a tensor of shape {tuple(size)} has {len(storage)} numbers")
    if not count:
        return Array(np.zeros(size, storage.dtype))
    steps = [step * storage.itemsize for step in stride]
    return Array(np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy())


def _from_list(data: Any, shape: Any, order: str) -> np.ndarray:
    _check_shape(shape, order)
    if not isinstance(data, list) or math.prod(shape) != len(data):
        raise pickle.UnpicklingError("an array of objects has another number of them")
    array = np.empty(len(data), dtype=object)
    array[:] = data
    return array.reshape(shape, order=order)  # type: ignore[call-overload]


def _check_shape(shape: Any, order: Any) -> None:
    if not all(type(n) is int and n >= 0 for n in shape) or order not in ("C", "F", "K"):
        raise pickle.UnpicklingError("an array has no proper shape")
