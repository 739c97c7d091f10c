import time

import numpy as np
import pytest
import torch
import yaml
from ipywidgets import Widget

from hacm.data.store import FRAMES, META, SEQUENCES, SequenceStore
from hacm.errors import HacmError
from hacm.presets import make_config
from hacm.skeleton import COCO17, KINECT_V1, KINECT_V2
from hacm.training.checkpoint import save_encoder
from hacm.training.pretrain import build_pretrainer
from hacm.viz.lab_server import notebooks_folder
from hacm.viz.mask_lab import MaskLab
from tests.viz.conftest import ALL_LAYOUTS, NO_TRUNK


@pytest.fixture(autouse=True)
def with_a_reader(monkeypatch):
    for module in ("live", "mask_lab"):
        monkeypatch.setattr(f"hacm.viz.{module}.somebody_is_there", lambda: True)


def height(inputs, options):
    return inputs.position.unflatten(-1, (-1, 3))[..., 1].mean(-1)


def pictures(lab: MaskLab) -> list[np.ndarray]:
    """What is drawn: both maps, the disk, the histogram, the visible joints."""
    figures = lab.figures
    return [
        *(np.array(heat.z) for heat in figures.maps.data),
        *(np.array(figures.disk.data[1][axis]) for axis in "xy"),
        np.array(figures.histogram.data[0].y),
        np.array(figures.scene.data[2].x),
    ]


def same(first: list[np.ndarray], second: list[np.ndarray]) -> list[bool]:
    return [np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)]


def set_to(lab: MaskLab, **values) -> None:
    lab.controls.set(values)


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=lambda layout: layout.name)
def test_every_control_in_every_layout(make_store, layout):
    lab = MaskLab(str(make_store(layout).path))
    T = lab.encoder.options.frames
    changes = [
        *({"tau": 0.3}, {"mask_ratio": 0.5}, {"tangent_scale": 2.0}, {"keep": "low"}),
        *({"criterion": "motion"}, {"criterion": "attention"}, {"criterion": "random"}),
        *({"grouping": "halves"}, {"grouping": "none"}, {"grouping": "random"}),
        *({"attention": "encoder"}, {"attention": "frozen"}, {"score_tokens": "position"}),
        *({"score_norm": "max"}, {"upper": "score"}, {"frame": T - 1}, {"speed": 2.0}),
        *({"class": 1}, {"body": 1}, {"sequence": 3}, {"class": 0}, {"sequence": 2}),
    ]
    for change in changes:
        set_to(lab, **change)
        assert lab.message == "", change
    if layout.trunk:
        set_to(lab, criterion="hierarchy", root_weight=5.0)
        assert lab.message == ""
    assert lab.clip.x.shape[1] == T and lab.clip.name == "sequence_00002"


def test_what_a_change_moves(make_store):
    lab = MaskLab(str(make_store(KINECT_V2).path), sequence=1)
    start = pictures(lab)
    set_to(lab, frame=30)
    upper, mask, x, y, histogram, joints = same(start, pictures(lab))
    assert upper and mask and histogram and not (x or y or joints)
    assert [shape.x0 for shape in lab.figures.maps.layout.shapes] == [30, 30]
    set_to(lab, frame=0)
    assert all(same(start, pictures(lab)))
    set_to(lab, body=1)
    assert not any(same(start, pictures(lab))[:4])
    set_to(lab, body=0)
    lab.controls.resample.click()
    upper, mask, x, y, _, _ = same(start, pictures(lab))
    assert upper and not mask and x and y  # the weights and the ball stay, the draw does not
    set_to(lab, tangent_scale=3.0)
    assert not any(same(start, pictures(lab))[2:4])


def test_a_batch_makes_pictures_instead_of_widgets(make_store, monkeypatch):
    path = str(make_store(KINECT_V2).path)
    live = MaskLab(path, tau=0.4)
    assert all(isinstance(figure, Widget) for figure in live.figures.all)
    assert live.widget.children[-1].children
    for module in ("live", "mask_lab"):
        monkeypatch.setattr(f"hacm.viz.{module}.somebody_is_there", lambda: False)
    batch = MaskLab(path, tau=0.4)
    assert not any(isinstance(figure, Widget) for figure in batch.figures.all)
    assert all(same(pictures(live), pictures(batch)))


