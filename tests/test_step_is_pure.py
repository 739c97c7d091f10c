"""A training step never waits for the device: no value decides what is computed next.

Everything random is handed in, so a step can be traced as one graph, and its trace is the step.
"""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hacm.config import Config
from hacm.data.sequences import Sequences
from hacm.data.store import SequenceStore
from hacm.masking.cross_mask import MaskNoise
from hacm.models.pretrainer import Noise, Pretrainer
from hacm.presets import make_config
from hacm.skeleton import SkeletonLayout
from hacm.training.pretrain import pretrain

STICK = SkeletonLayout.from_parents(
    "stick", ["hip", "l_foot", "r_foot", "chest", "l_hand"], [-1, 0, 0, 0, 3], trunk=[0, 3]
)
SIZES = {
    **{"frames": 24, "patch_frames": 3, "width": 16, "depth": 1, "heads": 2, "mask_ratio": 0.7},
    **{"decoder_width": 8, "decoder_heads": 2, "decoder_depth": 1},
}
CONFIGS = {
    "hacm": make_config("hacm", overrides=SIZES),
    "contrast": make_config(
        "hacm",
        overrides={
            **{**SIZES, "contrast_weight": 0.5, "contrast_loss": "mse"},
            **{"encoder_input": "ball", "learn_tangent_scale": True, "grouping": "random"},
        },
    ),
    "mamp": make_config("mamp", overrides=SIZES),
    "mae": make_config("mae", overrides=SIZES),
    "released": make_config("hacm", "released", overrides=SIZES),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)

WAITS = {
    torch.ops.aten._local_scalar_dense.default,  # .item(), float(), bool(), `if`
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.equal.default,
    torch.ops.aten._unique2.default,
    torch.ops.aten.repeat_interleave.Tensor,
}


class NoWaiting(TorchDispatchMode):
    """Fails at the line that needs a tensor's value on the host."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function not in WAITS, f"{function} waits for the device"
        if function is torch.ops.aten.index.Tensor:
            masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
            assert not masks, "indexing with a boolean tensor waits for the device"
        return function(*args, **(kwargs or {}))


def step(config: Config):
    torch.manual_seed(0)
    pretrainer = Pretrainer(STICK, config)
    x = torch.randn(3, 24, STICK.V, 3, generator=torch.Generator().manual_seed(0))
    present = torch.ones(3, 24, dtype=torch.bool)
    present[1, 4:9] = False
    present[2] = False
    noise = pretrainer.draw_noise(3, torch.Generator().manual_seed(0))
    return pretrainer, x, present, noise


def test_the_detector_detects() -> None:
    x = torch.arange(3.0)
    for waits in (lambda: x.sum().item(), lambda: x[x > 1], lambda: bool(x[0] > 0)):
        with pytest.raises(AssertionError, match="waits for the device"), NoWaiting():
            waits()


@every_config
def test_a_step_never_waits(config: Config) -> None:
    pretrainer, x, present, noise = step(config)
    with NoWaiting():
        pretrainer(x, present, noise).total.backward()


@every_config
def test_a_step_is_one_graph(config: Config) -> None:
    """Traced whole, without a graph break; losses, masks and gradients are the plain step's."""
    pretrainer, x, present, noise = step(config)
    plain = pretrainer(x, present, noise)
    plain.total.backward()
    gradients = {name: p.grad for name, p in pretrainer.named_parameters()}
    pretrainer.zero_grad(set_to_none=True)

    torch._dynamo.reset()
    traced = torch.compile(pretrainer, fullgraph=True, backend="eager")(x, present, noise)
    traced.total.backward()
    assert torch.equal(traced.mask.ids_keep, plain.mask.ids_keep)
    for term in ("total", "reconstruction", "contrast"):
        torch.testing.assert_close(getattr(traced, term), getattr(plain, term))
    for name, parameter in pretrainer.named_parameters():
        if gradients[name] is not None:
            torch.testing.assert_close(parameter.grad, gradients[name])


@every_config
def test_a_step_draws_nothing_itself(config: Config) -> None:
    pretrainer, x, present, noise = step(config)
    state = torch.get_rng_state()
    pretrainer(x, present, noise)
    assert torch.equal(torch.get_rng_state(), state)


@every_config
def test_another_batch_of_the_same_size_is_not_traced_again(config: Config) -> None:
    """Which bodies are there, and where, is data, not shape."""
    pretrainer, x, present, noise = step(config)
    torch._dynamo.reset()
    graphs = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(pretrainer, fullgraph=True, backend=graphs)
    compiled(x, present, noise)
    compiled(-x, ~present, pretrainer.draw_noise(3, torch.Generator().manual_seed(1)))
    assert graphs.frame_count == 1


