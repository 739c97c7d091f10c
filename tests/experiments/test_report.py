"""Tables of many runs: the numbers against numpy and scipy, and nothing hidden."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.experiments.collect import (
    RESULTS,
    collect,
    collect_curves,
    load_tables,
    write_tables,
)
from hacm.experiments.execute import TRIALS
from hacm.experiments.report import (
    PUBLISHED,
    comparison,
    mean_interval,
    paired_differences,
    remarks,
    score_table,
)
from hacm.presets import make_config
from hacm.training.evaluate import evaluate
from hacm.training.pretrain import pretrain
from hacm.training.run import read_json
from hacm.viz.results_page import write_page


def table(scores, **common):
    """A table of results from {variant: {seed: (accuracy, untrained)}}."""
    fixed = {"sweep": "s", "data": "toy", "evaluated_on": "toy", "split": "xsub", "chance": 0.1}
    fixed |= {"protocol": "linear", "state": "done", "note": "", "steps": 10, "seconds": 5.0}
    fixed |= {"never_trained": "", "never_tested": "", "settings": "e", "checksum": "c"}
    fixed |= {"commit": "abc", "hardware": "cpu", "evaluation_seconds": 2.0, "layout": "l"}
    rows = [
        {**fixed, "variant": name, "seed": seed, "accuracy": a, "untrained": u, **common}
        for name, seeds in scores.items()
        for seed, (a, u) in seeds.items()
    ]
    return pd.DataFrame(rows, columns=RESULTS)


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return {
        name: {seed: (rng.uniform(0.4, 0.8), rng.uniform(0.2, 0.4)) for seed in range(5)}
        for name in ("hacm", "mamp", "random")
    }


def test_means_and_deviations_are_those_of_numpy(scores):
    shown = score_table(table(scores), "linear").set_index("variant")
    for name, seeds in scores.items():
        values = np.array(list(seeds.values())) * 100
        assert shown.loc[name, "mean"] == pytest.approx(values[:, 0].mean())
        assert shown.loc[name, "sd"] == pytest.approx(values[:, 0].std(ddof=1))
        assert shown.loc[name, "untrained"] == pytest.approx(values[:, 1].mean())
        assert shown.loc[name, "n"] == 5 and shown.loc[name, "seconds"] == 5


def test_differences_are_scipys_paired_t_test(scores):
    found = paired_differences(table(scores), "linear").set_index("other")
    first = 100 * np.array([scores["hacm"][seed][0] for seed in range(5)])
    others = {name: [scores[name][seed][0] for seed in range(5)] for name in ("mamp", "random")}
    others["its untrained encoder"] = [scores["hacm"][seed][1] for seed in range(5)]
    for name, values in others.items():
        test = stats.ttest_rel(first, 100 * np.array(values))
        interval = test.confidence_interval(0.95)
        row = found.loc[name]
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
        assert row["mean"] == pytest.approx((first - 100 * np.array(values)).mean())
        words = "not told apart" if interval.low < 0 < interval.high else "better"
        assert row["reading"] == words and row["n"] == 5


def test_pairs_are_of_the_same_seed_only():
    some = {"hacm": {0: (0.5, 0.1), 1: (0.6, 0.1), 2: (0.9, 0.1)}}
    some |= {"mamp": {2: (0.4, 0.1), 1: (0.2, 0.1), 7: (0.0, 0.1)}}
    row = paired_differences(table(some), "linear").set_index("other").loc["mamp"]
    assert row["n"] == 2 and row["mean"] == pytest.approx((40 + 50) / 2)


def test_the_reference_can_be_chosen(scores):
    found = paired_differences(table(scores), "linear", "random")
    assert set(found["reference"]) == {"random"}
    assert set(found["other"]) == {"hacm", "mamp", "its untrained encoder"}
    with pytest.raises(HacmError, match="no variant 'magic' has linear results; there are: hacm"):
        paired_differences(table(scores), "linear", "magic")


def test_one_seed_has_no_interval_and_says_so():
    one = table({"hacm": {0: (0.5, 0.3)}, "mamp": {0: (0.4, 0.3)}})
    found = paired_differences(one, "linear")
    assert found["low"].isna().all() and set(found["reading"]) == {"one seed: no interval"}
    assert score_table(one, "linear")["sd"].isna().all()
    assert "s / toy / hacm, linear: one seed only (0), so no spread is known" in remarks(one)
    assert comparison(one, "linear")[0].loc[0, "toy xsub"].startswith("50.0 (1 seed) [")


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        _, low, high = mean_interval(rng.normal(3, 2, size=4))
        hits += low < 3 < high
    assert 0.935 < hits / 2000 < 0.965


def test_a_column_that_no_run_filled_is_left_out(scores):
    alone = {name: {seed: (a, None) for seed, (a, _) in s.items()} for name, s in scores.items()}
    assert "untrained" in score_table(table(scores), "linear")
    assert "untrained" not in score_table(table(alone), "linear")
    assert "its untrained encoder" not in set(paired_differences(table(alone), "linear")["other"])


def test_groups_are_never_mixed(scores):
    here, there = table(scores), table(scores, data="other", evaluated_on="other")
    there["accuracy"] = 1 - there["accuracy"]
    both = pd.concat([here, there])
    assert len(score_table(both, "linear")) == 6
    found = paired_differences(both, "linear").groupby("data")["mean"].first()
    assert found["toy"] == pytest.approx(-found["other"])


def test_published_cells_have_sources_and_missing_ones_stay_empty(scores):
    beside, sources = comparison(table(scores, data="ntu60"), "linear")
    cells = beside.set_index("method")
    published = pd.read_csv(PUBLISHED, keep_default_na=False)
    assert (published["source"] != "").all() and published["accuracy"].between(0, 100).all()
    assert re.fullmatch(r"86\.3 \[\d\]", cells.loc["HA-CM, published", "ntu60 xsub"])
    assert cells.loc["MacDiff, published", "pku2 xsub"] == ""
    assert cells.loc["hacm, s", "ntu120 xsub"] == ""
    assert re.fullmatch(r"[\d.]+ ± [\d.]+ \(5 seeds\) \[1\]", cells.loc["hacm, s", "ntu60 xsub"])
    assert sources[0] == "these runs, sweep s, code abc"
    for text in cells.to_numpy().ravel():
        assert text == "" or int(re.search(r"\[(\d+)\]$", text)[1]) <= len(sources)
    assert "ntu60 xsub" not in comparison(table(scores, protocol="knn"), "knn")[0]


def test_transfer_is_named_by_both_data_sets(scores):
    moved = table(scores, protocol="transfer", data="ntu60", evaluated_on="pku2")
    cells = comparison(moved, "transfer")[0].set_index("method")
    assert cells.loc["MAMP, published", "ntu60 → pku2 xsub"].startswith("70.6")
    assert "5 seeds" in cells.loc["hacm, s", "ntu60 → pku2 xsub"]


def test_what_is_not_the_same_for_all_is_told(scores):
    mixed = table(scores)
    mixed.loc[0, "commit"] = "def"
    mixed.loc[1, "settings"] = "f"
    mixed.loc[2, "never_tested"] = "clap, wave"
    said = remarks(mixed)
    assert "s / toy: different versions of the code: abc; def" in said
    assert "s / toy, linear: different settings: e; f" in said
    assert "s / toy, split xsub: never tested: clap, wave" in said
    assert remarks(table(scores)) == []


@pytest.fixture(scope="module")
def runs(store, tiny, tmp_path_factory):
    """Real runs as a sweep leaves them: two variants, one seed without evaluation, one cut off."""
    folder = tmp_path_factory.mktemp("runs")
    for variant, seed in (("hacm", 0), ("hacm", 1), ("random", 0), ("random", 1), ("slow", 0)):
        criteria = {"temporal": "random", "spatial": "random"} if variant == "random" else {}
        config = make_config(overrides={**tiny, "epochs": 2, **criteria}, seed=seed)
        run_dir = folder / "masks" / "toy" / variant / f"seed{seed}"
        loop = pretrain(config, store, run_dir, device="cpu", progress=False)
        next(loop)
        if variant == "slow":
            loop.close()
            continue
        list(loop)
        if (variant, seed) != ("random", 1):
            evaluate(run_dir, store, epochs=2, views=1, device="cpu", progress=False)
    trials = [{"data": "toy", "variant": "wild", "seed": 0, "state": "failed", "error": "it broke"}]
    trials.append({"data": "toy", "variant": "hacm", "seed": 0, "state": "done", "error": ""})
    (folder / "masks" / TRIALS).write_text(json.dumps({"trials": trials}))
    return folder


def test_collecting_reads_every_run(runs, store):
    found = collect(runs)
    linear = found[found["protocol"] == "linear"].set_index(["variant", "seed"])
    assert list(linear.index) == [("hacm", 0), ("hacm", 1), ("random", 0)]
    for (variant, seed), row in linear.iterrows():
        result = read_json(runs / f"masks/toy/{variant}/seed{seed}/eval/linear/result.json")
        assert row["accuracy"] == result["linear"]["trained"]
        assert row["untrained"] == result["linear"]["untrained"]
        assert (row["sweep"], row["data"], row["split"]) == ("masks", "toy", "xsub")
        assert store.checksum.startswith(row["checksum"]) and row["steps"] == 4
    assert set(found["protocol"]) == {"linear", "knn", ""}


def test_what_failed_is_told(runs):
    said = remarks(collect(runs))
    assert "masks / toy / wild / seed 0 is failed: it broke" in said
    assert "masks / toy / slow / seed 0 is unfinished: no result.json: it did not finish" in said
    assert "masks / toy / random / seed 1 was not evaluated" in said
    assert "masks / toy / random, linear: one seed only (0), so no spread is known" in said


def test_a_run_outside_a_sweep_is_its_own_variant(runs, tmp_path):
    import shutil

    shutil.copytree(runs / "masks/toy/hacm/seed1", tmp_path / "mine" / "first")
    row = collect(tmp_path).iloc[0]
    assert (row["sweep"], row["data"], row["variant"], row["seed"]) == (
        "",
        "store",
        "mine/first",
        1,
    )


def test_csv_files_say_the_same_as_the_runs(runs, tmp_path):
    results, curves = load_tables(runs)
    write_tables(results, curves, tmp_path / "all.csv")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["all.csv", "all_curves.csv"]
    again, curves_again = load_tables(tmp_path / "all.csv")
    pd.testing.assert_frame_equal(results, again, rtol=1e-4)
    pd.testing.assert_frame_equal(curves, curves_again, rtol=1e-4)
    assert str(runs) not in (tmp_path / "all.csv").read_text(), "paths of this machine"


def test_curves_are_thinned_but_keep_ends_and_diagnostics(runs, tmp_path):
    import shutil

    folder = shutil.copytree(runs / "masks/toy/hacm/seed0", tmp_path / "run")
    lines = [{"epoch": e, "loss": 1 / (e + 1), "seconds": float(e)} for e in range(401)]
    lines[133]["mask"] = {"entropy_temporal": 0.5, "entropy_spatial": 0.25}
    lines[133]["ball"] = {"radius_q50": 0.75}
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    curves = collect_curves(tmp_path).set_index("epoch")
    assert len(curves) < 50 and {0, 133, 400} <= set(curves.index)
    wanted = {"entropy_temporal": 0.5, "entropy_spatial": 0.25, "radius": 0.75}
    assert curves.loc[133, list(wanted)].to_dict() == wanted


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\x00\x01", "sweep,data\n1"])
def test_other_files_are_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(HacmError, match=r"x.csv cannot be read as a table of results"):
        load_tables(tmp_path / "x.csv")
    with pytest.raises(HacmError, match=r"absent.csv cannot be read"):
        load_tables(tmp_path / "absent.csv")
    with pytest.raises(HacmError, match="holds no run"):
        load_tables(tmp_path)


def test_the_page_stands_alone_and_holds_everything(runs, tmp_path):
    results, curves = load_tables(runs)
    write_page(results, curves, tmp_path / "new" / "out.html")
    text = (tmp_path / "new" / "out.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)
    assert text.count("plotly.js v") == 1
    assert len(re.findall(r"Plotly\.newPlot\(", text)) >= 6
    for words in ("it broke", "one seed only", "86.3 [", "not told apart", "linear probe"):
        assert words in text
    mean = 100 * results[(results.variant == "hacm") & (results.protocol == "linear")].accuracy
    assert f"<td>{mean.mean():.1f}</td>" in text


def test_variants_with_odd_names_are_escaped(scores, tmp_path):
    odd = table({"<b>hacm": scores["hacm"]})
    write_page(odd, collect_curves_empty(), tmp_path / "out.html")
    assert "<td><b>hacm</td>" not in (tmp_path / "out.html").read_text()


def collect_curves_empty():
    from hacm.experiments.collect import CURVES

    return pd.DataFrame(columns=CURVES)


def test_a_class_missing_in_the_test_split_reaches_the_report(runs, store, tmp_path):
    import shutil

    run_dir = shutil.copytree(runs / "masks/toy/hacm/seed0", tmp_path / "run")
    store = SequenceStore(store.path)
    store.columns["side"] = np.where(store.labels == 0, 1, np.arange(len(store)) // 2 % 2)
    evaluate(run_dir, store, "knn", split="side:1", device="cpu", progress=False)
    assert "store, split side:1: never tested: 0" in remarks(collect(tmp_path))
