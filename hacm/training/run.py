"""A run directory: files that say what was run, how it went and what came out.

run.json        the run card: configuration, seed, versions, git commit, data checksum, machine
metrics.jsonl   one line an epoch
checkpoint.pt   what resuming needs; checkpoint.previous.pt is the one before it
encoder.safetensors   the result's weights
result.json     written last and atomically: a run without it did not finish
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
import warnings
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hacm import __version__
from hacm.config import Config, parse_config
from hacm.data.builtin import open_data
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.files import (
    ASIDE,
    make_folder,
    read_json,  # noqa: F401  (notebooks take it from here)
    saying,
    to_json,
    write_json,
    write_text,
)
from hacm.lock import LOCK
from hacm.training.records import (
    CARD,
    METRICS,
    RESULT,
    gaps,
    read_card,
    read_metrics,
    read_result,
)


class Run:
    """One run directory.

    Args:
        path: the directory; made if it is missing.
        config: what is run.
        store: what it is run on.
        device: where.

    Raises:
        HacmError: the directory holds another configuration or other data, or other files, or
            cannot be made or written.
    """

    def __init__(
        self, path: str | Path, config: Config, store: SequenceStore, device: torch.device
    ) -> None:
        self.path = Path(path)
        self.started = time.monotonic()
        with saying(self.path, "used as a run directory"):
            has_card = (self.path / CARD).exists()
            if not has_card and self.path.exists() and has_other_files(self.path):
                raise HacmError(
                    f"{self.path} is not empty and holds no {CARD}: choose another run_dir"
                )
        if has_card:
            check_same(self.path, config, store)
            self.card = read_card(self.path)
        else:
            make_folder(self.path)
            self.card = make_card(config, store, device)
            write_json(self.path / CARD, self.card)
        self.seconds_before = float(self.card.get("seconds", 0.0))

    @property
    def result(self) -> dict[str, Any] | None:
        """The result, if the run is complete."""
        return read_result(self.path) if (self.path / RESULT).exists() else None

    @property
    def seconds(self) -> float:
        """Time spent on this run, over all its sessions."""
        return self.seconds_before + time.monotonic() - self.started

    def metrics(self, epochs: int | None = None) -> list[dict[str, Any]]:
        """All epochs logged so far; warns if the first `epochs` are not all there, each once."""
        metrics = read_metrics(self.path)
        if epochs is not None and (said := gaps(metrics, epochs)):
            warnings.warn(f"{self.path}: {said}; the weights are not affected", stacklevel=2)
        return metrics

    def log(self, metrics: dict[str, Any]) -> None:
        """Append one epoch."""
        with saying(self.path / METRICS), (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(to_json(metrics) + "\n")

    def forget_after(self, epoch: int) -> None:
        """Drop logged epochs from `epoch` on: a resumed run computes them again."""
        kept = [to_json(line) for line in self.metrics() if line["epoch"] < epoch]
        write_text(self.path / METRICS, "".join(line + "\n" for line in kept))

    def save_card(self) -> None:
        """Bring the duration up to date."""
        self.card["seconds"] = round(self.seconds, 3)
        write_json(self.path / CARD, self.card)

    def finish(self, result: dict[str, Any]) -> None:
        """Write the run card, then the result."""
        self.save_card()
        write_json(self.path / RESULT, {**result, "seconds": self.card["seconds"]})


def has_other_files(folder: Path) -> bool:
    """Whether a directory holds anything but what a run that was killed at its start leaves."""
    return any(f.name != LOCK and f.suffix != ASIDE for f in folder.iterdir())


def as_store(data: SequenceStore | str | Path) -> SequenceStore:
    """A store, opened if it is given by its path (see `open_data`).

    Raises:
        HacmError: there is no store at that path, or it is no path.
    """
    if isinstance(data, SequenceStore):
        return data
    if isinstance(data, str | Path):
        return open_data(data)
    raise HacmError(f"expected a store or the path of one, got {type(data).__name__}")


def check_same(run_dir: Path, config: Config, store: SequenceStore) -> None:
    """A run directory holds one configuration on one data set.

    Raises:
        HacmError: its run card tells of others; names both sides.
    """
    card = read_card(run_dir)
    there = parse_config(card["config"], str(run_dir / CARD))
    if changed := config.difference(there):
        raise HacmError(
            f"{run_dir} holds a run with another configuration ({changed}; asked for / there): use "
            "the same parameters or another run_dir"
        )
    if card["data"]["checksum"] != store.checksum:
        raise HacmError(
            f"{run_dir} was run on the data of {card['data']['path']} (checksum "
            f"{card['data']['checksum'][:12]}), not on {store.path} ({store.checksum[:12]}): use "
            "the same data or another run_dir"
        )


def read_run_config(run_dir: str | Path) -> Config:
    """The configuration of an existing run.

    Raises:
        HacmError: there is no run in that directory.
    """
    return parse_config(read_card(run_dir)["config"], str(Path(run_dir) / CARD))


def make_card(config: Config, store: SequenceStore, device: torch.device) -> dict[str, Any]:
    """What must be known to judge or repeat a run."""
    return {
        "config": config.model_dump(mode="json"),
        "data": {
            "path": str(store.path),
            "checksum": store.checksum,
            "sequences": len(store),
            "layout": store.layout.name,
        },
        "versions": {
            "python": platform.python_version(),
            "hacm": __version__,
            **{name: version(name) for name in ("torch", "numpy")},
        },
        "git_commit": git_commit(),
        "hardware": {
            "device": str(device),
            "name": torch.cuda.get_device_name(device)
            if device.type == "cuda"
            else platform.processor() or platform.machine(),
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def git_commit() -> str | None:
    """The code's version, with `-dirty` if files differ from it; None outside a checkout."""
    where = Path(__file__).resolve().parents[2]
    if not (where / ".git").exists():  # an installed package, not a checkout
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(where), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
