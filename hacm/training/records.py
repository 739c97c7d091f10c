"""What runs leave in JSON: checked when it is read, so that a damaged file is a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hacm.config import parse_options
from hacm.errors import HacmError
from hacm.files import parse_json, read_json, saying

CARD, METRICS, RESULT = "run.json", "metrics.jsonl", "result.json"

_Count = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Numbers = dict[str, float | None]


class _Record(BaseModel):
    """What must be there; more may be."""

    model_config = ConfigDict(strict=True, extra="allow")


class _CardConfig(_Record):
    objective: str
    preset: str
    modality: str
    split: str
    width: int
    depth: int
    seed: int


class _CardData(_Record):
    path: str
    checksum: str
    layout: str


class _Hardware(_Record):
    device: str
    name: str
    threads: int


class _Versions(_Record):
    torch: str


class _Card(_Record):
    config: _CardConfig
    data: _CardData
    hardware: _Hardware
    versions: _Versions
    git_commit: str | None
    seconds: float = Field(0.0, ge=0)


class _Result(_Record):
    epochs: _Count
    steps: _Count
    loss: float | None
    seconds: float = Field(ge=0)


class _Epoch(_Record):
    epoch: _Count
    loss: float | None
    reconstruction: float | None = None
    contrast: float | None = None
    accuracy: float | None = None
    lr: float | None = None
    seconds: float | None = None
    ball: _Numbers = {}
    mask: _Numbers = {}


class _Score(_Record):
    trained: _Share
    untrained: _Share | None = None


class _Asked(_Record):
    split: str


class _Evaluation(_Record):
    protocol: str
    asked: _Asked
    data: str
    chance: _Share
    train: _Count
    test: _Count
    classes_never_trained: list[str]
    classes_never_tested: list[str]
    seconds: float | None = None


class _Trial(_Record):
    data: str
    variant: str
    seed: int
    state: str
    error: str


class _Trials(_Record):
    trials: list[_Trial]


def read_card(run_dir: str | Path) -> dict[str, Any]:
    """What was run: a run directory's `run.json`.

    Raises:
        HacmError: it is missing, damaged or lacks something.
    """
    file = Path(run_dir) / CARD
    with saying(file, "read"):
        there = file.exists()
    if not there:
        raise HacmError(f"{run_dir} holds no run: {CARD} is missing; pretrain first")
    return _checked(_Card, file, "restore that file or use another run directory")


def read_result(run_dir: str | Path) -> dict[str, Any]:
    """What came out: a run directory's `result.json`; raises what `read_card` does."""
    file = Path(run_dir) / RESULT
    return _checked(_Result, file, "remove it, and the same call makes it again")


def read_evaluation(folder: str | Path) -> dict[str, Any]:
    """An evaluation's or an ensemble's `result.json`; raises what `read_card` does."""
    file = Path(folder) / RESULT
    advice = "remove it and evaluate the run again"
    content = _checked(_Evaluation, file, advice)
    readers = {key: value for key, value in content.items() if is_score(value)}
    for reader in {content["protocol"], *readers}:
        score = content.get(reader)
        if not isinstance(score, dict):
            raise HacmError(f"{file} has no accuracy of {reader!r}; {advice}")
        _check(_Score, score, f"{file}, {reader}", advice)
    return content


def is_score(value: Any) -> bool:
    """Whether a value of an evaluation's result is a reader's accuracies."""
    return isinstance(value, dict) and "trained" in value


def read_trials(file: Path) -> list[dict[str, Any]]:
    """How the trials of a sweep stood, from its `trials.json`; raises what `read_card` does."""
    return _checked(_Trials, file, "remove it, and the sweep writes it again")["trials"]


def read_metrics(run_dir: str | Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a last line cut off by a crash is left out.

    Raises:
        HacmError: a line is damaged or no epoch's metrics.
    """
    file = Path(run_dir) / METRICS
    if not file.exists():
        return []
    with saying(file, "read"):
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    found = []
    for number, line in enumerate(lines, start=1):
        where = f"{file}, line {number}"
        try:
            found.append(parse_json(line, where))
        except HacmError as error:
            raise HacmError(f"{error}; {_REMOVE_LINE}") from None
        _check(_Epoch, found[-1], where, _REMOVE_LINE)
    return found


_REMOVE_LINE = "remove that line, and its epoch is reported as missing"


def gaps(metrics: Iterable[dict[str, Any]], epochs: int | None = None) -> str:
    """Which epochs a run's metrics lack or hold more than once, in words; empty if none.

    Args:
        metrics: from `read_metrics`.
        epochs: how many there should be; None: up to the last one there.
    """
    count = Counter(line["epoch"] for line in metrics)
    wanted = range(max(count, default=-1) + 1 if epochs is None else epochs)
    found = {
        "lacks": [epoch for epoch in wanted if epoch not in count],
        "holds more than once": sorted(epoch for epoch, times in count.items() if times > 1),
    }
    said = [f"{what} epoch {_some(which)}" for what, which in found.items() if which]
    return f"{METRICS} {' and '.join(said)}" if said else ""


def _some(numbers: list[int], most: int = 5) -> str:
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more


def _checked(kind: type[_Record], file: Path, advice: str) -> dict[str, Any]:
    try:
        content = read_json(file)
    except HacmError as error:
        raise HacmError(f"{error}; {advice}") from None
    _check(kind, content, str(file), advice)
    return content


def _check(kind: type[_Record], content: dict[str, Any], where: str, advice: str) -> None:
    try:
        parse_options(kind, content, where)
    except HacmError as error:
        raise HacmError(f"{error}; {advice}") from None
