"""What a file is that is not what its name says."""

from __future__ import annotations

from pathlib import Path

_BEGINNINGS = {
    b"version https://git-lfs": (
        "it is a git-lfs pointer, not the data; fetch them with `git lfs pull` in its repository, "
        "or download the file itself"
    ),
    b"<!doctype": "it is a web page, not the data; download the file itself",
    b"<html": "it is a web page, not the data; download the file itself",
    b"<?xml": "it is an XML text, not the data; download the file itself",
    b"\x93numpy": "it is a single array (.npy); save the named arrays with np.savez",
    b"pk\x03\x04": "it is a zip, .npz or .pth file; unpack it, or name the reader that fits it",
    b"\x1f\x8b": "it is compressed with gzip; unpack it with gunzip first",
    b"\x89hdf": "it is an HDF5 file; save the arrays anew in the form that is expected",
    b"matlab 5.0": "it is a MATLAB file; save the arrays anew in the form that is expected",
    b"\x80": "it is a pickle; save the named arrays with np.savez, or try `hacm prepare pyskl`",
}


def what_else(file: Path) -> str:
    """What the file is by its beginning, and what to do; empty where that says nothing."""
    try:
        with file.open("rb") as stream:
            head = stream.read(32)
    except OSError:
        return ""
    if not head:
        return "it is empty; download or save it again"
    if not head.strip(b"\0"):
        return "it begins with nothing but zeros: an unfinished download? get it again"
    begins = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    return next((said for known, said in _BEGINNINGS.items() if begins.startswith(known)), "")
