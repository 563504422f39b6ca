"""Values on their way through a delay."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from neurodeploy.ir import ops

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


def delay_steps(op: ops.Delay, dt: float) -> Longs:
    """Whole steps that a delay takes, in the shape of the op's parameter."""
    return np.asarray(np.rint(op.delay / dt), dtype=np.int64)


class Line:
    """Values that come out a number of steps after they went in; silence before.

    Parameters
    ----------
    steps : ndarray of int64
        Per value; broadcasts to the shape.
    shape : tuple of int
        Of what goes in, the batch included.
    """

    def __init__(self, steps: Longs, shape: tuple[int, ...]) -> None:
        self.steps = np.broadcast_to(steps, shape)
        self.lengths = np.unique(steps).tolist()
        longest = int(self.lengths[-1])
        self.past = deque([np.zeros(shape)] * (longest + 1), maxlen=longest + 1)

    def step(self, value: Floats) -> Floats:
        """Put in what goes in now, and return what comes out."""
        self.past.appendleft(value)
        return np.select([self.steps == n for n in self.lengths], [self.past[n] for n in self.lengths])
