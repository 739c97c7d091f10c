"""Make `.skeleton` texts, and read them the slow and plain way: line by line, rule by rule."""

from __future__ import annotations

import numpy as np

V = 25


def person(rng: np.random.Generator, frames: int, *, move=0.1, wide=0.4, at=(0.0, 0.0, 3.0)):
    """(frames, V, 3) coordinates of somebody 1.6 m tall and `wide` m wide, rounded as in files."""
    still = rng.uniform(-0.5, 0.5, (V, 3)) * (wide, 1.6, 0.3)
    still[0], still[1] = (wide / 2, 0.8, 0), (-wide / 2, -0.8, 0)
    path = rng.normal(0, move, (frames, 1, 3)).cumsum(0)
    return np.round(still + path + np.array(at), 6)


def skeleton_text(frames: list[list[tuple[str, np.ndarray]]], end="\n", last=True) -> bytes:
    """The file for frames of (body id, (V, 3) joints)."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for id, joints in bodies:
            lines += [f"{id} 0 1 1 1 1 0 0.01 -0.2 2", str(V)]
            for x, y, z in joints:
                lines.append(f"{x:.7g} {y:.7g} {z:.7g} 250.1 200.2 960.3 540.4 0.1 0.2 0.3 0.9 2")
    return (end.join(lines) + (end if last else "")).encode()


def plain_parse(text: bytes) -> tuple[dict, int]:
    """Bodies by id, {"start": frame, "joints": [(V, 3), ...]}, and the number of frames."""
    lines = text.decode().splitlines()
    at, kept = 1, 0
    bodies: dict = {}
    for _ in range(int(lines[0])):
        count = int(lines[at])
        at += 1
        for _ in range(count):
            id = lines[at].split()[0]
            joints = np.zeros((V, 3), dtype=np.float32)
            for joint in range(V):
                fields = lines[at + 2 + joint].split()
                joints[joint] = np.array(fields[:3], dtype=np.float32)
            bodies.setdefault(id, {"start": kept, "joints": []})["joints"].append(joints)
            at += 2 + V
        if count > 0:
            kept += 1
    return bodies, kept


def plain_denoise(bodies: dict, frames: int) -> np.ndarray:
    """(frames, V * 3) or (frames, 2 * V * 3): the actors side by side, centred."""
    if len(bodies) == 1:
        joints = np.zeros((frames, 1, V, 3), dtype=np.float32)
        (body,) = bodies.values()
        for i, row in enumerate(body["joints"]):
            joints[body["start"] + i, 0] = row
        return centred(joints)

    left = {id: body for id, body in bodies.items() if len(body["joints"]) > 11}
    motions = {id: motion(body["joints"]) for id, body in left.items()}
    if len(left) > 1:
        for id in list(left):
            if len(left) == 1:
                break
            clean = []
            for row in left[id]["joints"]:
                width = row[:, 0].max() - row[:, 0].min()
                height = row[:, 1].max() - row[:, 1].min()
                if not width > 0.8 * height:
                    clean.append(row)
            noisy = len(left[id]["joints"]) - len(clean)
            if noisy / len(left[id]["joints"]) >= 0.69754:
                del left[id]
            elif noisy:
                motions[id] = min(motions[id], motion(clean))
    if not left:
        return np.zeros((0, V * 3), dtype=np.float32)
    order = sorted(left, key=lambda id: -motions[id])

    joints = np.zeros((frames, 1 if len(order) == 1 else 2, V, 3), dtype=np.float32)
    intervals = [None, [0, 0]]
    for id in order:
        start = left[id]["start"]
        end = start + len(left[id]["joints"]) - 1
        for actor in (0, 1):
            interval = intervals[actor]
            if interval is None or min(interval[1], end) - max(interval[0], start) <= 0:
                for i, row in enumerate(left[id]["joints"]):
                    joints[start + i, actor] = row
                if interval is None:
                    interval = [start, end]
                intervals[actor] = [min(interval[0], start), max(interval[1], end)]
                break
    there = [f for f in range(frames) if joints[f].any()]
    return centred(joints[there])


def motion(rows: list[np.ndarray]) -> float:
    return float(np.sum(np.var(np.array(rows, dtype=np.float32).reshape(-1, 3), axis=0)))


def centred(joints: np.ndarray) -> np.ndarray:
    first = next((f for f in range(len(joints)) if joints[f, 0].any()), None)
    if first is not None:
        origin = joints[first, 0, 1].copy()
        for f in range(len(joints)):
            for b in range(joints.shape[1]):
                if joints[f, b].any():
                    joints[f, b] -= origin
    return joints.reshape(len(joints), -1)
