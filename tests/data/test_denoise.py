"""Each denoising rule and its edges, on bodies made for it."""

import numpy as np
import pytest
from ntu_reference import V, person

from hacm.data.denoise import CROWDED, SHORT, WIDE, Body, denoise


def body(start, frames, *, mark=0.0, move=0.1, wide=0.4, seed=0):
    """A body whose joint 5 carries a mark in its z coordinate."""
    joints = person(np.random.default_rng(seed), frames, move=move, wide=wide).astype(np.float32)
    joints[:, 5, 2] = mark
    return Body(start, joints)


def marks(actors, actor):
    """The mark seen in each frame of an actor; 0 where it is missing."""
    return actors[actor, :, 5, 2].tolist()


def test_a_lone_id_is_the_actor_even_if_short_or_wide():
    actors, dropped = denoise([body(0, 3, mark=1, wide=5)], 3)
    assert marks(actors, 0) == [1, 1, 1]
    assert not dropped.total()


def test_a_lone_id_leaves_zeros_where_it_is_missing():
    actors, _ = denoise([body(1, 2, mark=1)], 5)
    assert marks(actors, 0) == [0, 1, 1, 0, 0]


@pytest.mark.parametrize(("frames", "kept"), [(11, False), (12, True)])
def test_ids_of_eleven_frames_or_fewer_are_dropped(frames, kept):
    actors, dropped = denoise([body(0, 30, mark=1), body(0, frames, mark=2, seed=1)], 30)
    assert (len(actors) == 2) is kept
    assert dropped[SHORT] == (not kept)


def test_frames_without_the_one_id_left_are_dropped():
    actors, _ = denoise([body(0, 5, mark=2), body(3, 20, mark=1)], 30)
    assert marks(actors, 0) == [1] * 20


def test_nobody_is_left_if_all_are_short():
    actors, dropped = denoise([body(0, 11), body(11, 11)], 22)
    assert actors.shape == (0, 0, V, 3)
    assert dropped[SHORT] == 2


def wide_in(body, count):
    body.joints[:count, :, 0] *= 10
    return body


@pytest.mark.parametrize(("noisy", "kept"), [(69, True), (70, False)])
def test_ids_with_too_many_wide_frames_are_dropped(noisy, kept):
    """0.69 < 0.69754 <= 0.70 of 100 frames."""
    bodies = [body(0, 100, mark=1), wide_in(body(0, 100, mark=2, seed=1), noisy)]
    actors, dropped = denoise(bodies, 100)
    assert (len(actors) == 2) is kept
    assert dropped[WIDE] == (not kept)


def test_the_last_id_is_never_dropped_for_its_width():
    """In the order in which they occur: the first two are gone before the third is looked at."""
    bodies = [body(0, 20, mark=m, wide=4, seed=m) for m in (1, 2, 3)]
    actors, dropped = denoise(bodies, 20)
    assert marks(actors, 0) == [3] * 20
    assert dropped[WIDE] == 2


def test_a_frame_exactly_as_wide_as_allowed_is_clean():
    tight = body(0, 20, mark=1)
    tight.joints[:, :, 0] = np.linspace(0, 0.5, V)
    tight.joints[:, :, 1] = np.linspace(0, 0.625, V)  # 0.8 of it is 0.5 in float32, too
    assert len(denoise([tight, body(0, 20, mark=2, seed=1)], 20)[0]) == 2
    tight.joints[:, 0, 0] = -0.001
    assert len(denoise([tight, body(0, 20, mark=2, seed=1)], 20)[0]) == 1


def test_largest_motion_is_actor_1():
    slow, fast = body(0, 20, mark=1, move=0.01), body(0, 20, mark=2, move=0.5, seed=1)
    actors, _ = denoise([slow, fast], 20)
    assert (marks(actors, 0)[0], marks(actors, 1)[0]) == (2, 1)


def test_equal_motion_keeps_the_order_of_appearance():
    joints = body(0, 20).joints
    for first in (joints, -joints):
        actors, _ = denoise([Body(0, first), Body(0, -first)], 20)
        np.testing.assert_array_equal(actors[0], first)


def test_wide_frames_do_not_count_as_motion():
    """Its jumps are all in wide frames, so the calm body with more motion elsewhere is first."""
    jumpy = body(0, 100, mark=1, move=0.001)
    jumpy.joints[:50, :, 0] *= 50
    calm = body(0, 100, mark=2, move=0.05, seed=1)
    actors, _ = denoise([jumpy, calm], 100)
    assert marks(actors, 0)[0] == 2


def test_an_id_that_switches_joins_actor_1():
    actors, _ = denoise([body(0, 20, mark=1, move=0.5), body(20, 20, mark=2)], 40)
    assert len(actors) == 1
    assert marks(actors, 0) == [1] * 20 + [2] * 20


def test_intervals_that_touch_do_not_overlap_and_the_later_body_wins():
    actors, _ = denoise([body(0, 20, mark=1, move=0.5), body(19, 20, mark=2)], 39)
    assert marks(actors, 0) == [1] * 19 + [2] * 20


def test_overlap_by_two_frames_makes_a_second_actor():
    actors, _ = denoise([body(0, 20, mark=1, move=0.5), body(18, 20, mark=2)], 38)
    assert marks(actors, 0) == [1] * 20 + [0] * 18
    assert marks(actors, 1) == [0] * 18 + [2] * 20


@pytest.mark.parametrize("starts", [(20, 40, 0, 38), (20, 0, 40, 3), (0, 40, 20)])
def test_joining_widens_the_interval_on_both_sides(starts):
    """The ids before the last join actor 1, and the last lies inside the interval they span."""
    bodies = [body(s, 15, mark=i + 1, move=2 / 4**i, seed=i) for i, s in enumerate(starts)]
    actors, dropped = denoise(bodies, 55)
    last = len(starts)
    assert {m for m in marks(actors, 1) if m} == {last}
    assert {m for m in marks(actors, 0) if m} == set(range(1, last))
    assert not dropped.total()


def test_actor_2_reaches_back_to_frame_0():
    """A second actor at 30-49 holds [0, 49], so a third body at 5-19 finds no place with it."""
    bodies = [
        body(0, 50, mark=1, move=2),
        body(30, 20, mark=2, move=0.5, seed=1),
        body(5, 15, mark=3, move=0.01, seed=2),
    ]
    actors, dropped = denoise(bodies, 50)
    assert 3 not in marks(actors, 1)
    assert dropped[CROWDED] == 1


def test_a_third_body_behind_actor_2_joins_it():
    bodies = [
        body(0, 50, mark=1, move=2),
        body(5, 15, mark=2, move=0.5, seed=1),
        body(25, 15, mark=3, move=0.01, seed=2),
    ]
    actors, dropped = denoise(bodies, 50)
    assert marks(actors, 1) == [0] * 5 + [2] * 15 + [0] * 5 + [3] * 15 + [0] * 10
    assert not dropped[CROWDED]


def test_frames_in_which_both_actors_are_missing_are_dropped():
    bodies = [
        body(0, 15, mark=1, move=0.5),
        body(20, 15, mark=2, seed=1),
        body(15, 5, mark=9, seed=2),
    ]
    actors, _ = denoise(bodies, 35)
    assert marks(actors, 0) == [1] * 15 + [2] * 15
