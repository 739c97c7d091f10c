"""The Mask Lab's controls; they know nothing of data or masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, get_args

import ipywidgets as w

from hacm.config import Config
from hacm.viz.lab_figures import UPPER, LabFigures

FRAMES_PER_SECOND = 30
SLIDERS = ("mask_ratio", "tau", "root_weight", "tangent_scale")
MENUS = ("grouping", "score_tokens", "attention", "score_norm", "keep")
COLUMNS = (
    ("data", "encoder", "class", "sequence", "upper"),
    ("criterion", *MENUS[:-1]),
    (*SLIDERS, "keep"),
)


class LabControls:
    """Every widget that is no picture.

    Args:
        criteria: names to choose from.
        data, run_dir: first values of the text fields.

    Attributes:
        by_name: the widgets that hold a value.
        resample: a button.
        widget: everything, with the views below.
    """

    def __init__(self, criteria: Iterable[str], data: str, run_dir: str) -> None:
        common: dict[str, Any] = {
            "style": {"description_width": "90px"},
            "layout": w.Layout(width="300px"),
        }

        def menu(name: str, options: Iterable[Any]) -> w.Dropdown:
            return w.Dropdown(description=name, options=list(options), **common)

        def slider(name: str, low: float, high: float, step: float) -> w.FloatSlider:
            return w.FloatSlider(description=name, min=low, max=high, step=step, **common)

        speeds = [("1/4", 0.25), ("1/2", 0.5), ("1", 1.0), ("2", 2.0)]
        self.by_name: dict[str, Any] = {
            "data": w.Text(data, description="data", placeholder="built-in", **common),
            "encoder": w.Text(run_dir, description="encoder", placeholder="untrained", **common),
            "class": menu("class", []),
            "sequence": menu("sequence", []),
            "criterion": menu("criterion", criteria),
            **{name: menu(name, get_args(Config.model_fields[name].annotation)) for name in MENUS},
            "mask_ratio": slider("mask ratio", 0.05, 0.99, 0.01),
            "tau": slider("tau", 0.05, 5, 0.01),
            "root_weight": slider("root weight", 0, 10, 0.01),
            "tangent_scale": slider("tangent scale", 0.05, 5, 0.01),
            "upper": menu("upper map", UPPER),
            "frame": w.IntSlider(description="frame", min=0, max=1, **common),
            "speed": w.Dropdown(
                **{"description": "speed", "options": speeds, "value": 0.5},
                **{"layout": w.Layout(width="130px"), "style": {"description_width": "50px"}},
            ),
            "body": w.ToggleButtons(style={"button_width": "70px"}),
            "settings": w.ToggleButton(description="Settings (YAML)", icon="file-text-o"),
        }
        for name in ("data", "encoder"):
            self.by_name[name].continuous_update = False
        self.play = w.Play(min=0, max=1, repeat=True)
        w.jslink((self.play, "value"), (self.by_name["frame"], "value"))
        self.by_name["speed"].observe(self._on_speed, "value")
        self._on_speed()
        self.resample = w.Button(description="Resample", icon="refresh")
        self._yaml = w.Textarea(layout=w.Layout(width="98%", height="250px", display="none"))
        self._status = w.HTML()
        self._views = w.VBox()
        wrap = w.Layout(flex_flow="row wrap")
        names = ("frame", "speed", "settings", "body")
        frame, speed, settings, body = (self.by_name[name] for name in names)
        columns = [w.VBox([self.by_name[name] for name in column]) for column in COLUMNS]
        player = (self.play, frame, speed, self.resample, settings, body)
        self.widget = w.VBox(
            [
                *(w.HBox(columns, layout=wrap), w.HBox(player, layout=wrap)),
                *(self._status, self._yaml, self._views),
            ]
        )

    def __getitem__(self, name: str) -> Any:
        """The value of a control."""
        return self.by_name[name].value

    def set(self, values: Mapping[str, Any]) -> None:
        """Give several controls other values."""
        for name, value in values.items():
            self.by_name[name].value = value

    def set_frames(self, frames: int) -> None:
        """The clip's length."""
        self.by_name["frame"].max = self.play.max = frames - 1

    def set_bodies(self, bodies: int) -> None:
        """A choice of bodies, if there are several."""
        body = self.by_name["body"]
        if len(body.options) != bodies:
            body.options = [(f"body {b + 1}", b) for b in range(bodies)]
            body.value = 0
        body.layout.display = "" if bodies > 1 else "none"

    def say(self, text: str, wrong: bool = False) -> None:
        """One line below the controls, red if something is wrong."""
        color = "#d1495b" if wrong else "inherit"
        weight = "bold" if wrong else "normal"
        self._status.value = (
            f'<div style="color:{color};font-weight:{weight};line-height:1.4">{escape(text)}</div>'
        )

    def show_yaml(self, text: str) -> None:
        """Text to copy; the field vanishes without any."""
        self._yaml.value = text
        self._yaml.layout.display = "" if text else "none"

    def show_figures(self, figures: LabFigures) -> None:
        """Put the views below the controls."""

        small = w.VBox([figures.disk, figures.histogram])
        views = [figures.scene, figures.maps, small]
        self._views.children = [w.HBox(views, layout=w.Layout(flex_flow="row wrap"))]

    def _on_speed(self, _: Any = None) -> None:
        self.play.interval = round(1000 / FRAMES_PER_SECOND / self["speed"])
