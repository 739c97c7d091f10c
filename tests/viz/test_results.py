"""Pictures of many runs: what is drawn where, under which name and colour."""

import pandas as pd
import pytest

from hacm.errors import HacmError
from hacm.experiments.collect import CURVES
from hacm.viz import theme
from hacm.viz.results import loss_by_variant, mask_by_variant, seed_points

PANELS = {"masks": ("attention", "hacm", "random"), "space": ("ball", "hacm")}
EPOCHS, SEEDS = (0, 1, 2), (0, 1)


@pytest.fixture
def curves():
    rows = [
        {"sweep": sweep, "data": data, "variant": variant, "seed": seed, "epoch": epoch}
        | {"loss": 10.0 * row + epoch + seed, "entropy_temporal": 0.7, "entropy_spatial": 0.8}
        for sweep, variants in PANELS.items()
        for data in ("nwucla", "wmft")
        for row, variant in enumerate(variants)
        for seed in SEEDS
        for epoch in EPOCHS
    ]
    return pd.DataFrame(rows, columns=CURVES)


def test_each_panel_has_a_legend_of_its_own_variants(curves):
    figure = loss_by_variant(curves)
    shown = {}
    for trace in figure.data:
        shown.setdefault(trace.legend, []).append(trace.name)
    names = ["legend", "legend2", "legend3", "legend4"]
    expected = [list(variants) for variants in PANELS.values() for _ in ("nwucla", "wmft")]
    assert shown == dict(zip(names, expected, strict=True))
    tops = [figure.layout[name].y for name in names]
    assert tops == sorted(tops, reverse=True) and len(set(tops)) == 4


def test_a_variant_has_one_colour_in_its_sweep_and_hacm_the_first_everywhere(curves):
    figure = loss_by_variant(curves)
    colors = {}
    for panel, trace in zip([0, 0, 0, 1, 1, 1, 2, 2, 3, 3], figure.data, strict=True):
        colors.setdefault(panel, {})[trace.name] = trace.line.color
    assert colors[0] == colors[1] and colors[2] == colors[3]
    for panel in colors.values():
        assert panel["hacm"] == theme.QUALITATIVE[0]
        assert len(set(panel.values())) == len(panel)


def test_lines_are_means_over_seeds(curves):
    for trace, row in zip(
        loss_by_variant(curves).data, [0, 1, 2, 0, 1, 2, 0, 1, 0, 1], strict=True
    ):
        assert list(trace.y) == [10 * row + epoch + 0.5 for epoch in EPOCHS]


def test_the_two_groups_of_a_mask_share_one_entry_of_the_legend(curves):
    curves.loc[curves["variant"] == "random", "entropy_temporal"] = float("nan")
    traces = [trace for trace in mask_by_variant(curves).data if trace.legend == "legend"]
    assert [(t.name, t.line.dash, t.showlegend) for t in traces] == [
        ("attention", "solid", True),
        ("attention", "dot", False),
        ("hacm", "solid", True),
        ("hacm", "dot", False),
        ("random", "dot", True),
    ]


def test_nothing_to_draw_is_said(curves):
    with pytest.raises(HacmError, match="no run has such results"):
        loss_by_variant(curves[:0])


def test_every_seed_is_a_point_and_the_title_is_the_protocol_in_words():
    rows = [("hacm", 0, 0.5, 0.3), ("hacm", 1, 0.7, 0.4), ("random", 0, 0.25, None)]
    results = pd.DataFrame(rows, columns=["variant", "seed", "accuracy", "untrained"])
    results = results.assign(sweep="labels", data="wmft", protocol="semi_1")
    figure = seed_points(results, "semi_1")
    shown = {}
    for trace in figure.data:
        shown.setdefault(trace.marker.symbol, []).append((set(trace.x), list(trace.y)))
    assert shown["circle"] == [({"hacm"}, [50, 70]), ({"random"}, [25])]
    assert shown["circle-open"][0] == ({"hacm"}, [30, 40])
    assert shown["line-ew-open"] == [({"hacm"}, [60]), ({"random"}, [25])]
    assert figure.layout.title.text == "1 % of the labels: every seed (hollow: untrained encoder)"
    with pytest.raises(HacmError, match="no run has such results"):
        seed_points(results, "linear")


def test_a_panel_says_how_many_labels_were_used():
    results = pd.DataFrame(
        {"variant": ["hacm"], "seed": [0], "accuracy": [0.5], "untrained": [None]}
    )
    results = results.assign(sweep="labels", data="wmft", protocol="semi_1", train=5)
    [panel] = seed_points(results, "semi_1").layout.annotations
    assert panel.text == "labels / wmft (5 labelled)"
