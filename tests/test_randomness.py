"""Random streams: keyed by purpose, so that no two can be the same."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from hacm.randomness import numpy_stream, seeded, stream, stream_seed

SOURCES = Path(__file__).resolve().parents[1] / "hacm"


def test_streams_of_a_whole_study_differ() -> None:
    """All purposes named in the package, ten seeds, 500 epochs; also in a CPU seed's 32 bits."""
    text = "".join(file.read_text(encoding="utf-8") for file in SOURCES.rglob("*.py"))
    names = set(re.findall(r'(?:stream|seeded)\(\s*(?:"cpu", |on, )?"([^"]+)"', text))
    assert {"pretrain/data", "pretrain/mask", "probe/view", "probe/order", "finetune/drop"} <= names
    keys = [(name, seed, part) for name in names for seed in range(10) for part in range(500)]
    seeds = {stream_seed(*key) for key in keys}
    assert len(seeds) == len(keys)
    # 2**32 seeds: of n streams, n**2 / 2**33 pairs meet by chance.
    chance = len(keys) ** 2 / 2**33
    assert len(keys) - len({seed % 2**32 for seed in seeds}) <= 5 + 3 * chance


def test_a_stream_is_its_key() -> None:
    draws = [torch.rand(5, generator=stream("cpu", *key)) for key in (("a", 1), ("a", 1), ("b", 1))]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert stream_seed("a", 1, 2) != stream_seed("a", 12)
    assert numpy_stream("a", 1).random() == numpy_stream("a", 1).random()


def test_seeded_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with seeded("a", 1):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded("a", 1):
        assert torch.equal(torch.rand(3), inside)


def test_nobody_seeds_by_a_bare_number() -> None:
    for file in SOURCES.rglob("*.py"):
        if file.name != "randomness.py":
            assert "manual_seed(" not in file.read_text(encoding="utf-8"), file
