"""The Mask Lab as somebody uses it: JupyterLab, Chromium, mouse and keyboard.

Screenshots land in the folder named by HACM_SCREENSHOTS, or in pytest's own temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is missing")
from hacm.data.store import SequenceStore
from hacm.data.synthetic import CLASSES, write_synthetic
from hacm.viz.lab_server import copy_notebook, server_command
from tests.browser.jupyterlab import CHROMIUM, JupyterLab, free_port, jupyter_environment

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is missing"),
]

# What the four views show, as plotly holds it in the page.
DRAWN = """() => [...document.querySelectorAll('.widget-vbox .js-plotly-plot')].map(plot =>
    JSON.stringify([plot.data, plot.layout.shapes || []], (key, value) =>
        ArrayBuffer.isView(value) ? [...value] : value))"""
SCENE, MAPS, DISK, HISTOGRAM = range(4)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> SequenceStore:
    path = tmp_path_factory.mktemp("data") / "people"
    write_synthetic(path, count=3 * len(CLASSES), progress=False)
    return SequenceStore(path)


class Views:
    """The Lab's part of the page."""

    def __init__(self, lab: JupyterLab, folder: Path) -> None:
        self.lab, self.page, self.folder = lab, lab.page, folder
        self.page.wait_for_selector(".widget-vbox .js-plotly-plot .main-svg", timeout=60_000)
        self.page.wait_for_timeout(3000)
        self.page.evaluate(
            """() => {
                const cells = document.querySelector('.jp-WindowedPanel-outer');
                const lab = document.querySelector('.widget-vbox').getBoundingClientRect();
                cells.scrollTop += lab.top - 110;
            }"""
        )
        self.page.wait_for_timeout(1500)

    def drawn(self) -> list[str]:
        return self.page.evaluate(DRAWN)

    def changed(self, before: list[str], *views: int, within: float = 10) -> bool:
        """Whether all of these views have changed."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            now = self.drawn()
            if all(now[view] != before[view] for view in views):
                return True
            self.page.wait_for_timeout(100)
        return False

    def control(self, name: str):
        return self.page.locator(".widget-inline-hbox", has_text=name).first

    def slide(self, name: str, value: float) -> None:
        """Type into a slider's number."""
        readout = self.control(name).locator(".widget-readout")
        readout.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(str(value))
        self.page.keyboard.press("Enter")

    def choose(self, name: str, option: str) -> None:
        self.control(name).locator("select").select_option(option)

    def screenshot(self, name: str) -> bytes:
        self.page.wait_for_timeout(600)
        return self.lab.screenshot(self.folder / f"{name}.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_lab_answers(store, tmp_path, theme):
    folder = Path(os.environ.get("HACM_SCREENSHOTS", tmp_path / "screenshots"))
    notebook = copy_notebook(store.path, tmp_path / "work")
    with JupyterLab(notebook.parent, theme, {"PYTHONPATH": str(ROOT)}) as lab:
        lab.open(notebook.name)
        lab.run_all()
        views = Views(lab, folder)
        pictures = [views.screenshot(f"lab_{theme}_0_start")]

        # A tau that sharpens, a ball that saturates, half of the tokens visible.
        for number, (name, value, moved) in enumerate(
            [
                ("tau", 0.4, (MAPS, HISTOGRAM)),
                ("tangent scale", 3, (MAPS, DISK)),
                ("mask ratio", 0.5, (MAPS, HISTOGRAM)),
            ],
            start=1,
        ):
            before = views.drawn()
            views.slide(name, value)
            assert views.changed(before, *moved), f"{name} changed nothing"
            pictures.append(views.screenshot(f"lab_{theme}_{number}_{name.replace(' ', '_')}"))

        before = views.drawn()
        views.choose("criterion", "height (yours)")
        assert views.changed(before, MAPS, HISTOGRAM), "the criterion changed nothing"
        pictures.append(views.screenshot(f"lab_{theme}_4_own_criterion"))

        before = views.drawn()
        lab.page.locator(".jupyter-widgets.widget-play button").first.click()
        assert views.changed(before, SCENE, MAPS, DISK), "nothing plays"
        first = views.drawn()
        assert views.changed(first, SCENE, MAPS), "it stopped at once"
        pictures.append(views.screenshot(f"lab_{theme}_5_playing"))
        lab.page.locator(".jupyter-widgets.widget-play button").first.click()

        lab.page.get_by_text("Settings (YAML)").last.click()
        lab.page.wait_for_timeout(800)
        settings = lab.page.locator(".widget-textarea textarea").input_value()
        assert "overrides:" in settings and "mask_ratio: 0.5" in settings
        views.screenshot(f"lab_{theme}_6_settings")

        assert len(set(pictures)) == len(pictures), "two screenshots are alike"
        assert lab.errors == []


def test_saved_figures_need_no_kernel(tmp_path):
    """The committed notebooks show their figures, and these play, before anything is run."""
    folder = Path(os.environ.get("HACM_SCREENSHOTS", tmp_path / "screenshots"))
    for name in ("01_poincare_joint_hierarchy", "02_cross_masking"):
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", tmp_path)
    with JupyterLab(tmp_path, "light") as lab:
        for name, least in (("01_poincare_joint_hierarchy", 7), ("02_cross_masking", 8)):
            lab.open(f"{name}.ipynb", keep_outputs=True)
            lab.page.wait_for_timeout(4000)
            saved = json.loads((tmp_path / f"{name}.ipynb").read_text())
            assert len(lab.page.locator(".jp-OutputArea .js-plotly-plot").all()) >= least
            assert saved["cells"][1]["execution_count"] is not None
            play = lab.page.locator(".updatemenu-button").first
            play.scroll_into_view_if_needed()
            label = lab.page.locator(".slider-label").first
            before = label.text_content()
            play.click()
            lab.page.wait_for_timeout(2500)
            assert label.text_content() != before
            lab.screenshot(folder / f"{name}_saved.png")
        assert lab.errors == []


def test_hacm_lab_is_for_this_machine_and_its_token(store, tmp_path):
    notebook, port = copy_notebook(store.path, tmp_path), free_port()
    command = [*server_command(notebook, browser=False), f"--port={port}", "--allow-root"]
    log = (tmp_path / "log").open("w+")
    with subprocess.Popen(
        command, env=jupyter_environment(tmp_path), stdout=log, stderr=subprocess.STDOUT
    ) as server:
        try:
            deadline = time.monotonic() + 60
            while "?token=" not in (tmp_path / "log").read_text():
                assert time.monotonic() < deadline and server.poll() is None
                time.sleep(0.3)
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/contents", timeout=10)
            assert caught.value.code == 403
            caught.value.close()
            listening = (
                subprocess.run(["ss", "-ltn"], capture_output=True, text=True, check=False).stdout
                if shutil.which("ss")
                else f"127.0.0.1:{port}"
            )
            assert f"127.0.0.1:{port}" in listening and f"0.0.0.0:{port}" not in listening
        finally:
            server.terminate()
    log.close()
