"""One token order: a marker planted in one (patch, joint) is followed through every stage.

Token p * J + j is patch p of the j-th kept joint, in scores, tokens, masks, decoder slots, targets
and pictures.
"""

from __future__ import annotations

import itertools

import pytest
import torch

from hacm.config import MaskOptions
from hacm.masking.criteria import MaskInputs, build_inputs
from hacm.masking.cross_mask import Mask, cross_mask, mask_noise
from hacm.masking.tokens import grid_to_tokens, take_tokens
from hacm.models import pretrainer as module
from hacm.models.pretrainer import Pretrainer
from hacm.presets import make_config
from hacm.skeleton import SkeletonLayout

STICK = SkeletonLayout.from_parents(
    "stick",
    ["pelvis", "left_foot", "chest", "right_foot", "left_hand", "right_hand"],
    [-1, 0, 0, 0, 2, 2],
    trunk=[0, 2],
)
T, r = 24, 3
P, J = T // r, len(STICK.kept)
SIZES = {
    **{"frames": T, "patch_frames": r, "width": 16, "depth": 1, "heads": 4, "mask_ratio": 0.7},
    **{"decoder_width": 12, "decoder_heads": 3, "decoder_depth": 1, "decode_ratio": 1.0},
    "target_stride": 1,  # so that a twitch stays in its patch
}
PLACES = list(itertools.product([0, 1, 4, 5, P - 1], range(J)))
every_place = pytest.mark.parametrize(("p", "j"), PLACES)


def sharp(**fields) -> MaskOptions:
    """So cold that the noise does not matter: the mask is the ranking of the scores."""
    return MaskOptions(tau=1e-6, **fields)


def draw(inputs: MaskInputs, options: MaskOptions) -> Mask:
    B, patches, joints, _ = inputs.tokens.shape
    noise = mask_noise(B, patches, joints, torch.Generator().manual_seed(0))
    return cross_mask(inputs, options, noise)


def still() -> torch.Tensor:
    """One body that stands still."""
    pose = torch.randn(1, 1, STICK.V, 3, generator=torch.Generator().manual_seed(0))
    return pose.expand(1, T, -1, -1).clone()


def twitch(p: int, joint: int) -> torch.Tensor:
    """It moves one joint, in the middle frame of one patch."""
    x = still()
    x[0, p * r + 1, joint] += 1
    return x


# Scores and masks.


@every_place
def test_motion_score(p: int, j: int) -> None:
    config = make_config("mamp", overrides={**SIZES, "prune": True})
    inputs = build_inputs(twitch(p, STICK.kept[j]), STICK, config)
    ratio = 1 - 1.5 / (P * J)  # one token stays
    for keep, number in (("high", 1), ("low", P * J - 1)):
        options = sharp(
            temporal="motion",
            grouping="none",
            keep=keep,
            score_norm="max",
            mask_ratio=ratio if keep == "high" else 1 - ratio,
        )
        mask = draw(inputs, options)
        assert mask.score[0].nonzero().flatten().tolist() == [p * J + j]
        assert mask.ids_keep.shape[1] == pytest.approx(number, abs=1)
        kept = p * J + j in mask.ids_keep[0].tolist()
        assert kept == (keep == "high")
        assert float(mask.mask[0, p * J + j]) == (0 if keep == "high" else 1)


def test_the_trunk_moves_no_token() -> None:
    for joint in STICK.trunk:
        inputs = build_inputs(twitch(4, joint), STICK, make_config(overrides=SIZES))
        mask = draw(inputs, sharp(temporal="motion", spatial="motion", mask_ratio=0.5))
        assert not mask.score.any()


@every_place
def test_a_twitch_in_cross_masking(p: int, j: int) -> None:
    """With odd and even groups, each kept in its own order, the token number is still p * J + j."""
    inputs = build_inputs(twitch(p, STICK.kept[j]), STICK, make_config(overrides=SIZES))
    for grouping in ("odd_even", "halves", "random"):
        options = sharp(temporal="motion", spatial="motion", grouping=grouping, mask_ratio=0.9)
        mask = draw(inputs, options)
        assert int(mask.score[0].argmax()) == p * J + j
        assert int(mask.weight[0].argmax()) == p * J + j
        assert p * J + j in mask.ids_keep[0].tolist()
        group = int(mask.group[p])
        first = sum(mask.kept[:group])
        assert p * J + j in mask.ids_keep[0, first : first + mask.kept[group]].tolist()


