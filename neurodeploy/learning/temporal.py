"""Rules of spiking neurons in time: what they are, and their float reference.

Leaky neurons get currents from below, from their own layer, and spike; a read-out follows. A rule filters
what every synapse did to its neuron, and a learning signal that comes at every step says what it was worth::

    i <- synapse i + W s
    v <- membrane v + i - spike,  a <- adaptation a + spike,  spike where v > 1 + beta a
    dW = sum_t L(t) (F e)(t),   e = psi (eps - beta eps_a)

Sums over time are taken backwards, the filters of eligibility moved onto the learning signal: the same number
for a rule that runs forwards, without a state for every synapse and sample. A test runs it forwards.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.description import Rule
from neurodeploy.learning.rate import AnyRule, Floats, Layers, one_hot, softmax


@runtime_checkable
class TemporalRule(Protocol):
    """A rule of spiking neurons in time, whose synapses remember their own eligibility."""

    name: ClassVar[str]
    equation: ClassVar[str]
    reference: ClassVar[str]

    @property
    def times(self) -> Times:
        """What neurons and synapses keep from one step to the next."""

    def derivative(self, away: Floats) -> Floats:
        """Return pseudo-derivatives at distances of the membrane from the threshold, in thresholds."""

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return what a learning engine runs at every plastic synapse of hidden layers."""

    def chip_output(self) -> Rule:
        """Return what it runs at those of the output."""


CircuitRule = AnyRule | TemporalRule
"""What a circuit can be built for."""


@dataclass(frozen=True)
class Times:
    """Shares that are left after one step.

    Parameters
    ----------
    membrane, synapse : float
    eligibility : tuple of float
        Of the filters behind each other that eligibility passes.
    error : tuple of float
        Of those that spikes of a spiking read-out, and its targets, pass; none for a read-out of membranes.
    """

    membrane: float = 0.95
    synapse: float = 0.0
    eligibility: tuple[float, ...] = (0.95,)
    error: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Spiking:
    """Layers of leaky neurons; the last is the read-out.

    Parameters
    ----------
    weights : tuple of ndarray of float64, shape (O, I)
    recurrent : tuple of ndarray of float64, shape (N, N)
        Of hidden layers, 0 on the diagonal; empty for a feed-forward network.
    feedback : tuple of ndarray of float64, shape (N, classes)
        Way back into each hidden layer.
    beta : tuple of ndarray of float64, shape (N,)
        How much a spike raises each neuron's threshold; empty where none adapts.
    adaptation : float
        Share of that which is left after a step.
    """

    weights: Layers
    recurrent: Layers = ()
    feedback: Layers = ()
    beta: Layers = ()
    adaptation: float = 0.97


@dataclass(frozen=True, eq=False)
class Course:
    """One run of a layer, shape (T, B, N): input and spikes, distance from the threshold in thresholds."""

    inputs: Floats
    spikes: Floats
    away: Floats


def network(
    sizes: tuple[int, ...], rule: TemporalRule, *, rng: np.random.Generator, gain: float = 1.0,
    recurrent: bool = False, adapts: float = 0.0, beta: float = 0.2,
) -> Spiking:  # fmt: skip
    """Draw a network and its feedback.

    Parameters
    ----------
    sizes : tuple of int
        Inputs, hidden layers, classes.
    rule : TemporalRule
    rng : Generator
    gain : float
        Of weights, relative to ``1 / sqrt(inputs)``.
    recurrent : bool
        Whether hidden layers have synapses of their own.
    adapts : float
        Share of hidden neurons whose thresholds adapt.
    beta : float
    """
    hidden = sizes[1:-1]
    drawn = [rng.normal(0, gain / np.sqrt(i), (o, i)) for o, i in zip(sizes[1:], sizes, strict=False)]
    own = [rng.normal(0, gain / np.sqrt(n), (n, n)) * (1 - np.eye(n)) for n in hidden if recurrent]
    back = [rng.normal(0, 1 / np.sqrt(sizes[-1]), (n, sizes[-1])) for n in hidden]
    raised = [beta * (np.arange(n) < adapts * n) for n in hidden if adapts]
    return Spiking(tuple(drawn), tuple(own), tuple(back), tuple(raised))


def filtered(x: Floats, keep: float, start: Floats | None = None) -> Floats:
    """Return ``y(t) = keep y(t-1) + x(t)``, along the first axis."""
    found = np.empty_like(x, dtype=np.float64)
    y = np.zeros(x.shape[1:]) if start is None else start
    for t, now in enumerate(x):
        y = keep * y + now
        found[t] = y
    return found


def forward(rule: TemporalRule, net: Spiking, x: npt.ArrayLike) -> tuple[tuple[Course, ...], Floats]:
    """Run samples.

    Parameters
    ----------
    rule : TemporalRule
    net : Spiking
    x : array_like, shape (T, B, I)
        Currents.

    Returns
    -------
    courses : tuple of Course
        Of hidden layers; of the read-out too, where that spikes.
    out : ndarray of float64, shape (T, B, classes)
        Membranes of the read-out, or its filtered spikes.
    """
    courses: list[Course] = []
    signal, spiking = np.asarray(x, np.float64), bool(rule.times.error)
    layers = len(net.weights) - (not spiking)
    for layer in range(layers):
        courses.append(_layer(rule, net, layer, signal))
        signal = courses[-1].spikes
    if not spiking:
        return tuple(courses), filtered(signal @ net.weights[-1].T, rule.times.eligibility[0])
    return tuple(courses), _smooth(signal, rule.times.error)