def test_mask_and_disk_tell_the_same(make_store):
    lab = MaskLab(str(make_store(KINECT_V1).path), frame=31)
    patch = 31 * lab.encoder.options.patches // lab.encoder.options.frames
    masked = np.array(lab.figures.maps.data[1].z)[:, patch] > 0
    symbols = np.array(lab.figures.disk.data[1].marker.symbol)
    assert (symbols == np.where(masked, "circle-open", "circle")).all()
    visible = np.flatnonzero(~np.isnan(lab.figures.scene.data[2].x))
    kept = np.array(KINECT_V1.kept)[~masked]
    assert set(visible) == {*kept.tolist(), *KINECT_V1.trunk}


@pytest.mark.parametrize(
    ("criterion", "sentence"),
    [
        (lambda inputs, options: 1 / 0, "failed: ZeroDivisionError"),
        (lambda inputs, options: inputs.position, "returned shape"),
        (lambda inputs, options: inputs.position[..., 0] * torch.nan, "NaN"),
        (lambda inputs, options: torch.zeros(inputs.position.shape[:3]), "the same score"),
    ],
)
def test_a_bad_criterion_is_said_and_the_picture_stays(make_store, criterion, sentence):
    path = str(make_store(COCO17).path)
    lab = MaskLab(
        path, criteria={"height": height, "bad": criterion}, criterion="height", sequence=1
    )
    before = pictures(lab)
    set_to(lab, criterion="bad")
    assert sentence in lab.message and "(B, P, J) = (2, 12, 13)" in lab.message
    assert sentence in lab.controls._status.value
    assert all(same(before, pictures(lab)))
    set_to(lab, sequence=3)  # another clip, still a bad criterion
    assert sentence in lab.message
    set_to(lab, body=1, frame=3)
    set_to(lab, body=0, frame=0)
    assert all(same(before, pictures(lab)))
    set_to(lab, criterion="height")
    assert lab.message == "" and not all(same(before, pictures(lab)))


def test_an_empty_class_is_said(make_store):
    lab = MaskLab(str(make_store(KINECT_V2).path))
    before = pictures(lab)
    set_to(lab, **{"class": 2})
    assert "class 'fly' has no sequence" in lab.message
    assert all(same(before, pictures(lab)))
    set_to(lab, **{"class": 1})
    assert lab.message == "" and lab.clip.label == "stand"


def test_a_single_frame_is_said(make_store):
    lab = MaskLab(str(make_store(KINECT_V2).path))
    assert "single frame" not in lab.controls._status.value
    set_to(lab, sequence=2)
    assert "a single frame: nothing moves" in lab.controls._status.value and lab.message == ""


def test_colours_and_names_follow_the_number_of_bodies(make_store):
    lab = MaskLab(str(make_store(KINECT_V2).path))
    for label, sequence, bodies in ((1, 1, 2), (0, 0, 1)):
        set_to(lab, **{"class": label, "sequence": sequence})
        joints = lab.figures.scene.data[2]
        assert len(joints.x) == len(joints.text) == len(joints.marker.color) == bodies * KINECT_V2.V
        bones = lab.figures.scene.data[0]
        assert len(bones.x) == len(bones.line.color)
        assert ("body 2" in joints.text[-1]) == (bodies == 2)


def test_a_body_that_is_mostly_away_is_said(make_store):
    lab = MaskLab(str(make_store(KINECT_V2).path), sequence=3)
    assert "body 2 is there in" in lab.controls._status.value


def test_without_trunk_the_hierarchy_is_explained(make_store):
    lab = MaskLab(str(make_store(NO_TRUNK).path))
    before = pictures(lab)
    set_to(lab, criterion="hierarchy")
    assert "no trunk joints" in lab.message
    assert all(same(before, pictures(lab)))


