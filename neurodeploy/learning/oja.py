"""Oja's rule: Hebb's with a decay, by which weights find the first principal component at one length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.description import Rule, Trace, describe

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Oja:
    """Grow by what both ends do, less what the neuron does: ``dw = rate (y x - beta y^2 w)``.

    Parameters
    ----------
    rate : float
    beta : float
        How strongly weights are forgotten; their length goes to ``1 / sqrt(beta)``.

    References
    ----------
    .. [1] E. Oja (1982), A simplified neuron model as a principal component analyzer, Journal of Mathematical
       Biology 15, equation 3.
    """

    rate: float = 0.01
    beta: float = 1.0

    name: ClassVar[str] = "oja"
    equation: ClassVar[str] = "dw = rate * (post * pre - beta * post^2 * w)"
    reference: ClassVar[str] = "Oja 1982"

    def change(self, weight: npt.ArrayLike, *, pre: npt.ArrayLike, post: npt.ArrayLike) -> Floats:
        """Return what is added to weights, shape (O, I), in one step."""
        w, x, y = (np.asarray(a, np.float64) for a in (weight, pre, post))
        return np.asarray(self.rate * (np.outer(y, x) - self.beta * (y**2)[:, None] * w))

    def chip(self, reward: Any = "r1") -> Rule:
        """Return the form of chips, whose square is two traces of one neuron; ``1 / beta`` is 128 codes."""
        traces = (Trace("x1", 32, 16), Trace("y1", 32, 16), Trace("y2", 32, 16))
        return describe(self.name, "dw = 2^-7*u4*x1*y1 - 2^-5*u4*y1*y2*w", *traces)
