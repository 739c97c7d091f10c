"""The Mask Lab's four linked views, as figure widgets that are updated in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hacm.skeleton import SkeletonLayout
from hacm.viz import theme
from hacm.viz.clips import Clip
from hacm.viz.masked_clip import cursors
from hacm.viz.masks import color_range, joint_axis, map_trace
from hacm.viz.poincare import rim
from hacm.viz.scene import legend_above
from hacm.viz.skeleton3d import MovingSkeleton, joint_colors
from hacm.viz.study import Study
from hacm.viz.tokens import disk_projection

BINS = np.linspace(0, 1, 51)


class LabFigures:
    """Views of one clip under one study; made anew for another layout or encoder.

    Attributes:
        scene, maps, disk, histogram: the widgets.
    """

    def __init__(self, layout: SkeletonLayout, clip: Clip, study: Study) -> None:
        self.layout, self.body, self.frame = layout, 0, 0
        self.names = [layout.joints[joint] for joint in study.joints]
        self._set(clip, study)
        self.scene = go.FigureWidget(self.skeleton.traces())
        theme.style(self.scene, "", 430, legend=legend_above(), margin={"t": 40})
        self.maps = self._make_maps()
        self.disk = self._make_disk()
        self.histogram = self._make_histogram()
        self.show(clip, study, 0, 0)

    @property
    def all(self) -> tuple[go.FigureWidget, ...]:
        """The four widgets."""
        return self.scene, self.maps, self.disk, self.histogram

    def show(self, clip: Clip, study: Study, body: int, frame: int) -> None:
        """Another clip, study or body."""
        new_clip = clip is not self.clip
        self._set(clip, study)
        self.body = body
        preference, hidden = study.preference[body], study.hidden[body]
        with self.scene.batch_update():
            if new_clip or not self.scene.layout.scene.aspectmode:
                self.scene.update_layout(scene=self.skeleton.scene_layout())
                self.scene.data[len(self.skeleton.frame(0))].update(self.skeleton.floor())
        with self.maps.batch_update():
            weights, masked = self.maps.data
            weights.update(z=preference.T.astype(np.float32), **color_range(preference))
            masked.z = hidden.T.astype(np.float32)
        share = np.histogram(study.frequency[body].numpy(), BINS)[0] / hidden.size
        uniform = sum(study.mask.kept) / hidden.size
        with self.histogram.batch_update():
            self.histogram.data[0].y = 100 * share
            self.histogram.data[1].update(x=[uniform, uniform], y=[0, 100 * float(share.max())])
        self.move(frame)

    def move(self, frame: int) -> None:
        """Another frame of the same clip."""
        self.frame = frame
        with self.scene.batch_update():
            moving = self.skeleton.frame(frame)
            for trace, points in zip(self.scene.data, moving, strict=False):
                trace.update(points)
        self.maps.layout.shapes = cursors(frame, ("", "2"))
        patch = frame * len(self.hidden[0]) // self.skeleton.T
        points, root = self.points[self.body][patch], self.root[self.body]
        with self.disk.batch_update():
            x, y = points.T.astype(np.float32)
            open_ = self.hidden[self.body, patch] > 0
            self.disk.data[1].update(
                x=x, y=y, marker={"symbol": np.where(open_, "circle-open", "circle")}
            )
            if root is not None:
                self.disk.data[2].update(x=root[patch, :1], y=root[patch, 1:])

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

    def _make_maps(self) -> go.FigureWidget:
        figure = go.FigureWidget(
            make_subplots(
                **{"rows": 2, "cols": 1, "shared_xaxes": True, "vertical_spacing": 0.1},
                subplot_titles=("sampling weight / uniform", "mask: bright is visible"),
            )
        )
        P = len(self.hidden[0])
        for row, label in ((1, "weight"), (2, "mask")):
            heat = map_trace(
                np.zeros((P, len(self.names))),
                self.names,
                patch_frames=self.skeleton.T // P,
                label=label,
            )
            heat.update(colorbar={"len": 0.45, "y": 0.775, "title": {"text": ""}})
            figure.add_trace(heat, row=row, col=1)
        theme.style(figure, "", 430, margin={"t": 30})
        figure.update_yaxes(**joint_axis(self.names))
        figure.update_yaxes(tickfont={"size": 8})
        figure.update_xaxes(showgrid=False)
        return figure

    def _make_disk(self) -> go.FigureWidget:
        dots: dict[str, Any] = {"mode": "markers", "hoverinfo": "text", "showlegend": False}
        figure = go.FigureWidget(
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
        return theme.style(figure, "tokens of this frame in the ball", 330)

    def _make_histogram(self) -> go.FigureWidget:
        figure = go.FigureWidget(
            [
                go.Bar(
                    **{"x": (BINS[1:] + BINS[:-1]) / 2, "y": np.zeros(len(BINS) - 1)},
                    **{"marker": {"color": theme.LEFT}, "showlegend": False},
                    hovertemplate="visible in %{x:.0%} of the draws: %{y:.1f} % of tokens"
                    "<extra></extra>",
                ),
                go.Scatter(
                    **{"x": [0, 0], "y": [0, 1], "mode": "lines", "name": "uniform"},
                    **{"line": {"color": theme.CURSOR, "dash": "dot"}, "hoverinfo": "skip"},
                ),
            ]
        )
        theme.style(figure, "how often tokens stay visible", 330, bargap=0)
        figure.update_xaxes(range=[0, 1], tickformat=".0%")
        figure.update_yaxes(title="% of tokens", rangemode="tozero")
        return figure.update_layout(legend={"x": 0.98, "xanchor": "right", "y": 0.98})
