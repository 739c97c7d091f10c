"""`python -m tests.parity` on the file of a reference step, and on spoilt copies of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.parity import main, mamp_step

FILE = Path(__file__).resolve().parents[2] / "shared" / "data" / "parity" / "mamp_step.pt"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="reference files are not at hand")


def test_mamp_is_mamp(capsys) -> None:
    assert main(str(FILE)) == 0
    printed = capsys.readouterr().out
    assert [line.split("  ")[0] for line in printed.splitlines()] == [
        *("mask", "prediction", "loss", "gradient norms"),
    ]


@pytest.mark.parametrize("part", ["mask", "pred", "loss", "gradient_norm"])
def test_a_difference_is_found(tmp_path, part) -> None:
    reference = torch.load(FILE, weights_only=True)
    if part == "mask":
        reference["mask"][0] = reference["mask"][0].roll(1)
    elif part == "gradient_norm":
        reference[part]["mask_token"] *= 1 + 3e-5
    else:
        reference[part] = reference[part] * (1 + 1e-4)
    torch.save(reference, tmp_path / "spoilt.pt")
    assert main(str(tmp_path / "spoilt.pt")) == 1


def test_another_tau_draws_another_mask() -> None:
    reference = torch.load(FILE, weights_only=True)
    assert mamp_step({**reference, "tau": 0.1})["mask"] == 1


def test_a_file_that_is_none_is_a_sentence(tmp_path, capsys) -> None:
    assert main(str(tmp_path / "missing.pt")) == 2
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pt")
    assert main(str(tmp_path / "other.pt")) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "does not exist" in told[0]
    assert "key 'sizes' is missing" in told[1]