def test_sources_that_cannot_be_opened_are_said(make_store, tmp_path):
    lab = MaskLab(str(make_store(KINECT_V1).path))
    config = make_config("hacm", "tiny")
    for layout in (KINECT_V1, COCO17):
        run = tmp_path / f"run_{layout.name}"
        run.mkdir()
        encoder = build_pretrainer(layout, config).encoder
        save_encoder(run / "encoder.safetensors", encoder, config.to_json())
    before = pictures(lab)
    set_to(lab, encoder=str(tmp_path / "run_coco17"))
    assert "'coco17' (17 joints), but these sequences have layout 'kinect_v1'" in lab.message
    set_to(lab, data=str(tmp_path / "nowhere"))
    assert "is not a store" in lab.message
    assert all(same(before, pictures(lab)))
    set_to(lab, encoder="", data=str(make_store(COCO17).path))
    assert lab.message == "" and lab.store.layout == COCO17
    set_to(lab, encoder=str(tmp_path / "run_coco17"))
    assert lab.message == "" and lab.encoder.options.frames == config.frames
    assert lab.controls.by_name["frame"].max == config.frames - 1
    with pytest.raises(HacmError, match="is not a store"):
        MaskLab(str(tmp_path / "nowhere"))


def test_settings_are_what_papermill_takes(make_store):
    lab = MaskLab(str(make_store(KINECT_V2).path), criteria={"height": height})
    set_to(lab, criterion="motion", tau=0.333, mask_ratio=0.75, keep="low", attention="encoder")
    overrides = yaml.safe_load(lab.settings())["overrides"]
    config = make_config("hacm", "tiny", overrides)
    assert (config.temporal, config.spatial, config.keep) == ("motion", "motion", "low")
    assert (config.tau, config.mask_ratio, config.attention) == (0.333, 0.75, "encoder")
    assert lab.controls._yaml.layout.display == "none"
    set_to(lab, settings=True)
    assert lab.controls._yaml.value == lab.settings() and not lab.controls._yaml.layout.display
    set_to(lab, criterion="height")
    shown = lab.controls._yaml.value
    assert shown == lab.settings() and "# The criterion is a function" in shown
    assert "temporal" not in yaml.safe_load(shown)["overrides"]
    set_to(lab, settings=False)
    assert lab.controls._yaml.layout.display == "none"


def test_papermill_reads_the_settings(make_store, tmp_path):
    from papermill.iorw import load_notebook_node, read_yaml_file
    from papermill.parameterize import parameterize_notebook

    lab = MaskLab(str(make_store(KINECT_V2).path), tau=0.4)
    (tmp_path / "SETTINGS.yaml").write_text(lab.settings())
    parameters = read_yaml_file(str(tmp_path / "SETTINGS.yaml"))
    notebook = load_notebook_node(str(notebooks_folder() / "03_pretraining.ipynb"))
    cells = parameterize_notebook(notebook, parameters, kernel_name="python3").cells
    values: dict = {}
    for cell in cells:
        if {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", [])):
            exec(cell.source, values)
    config = make_config(values["objective"], values["preset"], values["overrides"])
    assert config.tau == 0.4 and config.spatial == "hierarchy"


def test_sixty_thousand_sequences_are_not_read(tmp_path):
    import resource

    small = SequenceStore.from_arrays(
        [np.ones((30, KINECT_V2.V, 3), np.float32)], [0], KINECT_V2, path=tmp_path / "small"
    )
    big = tmp_path / "big"
    big.mkdir()
    (big / META).write_text((small.path / META).read_text())
    count, T = 60_000, 72
    rows = (f"s{i},0,{i * T},1,{T}" for i in range(count))
    (big / SEQUENCES).write_text("name,label,start,bodies,frames\n" + "\n".join(rows) + "\n")
    # 1.3 GB of zeros that take no space: the file has a hole.
    shape = (count * T, KINECT_V2.V, 3)
    with (big / FRAMES).open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 4 * int(np.prod(shape)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lab = MaskLab(str(big), sequence=59_999, criterion="random")
    set_to(lab, sequence=31_000, tau=0.5)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert lab.message == "" and lab.clip.name == "s31000"
    assert grown < 300_000, f"{grown} kB"


@pytest.mark.slow
def test_a_change_takes_less_than_150_ms(make_store):
    """From a control's new value to the new values of all traces, 72 frames, two bodies."""
    lab = MaskLab(str(make_store(KINECT_V2).path), sequence=1)
    taken = []
    for value in np.linspace(0.1, 2, 15):
        start = time.perf_counter()
        set_to(lab, tau=float(round(value, 2)))
        taken.append(time.perf_counter() - start)
    assert lab.encoder.options.frames == 72
    assert min(taken) < 0.15  # the fastest: other work on the machine is not the Lab's
