"""Widgets where somebody can use them, pictures everywhere else."""

from __future__ import annotations

from collections.abc import Iterable

import plotly.graph_objects as go
from IPython import get_ipython
from IPython.display import Markdown, display
from ipywidgets import DOMWidget


def somebody_is_there() -> bool:
    """Whether the notebook runs in a front end, rather than in a batch (papermill, nbval)."""
    kernel = getattr(get_ipython(), "kernel", None)
    # Front ends let a cell ask its reader for input; batch executors do not.
    return bool(getattr(kernel, "_allow_stdin", False))


def show_live(widget: DOMWidget, stills: Iterable[go.Figure] = ()) -> None:
    """Display a widget, or its pictures where nobody could use it.

    A saved notebook has no kernel behind its widgets: without their state, which takes megabytes,
    only an error message would be left of them.
    """
    if somebody_is_there():
        display(widget)
        return
    display(Markdown("*Open this notebook in JupyterLab and run it: this part is to be used.*"))
    for still in stills:
        display(go.Figure(still))
