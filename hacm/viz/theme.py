"""What all figures share: colours, playback controls and export.

Backgrounds are transparent and text is a middle grey, so the same figure is readable in light and
dark JupyterLab.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from hacm.errors import HacmError

LEFT, RIGHT, MIDDLE, TRUNK = "#3a8fd0", "#e07b1a", "#b565a7", "#8a8a8a"
"""Sides of the body, told apart by people with any colour vision."""
RECONSTRUCTED = "#1a9e77"
TEXT, GRID = "#7a7a7a", "rgba(128,128,128,0.25)"
SEQUENTIAL = "Viridis"
MASKED, VISIBLE = "#46505a", "#f2c14e"
CURSOR = "#e0384f"
QUALITATIVE = (
    *("#3a8fd0", "#e07b1a", "#1a9e77", "#b565a7", "#d1495b", "#8c6d31", "#5f6caf", "#a3a500"),
    *("#00a6a6", "#8a8a8a"),
)

# The figure itself, without a second copy of plotly's library in every notebook.
pio.renderers.default = "plotly_mimetype"


def faded(color: str) -> str:
    """Halfway to the grey of the text."""
    parts = [[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in (color, TEXT)]
    return "#" + "".join(f"{(a + b) // 2:02x}" for a, b in zip(*parts, strict=True))


def style(figure: go.Figure, title: str = "", height: int = 460, **layout: Any) -> go.Figure:
    """Give a figure the common look and return it."""
    figure.update_layout(
        title={
            **{"text": title, "x": 0.01, "xanchor": "left", "font": {"size": 16}},
            # At the top: there may be a legend below.
            **{"y": 1, "yanchor": "top", "pad": {"t": 6}},
        },
        height=height,
        margin={"l": 10, "r": 10, "t": 50 if title else 20, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT, "size": 13},
        colorway=QUALITATIVE,
        uirevision="keep",
        template="none",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": TEXT},
    )
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "automargin": True}
    # Nothing to hide: margins grow with their labels. And looking for labels to hide is slow.
    axis["ticklabeloverflow"] = "allow"
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure.update_layout(**layout)


def add_playback(
    figure: go.Figure, labels: Sequence[str], frames_per_second: float, prefix: str = "frame "
) -> go.Figure:
    """Play and pause buttons and a slider over the figure's frames.

    Args:
        figure: its frames must be named "0", "1", ...
        labels: what the slider shows for each frame.
        frames_per_second: speed of playback.
        prefix: before the label.
    """
    milliseconds = 1000 / frames_per_second
    # 3-D scenes need redraw.
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}}
    play = {
        "frame": {"duration": milliseconds, "redraw": True},
        "transition": {"duration": 0},
        "fromcurrent": True,
    }
    steps = [
        {"method": "animate", "label": label, "args": [[str(i)], still]}
        for i, label in enumerate(labels)
    ]
    bottom = figure.layout.margin.b
    figure.update_layout(
        margin={"b": max(bottom or 0, 10) + 70},
        sliders=[
            {
                **{"steps": steps, "x": 0.16, "len": 0.83, "y": 0, "yanchor": "top"},
                **{"pad": {"t": 30, "b": 5}, "currentvalue": {"prefix": prefix, "xanchor": "left"}},
                **{"bgcolor": GRID, "bordercolor": GRID, "tickcolor": TEXT, "ticklen": 3},
                "font": {"size": 11},
            }
        ],
        updatemenus=[
            {
                **{"type": "buttons", "direction": "left", "showactive": False},
                **{"x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "pad": {"t": 38}},
                **{"bgcolor": "rgba(128,128,128,0.15)", "bordercolor": TEXT},
                "buttons": [
                    {"label": "▶", "method": "animate", "args": [None, play]},
                    {"label": "❚❚", "method": "animate", "args": [[None], still]},
                ],
            }
        ],
    )
    return figure


def save_figure(figure: go.Figure, path: str | Path, frames_per_second: float = 15) -> Path:
    """Export to one stand-alone `.html` file, to `.png`, or an animation to `.gif`.

    Raises:
        HacmError: another ending; no frames for a GIF; kaleido, Pillow or a browser is missing.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".html", ".png", ".gif"):
        raise HacmError(f"cannot save a figure as {path.name!r}: use .html, .png or .gif")
    if kind == ".gif" and not figure.frames:
        raise HacmError(f"{path.name!r}: this figure does not move; save it as .png")
    if kind == ".html":
        content = figure.to_html(include_plotlyjs=True, auto_play=False).encode()
    elif kind == ".png":
        content = _pictures([figure])[0]
    else:
        content = _film(figure, frames_per_second)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_bytes(content)
    aside.rename(path)
    return path


def _pictures(figures: Sequence[go.Figure]) -> list[bytes]:
    """PNG files of figures without their controls, all from one start of the browser."""
    stills = [go.Figure(figure.data, figure.layout) for figure in figures]
    for still in stills:
        still.layout.sliders = still.layout.updatemenus = []
        still.layout.paper_bgcolor = "white"
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.png" for number in range(len(stills))]
        width = figures[0].layout.width or 960
        try:
            pio.write_images(stills, files, format="png", width=width, scale=1.5)
            return [file.read_bytes() for file in files]
        except Exception as error:  # kaleido raises many kinds, all for the same reasons
            raise HacmError(
                "a .png or .gif needs the kaleido package and Chrome or Chromium (pip install "
                "kaleido; the variable BROWSER_PATH names another browser); .html works without. "
                f"({error})"
            ) from error


def _film(figure: go.Figure, frames_per_second: float) -> bytes:
    try:
        from PIL import Image
    except ImportError as error:
        raise HacmError("a .gif needs the Pillow package: pip install pillow") from error
    moments = []
    for frame in figure.frames:
        moment = go.Figure(figure.data, figure.layout)
        for number, trace in zip(frame.traces, frame.data, strict=True):
            moment.data[number].update(trace)
        if frame.layout:
            moment.update_layout(frame.layout)
        moments.append(moment)
    pictures = [Image.open(io.BytesIO(png)).convert("P") for png in _pictures(moments)]
    content = io.BytesIO()
    pictures[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=1000 / frames_per_second,
        loop=0,
    )
    return content.getvalue()
