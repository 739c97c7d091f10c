"""Fixtures that several test files share."""

import signal
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data and reference outputs; tests that need them are skipped where they are missing."""
    if not SHARED.is_dir():
        pytest.skip("the folder with real data is not at hand")
    return SHARED


@pytest.fixture
def heeded():
    """Ctrl-C as a shell sets it, also where the tests were started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
