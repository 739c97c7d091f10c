"""Which frames a body is there in: it is, where any of its stored coordinates is not zero.

Known on the host, so that a training step need not ask the device, and looked up once for each
sequence when a batch first needs it, so that a large store is never read as a whole for it.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from hacm.data.store import SequenceStore


class Presence:
    """Presence of every body of a store, frame by frame.

    Args:
        store: whose frames are looked at.

    Attributes:
        there: rows of the store's frames in which the body is there; valid for the sequences that
            were looked up.
    """

    def __init__(self, store: SequenceStore) -> None:
        self.frames = store.frames
        self.start, self.bodies, self.length = (
            store.columns[column] for column in ("start", "bodies", "frames")
        )
        N = len(self.start)
        self.there = torch.zeros(len(store.frames), dtype=torch.bool)
        self.first, self.count = np.zeros(N, dtype=np.int64), np.zeros(N, dtype=np.int64)
        self.known = np.zeros(N, dtype=bool)

    def look_up(self, ids: Int[Tensor, "N"]) -> None:
        """Fill in `there` for the sequences `ids`."""
        wanted = ids.numpy()
        for i in np.unique(wanted[~self.known[wanted]]):
            rows = slice(self.start[i], self.start[i] + self.bodies[i] * self.length[i])
            there = np.asarray(self.frames[rows]).reshape(rows.stop - rows.start, -1).any(axis=1)
            self.there[rows] = torch.from_numpy(there)
            anybody = np.flatnonzero(there.reshape(self.bodies[i], -1).any(axis=0))
            if len(anybody):
                self.first[i], self.count[i] = anybody[0], anybody[-1] + 1 - anybody[0]
            else:  # nobody ever: the sequence counts as a whole
                self.count[i] = self.length[i]
            self.known[i] = True

    def span(self, ids: Int[Tensor, "N"]) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
        """First frame in which anybody is there, and the number of frames up to the last such."""
        self.look_up(ids)
        at = ids.numpy()
        return torch.from_numpy(self.first[at]), torch.from_numpy(self.count[at])

    def at(self, rows: Int[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Whether the body is there in rows of sequences that were looked up."""
        return self.there[rows]
