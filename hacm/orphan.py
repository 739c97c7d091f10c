"""A notebook's kernel is told when papermill, or whatever started it, is killed.

ipykernel looks for its parent once a second and leaves without a word when it is gone; what was
trained since the last checkpoint would be lost. Linux can send a signal instead; on other systems
nothing changes here.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def signal_on_orphaning(signum: int) -> None:
    """Ask for a signal when this kernel's parent ends; 0 asks for none. Main thread only."""
    if sys.platform == "linux" and _poller() is not None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signum)


def stay_a_while() -> None:
    """Keep ipykernel from leaving at once because its parent is another one now."""
    if (poller := _poller()) is not None:
        poller.parent_pid = os.getppid()


def _poller() -> Any:
    """ipykernel's thread that looks for the parent, in a kernel that has one."""
    if "ipykernel.kernelapp" not in sys.modules:
        return None
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance() if IPKernelApp.initialized() else None
    poller = getattr(app, "poller", None)
    return poller if hasattr(poller, "parent_pid") else None
