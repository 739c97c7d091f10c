"""What a table of results says: means over seeds, differences paired by seed, and its limits.

All accuracies here are in per cent. Tables are data frames for people: notebook 06 shows them, and
`hacm report` writes them into a page.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hacm.errors import HacmError
from hacm.experiments.collect import NOT_EVALUATED

if TYPE_CHECKING:
    from pandas import DataFrame

PUBLISHED = Path(__file__).with_name("published.csv")
GROUP = ["sweep", "data", "split"]
"""Runs that can be compared: of one sweep, on the same data (`A → B`: pretrained on A), evaluated
with the same settings (else the split says which)."""


def protocols(results: DataFrame) -> list[str]:
    """The protocols (and readers) that have results."""
    return [name for name in results["protocol"].unique() if name]


def score_table(results: DataFrame, protocol: str) -> DataFrame:
    """Mean and standard deviation over seeds, a row a variant.

    Columns: those of `GROUP`, variant, mean, sd (sample; empty for one seed), n (seeds), untrained
    (mean; left out if no run compared), chance, train (sequences whose labels were used), steps and
    seconds of pretraining, evaluation_seconds (means).
    """
    rows = _of_protocol(results, protocol)
    table = rows.groupby([*GROUP, "variant"], sort=False).agg(
        mean=("accuracy", "mean"),
        sd=("accuracy", "std"),
        n=("accuracy", "size"),
        untrained=("untrained", "mean"),
        chance=("chance", "first"),
        train=("train", "max"),
        steps=("steps", "mean"),
        seconds=("seconds", "mean"),
        evaluation_seconds=("evaluation_seconds", "mean"),
    )
    if table["untrained"].isna().all():
        table = table.drop(columns="untrained")
    return table.reset_index()


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of n values and its confidence interval (Student's t, n - 1 degrees of freedom).

    The interval of a single value is NaN: it says nothing of the spread.
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def paired_differences(results: DataFrame, protocol: str, reference: str = "") -> DataFrame:
    """How much a reference variant is above every other one, paired by seed, with 95 % intervals.

    The reference's encoders before and after pretraining are compared in the same way.

    Args:
        results: from `collect`.
        protocol: whose accuracies.
        reference: a variant; empty: `hacm` where there is one, else the first of each group.

    Returns:
        columns of `GROUP`, reference, other, mean, low, high (points), n (seeds that both have),
        `reading`: what the interval says in words.

    Raises:
        HacmError: no such variant in any group.
    """
    from pandas import DataFrame

    rows = _of_protocol(results, protocol)
    if reference and reference not in set(rows["variant"]):
        known = ", ".join(rows["variant"].unique())
        raise HacmError(f"no variant {reference!r} has {protocol} results; there are: {known}")
    found = []
    for key, group in rows.groupby(GROUP, sort=False):
        variants = list(group["variant"].unique())
        first = reference or ("hacm" if "hacm" in variants else variants[0])
        if first not in variants:
            continue
        scores = group.pivot_table(index="seed", columns="variant", values="accuracy")
        pairs = {other: scores[first] - scores[other] for other in variants if other != first}
        own = group[group["variant"] == first]
        pairs["its untrained encoder"] = own["accuracy"] - own["untrained"]
        for other, difference in pairs.items():
            difference = difference.dropna()
            if len(difference):
                mean, low, high = mean_interval(difference.to_numpy())
                n = len(difference)
                line = {"reference": first, "other": other, "mean": mean, "low": low, "high": high}
                line |= {"n": n, "reading": _reading(low, high, n)}
                found.append({**dict(zip(GROUP, key, strict=True)), **line})
    columns = [*GROUP, "reference", "other", "mean", "low", "high", "n", "reading"]
    return DataFrame(found, columns=columns)


def comparison(results: DataFrame, protocol: str) -> tuple[DataFrame, list[str]]:
    """These runs and the published numbers side by side, a row a method, a column a data set.

    Returns:
        the table of texts: mean +- sd (n seeds) of these runs, the number as published; each with
        the number of its source in brackets, empty where there is none; and the sources.
    """
    import pandas

    published = pandas.read_csv(PUBLISHED, keep_default_na=False)
    published = published[published["protocol"] == protocol]
    cells: dict[str, dict[str, str]] = {}
    sources: list[str] = []

    def add(method: str, column: str, text: str, source: str) -> None:
        if source not in sources:
            sources.append(source)
        row = cells.setdefault(method, {})
        row[column] = f"{text} [{sources.index(source) + 1}]"

    commits = _of_protocol(results, protocol).groupby("sweep")["commit"].unique()
    for row in score_table(results, protocol).itertuples():
        spread = f" ± {row.sd:.1f}" if row.n > 1 else ""
        seeds = f"{row.n} seeds" if row.n > 1 else "1 seed"
        source = f"these runs{f', sweep {row.sweep}' if row.sweep else ''}"
        source += f", code {', '.join(commits[row.sweep])}"
        method = f"{row.variant}, {row.sweep}" if row.sweep else row.variant
        add(method, f"{row.data} {row.split}", f"{row.mean:.1f}{spread} ({seeds})", source)
    for row in published.itertuples():
        data = f"{row.pretrained} → {row.data}" if row.pretrained else row.data
        add(f"{row.method}, published", f"{data} {row.split}", f"{row.accuracy:.1f}", row.source)
    table = pandas.DataFrame.from_dict(cells, orient="index").fillna("")
    return table.rename_axis("method").reset_index(), sources


def remarks(results: DataFrame) -> list[str]:
    """What the tables do not show and must be known: sentences, worst first."""
    said = []
    for row in results[results["state"] != "done"].itertuples():
        said.append(f"{_run_name(row)} is {row.state}: {row.note}")
    for row in results[(results["state"] == "done") & (results["note"] != "")].itertuples():
        for note in row.note.split("; "):
            told = f" was {note}" if note == NOT_EVALUATED else f": {note}"
            said.append(_run_name(row) + told)
    for protocol in protocols(results):
        rows = _rows_of(results, protocol)
        for key, group in rows.groupby(["sweep", "data", "variant"], sort=False):
            if len(group) == 1:
                seed = int(group["seed"].iloc[0])
                said.append(
                    f"{_joined(key)}, {protocol}: one seed only ({seed}), so no spread is known"
                )
        for key, group in rows.groupby(GROUP, sort=False):
            said += _differing(group, f"{_joined(key[:2])}, {protocol}", settings="settings")
            for side in ("trained", "tested"):
                for names in sorted(set(group[f"never_{side}"]) - {""}):
                    said.append(f"{_joined(key[:2])}, split {key[2]}: never {side}: {names}")
    for key, group in results.groupby(["sweep", "data"], sort=False):
        said += _differing(
            group,
            _joined(key),
            checksum="data",
            commit="versions of the code",
            hardware="machines",
        )
    return list(dict.fromkeys(said))


def _differing(group: DataFrame, where: str, **columns: str) -> list[str]:
    """A sentence a column that is not the same for all."""
    kinds = {what: sorted(set(group[column]) - {""}) for column, what in columns.items()}
    return [f"{where}: different {what}: {'; '.join(k)}" for what, k in kinds.items() if len(k) > 1]


def _joined(parts: Iterable[object]) -> str:
    return " / ".join(str(part) for part in parts if part)


def _of_protocol(results: DataFrame, protocol: str) -> DataFrame:
    """The rows of a protocol, accuracies in per cent; other settings are another split.

    What was evaluated with other settings cannot be compared. Where a group has several, each gets
    a split of its own, named by what differs.
    """
    rows = _rows_of(results, protocol)
    for _, group in rows.groupby(GROUP, sort=False):
        settings = {text: set(filter(None, text.split(", "))) for text in group["settings"]}
        shared = set.intersection(*settings.values())
        for text, options in settings.items() if len(settings) > 1 else ():
            own = ", ".join(sorted(options - shared)) or "other settings"
            rows.loc[group.index[group["settings"] == text], "split"] += f", {own}"
    return rows


def _rows_of(results: DataFrame, protocol: str) -> DataFrame:
    """The rows of a protocol as they are, accuracies in per cent."""
    rows = results[results["protocol"] == protocol].reset_index(drop=True)
    for column in ("accuracy", "untrained", "chance"):
        rows[column] = 100 * rows[column].astype(float)
    if protocol == "transfer":
        rows["data"] = rows["data"] + " → " + rows["evaluated_on"]
    return rows


def _reading(low: float, high: float, n: int) -> str:
    if n < 2:
        return "one seed: no interval"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "not told apart"


def _run_name(row: Any) -> str:
    return _joined((row.sweep, row.data, row.variant, f"seed {int(row.seed)}"))