@every_place
def test_hierarchy_score(p: int, j: int) -> None:
    """One token far from all others of its patch."""
    tangent = torch.full((1, P, J, 5), 0.01)
    tangent[0, p, j, 0] = 2
    trunk = torch.full((1, P, 2, 5), 0.01)
    config = make_config(overrides={**SIZES, "tangent_norm": "none", "tangent_scale": 1.0})
    inputs = build_inputs(still(), STICK, config, tangent, trunk)
    mask = draw(inputs, sharp(temporal="hierarchy", spatial="hierarchy", mask_ratio=0.8))
    score = mask.score.view(P, J)
    assert int(mask.score[0].argmax()) == p * J + j
    assert p * J + j in mask.ids_keep[0].tolist()
    others = [q for q in range(P) if q != p]
    assert float(score[others].max()) < 1e-4
    assert (score[p] > 1).all()  # all of its patch see it, and no other patch does


@every_place
def test_attention_score(p: int, j: int) -> None:
    """One key that every query of its joint looks at."""
    query = torch.ones(1, P, J, 2, 3)
    key = torch.zeros(1, P, J, 2, 3)
    key[0, p, j] = 4
    config = make_config(overrides=SIZES)
    inputs = build_inputs(still(), STICK, config, query_key=(query, key))
    mask = draw(inputs, sharp(temporal="attention", spatial="attention", mask_ratio=0.8))
    assert int(mask.score[0].argmax()) == p * J + j
    assert p * J + j in mask.ids_keep[0].tolist()
    score = mask.score.view(P, J)
    others = [i for i in range(J) if i != j]
    torch.testing.assert_close(score[:, others], torch.ones(P, J - 1))


# Through the network.


def make(**overrides) -> Pretrainer:
    torch.manual_seed(0)
    return Pretrainer(STICK, make_config(overrides={**SIZES, **overrides}))


def noise(pretrainer: Pretrainer, B: int, seed: int = 0):
    return pretrainer.draw_noise(B, torch.Generator().manual_seed(seed))


@torch.no_grad()
def hand_set(pretrainer: Pretrainer) -> None:
    """Embeddings that can be read: channel 0 is x at the patch's middle frame, channel 1 counts
    joints, channel 2 counts patches."""
    encoder, decoder = pretrainer.encoder, pretrainer.decoder
    for parameter in (
        *(encoder.patch_embed.weight, encoder.patch_embed.bias),
        *(encoder.joint_embed, encoder.time_embed),
        *(decoder.joint_embed, decoder.time_embed, decoder.mask_token),
        *(decoder.embed.weight, decoder.embed.bias),
    ):
        parameter.zero_()
    encoder.patch_embed.weight[0, 1 * 3 + 0] = 1  # frame 1 of the patch, coordinate 0
    for half in (encoder, decoder):
        half.joint_embed[0, 0, :, 1] = torch.arange(J).float()
        half.time_embed[0, :, 0, 2] = torch.arange(P).float()
    decoder.mask_token[0, 0, 3] = 1


@torch.no_grad()
def test_tokens_carry_their_patch_and_joint() -> None:
    pretrainer = make(encoder_input="tangent")
    hand_set(pretrainer)
    x = torch.zeros(1, T, STICK.V, 3)
    for t in range(T):
        for joint in range(STICK.V):
            x[0, t, joint, 0] = 100 * t + joint
    entered = []
    block = pretrainer.encoder.blocks[0]
    block.register_forward_pre_hook(lambda block, inputs: entered.append(inputs[0]))
    pretrainer.encoder(x)
    for p in range(P):
        for j in range(J):
            value = 100 * (p * r + 1) + STICK.kept[j]
            assert entered[0][0, p * J + j, :3].tolist() == [value, j, p]

    # The visible tokens are those of ids_keep, in its order; the decoder's slots likewise.
    slots = []
    pretrainer.decoder.blocks[0].register_forward_pre_hook(
        lambda _, inputs: slots.append(inputs[0])
    )
    mask = pretrainer(x, None, noise(pretrainer, 1)).mask
    for slot, token in enumerate(mask.ids_keep[0].tolist()):
        p, j = divmod(token, J)
        assert entered[1][0, slot, 1:3].tolist() == [j, p]
    for slot, token in enumerate([*mask.ids_keep[0].tolist(), *mask.ids_masked[0].tolist()]):
        p, j = divmod(token, J)
        is_mask_token = float(slot >= mask.ids_keep.shape[1])
        assert slots[0][0, slot, :4].tolist() == [0, j, p, is_mask_token]


