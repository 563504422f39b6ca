"""Hunsberger's method: direct feedback alignment whose error is carried by neurons on every hop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.direct import from_output
from neurodeploy.learning.rate import Activity, Floats, Layers, Network

TAU_RC, TAU_REF = 0.02, 0.002
"""Of error neurons, in seconds."""


@dataclass(frozen=True)
class Channel:
    """An error ensemble in rates: leaky neurons per dimension, half of them for each sign, and decoders.

    Parameters
    ----------
    neurons : int
        Per dimension.
    seed : int
    """

    neurons: int = 20
    seed: int = 0

    @cached_property
    def tuning(self) -> tuple[Floats, Floats, Floats]:
        """Encoders, gains, biases, shape (neurons,): intercepts up to 0.8, 100 to 120 spikes per second."""
        rng = np.random.default_rng(self.seed)
        signs = np.where(np.arange(self.neurons) % 2, 1.0, -1.0)
        top, start = rng.uniform(100, 120, self.neurons), rng.uniform(0, 0.8, self.neurons)
        at_top = 1 / (1 - np.exp((TAU_REF - 1 / top) / TAU_RC))
        gain = (at_top - 1) / (1 - start)
        return signs, gain, 1 - gain * start

    @cached_property
    def decoders(self) -> Floats:
        """Return what rates are weighted by to give back what is represented, shape (neurons,)."""
        points = np.linspace(-1, 1, 201)
        found = self.rates(points)
        limit = 0.01 * found.max()
        square = found.T @ found + len(points) * limit**2 * np.eye(self.neurons)
        return np.asarray(np.linalg.solve(square, found.T @ points))

    def rates(self, value: Floats) -> Floats:
        """Return spikes per second, shape (..., neurons)."""
        signs, gain, bias = self.tuning
        drive = value[..., None] * signs * gain + bias
        above = np.maximum(drive - 1, 1e-12)
        return np.where(drive > 1, 1 / (TAU_REF + TAU_RC * np.log1p(1 / above)), 0.0)

    def carry(self, value: Floats) -> Floats:
        """Return what is decoded of a value, of any shape."""
        return np.asarray(self.rates(value) @ self.decoders)


CHANNEL = Channel()


@dataclass(frozen=True)
class Hunsberger:
    """Send the error down a chain of ensembles, and from each to its layer: ``L_n = B_n E_n(... E_0(e))``.

    The slope is a step of the neuron's own spikes. The output learns by PES from the first ensemble.

    References
    ----------
    .. [1] E. Hunsberger (2018), Spiking deep neural networks: engineered and biological approaches to object
       recognition, PhD thesis, University of Waterloo, hdl.handle.net/10012/12819.
    """

    name: ClassVar[str] = "hunsberger"
    equation: ClassVar[str] = "dw = -rate * step(own spikes) * (B decoded error) * lowpass(pre)"
    reference: ClassVar[str] = "Hunsberger 2018"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from every error ensemble to its hidden layer."""
        return from_output(network, rng)

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Carry the error from ensemble to ensemble; the lowest layer is the last to get it."""
        carried = CHANNEL.carry(error)
        found = [carried]
        for back in reversed(network.feedback):
            carried = CHANNEL.carry(carried)
            found.insert(0, carried @ back.T)
        return tuple(found)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing: feedback is fixed."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases."""
        return forms.signed_tag(self.name, Feedback("ensembles", "fixed", "two-phase"), reward=reward)
