"""Deep networks of rates that learn by local rules: the float reference of both families.

Three factors: every neuron gets a learning signal ``L``, and ``dW = -rate (L * psi) x^T``, with ``psi`` the
slope of its own rate. Two phases: ``dW = rate (y_plus - y_minus) x^T``. Rules differ in where ``L`` comes
from.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.description import Rule

Floats = npt.NDArray[np.float64]
Layers = tuple[Floats, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """Dense layers of rectified rates; the last is linear, and a softmax reads it.

    Parameters
    ----------
    weights : tuple of ndarray of float64, shape (O, I)
    biases : tuple of ndarray of float64, shape (O,)
    feedback : tuple of ndarray of float64
        Way back into each hidden layer, shape (neurons there, where it comes from); empty for rules without.
    top : float
        Largest rate of a hidden neuron, as a spike in every step; its slope is 0 there.
    """

    weights: Layers
    biases: Layers
    feedback: Layers = ()
    top: float = np.inf

    @property
    def hidden(self) -> int:
        """Number of hidden layers."""
        return len(self.weights) - 1


@dataclass(frozen=True, eq=False)
class Activity:
    """One pass forward.

    Parameters
    ----------
    rates : tuple of ndarray of float64, shape (B, N)
        The input first, then of every layer.
    slopes : tuple of ndarray of float64, shape (B, N)
        Of every layer, at its own input.
    """

    rates: Layers
    slopes: Layers


@runtime_checkable
class RateRule(Protocol):
    """Where the learning signals of a deep network come from."""

    name: ClassVar[str]
    equation: ClassVar[str]
    reference: ClassVar[str]

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Return feedback weights to begin with, one for every hidden layer, or none at all."""

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Return learning signals of every layer, shape (B, N), in the sense of an error.

        Parameters
        ----------
        network : Network
        activity : Activity
        error : ndarray of float64, shape (B, O)
            What came out less what is wanted.
        wanted : ndarray of float64, shape (B, O)
        """

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Return the network with changed feedback weights."""

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return what a learning engine runs at every plastic synapse."""


@dataclass(frozen=True, eq=False)
class Compared:
    """What a rule of two phases would subtract, for a rate of 1; of feedback nothing where that is fixed."""

    weights: Layers
    biases: Layers
    feedback: Layers


@runtime_checkable
class PhasedRule(Protocol):
    """A rule whose second phase changes what neurons do: they learn from the difference."""

    name: ClassVar[str]
    equation: ClassVar[str]
    reference: ClassVar[str]

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Return feedback weights to begin with, one for every hidden layer."""

    def compare(self, network: Network, x: Floats, wanted: Floats) -> Compared:
        """Run both phases of samples, shape (B, I), of which ``wanted``, shape (B, O), should come."""

    def answer(self, network: Network, x: Floats) -> Floats:
        """Return what comes out without anything wanted, shape (B, O)."""

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return what a learning engine runs at every plastic synapse."""


AnyRule = RateRule | PhasedRule


def network(
    sizes: tuple[int, ...], rule: AnyRule, *, rng: np.random.Generator, top: float = np.inf, gain: float = 1.0
) -> Network:
    """Draw a network, and the feedback that a rule begins with.

    Parameters
    ----------
    sizes : tuple of int
        Neurons of every layer, the input first.
    rule : RateRule
    rng : Generator
    top : float
    gain : float
        Of weights, relative to those that keep the size of rectified rates.
    """
    weights = tuple(rng.normal(0, gain * np.sqrt(2 / i), (o, i)) for i, o in pairwise(sizes))
    plain = Network(weights, tuple(np.zeros(n) for n in sizes[1:]), top=top)
    return dataclasses.replace(plain, feedback=rule.way_back(plain, rng))


def forward(net: Network, x: npt.ArrayLike) -> Activity:
    """Run samples, shape (B, I), through all layers."""
    rates, slopes = [np.asarray(x, np.float64)], []
    for layer in range(net.hidden + 1):
        rate, slope = _respond(net, layer, rates[-1])
        rates.append(rate)
        slopes.append(slope)
    return Activity(tuple(rates), tuple(slopes))


def _respond(net: Network, layer: int, x: Floats, extra: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Return rates and slopes of one layer for its input and what is injected."""
    drive = x @ net.weights[layer].T + net.biases[layer] + extra
    if layer == net.hidden:
        return drive, np.ones_like(drive)
    return np.clip(drive, 0, net.top), ((drive > 0) & (drive < net.top)).astype(np.float64)


def softmax(x: Floats) -> Floats:
    """Return shares that add up to 1 in each row."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def one_hot(labels: npt.ArrayLike, classes: int) -> Floats:
    """Return 1 at each label and 0 elsewhere, shape (B, classes)."""
    return np.asarray(np.eye(classes)[np.asarray(labels)])


def loss(net: Network, x: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the mean cross-entropy."""
    out = softmax(forward(net, x).rates[-1])
    return float(-np.log(out[np.arange(len(out)), np.asarray(labels)]).mean())