@pytest.mark.parametrize("decode_ratio", [1.0, 0.5])
@pytest.mark.parametrize("target", ["motion", "position", "hyperbolic_motion"])
@torch.no_grad()
def test_targets_belong_to_their_slot(monkeypatch, target: str, decode_ratio: float) -> None:
    """A twitch in one (patch, joint) a body; the slot that decodes it has the only target."""
    # At random: the criteria would keep every twitch visible.
    random = {"temporal": "random", "spatial": "random"}
    pretrainer = make(target=target, decode_ratio=decode_ratio, **random)
    hand_set(pretrainer)
    caught, slots = {}, []

    def catch(prediction, goal, there):
        caught.update(prediction=prediction, target=goal, there=there)
        return prediction.sum() * 0

    monkeypatch.setattr(module, "reconstruction_loss", catch)
    pretrainer.decoder.blocks[0].register_forward_pre_hook(
        lambda _, inputs: slots.append(inputs[0])
    )
    x = torch.cat([twitch(p, STICK.kept[j]) for p, j in PLACES])
    x -= still()  # so that positions that do not twitch are constant
    present = torch.ones(len(PLACES), T, dtype=torch.bool)
    absent = [(p + 3) % P for p, _ in PLACES]  # another patch, in which the body is missing
    for b, q in enumerate(absent):
        present[b, q * r + 1] = False
    mask = pretrainer(x, present, noise(pretrainer, len(PLACES))).mask
    K = mask.ids_keep.shape[1]
    seen = 0
    for b, (p, j) in enumerate(PLACES):
        for slot in range(caught["target"].shape[1]):
            if not caught["there"][b, slot]:  # only fills up
                continue
            at_j, at_p = (int(value) for value in slots[0][b, K + slot, 1:3])
            assert at_p != absent[b]
            assert mask.mask[b, at_p * J + at_j] == 1
            marked = (at_p, at_j) == (p, j)
            assert bool(caught["target"][b, slot].any()) == marked
            seen += marked
    assert 0 < seen < len(PLACES)


@pytest.mark.parametrize("target", ["motion", "position"])
@torch.no_grad()
def test_pictures_put_a_prediction_back_in_its_place(monkeypatch, target: str) -> None:
    """The decoder knows all but errs in one token: only its patch and joint look wrong."""
    pretrainer = make(target=target)
    x = torch.randn(1, T, STICK.V, 3, generator=torch.Generator().manual_seed(0)).cumsum(1)
    joints = x[:, :, list(STICK.kept)]
    present = torch.ones(1, T, dtype=torch.bool)
    truth = grid_to_tokens(module.reconstruction_target(joints, present, pretrainer.config)[0])
    for p, j in PLACES:

        def wrong_once(visible, ids_keep, ids, there, p=p, j=j):
            answer = take_tokens(truth, ids)
            answer[ids == p * J + j] += 1
            return answer

        monkeypatch.setattr(pretrainer.decoder, "forward", wrong_once)
        picture, mask = pretrainer.reconstruct(x, noise(pretrainer, 1, seed=p * J + j))
        error = (picture - joints).abs().sum(-1)[0] > 1e-3
        expected = torch.zeros(T, J, dtype=torch.bool)
        if mask.mask[0, p * J + j]:
            # Motion is walked from the patch's true first frame.
            expected[p * r + (target == "motion") : p * r + r, j] = True
        assert torch.equal(error, expected)
