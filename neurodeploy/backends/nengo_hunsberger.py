"""Hunsberger's method in Nengo: every hop is spiking neurons, slopes come from neurons' own spikes.

::

    pixels -> x -> h1 -> h2 -> out            LIF neurons; every connection is filtered, 3 ms and a step
    out - wanted -> e0 -> e(h2) -> e(h1)      error ensembles: encoders of both signs, intercepts up to 0.8
    e(h1) -> h1, e(h2) -> h2, e0 -> out       learning signals: fixed random sums, and PES at the output

References
----------
.. [1] E. Hunsberger (2018), Spiking deep neural networks, PhD thesis, University of Waterloo, chapter 5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.nengo_learning import ACTIVE, Delta, DirectFeedback, draw_feedback, nengo

Floats = npt.NDArray[np.float64]
SYNAPSE = nengo.Alpha(0.003)
PER_DIMENSION = 20
"""Neurons of output, label and error ensembles for each class."""


@dataclass(frozen=True)
class Rates:
    """How a network is driven and learns.

    Parameters
    ----------
    gain : float
        Of input neurons, for pixels from 0 to 1; 3 is about 100 spikes per second at 1.
    spread : float
        Of the current that a hidden neuron gets, in thresholds; at rest it is at its threshold.
    learning : tuple of float
        Of the first layer, further hidden layers and the output, as `Delta` and `DirectFeedback` take them.
    """

    gain: float = 3.0
    spread: float = 1.0
    learning: tuple[float, float, float] = (1e-6, 4e-6, 1e-5)


@dataclass(frozen=True, eq=False)
class Built:
    """A Nengo network and what to look at.

    Parameters
    ----------
    network : nengo.Network
    plastic : tuple of nengo.Connection
        Layer by layer.
    out : nengo.Node
        What the output ensemble decodes, shape (classes,).
    """

    network: Any
    plastic: tuple[Any, ...]
    out: Any


def build(
    sizes: tuple[int, ...],
    pixels: Callable[[float], Floats],
    wanted: Callable[[float], Floats],
    *,
    seed: int = 0,
    rates: Rates | None = None,
    weights: tuple[Floats, ...] = (),
    learn: bool = True,
) -> Built:
    """Build the network.

    Parameters
    ----------
    sizes : tuple of int
        Inputs, hidden layers, classes.
    pixels, wanted : callable
        Of time in seconds: currents of the input neurons, shape (I,); and what should come, shape (classes,).
    seed : int
    rates : Rates, optional
    weights : tuple of ndarray of float64, optional
        Of every layer; drawn anew otherwise, and 0 for the output.
    learn : bool
        Without, there are no error ensembles and no rules.
    """
    told, rng = rates or Rates(), np.random.default_rng(seed)
    given = weights or _drawn(sizes, told, rng)
    with nengo.Network(seed=seed) as net:
        layers = [_neurons(sizes[0], told.gain, 0.0), *(_neurons(n, 1.0, 1.0) for n in sizes[1:-1])]
        nengo.Connection(nengo.Node(lambda t: pixels(t)), layers[0].neurons, synapse=None)
        out = nengo.networks.EnsembleArray(PER_DIMENSION, sizes[-1], radius=1.5)
        ends = [*(layer.neurons for layer in layers[1:]), out.input]
        rules = _rules(sizes, told, rng) if learn else [None] * len(given)
        plastic = tuple(
            nengo.Connection(a.neurons, b, transform=w, synapse=SYNAPSE, learning_rule_type=rule)
            for a, b, w, rule in zip(layers, ends, given, rules, strict=True)
        )
        if learn:
            _errors(sizes[-1], out, nengo.Node(lambda t: wanted(t)), plastic)
    return Built(net, plastic, out.output)


def _drawn(sizes: tuple[int, ...], told: Rates, rng: np.random.Generator) -> tuple[Floats, ...]:
    """Draw weights for inputs of which a tenth are on, and hidden neurons of which half are."""
    on = [0.1 * sizes[0], *(0.5 * n for n in sizes[1:-2])]
    hidden = zip(sizes[:-2], sizes[1:-1], on, strict=True)
    drawn = [rng.normal(0, told.spread / (100 * np.sqrt(k)), (o, i)) for i, o, k in hidden]
    return (*drawn, np.zeros((sizes[-1], sizes[-2])))


def _neurons(n: int, gain: float, bias: float) -> Any:
    return nengo.Ensemble(n, 1, neuron_type=nengo.LIF(), gain=np.full(n, gain), bias=np.full(n, bias))


def _rules(sizes: tuple[int, ...], told: Rates, rng: np.random.Generator) -> list[Any]:
    first, hidden, last = told.learning
    speeds = [first, *[hidden] * (len(sizes) - 3)]
    found: list[Any] = [
        DirectFeedback(
            draw_feedback(n, sizes[-1], rng=rng), speed, pre_synapse=nengo.Lowpass(0.005), active=ACTIVE
        )
        for n, speed in zip(sizes[1:-1], speeds, strict=True)
    ]
    return [*found, Delta(last, pre_synapse=nengo.Lowpass(0.005))]


def _errors(classes: int, out: Any, wanted: Any, plastic: tuple[Any, ...]) -> None:
    """Compare what comes with what is wanted, carried by neurons too, and hand the error down."""
    label = nengo.networks.EnsembleArray(PER_DIMENSION, classes, radius=1.5)
    nengo.Connection(wanted, label.input, synapse=None)
    ensembles = [_ensemble(classes) for _ in plastic]
    nengo.Connection(out.output, ensembles[0].input, synapse=SYNAPSE)
    nengo.Connection(label.output, ensembles[0].input, transform=-1, synapse=SYNAPSE)
    for above, below in pairwise(ensembles):
        nengo.Connection(above.output, below.input, synapse=SYNAPSE)
    for connection, error in zip(reversed(plastic), ensembles, strict=True):
        nengo.Connection(error.output, connection.learning_rule, synapse=SYNAPSE)


def _ensemble(classes: int) -> Any:
    """Return error neurons: silent near 0, so that what is nearly right is left alone."""
    return nengo.networks.EnsembleArray(
        PER_DIMENSION, classes, encoders=nengo.dists.Choice([[1], [-1]]),
        intercepts=nengo.dists.Uniform(0, 0.8), max_rates=nengo.dists.Uniform(100, 120),
    )  # fmt: skip


def teach(built: Built, seconds: float, *, dt: float = 0.001, seed: int = 0) -> tuple[Floats, ...]:
    """Let a network learn, and return its weights, layer by layer."""
    with built.network:
        probes = [nengo.Probe(c, "weights", sample_every=seconds) for c in built.plastic]
    with nengo.Simulator(built.network, dt=dt, seed=seed, progress_bar=False) as simulator:
        simulator.run(seconds)
        return tuple(np.array(simulator.data[p][-1]) for p in probes)


def answers(built: Built, samples: int, seconds: float, *, dt: float = 0.001, seed: int = 0) -> Floats:
    """Return what comes out in the second half of presentations, averaged, shape (samples, classes)."""
    with built.network:
        probe = nengo.Probe(built.out, synapse=None)
    with nengo.Simulator(built.network, dt=dt, seed=seed, progress_bar=False) as simulator:
        simulator.run(samples * seconds)
        steps = round(seconds / dt)
        found = simulator.data[probe][: samples * steps].reshape(samples, steps, -1)
        return np.asarray(found[:, steps // 2 :].mean(axis=1))
