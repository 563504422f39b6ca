"""Rules of spiking neurons in time: what they are, and their float reference."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol, runtime_checkable

from neurodeploy.learning.description import Rule
from neurodeploy.learning.rate import AnyRule, Floats


@runtime_checkable
class TemporalRule(Protocol):
    """A rule of spiking neurons in time, whose synapses remember their own eligibility."""

    name: ClassVar[str]
    equation: ClassVar[str]
    reference: ClassVar[str]

    def derivative(self, away: Floats) -> Floats:
        """Return pseudo-derivatives at distances of the membrane from the threshold, in thresholds."""

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return what a learning engine runs at every plastic synapse of hidden layers."""

    def chip_output(self) -> Rule:
        """Return what it runs at those of the output."""


CircuitRule = AnyRule | TemporalRule
"""What a circuit can be built for."""
