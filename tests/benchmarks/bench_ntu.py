"""Milliseconds a file that NTU parsing and denoising take, against a plain line-by-line reader.

python tests/benchmarks/bench_ntu.py            times and the ratio
python tests/benchmarks/bench_ntu.py --files 5000   peak memory and files a second by --jobs
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from ntu_reference import person, plain_denoise, plain_parse, skeleton_text

from hacm.data.denoise import denoise
from hacm.data.ntu import ntu_source, parse_skeleton
from hacm.data.prepare import prepare


def typical_text(seed: int = 0, frames: int = 100) -> bytes:
    """100 frames; the second body is there in half of them."""
    rng = np.random.default_rng(seed)
    first, second = person(rng, frames), person(rng, frames, at=(1.0, 0.0, 3.0))
    ids = ("72057594037931101", "72057594037931102")
    both = [[(ids[0], a), (ids[1], b)] for a, b in zip(first, second, strict=True)]
    return skeleton_text([bodies[: 1 + f % 2] for f, bodies in enumerate(both)], "\r\n")


def ours(text: bytes) -> np.ndarray:
    """The reader of the package."""
    recording = parse_skeleton(text)
    return denoise(recording.bodies, recording.frames)[0]


def plain(text: bytes) -> np.ndarray:
    """A reader as one would first write it."""
    return plain_denoise(*plain_parse(text))


def median_ms(functions: dict[str, Callable], text: bytes, rounds: int) -> dict[str, float]:
    """Processor time; each function in turn, so that what else the machine does meets all."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            began = time.process_time()
            function(text)
            seconds[name].append(time.process_time() - began)
    return {name: 1e3 * statistics.median(s[2:]) for name, s in seconds.items()}


def compare(rounds: int) -> dict[str, float]:
    """Print and return milliseconds a file."""
    text = typical_text()
    result = median_ms({"ours": ours, "plain": plain}, text, rounds)
    print(
        f"{len(text) / 1e3:.0f} kB, 100 frames, 1.5 bodies: ours {result['ours']:.2f} ms, "
        f"plain {result['plain']:.2f} ms, {result['plain'] / result['ours']:.1f} times"
    )
    return result


def scale(files: int) -> None:
    """Prepare generated files with 1 and 2 processes; print the rate and the peak memory."""
    texts = [typical_text(seed) for seed in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        raw.mkdir()
        for i in range(files):
            setup, rest = divmod(i, 60 * 40)
            subject, action = divmod(rest, 60)
            name = f"S{setup + 1:03}C001P{subject + 1:03}R001A{action + 1:03}.skeleton"
            (raw / name).write_bytes(texts[i % 8])
        for jobs in (1, 2):
            began, used = time.perf_counter(), time.process_time()
            prepare(ntu_source(raw), Path(folder) / f"store{jobs}", jobs=jobs)
            seconds, used = time.perf_counter() - began, time.process_time() - used
            own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            other = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(
                f"{files} files, {jobs} jobs: {1e3 * seconds / files:.2f} ms a file, of which the "
                f"main process works {1e3 * used / files:.2f} ms; peak {own:.0f} MB in the main "
                f"process, {other:.0f} MB in the largest other"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--files", type=int, default=0)
    arguments = parser.parse_args()
    scale(arguments.files) if arguments.files else compare(arguments.rounds)
