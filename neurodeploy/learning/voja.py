"""Voja: the weights of a neuron that is active move towards its input, and those of others stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.description import Rule, Trace, describe

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Voja:
    """Move weights towards the input: ``dw = rate y (x - w)``.

    Parameters
    ----------
    rate : float

    References
    ----------
    .. [1] A. Voelker, E. Crawford, C. Eliasmith (2014), Learning large-scale heteroassociative memories in
       spiking neurons, Unconventional Computation and Natural Computation, equation 3.
    """

    rate: float = 0.01

    name: ClassVar[str] = "voja"
    equation: ClassVar[str] = "dw = rate * post * (pre - w)"
    reference: ClassVar[str] = "Voelker et al. 2014"

    def change(self, weight: npt.ArrayLike, *, pre: npt.ArrayLike, post: npt.ArrayLike) -> Floats:
        """Return what is added to weights, shape (O, I), in one step."""
        w, x, y = (np.asarray(a, np.float64) for a in (weight, pre, post))
        return np.asarray(self.rate * y[:, None] * (x - w))

    def chip(self, reward: Any = "r1") -> Rule:
        """Return the form of chips; its scales make up for the engine's overflow shifts, 3 and 5 bits."""
        return describe(
            self.name, "dw = 2^-7*u4*x1*y1 - 2^-5*u4*y1*w", Trace("x1", 32, 16), Trace("y1", 32, 16)
        )
