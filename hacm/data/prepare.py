"""From a data set's raw form to a store: one loop for all readers.

Bad input costs its own sequence, never the run: it is left out and reported. An interrupted run is
continued by the next one with the same arguments.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hacm.data.coordinates import UnitError
from hacm.data.report import Report
from hacm.data.source import Result, Skip, Source
from hacm.data.store import SequenceStore
from hacm.data.writer import StoreWriter, WriteError
from hacm.errors import HacmError

CHUNK = 16  # items that travel to a process together, and after which the work is marked as done


def prepare(
    source: Source,
    out: str | Path,
    *,
    center: bool | None = None,
    dtype: str = "float32",
    jobs: int = 1,
    strict: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    unit: str | None = None,
    up: str | None = None,
) -> Report:
    """Write a source's sequences into a store.

    Args:
        source: what to read.
        out: the new store's directory; `report.json` in it says the same as the return value.
        center: move the origin joint to zero; by default as the set's common procedure does.
        dtype: `float32` or `float16`.
        jobs: processes that read.
        strict: stop at the first fault instead of leaving it out.
        overwrite: replace an existing store.
        progress: show a bar with the time left, on a terminal.
        unit: of the source's coordinates, `mm`, `cm` or `m`; where not given, bones that are far
            too long for metres are refused.
        up: the source's axis that points up, e.g. `z` or `-y`; y where not given.

    Returns:
        What was read, what was left out and why.

    Raises:
        HacmError: nothing usable, the store cannot be written, or a fault under `strict`.
    """
    began = time.perf_counter()
    _stop_at_fault(source.skips, strict)
    writer = StoreWriter(
        out,
        source.layout,
        source.label_names,
        splits=source.splits,
        center=source.center if center is None else center,
        dtype=dtype,
        meta=source.meta,
        overwrite=overwrite,
        resume=source.fingerprint,
        unit=unit,
        up=up,
    )
    with writer:
        done = sum(note["items"] for note in writer.notes)
        items = islice(source.items, done, None)
        hidden = None if progress else True  # None: where nobody watches, i.e. no terminal
        with tqdm(total=source.count, initial=done, unit="item", disable=hidden) as bar:
            results = _results(source.read, items, jobs)
            while batch := list(islice(results, CHUNK)):
                skips = [skip for result in batch for skip in _add(result, writer, strict)]
                counts = sum((result.counts for result in batch), Counter[str]())
                said = {"skips": [asdict(skip) for skip in skips], "counts": counts}
                writer.mark({"items": len(batch), **said})
                bar.update(len(batch))
        skips = [Skip(**skip) for note in writer.notes for skip in note["skips"]]
        if not len(writer):
            first = f"; the first that was left out: {skips[0].reason}" if skips else ""
            raise HacmError(f"{source.title}: no usable sequence in {source.count} items{first}")
    report = Report.of(
        SequenceStore(out),
        title=source.title,
        items=source.count,
        skips=[*source.skips, *skips],
        counts=sum((Counter(note["counts"]) for note in writer.notes), Counter[str]()),
        published=source.published,
        rounding=writer.rounding,
        seconds=time.perf_counter() - began,
        notes=source.notes,
    )
    report.save()
    return report


def _add(result: Result, writer: StoreWriter, strict: bool) -> list[Skip]:
    """Write the samples; what the reader or the writer finds at fault comes back."""
    skips = list(result.skips)
    for sample in result.samples:
        try:
            writer.add(sample.joints, name=sample.name, label=sample.label, **sample.columns)
        except WriteError:
            raise
        except HacmError as error:
            if isinstance(error, UnitError) and not len(writer):
                raise  # not one odd sequence: the very first one
            skips.append(Skip(str(error)))
    _stop_at_fault(skips, strict)
    return skips


def _stop_at_fault(skips: Iterable[Skip], strict: bool) -> None:
    for skip in skips:
        if strict and not skip.wanted:
            raise HacmError(skip.reason)


def _results(read: Callable[[Any], Result], items: Iterable[Any], jobs: int) -> Iterator[Result]:
    """The items' results in their order; few of them wait in memory however many items come."""
    if jobs <= 1:
        yield from map(partial(_read_safely, read), items)
        return
    # Threads of torch or of a notebook do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_leave_interrupts) as pool:
        waiting: deque = deque()
        items = iter(items)
        try:
            while (chunk := list(islice(items, CHUNK))) or waiting:
                if chunk:
                    waiting.append(pool.submit(_read_chunk, read, chunk))
                if not chunk or len(waiting) > 2 * jobs:
                    yield from waiting.popleft().result()
        except BrokenProcessPool as error:
            raise HacmError("a reading process was ended from outside; try fewer --jobs") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _read_chunk(read: Callable[[Any], Result], items: list[Any]) -> list[Result]:
    return [_read_safely(read, item) for item in items]


def _read_safely(read: Callable[[Any], Result], item: Any) -> Result:
    try:
        return read(item)
    except HacmError as error:
        return Result(skips=[Skip(str(error))])
    except MemoryError:
        return Result(skips=[Skip(f"{item}: not enough memory to read it")])


def _leave_interrupts() -> None:
    """Ctrl-C is for the main process, which then ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
