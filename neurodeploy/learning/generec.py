"""Generalized recirculation: what a neuron does under the wanted output, less what it expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Compared, Floats, Layers, Network
from neurodeploy.learning.settling import as_wide, difference, output_drive, settle


@dataclass(frozen=True)
class GeneralizedRecirculation:
    """Learn ``dW = rate (y_plus - y_minus) x_minus^T`` at every synapse, those of feedback included.

    In the minus phase the network settles on its own, in the plus phase with the output held at what is
    wanted.

    Parameters
    ----------
    gain : float
        Of feedback.
    steps : int
        Of a phase.

    References
    ----------
    .. [1] R. O'Reilly (1996), Biologically plausible error-driven learning using local activation
       differences: the generalized recirculation algorithm, Neural Computation 8:895.
    """

    gain: float = 0.5
    steps: int = 15

    name: ClassVar[str] = "generec"
    equation: ClassVar[str] = "dw = rate * (post_plus - post_minus) * pre_minus"
    reference: ClassVar[str] = "O'Reilly 1996"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from every layer to the one before; as it decays, what both learned is left."""
        return as_wide(network, rng)

    def compare(self, network: Network, x: Floats, wanted: Floats) -> Compared:
        """Settle, then go on as before and with the output held."""
        begun = settle(network, x, steps=self.steps, gain=self.gain)
        minus = settle(network, x, steps=self.steps, gain=self.gain, start=begun)
        plus = settle(network, x, steps=self.steps, gain=self.gain, start=begun, clamp=wanted)
        return difference(minus, plus)

    def answer(self, network: Network, x: Floats) -> Floats:
        """Settle once."""
        return output_drive(network, settle(network, x, steps=self.steps, gain=self.gain))

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases: the tag is the difference of a neuron's own spikes."""
        return forms.signed_tag(self.name, Feedback("settling", "learned", "two-phase"), reward=reward)
