from types import SimpleNamespace

import ipywidgets
import plotly.graph_objects as go

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
