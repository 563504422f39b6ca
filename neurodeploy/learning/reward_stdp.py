"""STDP that waits for a reward: pairs of spikes leave a tag, and the reward turns tags into weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.description import Feedback, Rule, Trace, describe
from neurodeploy.learning.stdp import PairSTDP

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RewardSTDP:
    """Gather eligibility, and let a reward spend it: ``de = STDP - e / tau_e``, ``dw = r e``.

    Parameters
    ----------
    pairs : PairSTDP
    tau : float
        Of the eligibility, in steps.

    References
    ----------
    .. [1] E. Izhikevich (2007), Solving the distal reward problem through linkage of STDP and dopamine
       signaling, Cerebral Cortex 17, equations 1 and 2.
    """

    pairs: PairSTDP = field(default_factory=PairSTDP)
    tau: float = 128.0

    name: ClassVar[str] = "r-stdp"
    equation: ClassVar[str] = "de = stdp - e / tau; dw = reward * e"
    reference: ClassVar[str] = "Izhikevich 2007"

    def change(self, eligibility: npt.ArrayLike, *, reward: float) -> Floats:
        """Return what is added to weights, shape (O, I), in one step."""
        return np.asarray(reward * np.asarray(eligibility, np.float64))

    def eligible(self, eligibility: npt.ArrayLike, **spikes: npt.ArrayLike) -> Floats:
        """Return the eligibility after one more step, shape (O, I).

        Parameters
        ----------
        eligibility : array_like, shape (O, I)
        **spikes
            As `PairSTDP.change` takes them.
        """
        before = np.asarray(eligibility, np.float64)
        return np.asarray(before - before / self.tau + self.pairs.change(**spikes))

    def chip(self, reward: Any = "r1") -> Rule:
        """Return the form of chips: the tag decays once in 16 steps.

        The reward is the engine's own ``r1``, or what neurons collected from reward neurons, in ``y2``.
        """
        near, far = (round(math.log2(s)) - 1 for s in (self.pairs.rise, self.pairs.fall))
        traces = [Trace("x1", self.pairs.tau, 32), Trace("y1", self.pairs.tau, 32)]
        collected = reward == "y3"
        traces += [Trace("y2", source="neuron")] if collected else []
        given = "(y2-64)" if collected else reward
        text = f"dt = 2^{near}*x1*y0 - 2^{far}*y1*x0 - 2^-3*u4*t\ndw = 2^-3*u4*{given}*t"
        back = Feedback("reward", "none", "neuron-trace" if collected else "none")
        return describe(self.name, text, *traces, feedback=back)
