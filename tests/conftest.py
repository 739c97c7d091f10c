"""Fixtures that several test files share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data and reference outputs; tests that need them are skipped where they are missing."""
    if not SHARED.is_dir():
        pytest.skip("the folder with real data is not at hand")
    return SHARED
