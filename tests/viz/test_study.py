import numpy as np
import pytest
import torch

from hacm.errors import HacmError
from hacm.masking.cross_mask import cross_mask, mask_noise
from hacm.masking.tokens import grid_to_tokens
from hacm.presets import make_config
from hacm.randomness import stream
from hacm.skeleton import COCO17, KINECT_V2
from hacm.training.pretrain import build_pretrainer
from hacm.viz.study import (
    CRITERIA,
    compare_options,
    compared_tokens,
    group_scores,
    mask_config,
    seen_by,
    study,
)
from tests.viz.conftest import moving

T, P = 48, 12


def encoder(layout=KINECT_V2, **options):
    return build_pretrainer(layout, make_config("hacm", "tiny", options)).encoder.eval()


def clip(layout=KINECT_V2, bodies=2) -> torch.Tensor:
    return torch.from_numpy(moving(layout, T, bodies))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_mask_is_that_of_the_method(criterion):
    model, x = encoder(), clip()
    config = mask_config(model.options, criterion, tau=0.5)
    assert (config.temporal, config.spatial) == CRITERIA[criterion]
    result = study(seen_by(model, x, config), model.joints, config, seed=3, draws=20)
    noise = mask_noise(2, P, model.J, stream("cpu", "draw_masks", 3))
    expected = cross_mask(model.mask_inputs(x), config, noise)
    assert torch.equal(result.mask.ids_keep, expected.ids_keep)
    assert np.array_equal(grid_to_tokens(torch.from_numpy(result.hidden)), expected.mask)
    for group in (0, 1):
        chosen = result.mask.group.numpy() == group
        assert np.allclose(result.preference[:, chosen].mean((1, 2)), 1, rtol=1e-4)
        standard = result.standard_score[:, chosen]
        assert np.allclose(standard.mean((1, 2)), 0, atol=1e-4)
        spread = standard.std((1, 2))
        assert np.allclose(spread, 0 if criterion == "random" else 1, atol=1e-3)
    assert torch.allclose(result.frequency.sum(1), torch.tensor(float(sum(result.mask.kept))))


def test_looking_changes_no_encoder():
    model, x = encoder(learn_tangent_scale=True), clip()
    options, before = model.options, model.mask_inputs(x)
    changed = mask_config(options, "hierarchy", tangent_scale=3.0)
    assert not torch.allclose(seen_by(model, x, changed).tokens, before.tokens, atol=0.1)
    assert model.options is options and model.tangent_scale is not None
    assert torch.equal(model.mask_inputs(x).tokens, before.tokens)
    same = seen_by(model, x, mask_config(options, "hierarchy"))
    assert torch.allclose(same.tokens, before.tokens)


def test_compared_tokens_are_what_the_ball_is_made_of():
    model, x = encoder(), clip()
    with torch.no_grad():
        assert torch.allclose(compared_tokens(model, x, "position"), model.embed(x))
    still = x[:, :1].expand(-1, T, -1, -1)
    assert compared_tokens(model, still, "motion").abs().max() == 0


def test_options_one_at_a_time():
    model, x = encoder(), clip()
    config = mask_config(model.options, "hierarchy+attention")
    trials = {
        "tau": [0.3, config.tau, 8.0],
        "keep": ["low"],
        "attention": ["frozen"],
        "grouping": ["none"],
    }
    rows = compare_options(model, x, config, trials)
    assert [(row["option"], row["value"]) for row in rows] == [
        (option, value) for option, values in trials.items() for value in values
    ]
    assert rows[1]["moved"] == 0 and rows[3]["moved"] > 0.5
    entropies = [row["entropy_temporal"] for row in rows[:3]]
    assert entropies == sorted(entropies)
    assert "entropy_spatial" not in rows[-1]
    assert rows == compare_options(model, x, config, trials)


def test_without_trunk_only_attention_is_scored():
    model = encoder(COCO17)
    config = mask_config(model.options, "hierarchy+attention")
    inputs = seen_by(model, clip(COCO17), config)
    assert list(group_scores(inputs, config)) == ["hierarchy", "attention"]
    from dataclasses import replace

    assert list(group_scores(replace(inputs, root=None), config)) == ["attention"]


def test_unknown_names_are_said():
    with pytest.raises(HacmError, match="unknown criterion 'speed'; known: hierarchy"):
        mask_config(make_config(), "speed")
    with pytest.raises(HacmError, match="unknown key 'taus'"):
        mask_config(make_config(), "random", taus=1)
    # A model trained with the contrast can still be looked at with one group.
    assert (
        mask_config(make_config(contrast_weight=0.5), "random", grouping="none").grouping == "none"
    )
