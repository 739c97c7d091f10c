"""Stop signals: what is to be done first, then their usual course."""

import signal
import threading

import pytest

from hacm.stops import STOP_SIGNALS, OnStop, stops_as_exits


def test_signals_that_are_ignored_stay_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with OnStop(lambda: pytest.fail("nobody asked")), stops_as_exits():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_handlers_are_left_alone():
    seen = []

    def look():
        with OnStop(lambda: None), stops_as_exits():
            seen.append([signal.getsignal(signum) for signum in STOP_SIGNALS])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [[signal.getsignal(signum) for signum in STOP_SIGNALS]]


def test_nested_blocks_all_get_their_turn(heeded):
    turns = []
    outer, inner = OnStop(lambda: turns.append("outer")), OnStop(lambda: turns.append("inner"))
    with pytest.raises(KeyboardInterrupt), outer, inner:
        signal.raise_signal(signal.SIGINT)
    assert turns == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_deferred_signal_comes_after_the_block(heeded):
    turns = []
    stop = OnStop(lambda: turns.append("kept"))
    with pytest.raises(KeyboardInterrupt), stop:
        with stop.deferred():
            signal.raise_signal(signal.SIGINT)
            turns.append("written")
        turns.append("never")
    assert turns == ["written", "kept"]


def test_sigterm_becomes_an_exit():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, stops_as_exits():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
