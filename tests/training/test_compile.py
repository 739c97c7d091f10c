"""`compile: true`: the same numbers from few graphs, or a sentence where it cannot work."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from hacm.config import Config
from hacm.models.pretrainer import Pretrainer
from hacm.skeleton import KINECT_V2
from hacm.training.device import compile_blocks
from hacm.training.pretrain import pretrain

CPU = torch.device("cpu")

# torch's own tracing asks every input for its gradient.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")


@pytest.fixture
def graphs(monkeypatch) -> CompileCounter:
    """Counts graphs and runs them as they are, without a C++ compiler."""
    torch._dynamo.reset()
    counter = CompileCounter()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    yield counter
    torch._dynamo.reset()


def step(model: Pretrainer, bodies: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(bodies)
    x = torch.randn(bodies, model.config.frames, KINECT_V2.V, 3, generator=generator)
    present = torch.ones(bodies, model.config.frames, dtype=torch.bool)
    loss = model(x, present, model.draw_noise(bodies, generator)).total
    weights = [p for p in model.parameters() if p.requires_grad]
    return loss, torch.autograd.grad(loss, weights)


def test_any_number_of_bodies_has_the_same_graphs_and_the_same_numbers(graphs, config) -> None:
    torch.manual_seed(0)
    wide = config.model_copy(update={"decoder_depth": 3})
    plain = Pretrainer(KINECT_V2, wide)
    compiled = copy.deepcopy(plain)
    compile_blocks(compiled, CPU)
    trial = graphs.frame_count
    for bodies in (6, 5, 9, 2, 17, 3, 12):
        expected, found = step(plain, bodies), step(compiled, bodies)
        torch.testing.assert_close(found, expected)
    # One for blocks that renew all tokens, one for the decoder's last.
    assert graphs.frame_count - trial <= 2


def test_names_of_the_weights_stay(graphs, config) -> None:
    model = Pretrainer(KINECT_V2, config)
    names = list(model.state_dict())
    compile_blocks(model, CPU)
    assert list(model.state_dict()) == names


def test_a_run_compiles_if_asked(graphs, config: Config, store, tmp_path) -> None:
    *_, plain = pretrain(config, store, tmp_path / "plain", device="cpu", progress=False)
    assert graphs.frame_count == 0
    asked = config.model_copy(update={"compile": True})
    *_, compiled = pretrain(asked, store, tmp_path / "compiled", device="cpu", progress=False)
    assert graphs.frame_count > 0
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=1e-4)


def test_without_a_compiler_a_warning_and_the_plain_blocks(monkeypatch, config) -> None:
    def broken(*_, **__):
        raise RuntimeError("no working C++ compiler found\nwith many details")

    monkeypatch.setattr(torch, "compile", broken)
    model = Pretrainer(KINECT_V2, config)
    with pytest.warns(UserWarning, match=r"compile: true has no effect, .*: no working C\+\+ com"):
        compile_blocks(model, CPU)
    loss, _ = step(model, 3)
    assert torch.isfinite(loss)
