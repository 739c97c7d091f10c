"""A run that another sweep has made already is copied, not made again.

Sweeps that change one option each all have the run with the defaults in common.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hacm.errors import HacmError
from hacm.experiments.sweep import Trial
from hacm.files import ASIDE, saying
from hacm.lock import LOCK
from hacm.training.records import CARD, RESULT, read_card
from hacm.training.run import check_same, git_commit


def reuse(trial: Trial) -> Path | None:
    """Copy the finished run of another sweep with the same configuration, data and code.

    Its evaluations by this sweep's protocols come with it; whether they answer this sweep's
    question is not decided here. Nothing is copied over a run directory that exists, nor from code
    with changes that no commit holds, since two such states cannot be told apart.

    Args:
        trial: whose run directory to fill; sweeps under the same RUNS are searched.

    Returns:
        where the run came from; None if there is none.

    Raises:
        HacmError: the copy cannot be written.
    """
    commit = git_commit()
    if trial.run_dir.exists() or commit is None or commit.endswith("-dirty"):
        return None

    def left_out(folder: str, names: list[str]) -> set[str]:
        if Path(folder).name == "eval":
            return set(names) - set(trial.evaluations)
        return {CARD, LOCK} & set(names) | {name for name in names if name.endswith(ASIDE)}

    runs = trial.run_dir.parents[3]
    for result in sorted(runs.glob(f"*/*/*/{trial.run_dir.name}/{RESULT}")):
        if _is_same(result.parent, trial, commit):
            aside = trial.run_dir.with_name(f".{trial.run_dir.name}.{os.getpid()}")
            shutil.rmtree(aside, ignore_errors=True)
            with saying(trial.run_dir):
                # The card last: without it, what an interruption leaves behind is no run.
                shutil.copytree(result.parent, aside, ignore=left_out)
                shutil.copy2(result.parent / CARD, aside)
                os.replace(aside, trial.run_dir)
            return result.parent
    return None


def _is_same(run_dir: Path, trial: Trial, commit: str) -> bool:
    try:
        check_same(run_dir, trial.config, trial.store)
    except HacmError:  # another run, or one that cannot be read: no reason to stop this one
        return False
    return read_card(run_dir)["git_commit"] == commit
