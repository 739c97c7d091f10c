"""The Mask Lab's four linked views, updated in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hacm.skeleton import SkeletonLayout
from hacm.viz import theme
from hacm.viz.clips import Clip
from hacm.viz.live import live_figure
from hacm.viz.masked_clip import cursors
from hacm.viz.masks import color_range, joint_axis, map_trace
from hacm.viz.poincare import rim
from hacm.viz.scene import legend_above
from hacm.viz.skeleton3d import MovingSkeleton, joint_colors
from hacm.viz.study import Study
from hacm.viz.tokens import disk_projection

HEIGHT = 450
"""Pixels; together the views are 1070 wide: all are seen at once in a window of 1280 x 800."""
UPPER = {"weight": "sampling weight / uniform", "score": "score, standardised in each group"}
BINS = np.linspace(0, 1, 51)


def restyle(figure: go.Figure, values: Sequence[dict[str, Any]], first: int = 0) -> None:
    """Give consecutive traces other values of the same properties, in one message.

    A `batch_update` would leave out a value that happens to be the old one, and the browser would
    then unset that property.
    """
    together = {name: [_sendable(one[name]) for one in values] for name in values[0]}
    figure.plotly_restyle(together, list(range(first, first + len(values))))


def _sendable(value: Any) -> Any:
    """The message queue takes no strided arrays."""
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value


class LabFigures:
    """Views of one clip under one study; made anew for another layout or encoder.

    Attributes:
        scene, maps, disk, histogram: widgets, or ordinary figures in a batch.
    """

    def __init__(self, layout: SkeletonLayout, clip: Clip, study: Study) -> None:
        self.layout, self.body, self.frame = layout, 0, -1
        self.names = [layout.joints[joint] for joint in study.joints]
        self._set(clip, study)
        self.scene = live_figure(self.skeleton.traces())
        self._set_stage()
        theme.style(self.scene, "", HEIGHT, width=380, legend=legend_above(), margin={"t": 60})
        self.maps = self._make_maps()
        self.disk = self._make_disk()
        self.histogram = self._make_histogram()
        self.show(clip, study)

    @property
    def all(self) -> tuple[go.Figure, ...]:
        """The four views."""
        return self.scene, self.maps, self.disk, self.histogram

    def show(
        self, clip: Clip, study: Study, body: int = 0, frame: int = 0, upper: str = "weight"
    ) -> None:
        """Another clip, study or body; `upper` is the first map, a key of `UPPER`."""
        new_clip = clip is not self.clip
        self._set(clip, study)
        self.body = body
        hidden = study.hidden[body]
        shown = (study.preference if upper == "weight" else study.standard_score)[body]
        if new_clip:
            self._set_stage()
        values = {"z": shown.T.astype(np.float32), **color_range(shown)}
        self.maps.layout.annotations[0].text = UPPER[upper]
        restyle(self.maps, [values, {"z": hidden.T.astype(np.float32), "zmin": 0, "zmax": 1}])
        share = np.histogram(study.frequency[body].numpy(), BINS)[0] / hidden.size
        uniform = sum(study.mask.kept) / hidden.size
        line = {"x": [uniform, uniform], "y": [0, 100 * float(share.max())]}
        restyle(self.histogram, [{"x": (BINS[1:] + BINS[:-1]) / 2, "y": 100 * share}, line])
        self.move(frame)

    def move(self, frame: int) -> None:
        """Another frame of the same clip."""
        restyle(self.scene, self.skeleton.frame(frame))
        if frame != self.frame:
            self.maps.layout.shapes = cursors(frame, ("", "2"))
        self.frame = frame
        patch = frame * len(self.hidden[0]) // self.skeleton.T
        masked, root = self.hidden[self.body, patch] > 0, self.root[self.body]
        dots = [(self.points[self.body][patch], np.where(masked, "circle-open", "circle").tolist())]
        if root is not None:
            dots.append((root[patch, None], "x"))
        restyle(
            self.disk,
            [
                {
                    **dict(zip("xy", places.T.astype(np.float32), strict=True)),
                    "marker.symbol": symbols,
                }
                for places, symbols in dots
            ],
            first=1,
        )

    def _set_stage(self) -> None:
        """Axes and floor of another clip."""
        self.scene.update_layout(scene=self.skeleton.scene_layout())
        floor = self.skeleton.floor()
        number = len(self.skeleton.frame(0))
        restyle(self.scene, [{"x": floor.x, "y": floor.y, "z": floor.z}], first=number)

    def _set(self, clip: Clip, study: Study) -> None:
        self.clip, self.study, self.hidden = clip, study, study.hidden
        self.skeleton = MovingSkeleton(
            clip.x.numpy(), self.layout, hidden=study.hidden, present=clip.present.numpy()
        )
        inputs = study.inputs
        both = [
            disk_projection(
                tokens,
                None if inputs.root is None else inputs.root[body],
                inputs.curvature,
                inputs.space,
            )
            for body, tokens in enumerate(inputs.tokens)
        ]
        self.points, self.root = [pair[0] for pair in both], [pair[1] for pair in both]

    def _make_maps(self) -> go.Figure:
        figure = live_figure(
            make_subplots(
                **{"rows": 2, "cols": 1, "shared_xaxes": True, "vertical_spacing": 0.1},
                subplot_titles=(UPPER["weight"], "mask: bright is visible"),
            )
        )
        P = len(self.hidden[0])
        for row, label in ((1, "value"), (2, "mask")):
            heat = map_trace(
                np.zeros((P, len(self.names))),
                self.names,
                patch_frames=self.skeleton.T // P,
                label=label,
            )
            heat.update(colorbar={"len": 0.45, "y": 0.775, "title": {"text": ""}})
            figure.add_trace(heat, row=row, col=1)
        theme.style(figure, "", HEIGHT, width=430, margin={"t": 30})
        figure.update_yaxes(**joint_axis(self.names))
        figure.update_yaxes(tickfont={"size": 9})
        figure.update_xaxes(showgrid=False)
        return figure

    def _make_disk(self) -> go.Figure:
        dots: dict[str, Any] = {"mode": "markers", "hoverinfo": "text", "showlegend": False}
        figure = live_figure(
            [
                rim(),
                go.Scatter(
                    **{**dots, "text": self.names},
                    marker={"size": 10, "color": joint_colors(self.layout, self.study.joints)},
                ),
                go.Scatter(
                    **{**dots, "text": ["virtual root"]},
                    marker={"size": 13, "color": theme.CURSOR, "symbol": "x"},
                ),
            ]
        )
        square = {"range": [-1.05, 1.05], "visible": False}
        figure.update_xaxes(**square)
        figure.update_yaxes(**square, scaleanchor="x")
        return theme.style(figure, "this frame in the ball", round(0.55 * HEIGHT), width=260)

    def _make_histogram(self) -> go.Figure:
        figure = live_figure(
            [
                go.Bar(
                    **{"x": (BINS[1:] + BINS[:-1]) / 2, "y": np.zeros(len(BINS) - 1)},
                    **{"marker": {"color": theme.LEFT}, "showlegend": False},
                    hovertemplate="visible in %{x:.0%} of the draws: %{y:.1f} % of tokens"
                    "<extra></extra>",
                ),
                go.Scatter(
                    **{"x": [0, 0], "y": [0, 1], "mode": "lines", "showlegend": False},
                    **{"line": {"color": theme.CURSOR, "dash": "dot"}, "hoverinfo": "skip"},
                ),
            ]
        )
        theme.style(
            figure,
            "how often visible (⋯ random)",
            round(0.45 * HEIGHT),
            width=260,
            bargap=0,
            margin={"r": 24},
        )
        figure.update_xaxes(range=[0, 1], tickformat=".0%")
        figure.update_yaxes(title="% of tokens", rangemode="tozero", title_font={"size": 12})
        return figure
