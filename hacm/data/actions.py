"""The actions of the synthetic data set: joint angles as smooth curves over an action's phase.

An action is a function of the phase (0 until it starts, 1 when it is over) that says by how many
degrees which angles of `body.py` differ from standing at ease. To add one, write such a function
under `@action`: the right hand acts (left-handed people are mirrored), tempo, amplitude and idle
movement come from elsewhere, and the feet find the floor by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from hacm.data.body import SIDES, Pose

Phase = Float[np.ndarray, "T"]
Curves = Callable[[Phase, np.random.Generator], "Pose | tuple[Pose, Pose]"]
C = TypeVar("C", bound=Curves)


@dataclass(frozen=True)
class Action:
    """How an action goes.

    Attributes:
        curves: (phase, generator) -> a pose, or one for each of two people who face each other.
        seconds: how long it takes people of average tempo.
        gap: metres between the hips of two people in the middle of the action; None for one person.
    """

    curves: Curves
    seconds: float
    gap: float | None


ACTIONS: dict[str, Action] = {}


def action(seconds: float, gap: float | None = None) -> Callable[[C], C]:
    """Enter a function into `ACTIONS` under its own name."""

    def enter(curves: C) -> C:
        ACTIONS[curves.__name__] = Action(curves, seconds, gap)
        return curves

    return enter


def keys(phase: Phase, *values: float) -> Float[np.ndarray, "T"]:
    """The curve that comes to rest at each value in turn, at equal steps of the phase.

    In between it follows the minimum-jerk law of reaching movements (Flash and Hogan 1985).
    """
    place = np.clip(phase, 0, 1) * (len(values) - 1)
    step = np.minimum(place.astype(int), len(values) - 2)
    s = place - step
    level = np.array(values, dtype=float)
    return level[step] + (level[step + 1] - level[step]) * s**3 * (10 - 15 * s + 6 * s**2)


def beats(phase: Phase, count: int | np.integer) -> Float[np.ndarray, "T"]:
    """`count` swings between -1 and 1."""
    return np.sin(2 * np.pi * count * phase)


def again(phase: Phase, count: int | np.integer) -> Phase:
    """The phase of something done `count` times that ends as it starts."""
    return (phase * count) % 1


def both(**curves: np.ndarray) -> Pose:
    """The same on the left and on the right."""
    return {f"{side}_{name}": curve for side in SIDES for name, curve in curves.items()}


def gait(phase: Phase, cycles: float, stride: float) -> Pose:
    """The legs of somebody who walks; a negative stride (degrees) walks backward."""
    pace = keys(phase, 0, 1, 1, 1, 0)
    legs: Pose = {}
    for side, start in (("left", 0.0), ("right", np.pi)):
        cycle = 2 * np.pi * cycles * phase + start
        airborne = np.maximum(0, np.cos(cycle))
        legs[f"{side}_thigh"] = pace * (stride * np.sin(cycle) + 12 * airborne)
        legs[f"{side}_knee"] = pace * 45 * airborne
    return legs


@action(seconds=2.4)
def wave(phase: Phase, rng: np.random.Generator) -> Pose:
    """The forearm swings beside the head."""
    up = keys(phase, 0, 1, 1, 1, 0)
    wag = up * beats(phase, rng.integers(3, 6))
    return {
        "right_lift": 55 * up,
        "right_spread": 45 * up,
        "right_elbow": 95 * up + 12 * wag,
        "right_roll": -45 * up + 28 * wag,
    }


@action(seconds=2.2)
def clap(phase: Phase, rng: np.random.Generator) -> Pose:
    """The hands meet several times in front of the chest."""
    up = keys(phase, 0, 1, 1, 1, 0)
    apart = up * (0.5 + 0.5 * beats(phase, rng.integers(3, 7)))
    lift = rng.uniform(35, 60)
    return both(lift=lift * up, spread=15 * apart, elbow=60 * up, roll=42 * up - 35 * apart)


@action(seconds=1.5)
def punch(phase: Phase, rng: np.random.Generator) -> Pose:
    """From a guard, the fist shoots forward once or twice."""
    guard = keys(phase, 0, 1, 1, 0)
    hit = keys(again(phase, rng.integers(1, 3)), 0, 0, 1, 0, 0)
    return {
        "left_lift": 35 * guard,
        "left_elbow": 95 * guard,
        "right_lift": 25 * guard + 60 * hit,
        "right_elbow": 100 * guard - 95 * hit,
        "twist": -15 * guard + 40 * hit,
        "lean": 8 * hit,
        "left_thigh": 12 * guard,
        "right_thigh": -8 * guard,
    }


@action(seconds=1.7)
def throw(phase: Phase, rng: np.random.Generator) -> Pose:
    """The hand goes back behind the head, then over it and down in front."""
    return {
        "right_lift": keys(phase, 0, 90, 125, 65, 0),
        "right_spread": keys(phase, 0, 50, 30, -10, 0),
        "right_elbow": keys(phase, 0, 105, 90, 5, 0),
        "right_roll": keys(phase, 0, -50, -20, 0, 0),
        "twist": keys(phase, 0, -30, -25, 30, 0),
        "lean": keys(phase, 0, -6, -4, 22, 0),
        "left_lift": keys(phase, 0, 35, 25, -15, 0),
        "left_thigh": keys(phase, 0, 15, 18, 12, 0),
        "left_knee": keys(phase, 0, 35, 5, 15, 0),
        "right_thigh": keys(phase, 0, -5, -10, -8, 0),
    }


@action(seconds=1.4)
def kick(phase: Phase, rng: np.random.Generator) -> Pose:
    """The leg swings back, then forward and up."""
    return {
        "right_thigh": keys(phase, 0, -25, rng.uniform(45, 80), 20, 0),
        "right_knee": keys(phase, 0, 70, 8, 40, 0),
        "left_thigh": keys(phase, 0, 8, 2, 5, 0),
        "left_knee": keys(phase, 0, 15, 8, 10, 0),
        "lean": keys(phase, 0, 8, -12, 0, 0),
        "left_lift": keys(phase, 0, 20, 35, 10, 0),
        "right_lift": keys(phase, 0, 10, -25, -5, 0),
    }


@action(seconds=2.4)
def squat(phase: Phase, rng: np.random.Generator) -> Pose:
    """Down on bent knees and up again, the arms hanging or stretched forward."""
    down = keys(phase, 0, 1, 1, 0)
    legs = both(thigh=80 * down, knee=102 * down, straddle=6 * down)
    return {**legs, **both(lift=rng.uniform(40, 95) * down), "lean": 35 * down, "nod": -15 * down}


@action(seconds=2.4)
def pick_up(phase: Phase, rng: np.random.Generator) -> Pose:
    """One hand reaches for the floor and comes up with something."""
    down = keys(phase, 0, 1, 1, 0)
    bent = rng.uniform(0.3, 1)
    return {
        **both(thigh=(25 + 55 * bent) * down, knee=(10 + 85 * bent) * down),
        "lean": (90 - 25 * bent) * down,
        "twist": 12 * down,
        "right_lift": keys(phase, 0, 75, 70, 15, 0),
        "right_elbow": keys(phase, 0, 5, 5, 60, 0),
        "left_lift": 25 * down,
        "left_elbow": 30 * down,
    }


@action(seconds=1.9)
def sit_down(phase: Phase, rng: np.random.Generator) -> Pose:
    """Onto a chair; ends with the hands above the lap."""
    return {
        **both(thigh=keys(phase, 0, 88), knee=keys(phase, 0, 92)),
        **both(lift=keys(phase, 0, 25, 28), elbow=keys(phase, 0, 10, 45)),
        "lean": keys(phase, 0, 32, 35, 6),
    }


@action(seconds=1.9)
def stand_up(phase: Phase, rng: np.random.Generator) -> Pose:
    """From a chair."""
    return sit_down(1 - phase, rng)


@action(seconds=1.8)
def jump(phase: Phase, rng: np.random.Generator) -> Pose:
    """Crouch, swing the arms, fly, land on soft knees."""
    flight = np.clip((phase - 0.4) / 0.2, 0, 1)
    return {
        **both(thigh=keys(phase, 0, 45, 0, 0, 38, 0), knee=keys(phase, 0, 68, 0, 0, 58, 0)),
        **both(lift=keys(phase, 0, -35, rng.uniform(20, 130), 50, 15, 0)),
        "lean": keys(phase, 0, 30, 0, 0, 22, 0),
        "jump": 0.8 * flight * (1 - flight),
    }


@action(seconds=2.6)
def walk_in_place(phase: Phase, rng: np.random.Generator) -> Pose:
    """The knees come up in turn, the arms swing against them."""
    swing = keys(phase, 0, 1, 1, 1, 0) * beats(phase, rng.integers(2, 5))
    left, right = np.maximum(0, swing), np.maximum(0, -swing)
    return {
        "left_thigh": 45 * left,
        "left_knee": 70 * left,
        "right_thigh": 45 * right,
        "right_knee": 70 * right,
        "left_lift": -22 * swing,
        "right_lift": 22 * swing,
        **both(elbow=20 * np.abs(swing)),
    }


@action(seconds=2.6, gap=1.0)
def shake_hands(phase: Phase, rng: np.random.Generator) -> tuple[Pose, Pose]:
    """A step towards each other, then right hands go up and down together."""
    out = keys(phase, 0, 1, 1, 0)
    pump = out * beats(phase, rng.integers(3, 6))
    arm = {"right_lift": 42 * out + 5 * pump, "right_elbow": 40 * out - 8 * pump}
    pose = {**gait(3 * phase, 0.5, 10), **arm, "right_roll": 25 * out, "lean": 8 * out}
    return pose, pose


@action(seconds=2.8, gap=0.38)
def hug(phase: Phase, rng: np.random.Generator) -> tuple[Pose, Pose]:
    """A step towards each other, then the arms go round the other, heads side by side."""
    hold = keys(phase, 0, 1, 1, 1, 0)
    reach = both(lift=rng.uniform(55, 85) * hold, spread=keys(phase, 0, 35, 5, 5, 0))
    close = both(elbow=keys(phase, 0, 20, 65, 65, 0), roll=60 * hold)
    pose = {**gait(3 * phase, 0.5, 14), **reach, **close, "lean": 5 * hold, "tilt": 12 * hold}
    return pose, pose


@action(seconds=2.0, gap=0.85)
def push(phase: Phase, rng: np.random.Generator) -> tuple[Pose, Pose]:
    """One shoves with both hands, the other staggers back."""
    ready, shove = keys(phase, 0, 1, 1, 0), keys(phase, 0, 0, 1, 0, 0)
    hands = both(lift=25 * ready + 55 * shove, elbow=95 * ready - 85 * shove)
    pusher = {**hands, "lean": 5 * ready + 12 * shove, "left_thigh": 14 * ready}
    struck = keys(phase, 0, 0, 0, 1, 0)
    balance = both(lift=35 * struck, elbow=30 * struck)
    steps = gait(2.5 * (phase - 0.5), 1, -14)
    return pusher, {**steps, **balance, "lean": -14 * struck, "nod": 10 * struck}
