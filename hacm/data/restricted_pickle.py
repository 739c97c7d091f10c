"""Read a pickle of plain containers, numpy arrays and torch tensors, and nothing else.

A pickle is a program: whoever wrote it chooses what is called. Here it can call the few functions
of `pickled_arrays.py`, which stand for numpy's and torch's, and those that make empty or plain
containers.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from hacm.data.lookalike import what_else
from hacm.data.pickled_arrays import (
    Array,
    Dtype,
    from_bytes,
    scalar,
    torch_storage,
    torch_tensor,
)
from hacm.errors import HacmError

__all__ = ["Array", "load_plain_pickle", "plain"]

_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


def load_plain_pickle(file: str | Path) -> Any:
    """What a pickle holds; its arrays and tensors are `Array`, its numpy scalars Python's own.

    The file may be compressed by gzip, bz2 or xz.

    Raises:
        HacmError: the file cannot be read, is damaged, or asks for anything but plain containers,
            arrays and tensors.
    """
    file = Path(file)
    try:
        with _opened(file) as stream:
            _check_places(stream)
            stream.seek(0)
            return _Unpickler(stream, encoding="latin-1").load()
    except OSError as error:
        raise HacmError(f"{file} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise HacmError(f"{file} needs more memory than there is") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        what = "is no pickle of plain containers and numeric arrays"
        reason = what_else(file)
        if not reason or reason.startswith("it is a pickle"):
            reason = _one_line(error)
        raise HacmError(f"{file} {what}: {reason}") from error


def plain(value: Any) -> Any:
    """The numpy array in an `Array`; anything else as it is."""
    return value.values if isinstance(value, Array) else value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _opened(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        head = stream.read(8)
    opener = next((o for magic, o in _COMPRESSED.items() if head.startswith(magic)), open)
    return opener(file, "rb")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        try:
            return _Callable(_ALLOWED[module, name])
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}; write it anew with numpy arrays, lists and dicts"
            ) from None


class _Callable:
    """A function the pickle may call but not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it tries to change a function")


def _no_bytes() -> bytes:
    return b""


def _latin1(text: Any, encoding: Any) -> bytes:
    # Protocols 0 to 2 know no bytes and write them as text.
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it asks for an unknown encoding")
    return text.encode("latin-1")


def _no_call(*args: Any) -> Any:
    raise pickle.UnpicklingError("it calls numpy.ndarray")


def _container(kind: type) -> Callable:
    # Of a list alone: anything else might be a way to make much out of little.
    def make(items: Any = ()) -> Any:
        if not isinstance(items, list | tuple):
            raise pickle.UnpicklingError(f"it makes a {kind.__name__} of something else")
        return kind(items)

    return make


def _default_dict(*_: Any) -> dict:
    return {}  # what it makes of a missing key is the writer's business


def _never_called(*_: Any) -> Any:
    raise pickle.UnpicklingError("it calls what only a defaultdict should")


_ALLOWED: dict[tuple[str, str], Callable] = {
    ("numpy", "dtype"): Dtype,
    ("numpy", "ndarray"): _no_call,
    ("numpy.core.multiarray", "_reconstruct"): lambda kind, shape, code: Array(),
    ("numpy.core.multiarray", "scalar"): scalar,
    ("numpy.core.numeric", "_frombuffer"): lambda *args: Array(from_bytes(*args)),
    ("torch._utils", "_rebuild_tensor"): torch_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch_tensor,
    ("torch.storage", "_load_from_bytes"): torch_storage,
    ("_codecs", "encode"): _latin1,
    ("builtins", "bytes"): _no_bytes,
    ("builtins", "list"): _container(list),
    ("builtins", "dict"): _container(dict),
    ("builtins", "set"): _container(set),
    ("builtins", "frozenset"): _container(frozenset),
    ("builtins", "tuple"): _container(tuple),
    **{("builtins", name): _never_called for name in ("int", "long", "float", "str")},
    ("collections", "OrderedDict"): _container(dict),
    ("collections", "defaultdict"): _default_dict,
}


def _check_places(stream: Any) -> None:
    # The unpickler reserves memory up to the highest place it is told to store something at.
    for done, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if "PUT" in opcode.name and int(argument or 0) > done:
            raise pickle.UnpicklingError("it stores values at places it cannot need")