def test_a_batch_is_gathered_without_reading_values_back(tmp_path) -> None:
    """Bodies are counted on the CPU; the frames themselves are only moved, never looked at."""
    arrays = [torch.randn(1 + i % 2, 30 + i, STICK.V, 3).numpy() for i in range(6)]
    store = SequenceStore.from_arrays(arrays, [0] * 6, STICK, path=tmp_path / "store")
    sequences = Sequences(store, 24)
    seen = []

    class Watch(NoWaiting):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            reads = function in WAITS and args[0].is_floating_point()
            seen.append(function)
            assert not reads, f"{function} reads coordinates back"
            return function(*args, **(kwargs or {}))

    with Watch():
        sequences.batch(
            torch.arange(6), crop="random", rotation=0.3, generator=torch.Generator().manual_seed(0)
        )
    assert torch.ops.aten.index_select.default in seen


# A device that is not the host: torch's meta tensors have no values, so a step that looked at one
# or mixed in a tensor of the host would fail.


class NothingFromTheHost(TorchDispatchMode):
    """Fails where something of the host would have to be sent to the device: a tensor or a list."""

    def __init__(self) -> None:
        super().__init__()
        self.made = []  # all results, kept so that no two have the same id

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            if isinstance(leaf, torch.Tensor):
                assert leaf.device.type == "meta", f"{function} takes a tensor from the host"
        if function in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default):
            known = {id(made) for made in self.made}
            # No operation makes the index of x[:, [0, 2]].
            for index in args[1]:
                assert index is None or id(index) in known, "a list from the host is the index"
        self.made.extend(tree_leaves(result))
        return result


def on_meta(noise: Noise) -> Noise:
    tokens, patches = noise.mask.tokens.to("meta"), noise.mask.patches.to("meta")
    return Noise(MaskNoise(tokens, patches), noise.decode.to("meta"))


def test_the_other_detector_detects() -> None:
    x = torch.zeros(2, 3, device="meta")
    for sends in (lambda: x[:, [0, 2]], lambda: x + torch.ones(1).to("meta")):
        with pytest.raises(AssertionError, match="from the host"), NothingFromTheHost():
            sends()
    with NothingFromTheHost():
        x[:, torch.arange(2, device="meta")] + 1


@every_config
def test_nothing_is_sent_to_the_device_during_a_step(config: Config) -> None:
    pretrainer, x, present, noise = step(config)
    pretrainer, noise = pretrainer.to("meta"), on_meta(noise)
    x, present = x.to("meta"), present.to("meta")
    with NothingFromTheHost():
        losses = pretrainer(x, present, noise)
        losses.total.backward()
    assert losses.total.device.type == "meta"


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("modality", ["joint", "bone", "motion"])
@pytest.mark.parametrize("absent", ["skip", "encode"])
def test_a_batch_goes_to_the_device_and_never_back(tmp_path, resident, modality, absent) -> None:
    arrays = [torch.randn(1 + i % 2, 30, STICK.V, 3).numpy() for i in range(4)]
    store = SequenceStore.from_arrays(arrays, [0] * 4, STICK, path=tmp_path / "store")
    sequences = Sequences(
        store, 24, "meta", modality=modality, absent_bodies=absent, resident=resident
    )
    generator = torch.Generator().manual_seed(0)
    batch = sequences.batch(torch.arange(4), crop="random", rotation=0.3, generator=generator)
    for tensor in (batch.x, batch.present, batch.sequence, batch.labels):
        assert tensor.device.type == "meta"
    assert batch.x.shape == (8 if absent == "encode" else 6, 24, STICK.V, 3)


def test_the_loop_reads_its_sums_once_an_epoch(tmp_path, monkeypatch) -> None:
    """Optimiser included: three times as many steps read no more values."""
    arrays = [torch.randn(1 + i % 2, 30, STICK.V, 3).numpy() for i in range(13)]
    store = SequenceStore.from_arrays(
        arrays,
        [0] * 13,
        STICK,
        path=tmp_path / "store",
        splits={"xsub": {"column": "subject", "train": [1]}},
        subject=[1] * 12 + [2],
    )
    reads, read = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda x: reads.append(x) or read(x))

    class Count(NoWaiting):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function in WAITS and args[0].is_floating_point():
                reads.append(args[0])
            return function(*args, **(kwargs or {}))

    def epoch(batch_size: int) -> int:
        """Values read in an epoch without diagnosis."""
        fields = {**SIZES, "epochs": 3, "batch_size": batch_size, "checkpoint_every": 9}
        run = pretrain(
            make_config(overrides=fields),
            store,
            tmp_path / f"run{batch_size}",
            device="cpu",
            progress=False,
        )
        next(run)
        reads.clear()
        with Count():
            next(run)
        return len(reads)

    assert epoch(6) == epoch(2) == 1
