"""One writer a directory, and a dead one holds nothing."""

import signal
import subprocess
import sys

import pytest

from hacm.errors import HacmError
from hacm.lock import LOCK, one_writer

HOLD = """
import sys, time
from pathlib import Path
from hacm.lock import one_writer
with one_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


def test_the_second_is_told_and_the_first_goes_on(tmp_path):
    with one_writer(tmp_path):
        assert (tmp_path / LOCK).exists()
        for _ in range(2):
            with (
                pytest.raises(HacmError, match="is being written by another"),
                one_writer(tmp_path),
            ):
                pytest.fail("two writers")
    with one_writer(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_is_free_after_an_error(tmp_path):
    with pytest.raises(KeyError), one_writer(tmp_path):
        raise KeyError
    with one_writer(tmp_path):
        pass


def test_a_killed_process_holds_nothing(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(HacmError, match="another process"), one_writer(tmp_path):
        pytest.fail("two writers")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (tmp_path / LOCK).exists()
    (tmp_path / ".checkpoint.pt.77.aside").write_text("half")
    with one_writer(tmp_path):
        assert [file.name for file in tmp_path.iterdir()] == [LOCK]


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HacmError, match="cannot be written"), one_writer(tmp_path / "file"):
        pytest.fail("no folder")
