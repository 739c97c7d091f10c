"""Run directories as two tables: results (a row a run and reader) and training curves.

Both are small enough to be committed as CSV; `report.py` and notebook 06 read either form.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hacm.errors import HacmError
from hacm.experiments.execute import TRIALS
from hacm.files import make_folder, saying, write_text
from hacm.training.records import (
    CARD,
    RESULT,
    gaps,
    is_score,
    read_card,
    read_evaluation,
    read_metrics,
    read_result,
    read_trials,
)

if TYPE_CHECKING:
    from pandas import DataFrame

WHICH = ["sweep", "data", "variant", "seed"]
"""What tells runs apart; `data` is what was pretrained on."""

RESULTS = [
    *(*WHICH, "protocol", "accuracy", "untrained", "chance", "evaluated_on", "split"),
    *("train", "test", "never_trained", "never_tested", "settings", "evaluation_seconds"),
    *("objective", "preset", "modality", "layout", "width", "depth", "epochs", "steps", "seconds"),
    *("loss", "checksum", "commit", "hardware", "torch", "state", "note", "run"),
]
CURVES = [*WHICH, "epoch", "loss", "seconds", "entropy_temporal", "entropy_spatial", "radius"]
NUMBERS = {
    *("seed", "accuracy", "untrained", "chance", "train", "test", "evaluation_seconds", "width"),
    *("depth", "epochs", "steps", "seconds", "loss", "epoch"),
    *("entropy_temporal", "entropy_spatial", "radius"),
}
"""Columns of numbers; all others are text."""
COMMITTED = Path(__file__).resolve().parents[2] / "papermill_runs" / "results"
NOT_EVALUATED = "not evaluated"
_POINTS = 40


def collect(runs: str | Path) -> DataFrame:
    """All results under a directory, one row a run and reader; accuracies from 0 to 1.

    Runs that failed or did not finish, or were not evaluated, have one row with an empty protocol.

    Raises:
        HacmError: there is no run under that directory, or a file of one cannot be read.
    """
    failures = _failures(Path(runs))
    failed = [[row[key] for key in WHICH] for row in failures]
    rows = [row for run_dir in find_runs(runs) for row in _result_rows(run_dir, Path(runs))]
    known = [r for r in rows if r["state"] == "done" or [r[key] for key in WHICH] not in failed]
    return _table(known + failures, RESULTS)


def collect_curves(runs: str | Path) -> DataFrame:
    """Training curves of all runs under a directory: some 40 epochs each, and all diagnosed ones.

    `entropy_temporal` and `entropy_spatial` are the sampling weights' entropies relative to uniform
    (1 is a random mask), `radius` is the tokens' median radius in the ball.
    """
    rows = []
    for run_dir in find_runs(runs):
        which, metrics = which_run(run_dir, Path(runs)), read_metrics(run_dir)
        every = -(-len(metrics) // _POINTS)
        for i, line in enumerate(metrics):
            if i % every == 0 or "mask" in line or i == len(metrics) - 1:
                mask, ball = line.get("mask", {}), line.get("ball", {})
                entropies = {key: mask.get(key) for key in ("entropy_temporal", "entropy_spatial")}
                shown = {key: line.get(key) for key in ("epoch", "loss", "seconds")}
                rows.append({**which, **shown, **entropies, "radius": ball.get("radius_q50")})
    return _table(rows, CURVES)


def find_runs(runs: str | Path) -> list[Path]:
    """Run directories under a directory (or itself), in order.

    Raises:
        HacmError: there is none.
    """
    with saying(runs, "read"):
        found = sorted(card.parent for card in Path(runs).rglob(CARD))
    if not found:
        raise HacmError(f"{runs} holds no run: no {CARD} in it or below")
    return found


def which_run(run_dir: Path, runs: Path) -> dict[str, Any]:
    """Sweep, data, variant and seed of a run.

    A sweep's runs lie in <sweep>/<data>/<variant>/seed<k>, with `trials.json` in <sweep>; any other
    run is its own variant, named by its path.
    """
    card = read_card(run_dir)
    names, seed = run_dir.resolve().parts, card["config"]["seed"]
    if len(names) > 4 and Path(*names[:-3], TRIALS).exists():
        return dict(zip(WHICH, (*names[-4:-1], seed), strict=True))
    variant = str(run_dir.relative_to(runs)) if run_dir != runs else run_dir.name
    return dict(zip(WHICH, ("", Path(card["data"]["path"]).name, variant, seed), strict=True))


def write_tables(results: DataFrame, curves: DataFrame, file: str | Path) -> None:
    """Write results to `file` and curves beside it, `<name>_curves.csv`."""
    file = Path(file)
    for table, path in ((results, file), (curves, _curves_file(file))):
        make_folder(path.parent)
        write_text(path, table.to_csv(index=False, float_format="%.6g"))


def load_tables(where: str | Path = "") -> tuple[DataFrame, DataFrame]:
    """Results and curves of a directory of runs, of a CSV file, or of all committed CSV files.

    Args:
        where: a directory with runs in it, a file from `write_tables`; empty: `COMMITTED`.

    Raises:
        HacmError: nothing of the kind is there.
    """
    import pandas

    if str(where) and Path(where).is_dir():
        return collect(where), collect_curves(where)
    if str(where):
        files = [Path(where)]
    else:
        files = [f for f in sorted(COMMITTED.glob("*.csv")) if not f.stem.endswith("_curves")]
    tables = []
    for columns, paths in ((RESULTS, files), (CURVES, list(map(_curves_file, files)))):
        try:
            read = [pandas.read_csv(path, dtype=str, keep_default_na=False) for path in paths]
            tables.append(_table(pandas.concat(read)[columns], columns))
        except (OSError, ValueError, KeyError) as error:
            named = ", ".join(map(str, paths)) or str(COMMITTED)
            raise HacmError(
                f"{named} cannot be read as a table of results: {error}; make one with "
                "`hacm report RUNS OUT.html --csv FILE`"
            ) from error
    return tables[0], tables[1]


def _table(rows: list[dict[str, Any]] | DataFrame, columns: list[str]) -> DataFrame:
    """A data frame of the columns with text as text and numbers as numbers (NaN if empty)."""
    import pandas

    table = pandas.DataFrame(rows, columns=columns).reset_index(drop=True)
    for name in columns:
        if name in NUMBERS:
            table[name] = pandas.to_numeric(table[name])
        else:
            table[name] = table[name].astype(object).fillna("")
    return table


def _curves_file(file: Path) -> Path:
    return file.with_name(f"{file.stem}_curves.csv")


def _result_rows(run_dir: Path, runs: Path) -> Iterator[dict[str, Any]]:
    """A row a reader of a run's evaluations; a single row if it has none."""
    card = read_card(run_dir)
    config, finished = card["config"], (run_dir / RESULT).exists()
    done = read_result(run_dir) if finished else {}
    gap = gaps(read_metrics(run_dir), done.get("epochs"))
    base = {
        **which_run(run_dir, runs),
        **{key: config[key] for key in ("objective", "preset", "modality", "width", "depth")},
        **{"epochs": done.get("epochs"), "steps": done.get("steps"), "loss": done.get("loss")},
        **{"seconds": done.get("seconds"), "layout": card["data"]["layout"]},
        **{"checksum": card["data"]["checksum"][:12], "commit": card["git_commit"] or ""},
        "hardware": "{device} {name}, {threads} threads".format(**card["hardware"]),
        **{"torch": card["versions"]["torch"], "split": config["split"]},
        **{"state": "done" if finished else "unfinished", "note": gap},
        "run": os.path.relpath(run_dir, runs),
    }
    evaluations = sorted(run_dir.glob(f"eval/*/{RESULT}"))
    if not evaluations:
        note = NOT_EVALUATED if finished else f"no {RESULT}: it did not finish"
        yield {**base, "protocol": "", "note": "; ".join(filter(None, [note, gap]))}
    # The nearest neighbour also answers in `linear`: the same reader of the same run is one row.
    seen = set()
    for file in evaluations:
        result = read_evaluation(file.parent)
        for reader in filter(lambda key: is_score(result[key]), result):
            row = {**base, **_scores(result, reader)}
            which = tuple(row[key] for key in ("protocol", "evaluated_on", "split", "settings"))
            if which not in seen:
                seen.add(which)
                yield row


