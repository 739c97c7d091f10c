"""What happens on Ctrl-C, SIGTERM and the closing of the terminal."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hacm.orphan import signal_on_orphaning, stay_a_while

SIGHUP = getattr(signal, "SIGHUP", None)  # Windows has none
"""The terminal is gone; for a notebook's kernel also: the process that started it."""

STOP_SIGNALS = [signum for signum in (signal.SIGINT, signal.SIGTERM, SIGHUP) if signum is not None]


class OnStop:
    """Does something first, then lets a stop signal take its usual course.

    That course is `KeyboardInterrupt` for Ctrl-C and the end of the process for the others, unless
    the program has handlers of its own. Signals that the process ignores stay ignored. Handlers
    belong to the main thread; in any other nothing is changed.

    Args:
        first: what to do; it runs between any two lines of the main thread, but not within
            `deferred`.
    """

    def __init__(self, first: Callable[[], None]) -> None:
        self._first = first
        self._before: dict[int, Any] = {}
        self._is_deferred = False
        self._late: int | None = None

    def __enter__(self) -> OnStop:
        if threading.current_thread() is threading.main_thread():
            for signum in STOP_SIGNALS:
                before = signal.getsignal(signum)
                if before not in (signal.SIG_IGN, None):  # None: set by something else than Python
                    self._before[signum] = before
                    signal.signal(signum, self._handle)
            if SIGHUP in self._before:
                signal_on_orphaning(SIGHUP)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            for signum, before in self._before.items():
                if signal.getsignal(signum) == self._handle:
                    signal.signal(signum, before)
                    if signum == SIGHUP:
                        signal_on_orphaning(0)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Signals wait until the end of this block."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
            if self._late is not None:
                late, self._late = self._late, None
                self._deliver(late)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._is_deferred:
            self._late = signum
        else:
            self._deliver(signum)

    def _deliver(self, signum: int) -> None:
        self._is_deferred = True  # a second signal must not cut this short
        if signum == SIGHUP:
            stay_a_while()
        try:
            self._first()
        finally:
            self._is_deferred = False
            signal.signal(signum, self._before[signum])
            signal.raise_signal(signum)


@contextmanager
def stops_as_exits() -> Iterator[None]:
    """SIGTERM and the closing of the terminal end this block as `SystemExit`, code 128 + number.

    So what cleans up after Ctrl-C, by `finally`, does so after them too.
    """

    def leave(signum: int, frame: FrameType | None) -> None:
        sys.exit(128 + signum)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for signum in STOP_SIGNALS:
            if signum != signal.SIGINT and signal.getsignal(signum) == signal.SIG_DFL:
                before[signum] = signal.signal(signum, leave)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
