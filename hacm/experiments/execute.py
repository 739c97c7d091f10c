"""Run the trials of a sweep: notebooks through papermill, in processes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hacm.errors import HacmError
from hacm.experiments.reuse import reuse
from hacm.experiments.sweep import PRETRAINING, Trial
from hacm.files import make_folder, saying, write_json
from hacm.lock import one_writer
from hacm.stops import stops_as_exits
from hacm.training.evaluate import finished_result
from hacm.training.records import RESULT, read_metrics

if TYPE_CHECKING:
    from rich.table import Table

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
TRIALS = "trials.json"


@dataclass
class Status:
    """How a trial stands.

    Attributes:
        state: waiting, running, done, failed.
        step: the notebook that runs.
        error: why it failed, in a sentence.
    """

    state: str = "waiting"
    step: str = ""
    error: str = ""


class Execution:
    """Trials, how they stand, and the processes that run them.

    Args:
        trials: of one sweep.
        jobs: how many to run at once; more than one get a single thread each.
    """

    def __init__(self, trials: list[Trial], jobs: int = 1) -> None:
        if jobs < 1:
            raise HacmError(f"--jobs must be at least 1, not {jobs}")
        if not (NOTEBOOKS / "03_pretraining.ipynb").exists():
            raise HacmError(f"{NOTEBOOKS} has no notebooks: run sweeps from a checkout of hacm")
        self.trials, self.jobs = trials, jobs
        self.status = [Status() for _ in trials]
        self._processes: set[subprocess.Popen] = set()
        self.folder = trials[0].run_dir.parents[2]
        self._lock = threading.Lock()
        self._stopped = False

    def run(self) -> list[Status]:
        """Run what is not finished, show a live table, survive failing runs.

        Stopped by Ctrl-C, SIGTERM or the closing of the terminal, it stops its notebooks, which
        keep what they have trained, and records how the trials stand.

        Raises:
            HacmError: the sweep's directory cannot be written, or another sweep runs in it.
        """
        with one_writer(make_folder(self.folder)), stops_as_exits():
            return self._run()

    def _run(self) -> list[Status]:
        from rich.console import Console
        from rich.live import Live

        console = Console()
        pool = ThreadPoolExecutor(self.jobs)
        pending = {pool.submit(self._run_trial, i): i for i in range(len(self.trials))}
        self._save()
        try:
            with Live(self.table(), console=console, transient=True) as live:
                while pending:
                    finished, _ = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
                    for future in finished:
                        console.print(self._line(pending.pop(future)), highlight=False)
                        future.result()
                        self._save()
                    live.update(self.table())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._stop()
            pool.shutdown()
            self._save()
            console.print(self.table())
        return self.status

    def table(self) -> Table:
        """One row a variant: a mark for each seed, and the mean accuracy so far."""
        from rich.table import Table

        table = Table("data", "variant", "seeds", "now", "accuracy", title_justify="left")
        groups: dict[tuple[str, str], list[int]] = {}
        for i, trial in enumerate(self.trials):
            groups.setdefault((trial.data, trial.variant), []).append(i)
        marks = {"waiting": "·", "running": "▶", "done": "✓", "failed": "✗"}
        for (data, variant), members in groups.items():
            running = [self._progress(i) for i in members if self.status[i].state == "running"]
            scores = [s for i in members if (s := accuracy(self.trials[i])) is not None]
            mean = f"{100 * sum(scores) / len(scores):.1f} % (n = {len(scores)})" if scores else ""
            seeds = "".join(marks[self.status[i].state] for i in members)
            table.add_row(data, variant, seeds, ", ".join(running), mean)
        return table

    def _run_trial(self, index: int) -> None:
        trial, status = self.trials[index], self.status[index]
        status.state = "running"
        try:
            reuse(trial)
            for step, notebook, parameters in trial.steps():
                status.step = step
                if not trial.is_finished(step):
                    self._papermill(trial, step, notebook, parameters)
                    if not trial.is_finished(step):
                        raise HacmError(f"{notebook} ended without a {RESULT}")
            status.state = "done"
        except HacmError as error:
            status.state, status.error = "failed", str(error)
        if self._stopped and status.state == "failed":
            status.state, status.error = "waiting", ""

    def _papermill(self, trial: Trial, step: str, notebook: str, parameters: dict) -> None:
        """Run one notebook; raises HacmError with the notebook's own error."""
        # Beside the run directory, which belongs to the run.
        executed = trial.run_dir.with_name(f"{trial.run_dir.name}.{step}.ipynb")
        log = executed.with_suffix(".log")
        make_folder(executed.parent)
        with saying(executed):
            executed.unlink(missing_ok=True)
        command = [sys.executable, "-m", "papermill", str(NOTEBOOKS / f"{notebook}.ipynb")]
        command += [str(executed), "-k", "python3", "--no-progress-bar"]
        command += ["-y", yaml.safe_dump(parameters)]
        threads = {"OMP_NUM_THREADS": "1"} if self.jobs > 1 else {}
        with saying(log), log.open("w", encoding="utf-8") as output:
            with self._lock:
                if self._stopped:
                    raise HacmError("stopped")
                process = subprocess.Popen(
                    command,
                    env={**os.environ, **threads},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._processes.add(process)
            code = process.wait()
        with self._lock:
            self._processes.discard(process)
        if code:
            raise HacmError(
                notebook_error(executed) or f"{notebook} ended with exit code {code}; see {log}"
            )

    def _stop(self) -> None:
        """Interrupt what runs; papermill then takes its kernel down, which keeps what it has."""
        with self._lock:
            self._stopped = True
            processes = list(self._processes)
        for process in processes:
            process.send_signal(signal.SIGINT)
        try:
            for process in processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(20)
        finally:  # also if whoever stops this has no patience
            for process in processes:
                process.kill()

    def _progress(self, index: int) -> str:
        trial, step = self.trials[index], self.status[index].step
        if step == PRETRAINING:
            with suppress(HacmError):  # the trial itself will say it
                epochs = len(read_metrics(trial.run_dir))
                step = f"epoch {epochs} of {trial.config.epochs}"
        return f"seed {trial.seed}: {step}"

    def _line(self, index: int) -> str:
        trial, status = self.trials[index], self.status[index]
        what = f"{trial.data} / {trial.variant} / seed {trial.seed}"
        score = accuracy(trial)
        told = status.error or (f"{100 * score:.1f} %" if score is not None else "")
        return f"{status.state}: {what}: {told}"

    def _save(self) -> None:
        """Record how trials stand, so that a report can tell of those that left nothing else."""
        rows = [
            {
                **{"data": trial.data, "variant": trial.variant, "seed": trial.seed},
                **{"state": status.state, "error": status.error},
            }
            for trial, status in zip(self.trials, self.status, strict=True)
        ]
        write_json(self.folder / TRIALS, {"trials": rows})


def accuracy(trial: Trial) -> float | None:
    """The trained encoder's accuracy in the sweep's first protocol, if it is known."""
    for protocol, asked in trial.questions.items():
        with suppress(HacmError):  # a damaged result is told where it is needed
            result = finished_result(trial.run_dir / "eval" / protocol, asked)
            return result[result["protocol"]]["trained"] if result else None
        break
    return None


def notebook_error(file: Path) -> str:
    """The error an executed notebook stopped at, on one line; empty if there is none."""
    if not file.exists():
        return ""
    try:
        cells: Iterable[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError):
        return ""
    for cell in cells:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                name, value = output["ename"], " ".join(output["evalue"].split())
                return value if name == "HacmError" else f"{name}: {value}"
    return ""
