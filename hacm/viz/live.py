"""Widgets where somebody can use them, pictures everywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from IPython import get_ipython
from IPython.display import Markdown, display
from ipywidgets import DOMWidget


def somebody_is_there() -> bool:
    """Whether the notebook runs in a front end, rather than in a batch (papermill, nbval)."""
    kernel = getattr(get_ipython(), "kernel", None)
    # Front ends let a cell ask its reader for input; batch executors do not.
    return bool(getattr(kernel, "_allow_stdin", False))


def live_figure(*arguments: Any) -> go.Figure:
    """A figure widget where somebody can use it, else an ordinary figure.

    In a batch the state of a single figure widget would add megabytes to the notebook.
    """
    return (go.FigureWidget if somebody_is_there() else go.Figure)(*arguments)


def restyle(
    figure: go.Figure,
    traces: Sequence[Mapping[str, Any]],
    first: int = 0,
    layout: Mapping[str, Any] | None = None,
) -> None:
    """Give consecutive traces other values of the same properties, in one message.

    A `batch_update` would leave out a value that happens to be the old one, and the browser would
    then unset that property.

    Args:
        figure: a widget or an ordinary figure.
        traces: for each trace the new values; all have the same keys.
        first: number of the first of these traces.
        layout: other values of the layout, by their paths (`shapes[0].x0`).
    """
    values = {name: [_sendable(one[name]) for one in traces] for name in traces[0]}
    figure.plotly_update(values, dict(layout or {}), list(range(first, first + len(traces))))


def _sendable(value: Any) -> Any:
    """The message queue takes no strided arrays."""
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value


def show_live(widget: DOMWidget | go.Figure, stills: Iterable[go.Figure] = ()) -> None:
    """Display a widget, or its pictures where nobody could use it.

    A saved notebook has no kernel behind its widgets: only an error message would be left of them.
    """
    if somebody_is_there():
        display(widget)
        return
    display(Markdown("*Open this notebook in JupyterLab and run it: this part is to be used.*"))
    for still in stills:
        display(go.Figure(still))
