"""The oracle of a chip's learning engine: integer traces and weights, literal, slow and without state.

In an epoch the engine notes when each neuron spiked last. At its end every product reads the synaptic
variables as they were, and traces as they stood at the pre spike (dependency ``x0``), at the post spike
(``y0``) or at the end (``u``); a trace at its own spike includes it. Sums go into an accumulator with a few
bits behind the weight's last one, and are rounded back at random. What is not settled is in `Arithmetic`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.learning import widths
from neurodeploy.learning.arithmetic import DEFAULT, Arithmetic
from neurodeploy.learning.description import Rule, Trace
from neurodeploy.learning.notation import Factor, Product, Update, variables

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Sign = Literal["mixed", "excitatory", "inhibitory"]

ACCUMULATOR = 15
"""Magnitude bits."""
TRACE_TOP = 127


class Random(Protocol):
    """Where random numbers come from: a ``numpy.random.Generator`` or ``RandomState``."""

    def random(self, size: Any) -> Any:
        """Draw numbers from 0 to below 1."""


@dataclass(frozen=True, eq=False)
class Synapses:
    """Everything that one layer's engine remembers.

    Parameters
    ----------
    w, d, t : ndarray of int64, shape (O, I)
        Weights, delays and tags, in codes. Weights of mixed signs are even.
    traces : mapping of str to ndarray of int64, shape (I,) or (O,)
        As they were when the epoch began, and spikes of this epoch before the last.
    pre, post : ndarray of int64, shape (I,), (O,)
        Step within the epoch of the last spike, from 1; 0 for none.
    step : int
        Steps done.
    sign : {"mixed", "excitatory", "inhibitory"}
    """

    w: Ints
    d: Ints
    t: Ints
    traces: Mapping[str, Ints]
    pre: Ints
    post: Ints
    step: int = 0
    sign: Sign = "mixed"


def at_rest(weight: npt.ArrayLike, *, sign: Sign = "mixed") -> Synapses:
    """Return synapses before their first step.

    Parameters
    ----------
    weight : array_like of int, shape (O, I)
        From -255 to 255; with mixed signs even.
    sign : str
    """
    w = np.array(weight, np.int64)
    lost = 1 if sign == "mixed" else 0
    low, high = bounds("w", sign, DEFAULT)
    if w.ndim != 2 or (w % 2**lost).any() or w.min(initial=0) < low or w.max(initial=0) > high:
        step = ", even" if lost else ""
        raise OptionError(
            f"weights of sign '{sign}' are a matrix of whole numbers from {low} to {high}{step}"
        )
    zero = np.zeros_like(w)
    return Synapses(w, zero, zero, {}, zero[0], zero[:, 0], sign=sign)


def step(
    rule: Rule,
    synapses: Synapses,
    *,
    pre: npt.ArrayLike,
    post: npt.ArrayLike,
    rng: Random,
    imposed: Mapping[str, npt.ArrayLike] | None = None,
    rewards: tuple[int, int] = (0, 0),
    arithmetic: Arithmetic = DEFAULT,
) -> Synapses:
    """Do one step.

    Parameters
    ----------
    rule : Rule
    synapses : Synapses
    pre, post : array_like of bool, shape (I,), (O,)
        Who spikes.
    rng : Generator or RandomState
        At the end of an epoch gives numbers first for every trace, then for every variable that changes, all
        synapses of an input together.
    imposed : mapping of str to array_like of int
        Values of traces that are no spike trains.
    rewards : tuple of int
        ``r0`` and ``r1``.
    arithmetic : Arithmetic

    Returns
    -------
    Synapses

    Raises
    ------
    OptionError
        If the rule reads a variable that there is not.
    """
    absent = [v for v in variables(rule.updates) if v in arithmetic.without]
    if absent:
        raise OptionError(
            f"rule '{rule.name}' reads {', '.join(absent)}, which this arithmetic does not have"
        )
    now = _record(rule, synapses, np.asarray(pre, bool), np.asarray(post, bool), rng, arithmetic)
    if now.step % rule.epoch:
        return now
    chances = {t.variable: rng.random(len(_side(now, t))) for t in rule.traces if t.source == "spikes"}
    reader = _Reader(rule, now, chances, dict(imposed or {}), rewards, arithmetic)
    changed: dict[str, Any] = {u.target: _changed(u, reader, rng) for u in rule.updates if reader.due(u)}
    ends = {t.variable: reader.trace(t, "u") for t in rule.traces if t.source == "spikes"}
    silent = np.zeros_like(now.pre), np.zeros_like(now.post)
    return dataclasses.replace(now, traces=ends, pre=silent[0], post=silent[1], **changed)


def run(
    rule: Rule, synapses: Synapses, *, pre: npt.ArrayLike, post: npt.ArrayLike, rng: Random, **options: Any
) -> Synapses:
    """Do as many steps as there are spikes of.

    Parameters
    ----------
    pre, post : array_like of bool, shape (T, I), (T, O)
    **options
        As `step` takes them, the same for all steps.
    """
    for before, behind in zip(np.asarray(pre), np.asarray(post), strict=True):
        synapses = step(rule, synapses, pre=before, post=behind, rng=rng, **options)
    return synapses


def _record(rule: Rule, s: Synapses, pre: Bools, post: Bools, rng: Random, how: Arithmetic) -> Synapses:
    """Note spikes; where a neuron spiked before in this epoch, add to its traces at once."""
    traces = dict(s.traces)
    for trace in rule.traces:
        before = _side(s, trace)
        value = traces.setdefault(trace.variable, np.zeros_like(before))
        again = (before > 0) & (pre if trace.variable[0] == "x" else post)
        if trace.source == "spikes" and how.repeated == "add" and again.any():
            more = value + impulse(trace, how)
            traces[trace.variable] = np.where(again, _code(more, rng.random(len(value))), value)
    at = s.step % rule.epoch + 1
    return dataclasses.replace(
        s, traces=traces, pre=np.where(pre, at, s.pre), post=np.where(post, at, s.post), step=s.step + 1
    )


@dataclass(frozen=True, eq=False)
class _Reader:
    """Values of variables at the end of an epoch, all from before any change."""

    rule: Rule
    synapses: Synapses
    chances: Mapping[str, Floats]
    imposed: Mapping[str, npt.ArrayLike]
    rewards: tuple[int, int]
    how: Arithmetic

    def due(self, update: Update) -> bool:
        """Whether any product of an update is evaluated now."""
        return any(self.flag(p) for p in update.products)

    def flag(self, product: Product) -> bool:
        epoch = self.synapses.step // self.rule.epoch
        if self.how.decimation == "xor":
            return all((epoch % 2) ^ k == 0 for k in product.decimations)
        return all(epoch % 2**k == 0 for k in product.decimations)

    def product(self, product: Product) -> Ints:
        """Return the product without its scale's exponent, shape (O, I)."""
        shape = self.synapses.w.shape
        if product.dependency is None:
            raise OptionError(f"'{product}' has no dependency x0, y0 or u0, and is never evaluated")
        when = product.dependency.variable[:1]
        value = np.full(shape, product.mantissa if self.flag(product) else 0, np.int64)
        for factor in product.factors:
            value = value * self.factor(factor, when)
        return value

    def factor(self, factor: Factor, when: str) -> Ints:
        value = self.variable(factor.variable, when) + factor.plus
        return np.asarray(np.sign(value) if factor.sign else value)

    def variable(self, name: str, when: str) -> Any:
        s = self.synapses
        if name[0] == "u":
            return np.int64(1)
        if name[0] == "r":
            return np.int64(self.rewards[int(name[1])])
        if name in ("w", "d", "t"):
            return getattr(s, name)
        if name == "x0":
            return (s.pre > 0).astype(np.int64)
        value = (s.post > 0).astype(np.int64) if name == "y0" else self.trace(self.rule.trace(name), when)
        return value[:, None] if name[0] == "y" and value.ndim == 1 else value

    def trace(self, trace: Trace, when: str) -> Ints:
        """Return a trace at the pre spike, the post spike or the end; its own shape, or (O, I)."""
        name, s, how = trace.variable, self.synapses, self.how
        if trace.source != "spikes":
            return np.asarray(self.imposed[name], np.int64)
        start, spike, chance = s.traces[name].astype(float), _side(s, trace), self.chances[name]
        if how.times == "epoch":
            value = keep(trace, self.rule.epoch, how) * start
            return _code(value + impulse(trace, how) * (spike > 0), chance)
        other = {"x": s.pre, "y": s.post}.get(when)
        time: Any = self.rule.epoch if other is None else other
        if other is not None and when != name[0]:
            rows: tuple[Any, Any] = (slice(None), None)
            own, across = (rows[::-1], rows) if name[0] == "x" else (rows, rows[::-1])
            start, spike, chance, time = start[own], spike[own], chance[own], other[across]
        value = start * keep(trace, time, how)
        fresh = impulse(trace, how) * keep(trace, np.maximum(time - spike, 0), how)
        return _code(value + np.where((spike > 0) & (spike <= time), fresh, 0.0), chance)


