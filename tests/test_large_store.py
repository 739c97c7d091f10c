"""Stores larger than memory train from the memory map.

The map itself is address space, so the limit is what the process has after opening the store, plus
a quarter of the store's size: whoever copies the frames fails, and the test shows that too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hacm.data.store import SequenceStore
from hacm.skeleton import KINECT_V2

ALLOWED = 150 * 2**20
CLIPS, FRAMES = 24, 40

TRAIN = """
import json, resource, sys
import numpy as np
import hacm
from hacm.training.pretrain import pretrain

store = hacm.SequenceStore(sys.argv[1])
sizes = {"frames": 24, "width": 16, "heads": 2, "depth": 2, "decoder_width": 16, "decoder_depth": 1}
sizes |= {"decoder_heads": 2, "patch_frames": 3, "epochs": 2, "batch_size": 6}
config = hacm.make_config(overrides=sizes)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    np.array(store.frames)
    copied = True
except MemoryError:
    copied = False
metrics = list(pretrain(config, store, sys.argv[2], device="cpu", progress=False))
print(json.dumps({"copied": copied, "losses": [m["reconstruction"] for m in metrics]}))
"""


@pytest.fixture
def big_store(tmp_path: Path) -> Path:
    """Few clips, far apart in a file of four times the allowed memory; all else is a hole in it."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(CLIPS, 1, FRAMES, KINECT_V2.V, 3)).astype(np.float32)
    folder = tmp_path / "big"
    SequenceStore.from_arrays(
        clips,
        [0] * CLIPS,
        KINECT_V2,
        path=folder,
        splits={"xsub": {"column": "subject", "train": [0]}},
        subject=[int(i >= CLIPS - 6) for i in range(CLIPS)],
    )
    rows = 1 + 4 * ALLOWED // (KINECT_V2.V * 3 * 4)
    starts = np.linspace(0, rows - FRAMES, CLIPS).astype(int)
    shape = (rows, KINECT_V2.V, 3)
    frames = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.float32, shape)
    header, *lines = (folder / "sequences.csv").read_text().splitlines()
    at = header.split(",").index("start")
    for i, start in enumerate(starts):
        frames[start : start + FRAMES] = clips[i, 0]
        cells = lines[i].split(",")
        lines[i] = ",".join([*cells[:at], str(start), *cells[at + 1 :]])
    frames.flush()
    (folder / "sequences.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_a_store_of_four_times_the_memory_trains(big_store: Path, tmp_path: Path) -> None:
    file = (big_store / "frames.npy").stat()
    assert file.st_size >= 4 * ALLOWED
    assert file.st_blocks * 512 < ALLOWED // 10  # little disk
    answer = subprocess.run(
        [sys.executable, "-c", TRAIN, big_store, tmp_path / "run", str(ALLOWED)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            **{"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout.splitlines()[-1])
    assert not result["copied"], "the limit is too high to show anything"
    assert len(result["losses"]) == 2
    assert all(loss > 0 for loss in result["losses"])
