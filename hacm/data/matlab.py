"""One array of a MATLAB file: up to version 7.2 with scipy, from 7.3 on (HDF5) with h5py."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from hacm.data.files import LARGEST
from hacm.errors import HacmError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MATLAB_HEADER = 512  # bytes that MATLAB writes before the HDF5 file


def read_array(data: bytes, key: str, file: str) -> np.ndarray | None:
    """The array called `key`, with its axes in MATLAB's order; None if there is none.

    Args:
        data: what the file holds.
        key: the variable's name.
        file: for messages.

    Raises:
        HacmError: it is no MATLAB file, or one of 7.3 and h5py is not installed.
    """
    is_hdf5 = any(data[at : at + len(_HDF5)] == _HDF5 for at in (0, _MATLAB_HEADER))
    try:
        array = _from_hdf5(data, key, file) if is_hdf5 else _from_matlab_5(data, key)
    except HacmError:
        raise
    except Exception as error:  # both libraries raise a dozen kinds on damaged files
        raise HacmError(f"{file} cannot be read as a MATLAB file: {error}") from error
    return array if isinstance(array, np.ndarray) else None


def _from_matlab_5(data: bytes, key: str) -> Any:
    from scipy.io import loadmat

    return loadmat(io.BytesIO(data), variable_names=[key]).get(key)


def _from_hdf5(data: bytes, key: str, file: str) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise HacmError(
            f"{file} is a MATLAB 7.3 file, for which h5py is needed: pip install 'hacm[matlab]', "
            "or save it in MATLAB with '-v7'"
        ) from error
    with h5py.File(io.BytesIO(data), "r") as opened:
        # Links and external or virtual data would have other files opened.
        if not isinstance(opened.get(key, getlink=True), h5py.HardLink):
            return None
        found = opened[key]
        if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
            return None
        if math.prod(found.shape or ()) * found.dtype.itemsize > LARGEST:
            raise HacmError(f"{file}: {key!r} of shape {found.shape} is larger than any skeleton")
        return np.asarray(found[()]).T  # MATLAB stores the last axis first
