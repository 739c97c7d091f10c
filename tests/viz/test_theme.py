import builtins
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from hacm.errors import HacmError
from hacm.skeleton import COCO17
from hacm.viz.masks import mask_map
from hacm.viz.skeleton3d import skeleton_animation
from hacm.viz.theme import save_figure
from tests.viz.conftest import moving

needs_chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is missing")


def animation():
    return skeleton_animation(moving(COCO17, 3), COCO17, title="swaying")


def test_html_is_one_file_that_needs_nothing_else(tmp_path):
    text = save_figure(animation(), tmp_path / "clip.html").read_text()
    assert "Plotly.newPlot" in text and "Plotly.addFrames" in text
    assert len(text) > 1e6, "plotly's own library is missing"
    assert not re.search(r"<script[^>]* src=|<link", text)
    assert [file.name for file in tmp_path.iterdir()] == ["clip.html"]


def test_other_endings_and_still_pictures_are_said(tmp_path):
    with pytest.raises(HacmError, match=r"use \.html, \.png or \.gif"):
        save_figure(animation(), tmp_path / "clip.mp4")
    still = mask_map(np.zeros((4, 2)), ["a", "b"])
    with pytest.raises(HacmError, match="does not move"):
        save_figure(still, tmp_path / "map.gif")


def test_missing_packages_are_said_in_one_sentence(tmp_path, monkeypatch):
    def no_pillow(name, *args, real=builtins.__import__, **kwargs):
        if name == "PIL":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_pillow)
    with pytest.raises(HacmError, match="needs the Pillow package"):
        save_figure(animation(), tmp_path / "clip.gif")
    monkeypatch.undo()

    def no_kaleido(*args, **kwargs):
        raise ValueError("kaleido is not installed")

    monkeypatch.setattr("plotly.io.write_images", no_kaleido)
    with pytest.raises(HacmError, match="needs the kaleido package"):
        save_figure(animation(), tmp_path / "clip.png")
    assert not list(tmp_path.iterdir())


def test_pictures_are_without_controls(tmp_path, monkeypatch):
    drawn = []

    def write_images(figures, files, **options):
        drawn.extend(figures)
        for file in files:
            file.write_bytes(b"picture")

    monkeypatch.setattr("plotly.io.write_images", write_images)
    figure = animation()
    save_figure(figure, tmp_path / "clip.png")
    assert not drawn[0].layout.sliders and not drawn[0].layout.updatemenus
    assert figure.layout.sliders  # only the picture's are gone


@pytest.mark.browser
@needs_chromium
@pytest.mark.filterwarnings("default")
def test_pictures_and_films(tmp_path, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", shutil.which("chromium"))
    with Image.open(save_figure(animation(), tmp_path / "clip.png")) as picture:
        assert picture.size[0] > 900
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10
    with Image.open(save_figure(animation(), tmp_path / "clip.gif")) as film:
        assert film.n_frames == 3
