"""How soon the Mask Lab shows a change: 72 frames, two people, all four views.

python -m tests.benchmarks.bench_lab              both parts, about a minute and a half
python -m tests.benchmarks.bench_lab --rounds 5   fewer changes of each kind

Kernel: from a control's new value to the last message that is handed to the front end, in a real
kernel. Chromium: from the key or the choice in JupyterLab until the last view has been drawn
(plotly's `afterplot`), and until the picture after that is on the screen (two animation frames).
Chromium runs without a window, so WebGL is computed by the processor too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from nbformat.v4 import writes as notebook_text

from hacm.data.synthetic import CLASSES, write_synthetic
from tests.browser.jupyterlab import CHROMIUM, JupyterLab

from .measure import table

ROOT = Path(__file__).resolve().parents[2]
STORE = "people"
LAB = f"""\
import numpy as np
from hacm.data.store import SequenceStore
from hacm.viz.mask_lab import MaskLab
bodies = SequenceStore({STORE!r}).columns["bodies"]
lab = MaskLab({STORE!r}, sequence=int(np.flatnonzero(bodies == 2)[0]))
"""
IN_A_KERNEL = f"""\
import json, time
from hacm.viz import live, mask_lab
live.somebody_is_there = mask_lab.somebody_is_there = lambda: True
{LAB}
def milliseconds(name, value):
    began = time.perf_counter()
    lab.controls.by_name[name].value = value
    return 1000 * (time.perf_counter() - began)

sequences = [value for _, value in lab.controls.by_name["sequence"].options]
values = {{
    "tau": [round(0.2 + 0.1 * i, 2) for i in range(ROUNDS)],
    "criterion": [["motion", "random", "attention", "hierarchy"][i % 4] for i in range(ROUNDS)],
    "sequence": [sequences[(i + 1) % len(sequences)] for i in range(ROUNDS)],
    "frame": [i + 1 for i in range(ROUNDS)],
}}
print(json.dumps({{name: [milliseconds(name, v) for v in vs] for name, vs in values.items()}}))
"""
# Notes when somebody changes a control, when a view has been drawn, and when that is to be seen.
WATCH = """() => {
    window.began = 0; window.drawn = []; window.seen = [];
    const start = () => { window.began = performance.now(); window.drawn = []; window.seen = []; };
    for (const kind of ['keydown', 'change']) window.addEventListener(kind, start, true);
    const views = document.querySelectorAll('.widget-vbox .js-plotly-plot');
    views.forEach(view => view.on('plotly_afterplot', () => {
        window.drawn.push(performance.now() - window.began);
        const seen = () => window.seen.push(performance.now() - window.began);
        requestAnimationFrame(() => requestAnimationFrame(seen));
    }));
    return views.length;
}"""


def in_a_kernel(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each change, by control."""
    cell = new_code_cell(f"ROUNDS = {rounds}\n{IN_A_KERNEL}")
    notebook = new_notebook(cells=[cell])
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
    )
    client.execute()
    text = "".join(out.text for out in cell.outputs if out.get("name") == "stdout")
    return json.loads(text)


def in_chromium(folder: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds until all views are drawn, and until they are seen, by control."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell(LAB + "lab.widget")]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    (folder / "lab.ipynb").write_text(notebook_text(notebook))
    with JupyterLab(folder) as server:
        server.open("lab.ipynb")
        server.run_all()
        page = server.page
        page.wait_for_selector(".widget-vbox .js-plotly-plot .main-svg")
        page.wait_for_timeout(3000)
        assert page.evaluate(WATCH) == 4

        def control(name: str):
            return page.locator(".widget-inline-hbox", has_text=name).first

        def slide(name: str) -> Callable[[int], None]:
            control(name).locator(".noUi-handle").focus()
            return lambda i: page.keyboard.press("ArrowRight")

        def choose(name: str) -> Callable[[int], None]:
            menu = control(name).locator("select")
            number = menu.locator("option").count()
            return lambda i: menu.select_option(index=(i + 1) % number)

        changes: Mapping[str, Callable[[str], Callable[[int], None]]] = {
            **{"tau": slide, "criterion": choose, "sequence": choose, "frame": slide},
        }
        taken: dict[str, list[tuple[float, float]]] = {}
        for name, how in changes.items():
            change, taken[name] = how(name), []
            for i in range(rounds + 1):
                change(i)
                page.wait_for_timeout(1500)
                drawn, seen = page.evaluate("[window.drawn, window.seen]")
                if i and drawn:  # the first of each kind warms up
                    taken[name].append((max(drawn), max(seen)))
        assert server.errors == []
    return taken


def lab(rounds: int) -> list[dict[str, Any]]:
    """One row a control: medians and the slowest, in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="hacm-bench-") as name:
        folder = Path(name)
        write_synthetic(folder / STORE, count=12 * len(CLASSES), progress=False)
        os.environ["PYTHONPATH"] = str(ROOT)
        kernel = in_a_kernel(folder, rounds)
        browser = in_chromium(folder, rounds) if Path(CHROMIUM).exists() else {}
    rows = []
    for control, times in kernel.items():
        row = {"changed": control, "kernel": statistics.median(times), "slowest": max(times)}
        if pairs := browser.get(control):
            drawn, seen = zip(*pairs, strict=True)
            row |= {"drawn": statistics.median(drawn), "seen": statistics.median(seen)}
            row |= {"slowest seen": max(seen), "n": len(pairs)}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="changes of each kind")
    rows = lab(parser.parse_args().rounds)
    print(f"milliseconds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(table(rows))


if __name__ == "__main__":
    main()
