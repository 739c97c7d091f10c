"""The Mask Lab: touch the masking options and see what they do to a clip of your own data.

    from hacm.viz.mask_lab import MaskLab

    MaskLab(data="stores/mine", criteria={"hands first": my_criterion}).widget

Bad input, such as a criterion that fails, is said in place; the last good picture stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ipywidgets as w
import numpy as np
import yaml

from hacm.config import Config
from hacm.data.builtin import open_data
from hacm.errors import HacmError
from hacm.masking.criteria import Score
from hacm.masking.own_criterion import checked
from hacm.viz.clips import load_clip, open_encoder
from hacm.viz.lab_controls import MENUS, SLIDERS, LabControls
from hacm.viz.lab_figures import LabFigures
from hacm.viz.live import somebody_is_there
from hacm.viz.study import CRITERIA, Study, mask_config, seen_by, study

DRAWS = 500
"""Masks behind the histogram of keep frequencies."""
HOW_TO_USE = """\
# Save this as SETTINGS.yaml, then train with these masks:
# papermill notebooks/03_pretraining.ipynb OUT.ipynb -k python3 -f SETTINGS.yaml
"""


class MaskLab:
    """Controls and four linked views; `widget` is what to display.

    Args:
        data: a store's directory; empty: the built-in data.
        run_dir: a finished pretraining, whose encoder looks at the clip; empty: an untrained one.
        criteria: your own criteria by name: functions of `MaskInputs` and the options that return
            one score a token (see `hacm.masking.own_criterion`).
        sequence: the first one to show.
        seed: of the untrained encoder and of the first mask.
        options: first values of controls: `criterion`, `mask_ratio`, `tau`, ...

    Attributes:
        figures: the views.
        study, shown: what they show: a mask and its clip.
        message: why the views do not show what the controls say; empty if they do.

    Raises:
        HacmError: data or encoder cannot be opened.
    """

    def __init__(
        self,
        data: str = "",
        run_dir: str = "",
        criteria: Mapping[str, Score] | None = None,
        *,
        sequence: int = 0,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.own = dict(criteria or {})
        self.seed, self.draw, self.message = seed, seed, ""
        self.controls = LabControls([*CRITERIA, *self.own], data, run_dir)
        self.figures: LabFigures | None = None
        self._quiet = False
        self._open(data, run_dir, sequence)
        self.controls.set(options)
        self.refresh()
        if self.message:
            raise HacmError(self.message)
        self._listen()

    @property
    def widget(self) -> w.Widget:
        """Controls and views."""
        return self.controls.widget

    def config(self) -> Config:
        """The options as they are set."""
        values = {name: self.controls[name] for name in (*SLIDERS, *MENUS)}
        values |= {name: round(values[name], 4) for name in SLIDERS}
        criterion = self.controls["criterion"]
        return mask_config(
            self.encoder.options, criterion if criterion in CRITERIA else "random", **values
        )

    def settings(self) -> str:
        """The options as YAML for papermill's `-f`: the parameter `overrides` of 03_pretraining."""
        config, names, note = self.config(), ["temporal", "spatial", *MENUS, *SLIDERS], HOW_TO_USE
        if self.controls["criterion"] in self.own:
            names = names[2:]
            note += "# The criterion is a function: hand it to cross_mask(criteria=[f, f]).\n"
        overrides = {name: getattr(config, name) for name in names}
        return note + yaml.safe_dump({"overrides": overrides}, sort_keys=False)

    def _show_settings(self) -> None:
        self.controls.show_yaml(self.settings() if self.controls["settings"] else "")

    def refresh(self) -> None:
        """Compute the mask again and update the views, or say why that cannot be."""
        try:
            config = self.config()
            self._show_settings()
            chosen = self.controls["criterion"]
            criteria = [checked(chosen, self.own[chosen])] * 2 if chosen in self.own else None
            result = study(
                seen_by(self.encoder, self.clip.x, config, self.clip.gaps),
                self.encoder.joints,
                config,
                seed=self.draw,
                draws=DRAWS,
                criteria=criteria,
            )
        except HacmError as error:
            self._complain(error)
            return
        self.study, self.shown, self.message = result, self.clip, ""
        with self._quietly():
            self.controls.set_bodies(len(self.clip.x))
        if self.figures is None:
            self.figures = LabFigures(self.store.layout, self.clip, result)
            if somebody_is_there():
                self.controls.show_figures(self.figures)
        self._redraw()
        self.controls.say(self._summary(result))

    def _redraw(self) -> None:
        """The views as body, frame and upper map are chosen."""
        if self.figures is not None:
            chosen = (self.controls[name] for name in ("body", "frame", "upper"))
            self.figures.show(self.shown, self.study, *chosen)

    def _open(self, data: str, run_dir: str, sequence: int = 0) -> None:
        """Another data set or encoder; nothing changes if it cannot be opened."""
        store = open_data(data)
        encoder = open_encoder(run_dir, store.layout, self.seed)
        clip = load_clip(store, sequence, encoder.options.frames)
        self.store, self.encoder, self.clip = store, encoder, clip
        self.figures = None
        counts = np.bincount(store.labels, minlength=len(store.label_names)).tolist()
        label = int(store.labels[sequence])
        options = encoder.options
        with self._quietly():
            self.controls.by_name["class"].options = [
                (f"{name} ({count})", number)
                for number, (name, count) in enumerate(zip(store.label_names, counts, strict=True))
            ]
            self._list_sequences(label)
            self.controls.set({"class": label, "sequence": sequence})
            self.controls.set({name: getattr(options, name) for name in (*SLIDERS, *MENUS)})
            if not store.layout.trunk and "hierarchy" in self.controls["criterion"]:
                self.controls.set({"criterion": "attention"})
            self.controls.set_frames(options.frames)

    def _list_sequences(self, label: int) -> None:
        ids = np.flatnonzero(self.store.labels == label).tolist()
        if not ids:
            raise HacmError(
                f"class {self.store.label_names[label]!r} has no sequence in {self.store.path}"
            )
        names = self.store.columns["name"]
        self.controls.by_name["sequence"].options = [(f"{i}: {names[i]}", i) for i in ids]

    def _summary(self, result: Study) -> str:
        entropy = ", ".join(
            f"{key.removeprefix('entropy_')} {value:.1%}"
            for key, value in result.statistics.items()
            if key.startswith("entropy")
        )
        parts = [
            f"{sum(result.mask.kept)} of {result.hidden[0].size} tokens of a body are visible",
            f"entropy of the sampling weights over uniform: {entropy}",
        ]
        if self.clip.recorded == 1:
            parts.append("the sequence has a single frame: nothing moves")
        present = self.clip.present
        parts += [
            f"body {body + 1} is there in {there} of {present.shape[1]} frames"
            for body, there in enumerate(present.sum(1).tolist())
            if there < present.shape[1]
        ]
        return "; ".join(parts)

    def _complain(self, error: HacmError) -> None:
        self.message = str(error)
        self.controls.say(self.message, wrong=True)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Change controls without hearing of it."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _listen(self) -> None:
        def on(names: tuple[str, ...], react: Any) -> None:
            def heard(_: Any) -> None:
                if self._quiet:
                    return
                try:
                    react()
                except HacmError as error:
                    self._complain(error)

            for name in names:
                self.controls.by_name[name].observe(heard, "value")

        on(("criterion", *MENUS, *SLIDERS), self.refresh)
        on(("data", "encoder"), self._on_source)
        on(("class",), self._on_class)
        on(("sequence",), self._on_sequence)
        on(("frame",), self._on_frame)
        on(("body", "upper"), self._redraw)
        on(("settings",), self._show_settings)
        self.controls.resample.on_click(self._on_resample)

    def _on_source(self) -> None:
        self._open(self.controls["data"], self.controls["encoder"])
        self.refresh()

    def _on_class(self) -> None:
        with self._quietly():
            self._list_sequences(self.controls["class"])
        self._on_sequence()

    def _on_sequence(self) -> None:
        frames = self.encoder.options.frames
        self.clip = load_clip(self.store, self.controls["sequence"], frames)
        self.refresh()

    def _on_frame(self) -> None:
        if self.figures is not None:
            self.figures.move(self.controls["frame"])

    def _on_resample(self, _: Any) -> None:
        self.draw += 1
        self.refresh()
