from types import SimpleNamespace

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest

from hacm.viz import live


def test_widgets_for_readers_and_pictures_for_batches(monkeypatch):
    shown = []
    monkeypatch.setattr(live, "display", shown.append)
    widget, still = ipywidgets.Label("x"), go.FigureWidget()
    for allowed, first in ((True, widget), (False, None)):
        shown.clear()
        kernel = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=allowed))
        monkeypatch.setattr(live, "get_ipython", lambda kernel=kernel: kernel)
        live.show_live(widget, [still])
        assert (shown[0] is first) == allowed
        assert widget not in shown[1:]
    assert type(shown[1]) is go.Figure and "JupyterLab" in shown[0].data
    monkeypatch.setattr(live, "get_ipython", lambda: None)
    assert not live.somebody_is_there()


@pytest.mark.parametrize("kind", [go.Figure, go.FigureWidget])
def test_many_values_are_one_message(kind, monkeypatch):
    figure = kind([go.Scatter(x=[0], y=[0]), go.Scatter(x=[1], y=[1]), go.Scatter(x=[2], y=[2])])
    figure.update_layout(shapes=[{"type": "line", "x0": 0}], title={"text": "old"})
    sent = []
    monkeypatch.setattr(figure, "_send_update_msg", lambda **message: sent.append(message))
    y = np.arange(6.0).reshape(3, 2)[:, 1]  # strided
    values = [{"x": [7, 8, 9], "y": y}, {"x": [2], "y": y}]
    live.restyle(figure, values, first=1, layout={"shapes[0].x0": 4, "title.text": "old"})
    assert len(sent) == 1 and sent[0]["trace_indexes"] == [1, 2]
    assert all(one.flags["C_CONTIGUOUS"] for one in sent[0]["restyle_data"]["y"])
    assert sent[0]["restyle_data"]["x"] == [[7, 8, 9], [2]]  # also what is as it was
    assert sent[0]["relayout_data"] == {"shapes[0].x0": 4}
    assert list(figure.data[1].y) == [1, 3, 5] and figure.data[0].x == (0,)
    assert figure.layout.shapes[0].x0 == 4
