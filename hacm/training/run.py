"""A run directory: files that say what was run, how it went and what came out.

run.json        the run card: configuration, seed, versions, git commit, data checksum, machine
metrics.jsonl   one line an epoch
checkpoint.pt   what resuming needs
encoder.safetensors   the result's weights
result.json     written last and atomically: a run without it did not finish
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hacm import __version__
from hacm.config import Config, parse_config
from hacm.data.store import SequenceStore
from hacm.errors import HacmError

CARD, METRICS, RESULT = "run.json", "metrics.jsonl", "result.json"


class Run:
    """One run directory.

    Args:
        path: the directory; made if it is missing.
        config: what is run.
        store: what it is run on.
        device: where.

    Raises:
        HacmError: the directory holds another configuration or other data, or other files.
    """

    def __init__(
        self, path: str | Path, config: Config, store: SequenceStore, device: torch.device
    ) -> None:
        self.path = Path(path)
        self.started = time.monotonic()
        card = self.path / CARD
        if card.exists():
            check_same(self.path, config, store)
            self.card = read_json(card)
        else:
            if self.path.exists() and any(self.path.iterdir()):
                raise HacmError(
                    f"{self.path} is not empty and holds no {CARD}: choose another run_dir"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self.card = make_card(config, store, device)
            write_json(card, self.card)
        self.seconds_before = float(self.card.get("seconds", 0.0))

    @property
    def result(self) -> dict[str, Any] | None:
        """The result, if the run is complete."""
        file = self.path / RESULT
        return read_json(file) if file.exists() else None

    @property
    def seconds(self) -> float:
        """Time spent on this run, over all its sessions."""
        return self.seconds_before + time.monotonic() - self.started

    def metrics(self) -> list[dict[str, Any]]:
        """All epochs logged so far."""
        return read_metrics(self.path)

    def log(self, metrics: dict[str, Any]) -> None:
        """Append one epoch."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")

    def forget_after(self, epoch: int) -> None:
        """Drop logged epochs from `epoch` on: a resumed run computes them again."""
        kept = [json.dumps(line) for line in self.metrics() if line["epoch"] < epoch]
        write_text(self.path / METRICS, "".join(line + "\n" for line in kept))

    def save_card(self) -> None:
        """Bring the duration up to date."""
        self.card["seconds"] = round(self.seconds, 3)
        write_json(self.path / CARD, self.card)

    def finish(self, result: dict[str, Any]) -> None:
        """Write the run card, then the result."""
        self.save_card()
        write_json(self.path / RESULT, {**result, "seconds": self.card["seconds"]})


def check_same(run_dir: Path, config: Config, store: SequenceStore) -> None:
    """A run directory holds one configuration on one data set.

    Raises:
        HacmError: its run card tells of others; names both sides.
    """
    card = read_json(run_dir / CARD)
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
    card = Path(run_dir) / CARD
    if not card.exists():
        raise HacmError(f"{run_dir} holds no run: {CARD} is missing; pretrain first")
    return parse_config(read_json(card)["config"], str(card))


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


def read_metrics(run_dir: str | Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a last line cut off by a crash is left out."""
    file = Path(run_dir) / METRICS
    lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else []
    return [json.loads(line) for line in lines[:-1]]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        HacmError: the file cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HacmError(f"{path} cannot be read: {error}") from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: aside, then rename."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
