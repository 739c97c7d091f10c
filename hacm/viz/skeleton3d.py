"""Moving skeletons in 3-D: what is visible, what is masked, and what the decoder imagines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Bool, Float

from hacm.errors import HacmError
from hacm.skeleton import SkeletonLayout
from hacm.viz import theme
from hacm.viz.scene import aspect_of, floor, legend_above, scene_layout, upright

SIDE_COLORS = {
    "left": theme.LEFT,
    "right": theme.RIGHT,
    "middle": theme.MIDDLE,
    "trunk": theme.TRUNK,
}


def part(layout: SkeletonLayout, joint: int) -> str:
    """`trunk`, or the joint's side: what decides its colour."""
    return "trunk" if joint in layout.trunk else layout.side(joint)


def on_all_joints(
    values: np.ndarray, layout: SkeletonLayout, fill: np.ndarray | float, axis: int = -1
) -> np.ndarray:
    """Values of the J kept (or all V) joints along `axis`, with `fill` at the removed ones.

    Raises:
        HacmError: neither J nor V values.
    """
    values = np.moveaxis(np.asarray(values), axis, -1)
    if values.shape[-1] == layout.V:
        return np.moveaxis(values, -1, axis)
    if values.shape[-1] != len(layout.kept):
        raise HacmError(
            f"expected values for {layout.V} joints of layout {layout.name!r}, or for the "
            f"{len(layout.kept)} that pruning keeps, got {values.shape[-1]}"
        )
    whole = np.empty((*values.shape[:-1], layout.V), dtype=values.dtype)
    whole[...] = fill if np.isscalar(fill) else np.moveaxis(np.asarray(fill), axis, -1)
    whole[..., list(layout.kept)] = values
    return np.moveaxis(whole, -1, axis)


