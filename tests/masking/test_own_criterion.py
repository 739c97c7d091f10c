import pytest
import torch

from hacm.config import MaskOptions, ModelOptions
from hacm.errors import HacmError
from hacm.masking.criteria import build_inputs
from hacm.masking.cross_mask import cross_mask, mask_noise
from hacm.masking.own_criterion import checked
from hacm.skeleton import KINECT_V1

J = len(KINECT_V1.kept)


def inputs():
    x = torch.randn(2, 12, KINECT_V1.V, 3, generator=torch.Generator().manual_seed(0))
    return build_inputs(x, KINECT_V1, ModelOptions(frames=12))


def height(inputs, options):
    return inputs.position.unflatten(-1, (-1, 3))[..., 1].mean(-1)


def test_a_good_one_chooses_the_tokens():
    noise = mask_noise(2, 4, J, torch.Generator().manual_seed(0))
    options = MaskOptions(tau=0.01, mask_ratio=0.5)
    mask = cross_mask(inputs(), options, noise, [checked("height", height)] * 2)
    score = height(inputs(), options).flatten(1)
    assert torch.equal(mask.score, score)
    assert score[mask.mask == 0].mean() > score[mask.mask == 1].mean() + 0.5


@pytest.mark.parametrize(
    ("criterion", "sentence"),
    [
        (lambda inputs, options: 1 / 0, "failed: ZeroDivisionError: division by zero"),
        (lambda inputs: inputs.position, "failed: TypeError"),
        (lambda inputs, options: inputs.position, r"returned shape \(2, 4, 13, 9\)"),
        (lambda inputs, options: [1.0], "returned list, not a torch tensor"),
        (lambda inputs, options: None, "returned NoneType"),
        (lambda inputs, options: inputs.position[..., 0] * torch.nan, "NaN or infinite"),
        (lambda inputs, options: inputs.position[..., 0] / 0, "NaN or infinite"),
        (lambda inputs, options: torch.ones(2, 4, 13), "the same score"),
    ],
)
def test_mistakes_name_the_expected_shape(criterion, sentence):
    with pytest.raises(HacmError, match=sentence) as caught:
        checked("mine", criterion)(inputs(), MaskOptions())
    assert "'mine'" in str(caught.value)
    assert "(B, P, J) = (2, 4, 13)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scores_of_another_type_are_taken():
    whole = checked(
        "ranks", lambda inputs, options: torch.arange(4 * 13).view(1, 4, 13).repeat(2, 1, 1)
    )
    assert whole(inputs(), MaskOptions()).dtype == torch.float32
