"""Masks of a store's bodies: where nobody is, nothing is visible and nothing is counted."""

from __future__ import annotations

import numpy as np
import pytest

import hacm
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.masking.draw import BodyMask
from hacm.presets import make_config
from hacm.skeleton import KINECT_V2

T, r, J = 48, 4, 18
P = T // r
PRESENCE = {  # patches in which a body is there
    "enters late": np.arange(P) >= 5,
    "leaves early": np.arange(P) < 7,
    "blinks": np.arange(P) % 3 != 1,
    "one patch": np.arange(P) == 6,
    "never": np.zeros(P, dtype=bool),
    "always": np.ones(P, dtype=bool),
}
CRITERIA = {
    "hacm": {},
    "motion": {"temporal": "motion", "spatial": "motion"},
    "motion low": {"temporal": "motion", "spatial": "motion", "keep": "low"},
    "patch motion": {"temporal": "patch_motion", "spatial": "patch_motion", "score_norm": "max"},
    "random": {"temporal": "random", "spatial": "random"},
    "halves": {"grouping": "halves"},
    "one group": {"grouping": "none"},
    "positions": {"score_tokens": "position"},
    "euclidean": {"space": "euclidean", "tangent_norm": "none"},
}
every_criterion = pytest.mark.parametrize("options", CRITERIA.values(), ids=CRITERIA)


def small(options: dict | None = None):
    return make_config("hacm", "tiny", options or {})


def clip(seed: int, frames: int = T) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(scale=0.02, size=(frames, KINECT_V2.V, 3))
    return (1 + steps.cumsum(0)).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> SequenceStore:
    """A sequence for each way to come and go, beside somebody who is always there."""
    arrays = []
    for i, there in enumerate(PRESENCE.values()):
        body = clip(i) * np.repeat(there, r)[:, None, None]
        arrays.append(np.stack([clip(10 + i), body]))
    return SequenceStore.from_arrays(
        arrays,
        [0] * len(arrays),
        KINECT_V2,
        path=tmp_path_factory.mktemp("draw") / "store",
        center=False,
    )


def by_body(store: SequenceStore, options: dict, seed: int = 0) -> list[BodyMask]:
    return hacm.draw_masks(store, range(len(store)), small(options), seed=seed)


@every_criterion
def test_nothing_is_visible_where_nobody_is(store, options) -> None:
    drawn = by_body(store, options)
    assert [(one.sequence, one.body) for one in drawn] == [
        (i, b) for i in range(len(PRESENCE)) for b in (0, 1)
    ]
    groups = 1 if options.get("grouping") == "none" else 2
    for one, there in zip(drawn[1::2], PRESENCE.values(), strict=True):
        assert one.mask.shape == one.score.shape == (P, J)
        assert one.present.tolist() == there.tolist()
        assert set(np.unique(one.mask)) <= {0, 1}
        assert (one.mask[~one.present] == 1).all()
        if groups == 2 and "grouping" not in options:
            for parity in (0, 1):
                patches = there & (np.arange(P) % 2 == parity)
                tokens = int(patches.sum()) * J
                expected = max(1, int(0.1 * tokens + 1e-6)) if tokens else 0
                assert (one.mask[patches] == 0).sum() == expected
    for one in drawn[::2]:  # the others are as ever
        assert one.present.all()
        assert (one.mask == 0).sum() == (21 if groups == 1 else 20)


@every_criterion
def test_a_body_is_scored_as_if_its_gaps_were_cut_out(tmp_path, options) -> None:
    """Two stores: a body that leaves after 6 of 12 patches, and a clip of those 6 patches."""
    if options.get("grouping") == "halves":
        pytest.skip("half of the patches are other patches then")
    body = clip(3)
    gone = body * (np.arange(T) < T // 2)[:, None, None]
    common = {"labels": [0], "layout": KINECT_V2, "center": False}
    whole = SequenceStore.from_arrays([gone], **common, path=tmp_path / "gone")
    cut = SequenceStore.from_arrays([body[: T // 2]], **common, path=tmp_path / "cut")
    [one] = hacm.draw_masks(whole, [0], small(options))
    [other] = hacm.draw_masks(cut, [0], small({**options, "frames": T // 2}))
    np.testing.assert_allclose(one.score[: P // 2], other.score, rtol=2e-5, atol=1e-6)


def test_the_jump_to_nothing_is_no_motion(store) -> None:
    """The patch before a body vanishes scores as patches in its middle do."""
    drawn = by_body(store, CRITERIA["motion"])
    leaving = drawn[2 * list(PRESENCE).index("leaves early") + 1].score
    blinking = drawn[2 * list(PRESENCE).index("blinks") + 1]
    assert leaving[6].max() < 2 * leaving[:6].max()
    there = blinking.score[blinking.present]
    assert there.max() < 2 * np.median(there.max(axis=1))


def test_built_in_clips_whose_body_is_gone_after_half_the_clip(tmp_path) -> None:
    builtin = hacm.open_data()
    arrays = []
    for i in range(64):
        joints = builtin[i].copy()
        joints[:, joints.shape[1] // 2 :] = 0
        arrays.append(joints)
    labels = builtin.labels[:64].tolist()
    gone = SequenceStore.from_arrays(arrays, labels, builtin.layout, path=tmp_path / "gone")
    drawn = hacm.draw_masks(gone, range(64), hacm.make_config("hacm", "base"))
    assert len(drawn) == sum(len(joints) for joints in arrays)
    for one in drawn:
        assert one.present.any() and not one.present[12:].any()
        visible = (one.mask == 0).sum(axis=1)
        assert visible[~one.present].sum() == 0
        assert visible.sum() >= 2


def test_a_seed_is_a_draw(store) -> None:
    masks = [np.stack([one.mask for one in by_body(store, {}, seed)]) for seed in (0, 0, 1)]
    assert (masks[0] == masks[1]).all()
    assert (masks[0] != masks[2]).any()


def test_an_own_criterion(store) -> None:
    def last_joint(inputs, options):
        score = inputs.position.new_zeros(inputs.position.shape[:3])
        score[..., -1] = 1
        return score

    config = small({"tau": 0.02})
    for one in hacm.draw_masks(store, [5], config, criteria=[last_joint, last_joint]):
        assert (one.mask[:, -1] == 0).sum() >= 10


def test_published_masks_take_absent_bodies_for_people(store) -> None:
    [_, never] = hacm.draw_masks(store, [4], small({"absent_bodies": "encode"}))
    assert not never.present.any()
    assert (never.mask == 0).sum() == 20


@pytest.mark.parametrize("wrong", [-1, 6])
def test_no_such_sequence(store, wrong) -> None:
    with pytest.raises(HacmError, match=f"holds the sequences 0..5, not one numbered {wrong}"):
        hacm.draw_masks(store, [0, wrong], small())
