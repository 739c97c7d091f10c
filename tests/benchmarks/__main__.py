"""The package beside a plain implementation of the released code, on this machine.

python -m tests.benchmarks              everything, about ten minutes
python -m tests.benchmarks --quick      the main comparison, about a minute
python -m tests.benchmarks --compiled   also compiled steps (a minute or more to start)
python -m tests.benchmarks --only step batches

Times are medians over rounds in which all take turns; judge the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from . import bench_data, bench_growth, bench_step
from .measure import table

RESULTS = Path("papermill_runs/runs/bench/results.json")


def alone(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """First of all, while this process is small: a child's peak memory starts at its parent's."""
    names = [*bench_step.QUICK, "ours, default configuration"]
    rounds = [{name: bench_step.alone(name) for name in names} for _ in range(3)]
    rows: list[dict[str, Any]] = []
    for name in names:
        ratios = [each[names[0]]["seconds"] / each[name]["seconds"] for each in rounds]
        row: dict[str, Any] = {"step, alone in a process": name}
        for quantity in ("mebibytes", "seconds"):
            row[quantity] = statistics.median(each[name][quantity] for each in rounds)
        row["of the plain's memory"] = row["mebibytes"] / (rows or [row])[0]["mebibytes"]
        row |= {"times faster": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
        rows.append(row)
    print(table(rows))
    return rows


def step(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    variants = bench_step.VARIANTS
    if arguments.quick:
        variants = {name: variants[name] for name in bench_step.QUICK}
    if arguments.compiled:
        variants = {**variants, **bench_step.COMPILED}
    rows = bench_step.compare(variants, rounds=3 if arguments.quick else arguments.rounds)
    print(table(bench_step.for_print(rows)))
    return rows


def mamp(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    if arguments.quick:
        return []
    rows = bench_step.compare(bench_step.MAMPS, rounds=2)
    print(table(bench_step.for_print(rows)))
    return rows


def profile(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rows = bench_step.profile_step("ours, exact method")
    print(table(rows))
    return rows


def batches(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rows = bench_data.batches(rounds=10 if arguments.quick else 40)
    print(
        table(
            [
                {
                    "batches, 1 thread": row["batches"],
                    "ms a sequence": row["ms_a_sequence"]["median"],
                    "times faster": row["times_faster"]["median"],
                }
                for row in rows
            ]
        )
    )
    return rows


def probes(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rows = bench_data.probes(arguments.quick)
    print(table(rows))
    return rows


def growth(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    if arguments.quick:
        return []
    rows = bench_growth.growth(rounds=3)
    print(
        table(
            [
                {
                    **{"axis": row["axis"], "size": row["size"], "step": row["step"]},
                    **{"seconds": row["seconds"]["median"], "GFLOP": row["operations"] / 1e9},
                }
                for row in rows
            ]
        )
    )
    return rows


def readers(arguments: argparse.Namespace) -> str:
    """In a process of its own: it counts its processor time."""
    command = [sys.executable, Path(__file__).with_name("bench_ntu.py")]
    command += ["--rounds", "10" if arguments.quick else "40"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    print(answer)
    return answer


PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    part.__name__: part for part in (alone, step, mamp, profile, batches, probes, growth, readers)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument("--compiled", action="store_true", help="also compiled steps")
    parser.add_argument("--rounds", type=int, default=4, help="of the comparison of steps")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the JSON goes")
    arguments = parser.parse_args()
    machine = {
        **{"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        **{"threads": torch.get_num_threads(), "torch": torch.__version__},
        **{"system": platform.platform(), "load_before": os.getloadavg()[0]},
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    results: dict[str, Any] = {"machine": machine}
    for name in arguments.only:
        print(f"\n== {name}", flush=True)
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            results[name] = PARTS[name](arguments)
        print(f"({time.perf_counter() - began:.0f} s)")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    aside = arguments.out.with_suffix(".part")
    aside.write_text(json.dumps(results, indent=1))
    aside.replace(arguments.out)
    print(f"\nall numbers: {arguments.out}")


if __name__ == "__main__":
    main()
