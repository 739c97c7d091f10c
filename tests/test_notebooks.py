"""The notebooks as they are committed, and as papermill runs them with bad parameters."""

import json
import re
from pathlib import Path

import pytest
import yaml

from hacm.presets import make_config

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMS = sorted((ROOT / "papermill_runs" / "params").glob("*.yaml"))

each_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def code_cells(file):
    notebook = json.loads(file.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


@each_notebook
def test_is_committed_executed_with_checked_facts(file):
    cells = code_cells(file)
    assert all(cell["execution_count"] for cell in cells), "run it before committing it"
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    checked = [cell for cell in cells if "# NBVAL_CHECK_OUTPUT" in cell["source"]]
    assert len(checked) >= 3
    assert all(cell["outputs"] for cell in checked), "a checked cell without output checks nothing"


@each_notebook
def test_shows_figures_and_stays_small(file):
    kinds = [
        kind for cell in code_cells(file) for out in cell["outputs"] for kind in out.get("data", {})
    ]
    assert "application/vnd.plotly.v1+json" in kinds
    assert file.stat().st_size < 3e6
    assert "widgets" not in json.loads(file.read_text())["metadata"]


@each_notebook
def test_imports_and_never_defines(file):
    for cell in code_cells(file):
        assert not re.search(r"^class ", cell["source"], re.M)
        assert len(cell["source"].splitlines()) <= 30


@each_notebook
def test_parameters_are_plain_literals(file):
    tagged = [c for c in code_cells(file) if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    for line in tagged[0]["source"].splitlines():
        name, value = line.split(" = ", 1)
        assert name.isidentifier()
        yaml.safe_load(value.split("  #")[0])


@pytest.mark.parametrize("file", PARAMS, ids=lambda file: file.stem)
def test_parameter_files_make_a_configuration(file):
    fields = yaml.safe_load(file.read_text())
    known = {"objective", "preset", "epochs", "batch_size", "seed", "device", "overrides"}
    assert fields.keys() <= known
    assert make_config(**fields).epochs > 0


def test_published_rows_have_their_sizes():
    for file in PARAMS:
        if not file.stem.startswith(("ntu", "pku")):
            continue
        config = make_config(**yaml.safe_load(file.read_text()))
        long = file.stem in ("ntu60_xview", "ntu120_xset")
        assert (config.frames, config.patch_frames) == ((120, 4) if long else (72, 3))
        assert (config.width, config.depth, config.decoder_depth) == (256, 8, 5 if long else 3)
        assert config.batch_size == (32 if long else 64)
        assert config.epochs == (500 if file.stem == "ntu60_xsub" else 400)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"epoch": 3}, "unknown parameter 'epoch'"),
        ({"overrides": {"taus": 1}}, "unknown key 'taus'"),
        ({"overrides": {"tau": -1}}, "tau: .* greater than 0"),
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"data": "no/such/store"}, "is not a store"),
    ],
)
def test_bad_parameters_stop_with_a_sentence(tmp_path, monkeypatch, parameters, sentence):
    import papermill
    from papermill.exceptions import PapermillExecutionError

    monkeypatch.setenv("HACM_CACHE", str(tmp_path / "cache"))
    if "data" not in parameters and "epoch" not in parameters:
        from hacm.data.synthetic import CLASSES, write_synthetic

        write_synthetic(tmp_path / "store", count=3 * len(CLASSES), progress=False)
        parameters = {**parameters, "data": str(tmp_path / "store")}
    with pytest.raises(PapermillExecutionError) as caught:
        papermill.execute_notebook(
            ROOT / "notebooks" / "03_pretraining.ipynb",
            tmp_path / "out.ipynb",
            {**parameters, "run_dir": str(tmp_path / "run")},
            kernel_name="python3",
            progress_bar=False,
        )
    assert re.search(sentence, str(caught.value))
    assert not (tmp_path / "run").exists()