def _changed(update: Update, reader: _Reader, rng: Random) -> Ints:
    """Return a synaptic variable after its update, rounded and clipped."""
    how, name = reader.how, update.target
    fine = ACCUMULATOR - widths.BITS[name]
    change = sum((_scaled(p, reader.product(p), fine, how) for p in update.products), np.int64(0))
    before: Ints = getattr(reader.synapses, name)
    if how.rounding == "away":
        change = (np.sign(change) * -(-np.abs(change) >> fine)) << fine
    total = np.clip((before << fine) + change, *_symmetric(ACCUMULATOR, how))
    lost = 1 if name == "w" and reader.synapses.sign == "mixed" else 0
    shape = before.shape[::-1]
    chance = rng.random(1)[0] if how.rounding == "shared" else np.asarray(rng.random(shape)).T
    whole = _stochastic(total * 2.0 ** -(fine + lost), chance)
    low, high = bounds(name, reader.synapses.sign, how)
    return np.clip(whole, -(-low >> lost), high >> lost) << lost


def _scaled(product: Product, value: Ints, fine: int, how: Arithmetic) -> Ints:
    """Apply a scale's exponent and the overflow shift; right shifts round down."""
    exponent = product.exponent + (fine if how.literal == "weight" else 0)
    over = widths.overflow(product, mantissa=how.mantissa_bits, accumulator=ACCUMULATOR) * how.overflow
    if how.negative_exponent == "zero":
        return (value >> over) << exponent if exponent >= 0 else np.zeros_like(value)
    bits = exponent - over
    return value << bits if bits >= 0 else value >> -bits


