"""`python -m tests.benchmarks`: all benchmarks side by side; tables on screen, figures as JSON."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import torch

from .bench_step import COMPILED, MAMPS, QUICK, VARIANTS, compare, for_print, peak_memory
from .measure import table

MEMORY = ("plain released step", "ours, exact method", "ours, decode 1/4")


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three steps only, few rounds")
    parser.add_argument("--compiled", action="store_true", help="also compiled (minutes to start)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("papermill_runs/runs/bench/results.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rounds = 3 if arguments.quick else arguments.rounds
    chosen = {name: VARIANTS[name] for name in QUICK} if arguments.quick else dict(VARIANTS)
    if arguments.compiled:
        chosen |= COMPILED
    print(f"16 sequences, 24 of 32 bodies; {torch.get_num_threads()} threads, {rounds} rounds")
    steps = compare(chosen, rounds)
    print(table(for_print(steps)))
    results = {"threads": torch.get_num_threads(), "cpus": os.cpu_count(), "steps": steps}
    if not arguments.quick:
        results["mamp"] = compare(MAMPS, max(2, rounds // 2))
        print(table(for_print(results["mamp"])))
    results["peak_memory_mib"] = {name: peak_memory(name) for name in MEMORY}
    for name, mib in results["peak_memory_mib"].items():
        print(f"peak memory of a step, {name}: {mib:.0f} MiB")
    # In a process of its own: it counts its processor time.
    subprocess.run([sys.executable, Path(__file__).with_name("bench_ntu.py")], check=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    aside = arguments.out.with_suffix(".partial")
    aside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(aside, arguments.out)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
