import nbformat
import pytest

from hacm.errors import HacmError
from hacm.skeleton import COCO17
from hacm.viz.lab_server import copy_notebook, notebooks_folder, open_lab, server_command


def test_the_notebook_is_copied_with_the_store_filled_in(make_store, tmp_path):
    store = make_store(COCO17)
    copy = copy_notebook(store.path, tmp_path / "work")
    notebook = nbformat.read(copy, as_version=4)
    nbformat.validate(notebook)
    injected = [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert f'data = "{store.path.resolve()}"' in injected[0].source
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert any("MaskLab(" in cell.source for cell in notebook.cells)
    assert copy.stat().st_size < 100_000


def test_work_is_not_overwritten(make_store, tmp_path):
    store = make_store(COCO17)
    copy = copy_notebook(store.path, tmp_path)
    copy.write_text("changed")
    assert copy_notebook(store.path, tmp_path) == copy and copy.read_text() == "changed"


def test_no_store_no_server(tmp_path):
    with pytest.raises(HacmError, match="is not a store"):
        open_lab(tmp_path / "nowhere", tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_this_machine_only_and_never_without_token(tmp_path, monkeypatch):
    command = server_command(tmp_path / "x.ipynb", browser=False)
    assert "--ip=127.0.0.1" in command and "--no-browser" in command
    assert not any("token" in part or "password" in part for part in command)
    called = []
    monkeypatch.setattr(
        "hacm.viz.lab_server.subprocess.call", lambda line: called.append(line) or 0
    )
    monkeypatch.setattr("hacm.viz.lab_server.copy_notebook", lambda store, folder: tmp_path / "x")
    assert open_lab("store", arguments=["--port=9999"]) == 0
    assert called[0][-1] == "--port=9999" and "--ip=127.0.0.1" in called[0]


def test_the_notebooks_are_found_and_their_absence_is_said(tmp_path, monkeypatch):
    assert (notebooks_folder() / "02_cross_masking.ipynb").is_file()
    monkeypatch.setattr("hacm.viz.lab_server.__file__", str(tmp_path / "hacm" / "viz" / "x.py"))
    with pytest.raises(HacmError, match="the notebooks are missing"):
        notebooks_folder()
