"""The training step: the plain released one, single improvements to it, and the package's own."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hacm.models.pretrainer import Pretrainer
from hacm.presets import make_config
from hacm.skeleton import KINECT_V2, SkeletonLayout
from hacm.training.device import autocast, compile_blocks
from hacm.training.pretrain import make_optimizer

from .measure import Step, count_operations, in_turns, matrix_product, spread, times_faster
from .plain_released import PlainPretrainer, plain_optimizer

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Setting:
    """What is trained on: sequences of up to two bodies.

    Attributes:
        sequences: sequences a step.
        absent: how many of them have one body.
        objective, preset, options: the published configuration and changes to it, for both sides.
        layout: the joints.
    """

    sequences: int = 16
    absent: int = 8
    objective: str = "hacm"
    preset: str = "released"
    options: Mapping[str, Any] = field(default_factory=lambda: {"decode_ratio": 1.0})
    layout: SkeletonLayout = KINECT_V2

    def bodies(self, frames: int) -> tuple[Tensor, Tensor]:
        """Walks of 2 N bodies, absent ones zero, and which are there."""
        generator = torch.Generator().manual_seed(0)
        V = self.layout.V
        steps = 0.02 * torch.randn(2 * self.sequences, frames, V, 3, generator=generator)
        x = steps.cumsum(1) + torch.randn(2 * self.sequences, 1, V, 3, generator=generator)
        here = torch.ones(2 * self.sequences, dtype=torch.bool)
        here[1 : 2 * self.absent : 2] = False
        return x * here[:, None, None, None], here


def plain_step(
    setting: Setting,
    *,
    sdpa: bool = False,
    present_only: bool = False,
    lean_scores: bool = False,
    fused: bool = False,
) -> Step:
    """A step of the plain implementation, with single improvements."""
    config = make_config(setting.objective, setting.preset, setting.options)
    torch.manual_seed(0)
    model = PlainPretrainer(setting.layout, config, sdpa=sdpa, lean_scores=lean_scores)
    optimizer = make_optimizer(model, config, CPU) if fused else plain_optimizer(model, config)
    x, here = setting.bodies(config.frames)
    x = x[here] if present_only else x
    tokens = config.patches * len(model.joints)

    def step() -> None:
        gumbel = -torch.empty(len(x), tokens).exponential_().log()
        loss, _ = model(x, gumbel)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(setting: Setting, *, compiled: bool = False, **changes: Any) -> Step:
    """A step of the package as `pretrain` does it, with changes to the configuration."""
    options = {**setting.options, "absent_bodies": "skip", **changes}
    config = make_config(setting.objective, setting.preset, options)
    torch.manual_seed(0)
    model = Pretrainer(setting.layout, config).train()
    optimizer = make_optimizer(model, config, CPU)
    if compiled:
        compile_blocks(model, CPU)
    x, here = setting.bodies(config.frames)
    x = x[here]  # as in training, where a batch without gaps needs no masking

    def step() -> None:
        noise = model.draw_noise(len(x))
        with autocast(CPU, config.precision):
            losses = model(x, None, noise)
        optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        optimizer.step()

    return step


HACM = Setting()
MAMP = Setting(
    objective="mamp",
    preset="base_t120",
    options={"decode_ratio": 1.0, "absent_bodies": "encode"},
)
BASE = Setting(preset="base")
QUARTER = {"decode_ratio": 0.25}


@dataclass(frozen=True)
class Variant:
    """A step to measure.

    Attributes:
        make: builds it.
        changes: what about the result changes against the plain step.
        counted: its operations can be counted (compiled code hides them).
    """

    make: Callable[[], Step]
    changes: str = ""
    counted: bool = True


def _plain(**switches: bool) -> Variant:
    changes = "absent bodies" if switches.get("present_only") else "rounding" if switches else ""
    return Variant(lambda: plain_step(HACM, **switches), changes)


def _ours(changes: str = "", compiled: bool = False, **fields: Any) -> Variant:
    changes = f"absent bodies{changes and ', '}{changes}"
    return Variant(lambda: our_step(HACM, compiled=compiled, **fields), changes, not compiled)


VARIANTS = {
    "plain released step": _plain(),
    "plain + fused attention": _plain(sdpa=True),
    "plain + present bodies only": _plain(present_only=True),
    "plain + lean scores": _plain(lean_scores=True),
    "plain + fused AdamW": _plain(fused=True),
    "plain + these four": _plain(sdpa=True, present_only=True, lean_scores=True, fused=True),
    "ours, exact method": _ours(),
    "ours, decode 1/2": _ours("loss", decode_ratio=0.5),
    "ours, decode 1/4": _ours("loss", **QUARTER),
    "  decoder 128 wide": _ours("loss, model", **QUARTER, decoder_width=128, decoder_heads=4),
    "  decoder 1 deep": _ours("loss, model", **QUARTER, decoder_depth=1),
    "  bfloat16": _ours("loss, precision", **QUARTER, precision="bfloat16"),
    "ours, default configuration": Variant(
        lambda: our_step(BASE, **QUARTER), "absent bodies, loss, scores"
    ),
}

COMPILED = {
    "ours, exact, compiled": _ours(compiled=True),
    "ours, decode 1/4, compiled": _ours("loss", **QUARTER, compiled=True),
}

MAMPS = {
    "MAMP, plain step": Variant(lambda: plain_step(MAMP)),
    "MAMP, ours, exact method": Variant(lambda: our_step(MAMP), "absent bodies"),
    "MAMP, ours, decode 1/4": Variant(lambda: our_step(MAMP, **QUARTER), "absent bodies, loss"),
}

QUICK = ("plain released step", "ours, exact method", "ours, decode 1/4")
PRODUCT = "matrix product"


def compare(variants: Mapping[str, Variant], rounds: int) -> list[dict[str, Any]]:
    """Seconds a step, how many times faster than the first, operations and the share of the peak.

    The machine's peak is that of a large matrix product, measured in every round.
    """
    steps = {name: variant.make() for name, variant in variants.items()}
    operations = {
        name: count_operations(step) for name, step in steps.items() if variants[name].counted
    }
    for name in steps.keys() - operations.keys():
        steps[name]()
    product, product_operations = matrix_product()
    first = next(iter(steps))

    def products() -> None:
        for _ in range(10):
            product()

    # Counting was everyone's warm-up.
    seconds = in_turns({PRODUCT: products, **steps}, rounds, warmup=0)
    faster = times_faster(seconds, first)
    rows = []
    for name, variant in variants.items():
        row = {
            "step": name,
            "seconds": spread(seconds[name]),
            "times_faster": faster[name],
            "changes_in_result": variant.changes,
        }
        if variant.counted:
            shares = [
                (operations[name] / own) / (10 * product_operations / peak)
                for own, peak in zip(seconds[name], seconds[PRODUCT], strict=True)
            ]
            row |= {"operations": operations[name], "share_of_peak": spread(shares)}
        rows.append(row)
    rate = [10 * product_operations / peak for peak in seconds[PRODUCT]]
    rows.append({"step": PRODUCT, "operations_per_second": spread(rate)})
    return rows


def for_print(rows: list[dict[str, Any]]) -> list[dict[str, object]]:
    """The comparison's rows, short."""
    short = []
    for row in rows[:-1]:
        counted = "operations" in row
        short.append(
            {
                "step": row["step"],
                "seconds": row["seconds"]["median"],
                "low": row["seconds"]["low"],
                "high": row["seconds"]["high"],
                "times faster": row["times_faster"]["median"],
                "GFLOP": round(row["operations"] / 1e9) if counted else "",
                "of peak": f"{row['share_of_peak']['median']:.0%}" if counted else "",
                "changes in the result": row["changes_in_result"] or "-",
            }
        )
    return short


def profile_step(name: str, steps: int = 3) -> list[dict[str, Any]]:
    """Where a step's processor time goes: the operations that take most of it."""
    step = VARIANTS[name].make()
    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(steps):
            step()
    events = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return [
        {
            "operation": event.key,
            "ms a step": event.self_cpu_time_total / 1e3 / steps,
            "%": 100 * event.self_cpu_time_total / total,
        }
        for event in events[:12]
    ]


def alone(name: str) -> dict[str, float]:
    """Peak memory and time of a step in a process of its own; see `measure_alone`."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_step", name]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def measure_alone(name: str, steps: int = 4) -> dict[str, float]:
    """MiB that steps need beyond the built model, and the median of their seconds but the first."""
    step = {**VARIANTS, **MAMPS}[name].make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = in_turns({name: step}, steps - 1)[name]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mebibytes = (after - before) / (2**20 if sys.platform == "darwin" else 1024)
    return {"mebibytes": mebibytes, "seconds": statistics.median(seconds)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(measure_alone(sys.argv[1])))
