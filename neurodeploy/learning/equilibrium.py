"""Equilibrium propagation: the output is pulled a little towards what is wanted, and all follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Compared, Floats, Layers, Network
from neurodeploy.learning.settling import as_wide, contrast, output_drive, settle


@dataclass(frozen=True)
class EquilibriumPropagation:
    """Learn ``dW = rate / (2 beta) ((y x^T)_near - (y x^T)_away)``; feedback changes alike.

    The output is nudged towards what is wanted, and away from it: what had not yet settled cancels.

    Parameters
    ----------
    beta : float
        How strongly the output is pulled.
    free, nudged : int
        Steps of both phases.
    lower : float
        How many times faster each layer learns than the one after it.

    Notes
    -----
    Where feedback is the weights transposed and beta small, this is the gradient of the squared error at the
    free fixed point. Here feedback begins elsewhere and learns for itself; with decay of both, it comes to be
    that, and no weight is copied.

    References
    ----------
    .. [1] B. Scellier, Y. Bengio (2017), Equilibrium propagation: bridging the gap between energy-based
       models and backpropagation, Frontiers in Computational Neuroscience 11:24.
    .. [2] A. Laborieux et al. (2021), Scaling equilibrium propagation to deep ConvNets by drastically
       reducing its gradient estimator bias, Frontiers in Neuroscience 15:633674.
    """

    beta: float = 0.5
    free: int = 20
    nudged: int = 10
    lower: float = 4.0

    name: ClassVar[str] = "equilibrium"
    equation: ClassVar[str] = "dw = rate / (2 beta) * (post_near * pre_near - post_away * pre_away)"
    reference: ClassVar[str] = "Scellier, Bengio 2017"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from every layer to the one before; as it decays, what both learned is left."""
        return as_wide(network, rng)

    def compare(self, network: Network, x: Floats, wanted: Floats) -> Compared:
        """Settle freely, then nudged both ways."""
        free = settle(network, x, steps=self.free)
        away, near = (
            settle(network, x, steps=self.nudged, start=free, nudge=(wanted, b))
            for b in (-self.beta, self.beta)
        )
        up = range(network.hidden, -1, -1)
        return contrast(away, near, scales=tuple(self.lower**n / (2 * self.beta) for n in up))

    def answer(self, network: Network, x: Floats) -> Floats:
        """Settle freely."""
        return output_drive(network, settle(network, x, steps=self.free))

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases: a tag collects Hebb's product with the sign of the phase."""
        return forms.phase_sign(self.name, Feedback("settling", "learned", "phase-sign"), reward=reward)
