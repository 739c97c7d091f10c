"""A sweep: one YAML file that says which runs to make.

data: {wmft: stores/wmft}          # name -> store; `--data NAME=PATH` on the command line wins
base: {preset: tiny, epochs: 60}   # objective, preset and any field of `Config`
grid:                              # every combination of these values ...
  mask_ratio: [0.8, 0.9]
runs:                              # ... or variants by name, each with its own fields
  random: {temporal: random, spatial: random}
  released: {preset: tiny+released, seeds: [0, 1]}
seeds: [0, 1, 2]                   # of all variants that do not name their own
protocol: [linear, finetune]       # or a single one
evaluation: {views: 10}            # parameters of notebook 04: split, epochs, views, ...
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from hacm.config import Config, parse_options
from hacm.data.builtin import BUILTIN, open_data
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.presets import make_config
from hacm.training.evaluate import finished_result, protocol_options, question
from hacm.training.protocols import READERS
from hacm.training.records import RESULT
from hacm.training.run import check_same

PRETRAINING = "pretraining"
_SEEDS = TypeAdapter(Annotated[list[int], Field(min_length=1)])
_NAME = re.compile(r"[\w.+=,-]+")


class Evaluation(BaseModel):
    """What a sweep may say of the evaluation: parameters of notebook 04."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = ""
    """Another store than that of pretraining, for `transfer`."""
    split: str = ""
    epochs: int = 100
    views: int = 5
    compare: bool = True
    overrides: dict[str, Any] = {}

    def options(self, protocol: str, seed: int) -> dict[str, Any]:
        """The protocol's options as notebook 04 puts them together."""
        views = {"views": self.views} if protocol in READERS else {}
        return {"epochs": self.epochs, "seed": seed, **self.overrides, **views}


class SweepFile(BaseModel):
    """The contents of a sweep file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: dict[str, str] = {}
    base: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    runs: dict[str, dict[str, Any] | None] = {}
    seeds: list[int] = Field([0], min_length=1)
    protocol: str | list[str] = "linear"
    evaluation: Evaluation = Evaluation()

    @property
    def protocols(self) -> list[str]:
        """The protocols, also if there is only one."""
        return [self.protocol] if isinstance(self.protocol, str) else self.protocol

    @field_validator("runs")
    @classmethod
    def _seeds_are_lists(cls, runs: dict[str, Any]) -> dict[str, Any]:
        for name, fields in runs.items():
            if "seeds" in (fields or {}):
                try:
                    _SEEDS.validate_python(fields["seeds"])
                except ValidationError:
                    raise ValueError(
                        f"{name}: seeds: expected a list such as [0, 1], not {fields['seeds']!r}"
                    ) from None
        return runs

    def seeds_of(self, variant: str) -> list[int]:
        """A variant's own seeds, or those of the sweep."""
        return (self.runs.get(variant) or {}).get("seeds", self.seeds)

    def variants(self) -> dict[str, dict[str, Any]]:
        """Name -> fields on top of `base`."""
        if self.runs:
            return {
                name: {key: value for key, value in (fields or {}).items() if key != "seeds"}
                for name, fields in self.runs.items()
            }
        combinations = itertools.product(*self.grid.values())
        points = [dict(zip(self.grid, values, strict=True)) for values in combinations]
        return {
            ",".join(f"{key}={value}" for key, value in point.items()) or "base": point
            for point in points
        }