def _smooth(x: Floats, keeps: tuple[float, ...]) -> Floats:
    for keep in keeps:
        x = filtered(x, keep) * (1 - keep)
    return x


def _layer(rule: TemporalRule, net: Spiking, layer: int, inputs: Floats) -> Course:
    """Run one layer of neurons through time."""
    times, weight = rule.times, net.weights[layer]
    own = net.recurrent[layer] if layer < len(net.recurrent) else None
    beta = net.beta[layer] if layer < len(net.beta) else np.zeros(len(weight))
    drive = inputs @ weight.T
    spikes, away = np.zeros_like(drive), np.zeros_like(drive)
    i = v = a = s = np.zeros(drive.shape[1:])
    for t in range(len(drive)):
        i = times.synapse * i + drive[t] + (s @ own.T if own is not None else 0.0)
        a = net.adaptation * a + s
        v = times.membrane * v + i - s
        away[t] = v - 1 - beta * a
        s = (away[t] > 0).astype(np.float64)
        spikes[t] = s
    return Course(inputs, spikes, away)


def wanted_output(labels: npt.ArrayLike, classes: int, steps: int, every: int) -> Floats:
    """Return the spikes that a read-out should send, shape (T, B, classes): the right one, regularly."""
    on = (np.arange(steps) % every == every - 1).astype(np.float64)
    return np.asarray(on[:, None, None] * one_hot(labels, classes)[None])


EVERY = 4
"""Steps between two spikes that a spiking read-out's right neuron should send."""


def errors(rule: TemporalRule, out: Floats, labels: npt.ArrayLike, *, since: int = 0) -> Floats:
    """Return what came out less what is wanted, shape (T, B, classes); nothing before a step."""
    steps, _, classes = out.shape
    if rule.times.error:
        found = out - _smooth(wanted_output(labels, classes, steps, EVERY), rule.times.error)
    else:
        found = softmax(out.reshape(-1, classes)).reshape(out.shape) - one_hot(labels, classes)[None]
    return np.asarray(found * (np.arange(steps) >= since)[:, None, None])


def changes(
    rule: TemporalRule, net: Spiking, x: npt.ArrayLike, labels: npt.ArrayLike, *, since: int = 0
) -> Spiking:
    """Return what a rule would subtract from weights for a rate of 1: a network of differences.

    Parameters
    ----------
    rule : TemporalRule
    net : Spiking
    x : array_like, shape (T, B, I)
    labels : array_like of int, shape (B,)
    since : int
        First step whose error counts.
    """
    courses, out = forward(rule, net, x)
    error = errors(rule, out, labels, since=since)
    signals = [error @ back.T for back in net.feedback]
    weights, own = [], []
    for layer, (course, signal) in enumerate(zip(courses, signals, strict=False)):
        found = differences(rule, net, layer, course, signal)
        weights.append(found[0])
        own.append(found[1])
    if rule.times.error:
        weights.append(differences(rule, net, len(courses) - 1, courses[-1], error)[0])
    else:
        pre = filtered(courses[-1].spikes, rule.times.eligibility[0])
        weights.append(_together(error, pre))
    return Spiking(tuple(weights), tuple(own) if net.recurrent else ())


def differences(
    rule: TemporalRule, net: Spiking, layer: int, course: Course, signal: Floats
) -> tuple[Floats, Floats]:
    """Return ``mean sum_t L (F e)`` of a layer's synapses from below and its own, for learning signals.

    Parameters
    ----------
    rule : TemporalRule
    net : Spiking
    layer : int
    course : Course
    signal : ndarray of float64, shape (T, B, N)
    """
    times = rule.times
    for keep in times.eligibility:
        signal = filtered(signal[::-1], keep)[::-1]
    psi = rule.derivative(course.away)
    worth = psi * signal
    if layer < len(net.beta):
        worth = _with_adaptation(worth, psi, net.beta[layer], net.adaptation)
    late = np.concatenate([np.zeros_like(course.spikes[:1]), course.spikes[:-1]])
    found = [
        _together(worth, filtered(filtered(pre, times.synapse), times.membrane))
        for pre in (course.inputs, late)
    ]
    return found[0], found[1] * (1 - np.eye(len(found[1])))


def _with_adaptation(worth: Floats, psi: Floats, beta: Floats, keep: float) -> Floats:
    """Add what a spike is worth through the threshold that it raises."""
    found, later = worth.copy(), np.zeros_like(worth[0])
    for t in range(len(worth) - 1, -1, -1):
        found[t] += psi[t] * later
        later = (keep - beta * psi[t]) * later - beta * worth[t]
    return found


def _together(post: Floats, pre: Floats) -> Floats:
    """Return the mean over samples of the sum over time of products, shape (O, I)."""
    samples = post.shape[1]
    return np.asarray(post.reshape(-1, post.shape[2]).T @ pre.reshape(-1, pre.shape[2]) / samples)


def learn(
    rule: TemporalRule, net: Spiking, x: npt.ArrayLike, labels: npt.ArrayLike, *, rate: float, since: int = 0
) -> Spiking:
    """Return the network after one batch, as `changes` takes it."""
    found = changes(rule, net, x, labels, since=since)
    weights = tuple(w - rate * d for w, d in zip(net.weights, found.weights, strict=True))
    own = tuple(w - rate * d for w, d in zip(net.recurrent, found.recurrent, strict=True))
    return dataclasses.replace(net, weights=weights, recurrent=own)


def answer(rule: TemporalRule, net: Spiking, x: npt.ArrayLike, *, since: int = 0) -> Floats:
    """Return what comes out, summed over time, shape (B, classes)."""
    return np.asarray(forward(rule, net, x)[1][since:].sum(axis=0))
