"""What a preparation read, left out and wrote, as a table for people and as JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hacm.data.describe import split_faults, split_sizes
from hacm.data.remarks import remarks
from hacm.data.source import Skip
from hacm.data.store import SequenceStore
from hacm.errors import HacmError

if TYPE_CHECKING:
    from rich.console import Group

REPORT = "report.json"
_EXAMPLES = 5


@dataclass
class Report:
    """The outcome of one preparation.

    Attributes:
        splits: name -> `{"train": n, "test": n, "published": [n, n] or None}`.
        split_faults: a sentence for each split of which a side is empty.
        counts: what the reader counted, e.g. bodies dropped by each denoising rule.
        rounding: largest error that float16 made, metres; None for float32.
        checksum: of the store, see `SequenceStore.checksum`.
        notes: sentences on what was taken for granted, for the user to check.
    """

    title: str
    path: str
    items: int
    sequences: int
    bodies: int
    frames: int
    classes: int
    classes_known: int
    subjects: int | None
    skips: list[Skip]
    counts: dict[str, int]
    splits: dict[str, dict[str, Any]]
    split_faults: list[str]
    rounding: float | None
    megabytes: float
    checksum: str
    seconds: float
    notes: list[str]

    @classmethod
    def of(
        cls,
        store: SequenceStore,
        *,
        title: str,
        items: int,
        skips: Sequence[Skip],
        counts: Mapping[str, int],
        published: Mapping[str, tuple[int, int]],
        rounding: float,
        seconds: float,
        notes: Sequence[str] = (),
    ) -> Report:
        """The report on a store that was just written."""
        splits = {
            name: {"train": train, "test": test, "published": published.get(name)}
            for name, (train, test) in split_sizes(store).items()
        }
        subjects = store.columns.get("subject")
        return cls(
            title=title,
            path=str(store.path),
            items=items,
            sequences=len(store),
            bodies=int(store.columns["bodies"].sum()),
            frames=int(store.columns["frames"].sum()),
            classes=len(np.unique(store.labels)),
            classes_known=len(store.label_names),
            subjects=None if subjects is None else len(np.unique(subjects)),
            skips=list(skips),
            counts={name: n for name, n in counts.items() if n},
            splits=splits,
            split_faults=split_faults(store),
            rounding=rounding if store.frames.dtype == np.float16 else None,
            megabytes=sum(file.stat().st_size for file in store.path.iterdir()) / 1e6,
            checksum=store.checksum,
            seconds=round(seconds, 2),
            notes=[*notes, *remarks(store)],
        )

    def save(self) -> Path:
        """Write `report.json` into the store's directory.

        Raises:
            HacmError: it cannot be written; the store itself is complete.
        """
        path = Path(self.path) / REPORT
        aside = path.with_suffix(".partial")
        try:
            aside.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
            os.replace(aside, path)
        except OSError as error:
            raise HacmError(
                f"{self.path} is complete, but {REPORT} cannot be written: {error.strerror}"
            ) from error
        return path

    def table(self) -> Group:
        """For people; all skipped files are in `report.json`."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        facts = {
            "read": f"{self.items:,} items in {self.seconds:,.1f} s",
            "sequences": f"{self.sequences:,}, {self.bodies:,} bodies",
            "frames": f"{self.frames:,}, {self.megabytes:,.1f} MB",
            "classes": f"{self.classes} of {self.classes_known}",
        }
        if self.subjects is not None:
            facts["subjects"] = str(self.subjects)
        if self.rounding is not None:
            facts["float16"] = f"changes no coordinate by more than {self.rounding:.2g} m"
        facts |= {name: f"{n:,}" for name, n in self.counts.items()}
        for name, split in self.splits.items():
            text = f"{split['train']:,} train, {split['test']:,} test"
            if split["published"]:
                text += " (published: {:,} and {:,})".format(*split["published"])
            facts[f"split {name}"] = text
        kinds = Counter(skip.kind for skip in self.skips)
        facts["skipped"] = ", ".join(f"{n:,} {k}" for k, n in kinds.items()) or "nothing"
        facts["checksum"] = self.checksum[:16]
        # Text, not str: a path may hold what rich takes for markup.
        title = Text(f"{self.title}: {self.path}")
        table = Table(title=title, show_header=False, title_justify="left")
        for name, fact in facts.items():
            table.add_row(Text(name), Text(fact))
        faults = [skip.reason for skip in self.skips if not skip.wanted]
        told = [Text(f"skipped: {reason}") for reason in faults[:_EXAMPLES]]
        if len(faults) > _EXAMPLES:
            told.append(Text(f"... and {len(faults) - _EXAMPLES:,} more in {REPORT}"))
        told += [Text(f"note: {note}") for note in self.notes]
        return Group(table, *map(Text, self.split_faults), *told)