class MovingSkeleton:
    """The traces of a clip in one 3-D scene, frame by frame.

    Args:
        x: coordinates, metres, y up; frames without a body are zeros or given by `present`.
        layout: the joints.
        hidden: which joints are masked in each of P patches; J kept joints or all V.
        reconstruction: imagined coordinates of the kept (or all) joints, shown where masked.
        present: frames in which a body is there.
        scene: the name of the subplot.

    Raises:
        HacmError: shapes that do not fit the layout or each other.
    """

    def __init__(
        self,
        x: Float[np.ndarray, "B T V 3"],
        layout: SkeletonLayout,
        *,
        hidden: Float[np.ndarray, "B P J"] | None = None,
        reconstruction: Float[np.ndarray, "B T J 3"] | None = None,
        present: Bool[np.ndarray, "B T"] | None = None,
        scene: str = "scene",
    ) -> None:
        x = np.asarray(x, dtype=np.float32)
        x = x[None] if x.ndim == 3 else x
        if x.ndim != 4 or x.shape[2:] != (layout.V, 3) or not x.size:
            raise HacmError(
                f"expected coordinates of shape (B, T, {layout.V}, 3) for layout {layout.name!r}, "
                f"got {x.shape}"
            )
        there = (x != 0).any(axis=(2, 3)) if present is None else np.asarray(present) > 0
        self.layout, self.scene, self.T = layout, scene, x.shape[1]
        self.bodies = x.shape[0]
        self.x = np.where(there[:, :, None, None], upright(x), np.nan)
        self.hidden: np.ndarray = np.zeros(x.shape[:3], dtype=bool)
        if hidden is not None:
            self.hide(hidden)
        self.imagined: np.ndarray | None = None
        if reconstruction is not None:
            whole = on_all_joints(np.asarray(reconstruction, np.float32), layout, x, axis=-2)
            self.imagined = np.where(there[:, :, None, None], upright(whole), np.nan)

    def hide(self, hidden: Float[np.ndarray, "B P J"]) -> None:
        """Mask other tokens."""
        whole = on_all_joints(np.asarray(hidden) > 0, self.layout, False)
        if whole.ndim != 3 or len(whole) != self.bodies or self.T % whole.shape[1]:
            raise HacmError(
                f"a mask of shape {np.shape(hidden)} does not fit {self.bodies} bodies of "
                f"{self.T} frames: expected (bodies, patches, joints)"
            )
        self.hidden = whole.repeat(self.T // whole.shape[1], axis=1)

    def traces(self, frame: int = 0, legend: bool = True) -> list[go.Scatter3d]:
        """All traces at one frame; `legend` adds the colours' meaning."""
        parts = [part(self.layout, joint) for joint in range(self.layout.V)]
        names = list(SIDE_COLORS)
        solid = _paint(SIDE_COLORS.values())
        # Fading by opacity would cost WebGL another pass over the picture.
        ghost = _paint(map(theme.faded, SIDE_COLORS.values()))
        joint_color = [names.index(p) for p in parts] * self.bodies
        bone_color = [names.index(parts[c]) for _, c in self.layout.bones for _ in range(3)]
        bone_color = bone_color * self.bodies
        hover = [
            f"{name}<br>body {body + 1}" if self.bodies > 1 else name
            for body in range(self.bodies)
            for name in self.layout.joints
        ]
        looks: list[dict[str, Any]] = [
            {"mode": "lines", "line": {"width": 7, "color": bone_color, **solid}},
            {"mode": "lines", "line": {"width": 2, "color": bone_color, **ghost}},
            {"mode": "markers", "marker": {"size": 4.5, "color": joint_color, **solid}},
            {
                "mode": "markers",
                "marker": {"size": 4, "color": joint_color, "symbol": "circle-open", **ghost},
            },
        ]
        if self.imagined is not None:
            green = theme.RECONSTRUCTED
            looks.append({"mode": "lines", "line": {"width": 4, "color": green}})
            looks.append({"mode": "markers", "marker": {"size": 3.5, "color": green}})
        traces = []
        for look, points in zip(looks, self.frame(frame), strict=True):
            markers = look["mode"] == "markers"
            about = {"text": hover, "hoverinfo": "text"} if markers else {"hoverinfo": "skip"}
            traces.append(
                go.Scatter3d(**points, **look, **about, scene=self.scene, showlegend=False)
            )
        traces.append(self.floor())
        if legend:
            shown = {name: SIDE_COLORS[name] for name in names if name in parts}
            if self.hidden.any():
                shown["masked"] = "rgba(128,128,128,0.35)"
            if self.imagined is not None:
                shown["reconstructed"] = theme.RECONSTRUCTED
            traces += [
                go.Scatter3d(
                    **{"x": [None], "y": [None], "z": [None], "mode": "lines", "name": name},
                    **{"line": {"color": color, "width": 7}, "scene": self.scene},
                )
                for name, color in shown.items()
            ]
        return traces

    def frame(self, t: int) -> list[dict[str, np.ndarray]]:
        """Coordinates of the moving traces at frame t, in the order of `traces`."""
        joints, hidden = self.x[:, t], self.hidden[:, t]
        parent, child = np.array(self.layout.bones or [(0, 0)]).T
        bone_hidden = hidden[:, parent] | hidden[:, child]
        points = [
            self._lines(joints, ~bone_hidden),
            self._lines(joints, bone_hidden),
            np.where(hidden[..., None], np.nan, joints),
            np.where(hidden[..., None], joints, np.nan),
        ]
        if self.imagined is not None:
            points.append(self._lines(self.imagined[:, t], bone_hidden))
            points.append(np.where(hidden[..., None], self.imagined[:, t], np.nan))
        return [
            dict(zip("xyz", p.reshape(-1, 3).T.astype(np.float32), strict=True)) for p in points
        ]

    def _lines(self, joints: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """(B, bones, 3 points, 3): parent, child, gap."""
        ends = np.full((len(joints), len(self.layout.bones), 3, 3), np.nan)
        for i, bone in enumerate(self.layout.bones):
            ends[:, i, :2] = joints[:, bone]
        return np.where(shown[:, : ends.shape[1], None, None], ends, np.nan)

    def stage(self, figure: go.Figure) -> dict[str, Any]:
        """Axes and camera of its scene, for the layout of a figure that has its size."""
        return {self.scene: scene_layout(self._everything(), aspect_of(figure, self.scene))}

    def floor(self) -> go.Scatter3d:
        """A grid below the feet."""
        return floor(self._everything(), scene=self.scene)

    def _everything(self) -> Float[np.ndarray, "B T V 3"]:
        if self.imagined is None:
            return self.x
        return np.concatenate([self.x, self.imagined], axis=2)


def _paint(colors: Iterable[str]) -> dict[str, Any]:
    """Colours by their number."""
    shades = list(colors)
    scale = [[number / (len(shades) - 1), color] for number, color in enumerate(shades)]
    return {"colorscale": scale, "cmin": 0, "cmax": len(shades) - 1}


def skeleton_animation(
    x: Float[np.ndarray, "B T V 3"],
    layout: SkeletonLayout,
    *,
    hidden: Float[np.ndarray, "B P J"] | None = None,
    reconstruction: Float[np.ndarray, "B T J 3"] | None = None,
    present: Bool[np.ndarray, "B T"] | None = None,
    title: str = "",
    every: int = 1,
    frames_per_second: float = 15,
    height: int = 520,
) -> go.Figure:
    """A clip that plays: all bodies, visible joints solid, masked ones ghosted.

    Args:
        x: coordinates, metres, y up; one body may be (T, V, 3).
        layout: the joints; trunk joints are grey, left and right have colours of their own.
        hidden: 1 where a token is masked, per patch (T must be a multiple of P); for the kept
            joints (`tokens_to_grid(mask.mask, J)`) or for all.
        reconstruction: imagined coordinates (`Pretrainer.reconstruct`); without `hidden`, all of
            the kept joints are shown as imagined.
        present: frames in which a body is there; default: where it is not all zeros.
        title: above the figure.
        every: keep each n-th frame, to make the figure smaller.
        frames_per_second: of the clip as it is shown.
        height: pixels.

    Raises:
        HacmError: shapes that do not fit the layout or each other.
    """
    if reconstruction is not None and hidden is None:
        hidden = np.ones((len(reconstruction), 1, len(layout.kept)))
    clip = MovingSkeleton(x, layout, hidden=hidden, reconstruction=reconstruction, present=present)
    shown = list(range(0, clip.T, every))
    figure = go.Figure(clip.traces(shown[0]))
    moving = list(range(len(clip.frame(0))))
    figure.frames = [
        go.Frame(data=[go.Scatter3d(**p) for p in clip.frame(t)], traces=moving, name=str(i))
        for i, t in enumerate(shown)
    ]
    theme.style(figure, title, height, legend=legend_above())
    theme.add_playback(figure, [str(t) for t in shown], frames_per_second)
    return figure.update_layout(clip.stage(figure))


def joint_colors(layout: SkeletonLayout, joints: Sequence[int] | None = None) -> list[str]:
    """The colour of each joint (default: of all V)."""
    chosen = range(layout.V) if joints is None else joints
    return [SIDE_COLORS[part(layout, joint)] for joint in chosen]
