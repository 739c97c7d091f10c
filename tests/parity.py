"""One pretraining step of MAMP beside a file that its reference code wrote.

    python -m tests.parity FILE

The file (`torch.load`, weights only) holds `model`, `x` (B, T, V, 3), `uniform` (B, L), `mask`,
`pred`, `loss`, `gradient_norm` by parameter, `sizes`, `tau` and `mask_ratio`. Prints the largest
difference of each part, relative where the reference is larger than 1, and exits with 1 if one is
beyond 1e-5 or a mask differs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hacm.errors import HacmError
from hacm.masking.cross_mask import MaskNoise
from hacm.models.pretrainer import Noise, Pretrainer
from hacm.presets import make_config
from hacm.skeleton import SkeletonLayout
from hacm.training.checkpoint import load_torch

TOLERANCE = 1e-5

# Reference name -> ours; names not listed differ in their beginning only (see `our_name`).
RENAMED = {
    "joints_embed.proj.weight": "encoder.patch_embed.weight",
    "joints_embed.proj.bias": "encoder.patch_embed.bias",
    "pos_embed": "encoder.joint_embed",
    "temp_embed": "encoder.time_embed",
    "mask_token": "decoder.mask_token",
    "decoder_pos_embed": "decoder.joint_embed",
    "decoder_temp_embed": "decoder.time_embed",
}


def our_name(name: str) -> str:
    """The parameter of `Pretrainer` that a reference parameter is."""
    if name in RENAMED:
        return RENAMED[name]
    half, name = ("decoder", name[8:]) if name.startswith("decoder_") else ("encoder", name)
    return f"{half}.{name.replace('mlp.fc1', 'mlp.0').replace('mlp.fc2', 'mlp.2')}"


def our_tensor(name: str, tensor: Tensor) -> Tensor:
    """Its values in our shape: a convolution over frames is a linear map of (r, 3) values."""
    if name == "joints_embed.proj.weight":
        return tensor.squeeze(-1).transpose(1, 2).flatten(1)
    return tensor


def mamp_step(reference: dict[str, Any]) -> dict[str, float]:
    """The largest difference of each part of the step."""
    sizes = reference["sizes"]
    x, uniform = reference["x"], reference["uniform"]
    V = x.shape[2]
    layout = SkeletonLayout.from_parents(
        "reference", [f"joint_{v}" for v in range(V)], [v - 1 for v in range(V)]
    )
    config = make_config(
        "mamp",
        overrides={
            **{"frames": x.shape[1], "patch_frames": sizes["patch_frames"]},
            **{"width": sizes["width"], "depth": sizes["depth"], "heads": sizes["heads"]},
            "mlp_ratio": len(reference["model"]["blocks.0.mlp.fc1.weight"]) / sizes["width"],
            "decoder_width": len(reference["model"]["decoder_embed.weight"]),
            "decoder_depth": sizes["decoder_depth"],
            "decoder_heads": sizes.get("decoder_heads", sizes["heads"]),
            **{"tau": reference["tau"], "mask_ratio": reference["mask_ratio"]},
        },
    )
    model = Pretrainer(layout, config)
    model.load_state_dict({our_name(k): our_tensor(k, v) for k, v in reference["model"].items()})

    gumbel = -(-(uniform + 1e-10).log() + 1e-10).log()
    noise = Noise(MaskNoise(gumbel, torch.rand(config.patches)), torch.rand_like(uniform))
    losses = model(x, None, noise)
    losses.total.backward()
    with torch.no_grad():
        # The reference predicts every token, visible ones too: each keeps what it knows of itself.
        visible, mask = model.encode_visible(x, noise)
        prediction = all_predictions(model, visible, mask.ids_keep, mask.ids_masked)
    ours = dict(model.named_parameters())
    return {
        "mask": difference(losses.mask.mask, reference["mask"]),
        "prediction": difference(prediction, reference["pred"]),
        "loss": difference(losses.total.detach(), reference["loss"]),
        "gradient norms": max(
            difference(ours[our_name(name)].grad.norm(), torch.tensor(norm))
            for name, norm in reference["gradient_norm"].items()
        ),
    }


def all_predictions(
    model: Pretrainer, visible: Tensor, ids_keep: Tensor, ids_masked: Tensor
) -> Tensor:
    """The decoder's answers for visible and masked tokens, in token order, (B, L, r * 3)."""
    decoder, ids = model.decoder, torch.cat([ids_keep, ids_masked], 1)
    tokens = []
    decoder.blocks[0].register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0]))
    decoder(visible, ids_keep, ids_masked)
    [hidden] = tokens
    for block in decoder.blocks:
        hidden = block(hidden)
    answers = decoder.pred(decoder.norm(hidden))
    return answers.gather(1, ids.argsort(1)[..., None].expand_as(answers))


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative where the expected value is larger than 1."""
    gap = (found.double() - expected.double()).abs() / expected.double().abs().clamp_min(1)
    return float(gap.nan_to_num(nan=torch.inf).max())


def main(file: str) -> int:
    """Print the parts' differences; 1 if one is too large, 2 if the file cannot be used."""
    try:
        parts = mamp_step(load_torch(Path(file)))
    except HacmError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"{file}: key {error} is missing", file=sys.stderr)
        return 2
    for name, gap in parts.items():
        print(f"{name:15} {gap:.2e}")
    return int(max(parts.values()) > TOLERANCE or parts["mask"] > 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.parity FILE")
    sys.exit(main(sys.argv[1]))
