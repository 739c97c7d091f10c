"""The Mask Lab's four linked views, updated in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hacm.skeleton import SkeletonLayout
from hacm.viz import theme
from hacm.viz.clips import Clip
from hacm.viz.live import live_figure, restyle
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
OF_A_CLIP = ("x", "y", "z", "text", "line.color", "marker.color")
"""What another clip changes in the traces of the scene."""


class LabFigures:
    """Views of one clip under one study; made anew for another layout or encoder.

    Attributes:
        scene, maps, disk, histogram: widgets, or ordinary figures in a batch.
    """

    def __init__(self, layout: SkeletonLayout, clip: Clip, study: Study) -> None:
        self.layout, self.body = layout, 0
        self.names = [layout.joints[joint] for joint in study.joints]
        self._set(clip, study)
        self.scene = self._make_scene()
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
        restyle(
            self.maps,
            [
                {"z": shown.T.astype(np.float32), **color_range(shown)},
                {"z": hidden.T.astype(np.float32), "zmin": 0, "zmax": 1},
            ],
            layout={"annotations[0].text": UPPER[upper], **_cursor_at(frame)},
        )
        inputs = study.inputs
        self.points, self.root = disk_projection(
            inputs.tokens[body],
            None if inputs.root is None else inputs.root[body],
            inputs.curvature,
            inputs.space,
        )
        self._show_disk(frame)
        share = np.histogram(study.frequency[body].numpy(), BINS)[0] / hidden.size
        uniform = sum(study.mask.kept) / hidden.size
        line = {"x": [uniform, uniform], "y": [0, 100 * float(share.max())]}
        restyle(self.histogram, [{"x": (BINS[1:] + BINS[:-1]) / 2, "y": 100 * share}, line])
        # Last: while WebGL paints, the browser cannot draw the others.
        if new_clip:
            fresh = self.skeleton.traces(frame, legend=False)
            values = [{key: trace[key] for key in OF_A_CLIP} for trace in fresh]
            restyle(self.scene, values, layout=self.skeleton.stage(self.scene))
        else:
            restyle(self.scene, self.skeleton.frame(frame))

    def move(self, frame: int) -> None:
        """Another frame of the same clip."""
        self.maps.plotly_relayout(_cursor_at(frame))
        self._show_disk(frame)
        restyle(self.scene, self.skeleton.frame(frame))

    def _show_disk(self, frame: int) -> None:
        patch = frame * len(self.hidden[0]) // self.skeleton.T
        masked = self.hidden[self.body, patch] > 0
        dots = [(self.points[patch], np.where(masked, "circle-open", "circle").tolist())]
        if self.root is not None:
            dots.append((self.root[patch, None], "x"))
        values = [
            {**dict(zip("xy", places.T.astype(np.float32), strict=True)), "marker.symbol": symbols}
            for places, symbols in dots
        ]
        restyle(self.disk, values, first=1)

    def _set(self, clip: Clip, study: Study) -> None:
        self.clip, self.study, self.hidden = clip, study, study.hidden
        self.skeleton = MovingSkeleton(
            clip.x.numpy(), self.layout, hidden=study.hidden, present=clip.present.numpy()
        )

    def _make_scene(self) -> go.Figure:
        figure = live_figure(self.skeleton.traces())
        theme.style(figure, "", HEIGHT, width=380, legend=legend_above(), margin={"t": 60})
        return figure.update_layout(self.skeleton.stage(figure))

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
        # With a fixed range the cursors move without the maps being drawn again.
        figure.update_xaxes(showgrid=False, range=[-0.5, self.skeleton.T - 0.5])
        return figure.update_layout(shapes=cursors(0, ("", "2")))

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


def _cursor_at(frame: int) -> dict[str, int]:
    """The maps' cursors, as paths of their layout."""
    return {f"shapes[{map_}].{end}": frame for map_ in range(2) for end in ("x0", "x1")}
