"""When a training's state goes to disk: every few epochs, every few minutes, and when it stops."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from hacm.config import TrainOptions
from hacm.errors import HacmError
from hacm.stops import OnStop
from hacm.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint


class Checkpointer:
    """Keeps a training's state as of its last whole epoch.

    Used in a `with` block around the epochs. However that block is left, by Ctrl-C, SIGTERM, an
    error of the program or the end of its generator, the last whole epoch is on disk afterwards;
    only a training that went wrong (`HacmError`) writes nothing more. Epochs that no checkpoint is
    due after are kept as a copy on the device meanwhile, so a stop within an epoch waits for
    nothing.

    Args:
        folder: where checkpoints go.
        parts: the modules and optimisers that make up the state, by name.
        of: which training it is, as plain values by name; another one's checkpoint is refused.
        options: `checkpoint_every` and `checkpoint_minutes`.
        epochs: of the whole training; the last one always gets a checkpoint.
        written: called after each checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        parts: Mapping[str, nn.Module | Optimizer],
        of: Mapping[str, Any],
        options: TrainOptions,
        epochs: int,
        written: Callable[[], object] | None = None,
    ) -> None:
        self.folder, self.parts, self.of = folder, parts, of
        self.options, self.epochs = options, epochs
        self._written = written
        self._unsaved: dict[str, Any] | None = None
        self._saved_at = time.monotonic()
        self._stop = OnStop(self._save)

    def resume(self) -> int:
        """Load the last checkpoint into the parts; the number of whole epochs, 0 without one.

        Raises:
            HacmError: it is damaged, of another training, or does not fit the parts.
        """
        state = load_checkpoint(self.folder, self.of)
        if state is None:
            return 0
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise HacmError(
                f"{self.folder / CHECKPOINT} does not fit this network "
                f"({' '.join(str(error).split())}); remove it to train from the start"
            ) from error
        return state["epoch"]

    def keep(self, epoch: int) -> None:
        """The parts are now as after `epoch` whole epochs; written if it is time.

        Raises:
            HacmError: a number in them is not finite, or the file cannot be written.
        """
        with self._stop.deferred():
            parts = {name: part.state_dict() for name, part in self.parts.items()}
            state = {**parts, "epoch": epoch}
            due = epoch == self.epochs or epoch % self.options.checkpoint_every == 0
            old = time.monotonic() - self._saved_at >= 60 * self.options.checkpoint_minutes
            self._unsaved = state if due or old else copy.deepcopy(state)
            if due or old:
                self._save()

    def _save(self) -> None:
        if self._unsaved is None:
            return
        # Forgotten first: what could not be written once is not tried again on the way out.
        state, self._unsaved = self._unsaved, None
        save_checkpoint(self.folder, state, self.of)
        self._saved_at = time.monotonic()
        if self._written is not None:
            self._written()

    def __enter__(self) -> Checkpointer:
        self._stop.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            went_wrong = kind is not None and issubclass(kind, HacmError)
            if not went_wrong and not sys.is_finalizing():
                with self._stop.deferred():
                    self._save()
        finally:
            self._stop.__exit__()
