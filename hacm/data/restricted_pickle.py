"""Read a pickle of plain containers and numeric arrays, and nothing else.

A pickle is a program: whoever wrote it chooses what is called. Here it can call a few functions
of this file that stand for numpy's, none of which reaches anything outside; arrays are made from
bytes whose number is checked first.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hacm.errors import HacmError

_NUMBER = re.compile(r"[fiu][1248]|b1")


class Array:
    """A numpy array of the pickle; `values` is the real one."""

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray | None = None) -> None:
        self.values = values

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.values = _from_bytes(data, dtype, shape, "F" if fortran else "C")


def load_plain_pickle(file: str | Path) -> Any:
    """What a pickle holds; its arrays are `Array`, its numpy scalars Python numbers.

    Raises:
        HacmError: the file cannot be read, is damaged, or asks for anything but plain containers
            and numeric arrays.
    """
    try:
        with Path(file).open("rb") as stream:
            _check_places(stream)
            stream.seek(0)
            return _Unpickler(stream).load()
    except OSError as error:
        raise HacmError(f"{file} cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise HacmError(f"{file} needs more memory than there is") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise HacmError(
            f"{file} is no pickle of plain containers and numeric arrays: {str(error)[:150]}"
        ) from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _Callable(_ALLOWED[module.replace("numpy._core", "numpy.core"), name])
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


class _Callable:
    """A function the pickle may call but not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it tries to change a function")


class _Dtype:
    """A numeric type of the pickle."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _NUMBER.fullmatch(code):
            raise pickle.UnpicklingError(f"it holds arrays of {str(code)[:20]!r}")
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a numeric type has an unknown byte order")
        self.order = state[1]

    @property
    def real(self) -> np.dtype:
        return np.dtype(self.order + self.code)


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    if not (isinstance(dtype, _Dtype) and isinstance(data, bytes | bytearray)):
        raise pickle.UnpicklingError("an array is not made of numbers")
    if not all(type(n) is int and n >= 0 for n in shape) or order not in ("C", "F"):
        raise pickle.UnpicklingError("an array has no proper shape")
    if math.prod(shape) * dtype.real.itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {tuple(shape)} has {len(data)} bytes")
    return np.frombuffer(data, dtype=dtype.real).reshape(shape, order=order)


def _scalar(dtype: Any, data: Any) -> Any:
    return _from_bytes(data, dtype, ())[()].item()


def _no_bytes() -> bytes:
    return b""


def _latin1(text: Any, encoding: Any) -> bytes:
    # Protocols 0 to 2 know no bytes and write them as text.
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it asks for an unknown encoding")
    return text.encode("latin-1")


def _no_call(*args: Any) -> Any:
    raise pickle.UnpicklingError("it calls numpy.ndarray")


_ALLOWED: dict[tuple[str, str], Callable] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _no_call,
    ("numpy.core.multiarray", "_reconstruct"): lambda kind, shape, code: Array(),
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): lambda *args: Array(_from_bytes(*args)),
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): dict,
}


def _check_places(stream: Any) -> None:
    # The unpickler reserves memory up to the highest place it is told to store something at.
    for done, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if "PUT" in opcode.name and int(argument or 0) > done:
            raise pickle.UnpicklingError("it stores values at places it cannot need")
