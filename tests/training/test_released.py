"""The importer against the shared reference outputs, and against a plain network written here."""

import pickle

import pytest
import torch
from torch.nn import functional as F

from hacm.errors import HacmError
from hacm.skeleton import KINECT_V1, KINECT_V2
from hacm.training.released import import_released, import_released_classifier


def bodies(x):
    """The reference's (N, 3, T, V, 2) as our bodies, and which sequence each belongs to."""
    x = x.permute(0, 4, 2, 3, 1)
    return x.flatten(0, 1), torch.arange(len(x)).repeat_interleave(x.shape[1])


@pytest.mark.parametrize("name", ["hacm_linear", "mamp_linear", "hacm_finetune"])
@pytest.mark.parametrize("absent", ["", "_absent"])
def test_equals_the_authors_networks(shared_data, name, absent):
    file = shared_data / "parity" / f"{name}.pt"
    reference = torch.load(file, weights_only=True)
    x, sequence = bodies(reference[f"input{absent}"])
    with torch.no_grad():
        tokens = import_released(file)(x)
        logits = import_released_classifier(file)(x, sequence, len(reference["logits"]))
    expected = reference[f"tokens{absent}"].flatten(0, 1)
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(logits, reference[f"logits{absent}"], atol=1e-5, rtol=0)