@dataclass(frozen=True)
class Trial:
    """One variant on one data set with one seed: a pretraining and its evaluations.

    Attributes:
        data, variant, seed: which one.
        store: the data.
        config: the pretraining.
        run_dir: where it goes: RUNS/<sweep>/<data>/<variant>/seed<k>.
        pretraining: parameters of notebook 03.
        evaluations: parameters of notebook 04 by protocol.
        questions: what each protocol's result must answer (`evaluate.question`).
    """

    data: str
    variant: str
    seed: int
    store: SequenceStore
    config: Config
    run_dir: Path
    pretraining: dict[str, Any]
    evaluations: dict[str, dict[str, Any]]
    questions: dict[str, dict[str, Any]]

    def steps(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Notebooks to run in turn: step, notebook, parameters."""
        evaluations = [(name, "04_evaluation", asked) for name, asked in self.evaluations.items()]
        return [(PRETRAINING, "03_pretraining", self.pretraining), *evaluations]

    def is_finished(self, step: str) -> bool:
        """Whether a step's result is there.

        Raises:
            HacmError: the directory holds a run of another configuration or on other data.
        """
        if step != PRETRAINING:
            out = self.run_dir / "eval" / step
            return finished_result(out, self.questions[step]) is not None
        if done := (self.run_dir / RESULT).exists():
            check_same(self.run_dir, self.config, self.store)
        return done


def read_sweep(file: Path, runs: Path, data: Mapping[str, str] | None = None) -> list[Trial]:
    """The runs a sweep file asks for; everything in it is checked before the first one starts.

    Args:
        file: the YAML file.
        runs: the directory under which run directories are.
        data: stores by name, instead of the file's.

    Raises:
        HacmError: the file cannot be read, or a key, value, name, store or split in it is wrong.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HacmError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise HacmError(f"{file}: expected keys and values, see hacm/experiments/sweep.py")
    sweep = parse_options(SweepFile, {**content, **({"data": data} if data else {})}, str(file))
    if sweep.grid and sweep.runs:
        raise HacmError(f"{file}: has both grid and runs; a sweep has one of them")
    if not sweep.data:
        raise HacmError(f"{file} names no data: pass --data NAME=STORE")
    variants = sweep.variants()
    for name in (*variants, *sweep.data):
        if not _NAME.fullmatch(name):
            raise HacmError(
                f"{file}: {name!r} becomes a directory, so it may have letters, digits and "
                ". + - _ = , only; give the variant a name under runs"
            )
    for seeds in map(sweep.seeds_of, variants):
        if len(set(seeds)) < len(seeds):
            raise HacmError(f"{file}: a seed is listed twice: {seeds}")
    for protocol in sweep.protocols:
        protocol_options(protocol, sweep.evaluation.options(protocol, 0))
        if protocol == "transfer" and not sweep.evaluation.data:
            raise HacmError(f"{file}: transfer needs `evaluation: {{data: ANOTHER_STORE}}`")
    named = [*sweep.data.values(), *filter(None, [sweep.evaluation.data])]
    stores = {path: open_data(path) for path in map(_resolved, named)}
    return [
        _trial(sweep, stores, file, runs, data_name, variant, seed)
        for data_name in sweep.data
        for variant in variants
        for seed in sweep.seeds_of(variant)
    ]


def _trial(
    sweep: SweepFile,
    stores: Mapping[str, SequenceStore],
    file: Path,
    runs: Path,
    data: str,
    variant: str,
    seed: int,
) -> Trial:
    path = _resolved(sweep.data[data])
    fields = {**sweep.base, **sweep.variants()[variant]}
    pretraining, config = _pretraining(fields, seed, f"{file}, {variant}")
    stores[path].split(config.split)
    run_dir = (runs / file.stem / data / variant / f"seed{seed}").resolve()
    evaluations, questions = {}, {}
    for protocol in sweep.protocols:
        asked = sweep.evaluation
        target = _resolved(asked.data) if protocol == "transfer" else path
        split = asked.split or config.split
        stores[target].split(split)
        options = protocol_options(protocol, asked.options(protocol, seed))
        questions[protocol] = question(stores[target], split, asked.compare, options)
        which = {"run_dir": str(run_dir), "data": target, "protocol": protocol, "seed": seed}
        evaluations[protocol] = {**asked.model_dump(), **which}
    pretraining |= {"run_dir": str(run_dir), "data": path}
    store = stores[path]
    return Trial(data, variant, seed, store, config, run_dir, pretraining, evaluations, questions)


def _resolved(data: str) -> str:
    return data if data in BUILTIN else str(Path(data).resolve())


def _pretraining(fields: dict[str, Any], seed: int, where: str) -> tuple[dict[str, Any], Config]:
    """Parameters of notebook 03 and the configuration it will make of them."""
    if "seed" in fields:
        raise HacmError(f"{where}: seeds have a key of their own, `seeds: [0, 1]`")
    overrides = dict(fields)
    start = {key: overrides.pop(key) for key in ("objective", "preset") if key in overrides}
    try:
        config = make_config(**start, overrides=overrides, seed=seed)
    except HacmError as error:
        raise HacmError(f"{where}: {error}") from None
    shown = {key: getattr(config, key) for key in ("objective", "preset", "epochs", "batch_size")}
    overrides = {key: value for key, value in overrides.items() if key not in shown}
    return {**shown, "seed": seed, "overrides": overrides}, config