def changes(rule: AnyRule, net: Network, x: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Layers, Layers]:
    """Return what a rule would subtract from weights and biases, for a rate of 1.

    Parameters
    ----------
    rule : RateRule
    net : Network
    x : array_like, shape (B, I)
    labels : array_like of int, shape (B,)
    """
    if isinstance(rule, PhasedRule):
        found = _compared(rule, net, x, labels)
        return found.weights, found.biases
    activity, signals = _signals(rule, net, x, labels)
    return three_factor(activity, signals)


def answer(rule: AnyRule, net: Network, x: npt.ArrayLike) -> Floats:
    """Return what comes out for samples, shape (B, I), nothing being wanted."""
    if isinstance(rule, PhasedRule):
        return rule.answer(net, np.asarray(x, np.float64))
    return forward(net, x).rates[-1]


def three_factor(activity: Activity, signals: Layers) -> tuple[Layers, Layers]:
    """Return ``mean (L * psi) x^T`` and ``mean L * psi`` of every layer."""
    local = [s * slope for s, slope in zip(signals, activity.slopes, strict=True)]
    weights = tuple(d.T @ x / len(d) for d, x in zip(local, activity.rates, strict=False))
    return weights, tuple(d.mean(axis=0) for d in local)


def two_phase(
    minus: Activity, plus: Activity, *, beta: float, pre: Literal["minus", "mean", "plus"] = "minus"
) -> tuple[Layers, Layers]:
    """Return ``mean (y_minus - y_plus) x^T / beta`` of every layer, and the same without x.

    Parameters
    ----------
    minus, plus : Activity
        Free, and driven.
    beta : float
        How strongly the second phase was driven.
    pre : {"minus", "mean", "plus"}
        Whose x.
    """
    share = {"minus": 0.0, "mean": 0.5, "plus": 1.0}[pre]
    inputs = [(1 - share) * a + share * b for a, b in zip(minus.rates, plus.rates, strict=True)]
    local = [(a - b) / beta for a, b in zip(minus.rates[1:], plus.rates[1:], strict=True)]
    weights = tuple(d.T @ x / len(d) for d, x in zip(local, inputs, strict=False))
    return weights, tuple(d.mean(axis=0) for d in local)


def driven(net: Network, x: npt.ArrayLike, signals: Layers, *, beta: float, spread: bool = False) -> Activity:
    """Run the second phase: every neuron gets ``-beta L`` on top of its input.

    Parameters
    ----------
    net : Network
    x : array_like, shape (B, I)
    signals : tuple of ndarray of float64
    beta : float
    spread : bool
        Whether what changes in a layer also reaches the next; otherwise that gets its input of the first
        phase.
    """
    free = forward(net, x)
    rates, slopes = [free.rates[0]], []
    for layer, signal in enumerate(signals):
        rate, slope = _respond(net, layer, rates[-1] if spread else free.rates[layer], -beta * signal)
        rates.append(rate)
        slopes.append(slope)
    return Activity(tuple(rates), tuple(slopes))


def learn(
    rule: AnyRule, net: Network, x: npt.ArrayLike, labels: npt.ArrayLike, *, rate: float, decay: float = 0.0
) -> Network:
    """Return the network after one batch.

    Parameters
    ----------
    rule : RateRule
    net : Network
    x : array_like, shape (B, I)
    labels : array_like of int, shape (B,)
    rate : float
    decay : float
        Share of every weight that is lost.
    """
    if isinstance(rule, PhasedRule):
        return _changed(net, _compared(rule, net, x, labels), rate, decay)
    activity, signals = _signals(rule, net, x, labels)
    changed = _changed(net, Compared(*three_factor(activity, signals), ()), rate, decay)
    return rule.teach(changed, activity, signals, rate=rate)


def _changed(net: Network, found: Compared, rate: float, decay: float) -> Network:
    feedback = tuple((1 - decay) * b for b in net.feedback)
    if found.feedback:
        feedback = tuple(b - rate * d for b, d in zip(feedback, found.feedback, strict=True))
    return dataclasses.replace(
        net,
        weights=tuple((1 - decay) * w - rate * d for w, d in zip(net.weights, found.weights, strict=True)),
        biases=tuple(b - rate * d for b, d in zip(net.biases, found.biases, strict=True)),
        feedback=feedback,
    )


def _compared(rule: PhasedRule, net: Network, x: npt.ArrayLike, labels: npt.ArrayLike) -> Compared:
    return rule.compare(net, np.asarray(x, np.float64), one_hot(labels, len(net.biases[-1])))


def cosine(a: Floats, b: Floats) -> float:
    """Return the cosine between two updates; 0 where one of them is nothing."""
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.sum(a * b)) / size if size else 0.0


def _signals(
    rule: RateRule, net: Network, x: npt.ArrayLike, labels: npt.ArrayLike
) -> tuple[Activity, Layers]:
    activity = forward(net, x)
    wanted = one_hot(labels, len(net.biases[-1]))
    error = softmax(activity.rates[-1]) - wanted
    return activity, rule.signals(net, activity, error, wanted)