def _scores(result: Mapping[str, Any], reader: str) -> dict[str, Any]:
    asked = result["asked"]
    # What changes nothing in this reader's answer is no setting of it.
    beside = asked if reader.endswith("knn") else ("data", "split", "seed", "compare")
    options = {k: v for k, v in asked.items() if k not in beside}
    return {
        **{"protocol": reader, "accuracy": result[reader]["trained"]},
        **{"untrained": result[reader].get("untrained"), "chance": result["chance"]},
        **{"evaluated_on": result["data"], "split": asked["split"]},
        **{"train": result["train"], "test": result["test"]},
        "never_trained": ", ".join(result["classes_never_trained"]),
        "never_tested": ", ".join(result["classes_never_tested"]),
        "settings": ", ".join(f"{key} {value}" for key, value in options.items()),
        "evaluation_seconds": result.get("seconds"),
    }


def _failures(runs: Path) -> list[dict[str, Any]]:
    """What sweeps recorded of trials that failed."""
    rows = []
    for file in sorted(runs.rglob(TRIALS)):
        for trial in read_trials(file):
            if trial["state"] == "failed":
                which = {"sweep": file.resolve().parent.name}
                which |= {key: trial[key] for key in ("data", "variant", "seed")}
                rows.append({**which, "protocol": "", "state": "failed", "note": trial["error"]})
    return rows