def random_weights(layout, *, width, depth, frames, r, prune, seed):
    """A state dict with the authors' names."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(*shape, generator=generator) * 0.3

    J = len(layout.kept) if prune else layout.V
    weights = {
        "joints_embed.proj.weight": rand(width, 3, r, 1) * 2,
        "joints_embed.proj.bias": rand(width),
        "temp_embed": rand(1, frames // r, 1, width),
        "pos_embed": rand(1, 1, J, width),
        "norm.weight": 1 + rand(width),
        "norm.bias": rand(width),
        "decoder_embed.weight": rand(width, width),
    }
    for i in range(depth):
        for part, (rows, columns) in {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.fc1": (4 * width, width),
            "mlp.fc2": (width, 4 * width),
        }.items():
            weights[f"blocks.{i}.{part}.weight"] = rand(rows, columns)
            weights[f"blocks.{i}.{part}.bias"] = rand(rows)
        for part in ("norm1", "norm2"):
            weights[f"blocks.{i}.{part}.weight"] = 1 + rand(width)
            weights[f"blocks.{i}.{part}.bias"] = rand(width)
    return weights


def plain_encoder(weights, x, layout, heads, prune):
    """The authors' computation, step by step, from their names."""
    if prune:
        x = x[:, :, list(layout.kept)]
    kernel = weights["joints_embed.proj.weight"]
    h = F.conv2d(
        x.permute(0, 3, 1, 2),
        kernel,
        weights["joints_embed.proj.bias"],
        stride=(kernel.shape[2], 1),
    )
    h = h.permute(0, 2, 3, 1) + weights["temp_embed"] + weights["pos_embed"]
    h = h.flatten(1, 2)
    if prune:
        norm = h.norm(dim=-1, keepdim=True)
        h = norm.tanh() * h / norm
        length = h.norm(dim=-1, keepdim=True)
        h = torch.where(length >= 1, h / length * (1 - 1e-5), h)
    D = h.shape[-1]
    i = 0
    while f"blocks.{i}.norm1.weight" in weights:
        w = {k.split(".", 2)[2]: v for k, v in weights.items() if k.startswith(f"blocks.{i}.")}
        n = F.layer_norm(h, (D,), w["norm1.weight"], w["norm1.bias"])
        q, k, v = F.linear(n, w["attn.qkv.weight"], w["attn.qkv.bias"]).chunk(3, -1)
        mixed = []
        for q_, k_, v_ in zip(*(part.chunk(heads, -1) for part in (q, k, v)), strict=True):
            mixed.append((q_ @ k_.mT / (D // heads) ** 0.5).softmax(-1) @ v_)
        h = h + F.linear(torch.cat(mixed, -1), w["attn.proj.weight"], w["attn.proj.bias"])
        n = F.layer_norm(h, (D,), w["norm2.weight"], w["norm2.bias"])
        n = F.gelu(F.linear(n, w["mlp.fc1.weight"], w["mlp.fc1.bias"]))
        h = h + F.linear(n, w["mlp.fc2.weight"], w["mlp.fc2.bias"])
        i += 1
    return F.layer_norm(h, (D,), weights["norm.weight"], weights["norm.bias"])


@pytest.mark.parametrize(
    ("layout", "prune", "heads", "sizes"),
    [
        (KINECT_V2, True, 4, {"width": 16, "depth": 3, "frames": 12, "r": 3}),
        (KINECT_V2, False, 2, {"width": 24, "depth": 1, "frames": 16, "r": 4}),
        (KINECT_V1, True, 2, {"width": 8, "depth": 2, "frames": 10, "r": 2}),
    ],
)
def test_equals_a_plain_network(tmp_path, layout, prune, heads, sizes):
    weights = random_weights(layout, prune=prune, seed=len(layout.joints), **sizes)
    torch.save({"model": weights, "config": {"num_heads": heads}}, tmp_path / "weights.pt")
    x = torch.randn(3, sizes["frames"], layout.V, 3, generator=torch.Generator().manual_seed(0))
    x[1] = 0  # an absent body
    encoder = import_released(tmp_path / "weights.pt", layout=layout)
    # In float64, where a difference is an error and not rounding.
    weights, x = {key: value.double() for key, value in weights.items()}, x.double()
    with torch.no_grad():
        expected = plain_encoder(weights, x, layout, heads, prune)
        torch.testing.assert_close(encoder.double()(x), expected, atol=1e-9, rtol=0)
    assert encoder.options.absent_bodies == "encode" and not encoder.training


def test_a_wrapped_linear_probe_keeps_its_batch_norm(tmp_path):
    weights = random_weights(KINECT_V2, width=8, depth=1, frames=6, r=3, prune=True, seed=0)
    mean, var = torch.randn(8), torch.rand(8) + 0.5
    weights |= {
        "head.fc.0.running_mean": mean,
        "head.fc.0.running_var": var,
        "head.fc.0.num_batches_tracked": torch.tensor(3),
        "head.fc.1.weight": torch.randn(4, 8),
        "head.fc.1.bias": torch.randn(4),
    }
    torch.save({"model": weights, "config": {"num_heads": 2}}, tmp_path / "weights.pt")
    classifier = import_released_classifier(tmp_path / "weights.pt")
    x, sequence = torch.randn(4, 6, KINECT_V2.V, 3), torch.tensor([0, 0, 1, 1])
    with torch.no_grad():
        pooled = classifier.encoder(x).unflatten(0, (2, 2)).mean((1, 2))
        normed = (pooled - mean) / (var + 1e-6).sqrt()
        expected = normed @ weights["head.fc.1.weight"].T + weights["head.fc.1.bias"]
        torch.testing.assert_close(classifier(x, sequence, 2), expected, atol=1e-5, rtol=1e-5)


def damaged(weights, **changes):
    return {"model": {k: v for k, v in {**weights, **changes}.items() if v is not None}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"norm.bias": None}, "expected norm.bias of shape"),
        ({"pos_embed": torch.zeros(1, 1, 7, 8)}, "embeddings of 7 joints"),
        ({"joints_embed.proj.weight": None}, "no HA-CM or MAMP checkpoint"),
        ({"blocks.0.attn.proj.weight": torch.zeros(3, 3)}, "found shape"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, sentence):
    weights = random_weights(KINECT_V2, width=8, depth=1, frames=6, r=3, prune=True, seed=0)
    torch.save(damaged(weights, **change), tmp_path / "weights.pt")
    with pytest.raises(HacmError, match=sentence):
        import_released(tmp_path / "weights.pt", heads=2)


def test_a_file_without_a_head_has_no_classifier(tmp_path):
    weights = random_weights(KINECT_V2, width=8, depth=1, frames=6, r=3, prune=True, seed=0)
    torch.save({"model": weights}, tmp_path / "weights.pt")
    with pytest.raises(HacmError, match="no classification head"):
        import_released_classifier(tmp_path / "weights.pt")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    torch.save({"model": Bomb(str(tmp_path / "boom"))}, tmp_path / "torch.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(str(tmp_path / "boom"))))
    (tmp_path / "noise.pt").write_bytes(b"\x00\xffnot a checkpoint")
    (tmp_path / "empty.pt").write_bytes(b"")
    for name in ("torch.pt", "plain.pt", "noise.pt", "empty.pt", "missing.pt"):
        with pytest.raises(HacmError, match=name):
            import_released(tmp_path / name)
    assert not (tmp_path / "boom").exists()
