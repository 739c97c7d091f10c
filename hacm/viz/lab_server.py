"""`hacm lab STORE`: JupyterLab at the Mask Lab, on your own data.

The notebooks are part of the package; the one with the Lab is copied into a working folder with the
store's path filled in, so that it can be changed and kept.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat

from hacm.data.store import SequenceStore
from hacm.errors import HacmError

NOTEBOOK = "02_cross_masking.ipynb"
FOLDER = "hacm-lab"


def notebooks_folder() -> Path:
    """Where the notebooks are: inside an installed package, or beside a checked-out one.

    Raises:
        HacmError: they are in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / NOTEBOOK).is_file():
            return folder
    raise HacmError(f"the notebooks are missing: neither in {package} nor beside it")


def copy_notebook(store: str | Path, folder: str | Path = FOLDER) -> Path:
    """A notebook with the Mask Lab for a store; one that is there already is kept as it is.

    Args:
        store: the data.
        folder: where the copy goes; made if missing.

    Returns:
        The notebook.

    Raises:
        HacmError: there is no store at that path.
    """
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    path = SequenceStore(store).path.resolve()
    target = Path(folder) / f"mask_lab_{path.name}.ipynb"
    if target.exists():
        return target
    notebook = load_notebook_node(str(notebooks_folder() / NOTEBOOK))
    for cell in notebook.cells:  # the pictures are those of another data set
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook = parameterize_notebook(notebook, {"data": str(path)}, kernel_name="python3")
    # Half-written files would be kept for ever.
    aside = target.with_suffix(".partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, aside)
    aside.rename(target)
    return target


def server_command(notebook: Path, browser: bool = True) -> list[str]:
    """JupyterLab at a notebook, reachable from this machine only and with its own token."""
    return [
        *(sys.executable, "-m", "jupyterlab", str(notebook), "--ip=127.0.0.1"),
        *([] if browser else ["--no-browser"]),
    ]


def open_lab(
    store: str | Path,
    folder: str | Path = FOLDER,
    *,
    browser: bool = True,
    arguments: Sequence[str] = (),
) -> int:
    """Start JupyterLab at the Mask Lab and wait until it is closed.

    Args:
        store: the data.
        folder: the working folder for the notebook.
        browser: open a browser window.
        arguments: more of JupyterLab's own (`--port=8890`).

    Returns:
        JupyterLab's exit code.

    Raises:
        HacmError: there is no store at that path.
    """
    notebook = copy_notebook(store, folder)
    print(f"{notebook}: choose Run > Run All Cells; the Mask Lab is at the end")
    return subprocess.call([*server_command(notebook, browser), *arguments])
