"""What a notebook needs to be run with parameters: checked values, and a figure that grows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hacm.errors import HacmError

_PLAIN = (str, int, float, bool, list, dict, tuple, type(None))


PARAMETERS: dict[str, type] = {
    **dict.fromkeys(("data", "run_dir", "layout", "results", "reference"), str),
    **dict.fromkeys(("objective", "preset", "protocol", "split", "criterion", "device"), str),
    **dict.fromkeys(("seed", "epochs", "batch_size", "views", "sequence", "sequences"), int),
    **dict.fromkeys(("mask_ratio", "tau"), float),
    **{"compare": bool, "streams": list, "overrides": dict},
}
"""The parameters of all notebooks, and of what kind they are."""

_KINDS = {
    **{str: "text", int: "a whole number", float: "a number", bool: "true or false"},
    **{list: "a list such as [a, b]", dict: "a mapping such as {tau: 0.5}"},
}


def check_parameters(namespace: Mapping[str, Any], known: str) -> None:
    """Refuse parameters that the notebook does not have, and values of another kind.

    papermill only logs unknown parameters and goes on; a misspelt one would silently do nothing,
    and a text such as `maybe` for true or false would silently mean true. Call this in the first
    cell after the parameters, with `globals()`.

    Args:
        namespace: the notebook's global names.
        known: the parameters' names, separated by spaces; all are in `PARAMETERS`.

    Raises:
        HacmError: a plain value was set under another name, or a parameter is of another kind.
    """
    kernel = {"In", "Out", "exit", "quit"}
    for name, value in namespace.items():
        if name.startswith("_") or name in kernel or not isinstance(value, _PLAIN):
            continue
        if name not in known.split():
            raise HacmError(
                f"unknown parameter {name!r}; this notebook has: {', '.join(known.split())}"
            )
        if not _is(value, PARAMETERS[name]):
            raise HacmError(f"parameter {name}: expected {_KINDS[PARAMETERS[name]]}, got {value!r}")


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of a kind; true and false are no numbers, whole numbers are numbers."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def run_directory(run_dir: str) -> Path:
    """The directory asked for, or a fresh temporary one for a notebook opened without any."""
    return Path(run_dir) if run_dir else Path(tempfile.mkdtemp(prefix="hacm-")) / "run"


class LiveFigure:
    """A Plotly figure that is replaced in place while a loop runs, also under papermill.

    Plotly's own display ignores display ids and would add a figure at every update.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, figure: Any) -> None:
        """Show the figure, in place of the one before."""
        from IPython.display import display
        from plotly.io import to_json

        content = {"application/vnd.plotly.v1+json": json.loads(to_json(figure))}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