def _side(s: Synapses, trace: Trace) -> Ints:
    return s.pre if trace.variable[0] == "x" else s.post


def impulse(trace: Trace, how: Arithmetic) -> float:
    """Return what a spike adds to a trace."""
    rest, whole = np.modf(trace.impulse)
    return float(whole + {"exact": rest, "doubled": min(1.0, 2 * rest), "whole": 0.0}[how.impulse])


def keep(trace: Trace, steps: Any, how: Arithmetic) -> Any:
    """Return what is left of a trace after some steps."""
    if how.decay == "linear":
        return (1 - 1 / trace.tau) ** steps
    return np.exp(-steps / trace.tau)


def _code(value: Floats, chance: Floats) -> Ints:
    return np.minimum(_stochastic(value, chance), TRACE_TOP)


def _stochastic(x: Floats, chance: Any) -> Ints:
    """Round up in size where what is behind the point exceeds a random number."""
    rest, whole = np.modf(np.abs(x))
    return np.asarray(np.sign(x) * (whole + (rest > chance))).astype(np.int64)


def _symmetric(bits: int, how: Arithmetic) -> tuple[int, int]:
    return (-(2**bits) - 1 if how.clip == "beyond" else 1 - 2**bits), 2**bits - 1


def bounds(name: str, sign: Sign, how: Arithmetic) -> tuple[int, int]:
    """Return the least and the largest code."""
    low, high = _symmetric(widths.BITS[name], how)
    if name == "d" or (name == "w" and sign == "excitatory"):
        return 0, high
    if name == "w" and sign == "inhibitory":
        return low, 0
    return (low + 1, high - 1) if name == "w" and how.clip == "symmetric" else (low, high)
