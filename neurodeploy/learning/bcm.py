"""BCM: a neuron's weights grow where it is more active than it used to be, and shrink where it is less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.description import Rule, Trace, describe

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BCM:
    """Compare activity with its own slow mean: ``dw = rate y (y - theta) x``, ``theta`` a slow trace of y.

    Parameters
    ----------
    rate : float
    slow, impulse : float
        Time constant in steps, and what a spike adds, of the chip's trace for theta. Neurons that seldom
        spike need a long one, and impulses at which theta comes near what their activity is when they do.

    References
    ----------
    .. [1] E. Bienenstock, L. Cooper, P. Munro (1982), Theory for the development of neuron selectivity,
       Journal of Neuroscience 2; with a threshold linear in the mean, as Nengo has it.
    """

    rate: float = 0.01
    slow: float = 512.0
    impulse: float = 1.0

    name: ClassVar[str] = "bcm"
    equation: ClassVar[str] = "dw = rate * post * (post - theta) * pre"
    reference: ClassVar[str] = "Bienenstock et al. 1982"

    def change(self, *, pre: npt.ArrayLike, post: npt.ArrayLike, theta: npt.ArrayLike) -> Floats:
        """Return what is added to weights, shape (O, I), in one step."""
        y, slow = np.asarray(post, np.float64), np.asarray(theta, np.float64)
        return np.asarray(self.rate * np.outer(y * (y - slow), np.asarray(pre, np.float64)))

    def chip(self, reward: Any = "r1") -> Rule:
        """Return the form of chips: y2 is y1 over again, y3 the slow one; both settle at the same level."""
        theta = Trace("y3", self.slow, self.impulse)
        traces = (Trace("x1", 32, 16), Trace("y1", 32, 16), Trace("y2", 32, 16), theta)
        return describe(self.name, "dw = 2^2*u4*x1*y1*y2 - 2^2*u4*x1*y1*y3", *traces)
