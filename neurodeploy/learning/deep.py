"""Deep networks that learn on a chip in two phases: from a rule's description to a spiking circuit.

::

    data -> h1 -> h2 -> ... -> out          plastic, the rule's own updates
    label -> below, hold -> above           one error neuron of each kind per class, on in the second phase
    out   -> below, above
    below, above -> out                     drives the output to its target while the label is shown
    below, above -> h1, h2, ...             the way back: fixed, drawn once (path "direct")
    label -> h1, h2, ...                    or from the label itself (path "label")
    reset, lift -> ...                      after each phase membranes go to their floor, and up to near 0
    closed -> below, above                  no errors in the first phase

Everything is spikes. A sample's pixels and label enter as spike trains of sources, and three gating neurons
follow the phases; the host does nothing else, and reads the output's spike counts.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.learning import forms
from neurodeploy.learning.circuit import (
    FULL,
    UNIT,
    WEIGHT_SHIFT,
    Circuit,
    Population,
    Projection,
)
from neurodeploy.learning.description import Phase, Rule, Trace
from neurodeploy.learning.notation import Factor, Product
from neurodeploy.learning.rate import RateRule

Ints = npt.NDArray[np.int64]
GATE = 7
"""Weight exponent of gating neurons: one spike takes every membrane to its floor."""
ERROR_UNIT = 60
"""Code of a label's or an output's synapse onto error neurons; half of it is their threshold."""


@dataclass(frozen=True)
class Setup:
    """Numbers of a deep circuit; rates are in spikes per `circuit.UNIT` steps, codes in weight codes.

    Parameters
    ----------
    forward, error, gap : int
        Steps of the phases, and of the silence after each.
    input_rate, label_rate : int
        Of a full input, and the rate an output of the right class is driven to.
    thresholds : tuple of int
        Of hidden layers and of the output, in codes; a short one's last counts for all that follow.
    floor : float
        Depth of the lowest membrane, in thresholds, at least.
    gain : float
        Spread of first weights relative to ``sqrt(2 / inputs)`` thresholds.
    dead : tuple of int
        Spikes by which the right output may fall short, and others may spike, before an error neuron does.
    teach : int
        Code of error neurons' synapses onto the output.
    feedback : int
        Largest code of their synapses onto hidden layers.
    reach : tuple of int
        Weight exponents of these two, for thresholds that are many codes.
    tau, impulse : float
        Of the trace of incoming spikes.
    exponents : tuple of int
        Of ``dw`` in each layer.
    calm : int, optional
        Exponent of a further product of hidden layers' ``dw``, ``-2^calm u x1 y1``: neurons that are often on
        lose weight. None is none.
    taught : tuple of int
        Classes whose errors are sent; those of all if empty. The outputs of others stay as they are.
    frozen : tuple of int
        Plastic layers that are held as they were drawn.
    shuffled : bool
        Whether signs of the way back are drawn anew for every neuron and kind: a control that must fail.
    mechanism : {"two-phase", "neuron-trace"}
        Whether errors make neurons spike, and tags count (Loihi 1); or neurons collect errors by a program of
        their own, and their synapses read them (Loihi 2).
    """

    forward: int = 60
    error: int = 60
    gap: int = 2
    input_rate: int = 256
    label_rate: int = 256
    thresholds: tuple[int, ...] = (510,)
    floor: float = 2.0
    gain: float = 1.0
    dead: tuple[int, int] = (2, 0)
    teach: int = 254
    feedback: int = 254
    reach: tuple[int, int] = (0, 0)
    tau: float = 32.0
    impulse: float = 16.0
    exponents: tuple[int, ...] = (-3,)
    calm: int | None = None
    taught: tuple[int, ...] = ()
    frozen: tuple[int, ...] = ()
    shuffled: bool = False
    mechanism: Literal["two-phase", "neuron-trace"] = "two-phase"

    def __post_init__(self) -> None:
        if self.forward < 1 or self.error < 1 or self.gap < 2:
            raise OptionError("phases have at least 1 step, gaps at least 2: spikes in flight must arrive")
        if self.period & (self.period - 1):
            raise OptionError(
                f"a sample of {self.period} steps; engines wait for powers of two (u_k), as 60+4+60+4"
            )

    @property
    def period(self) -> int:
        """Steps of one sample."""
        return self.forward + self.error + 4 * self.gap

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of one sample."""
        return (
            Phase("forward", self.forward),
            Phase("reset", self.gap),
            Phase("lift", self.gap),
            Phase("error", self.error, reward=1, feedback=True),
            Phase("reset", self.gap, reward=1),
            Phase("lift", self.gap, reward=1),
        )

    def rates(self, forward: int = 0, reset: int = 0, lift: int = 0, error: int = 0) -> tuple[int, ...]:
        """Return a source's rates in every phase."""
        return (forward, reset, lift, error, reset, lift)


def circuit(
    rule: RateRule, sizes: tuple[int, ...], *, rng: np.random.Generator, setup: Setup | None = None
) -> Circuit:
    """Build the circuit of a deep rule.

    Parameters
    ----------
    rule : RateRule
        Its feedback's path is local, direct or label.
    sizes : tuple of int
        Inputs, hidden layers, classes; a constant input is added.
    rng : Generator
        Draws weights, feedback and the pace of inputs.
    setup : Setup, optional

    Raises
    ------
    OptionError
        If the rule's way back has no circuit.
    """
    made = setup or Setup()
    path = rule.chip().feedback.path
    if path not in ("local", "direct", "label"):
        raise OptionError(f"rule '{rule.name}' sends its error back '{path}'; there is no circuit for that")
    names = [*(f"h{i + 1}" for i in range(len(sizes) - 2)), "out"]
    populations = (*_sources(sizes, made, rng), *_neurons(names, sizes[1:], made))
    forward = _forward(rule, ["data", *names], (sizes[0] + 1, *sizes[1:]), made, rng)
    back = [] if path == "local" else _back(path, names[:-1], sizes, made, rng)
    joins = (*forward, *_errors(sizes[-1], made), *back, *_gates(names, populations, made))
    return Circuit(populations, joins, made.phases, "out")


def form(rule: RateRule, setup: Setup) -> Rule:
    """Return what a rule's synapses run under a setup, before its numbers are put in."""
    chip = rule.chip()
    if setup.mechanism == "two-phase":
        return chip
    return forms.neuron_trace(chip.name, chip.feedback, layers=chip.layers)


def codes(x: npt.ArrayLike, *, divide_by: float = 255.0) -> npt.NDArray[np.uint8]:
    """Turn samples, shape (B, ...), into codes of a circuit's data source, the constant input last."""
    given = np.asarray(x, np.float64).reshape(len(np.asarray(x)), -1) / divide_by
    whole = np.rint(np.clip(given, 0, 1) * FULL).astype(np.uint8)
    return np.concatenate([whole, np.full((len(whole), 1), FULL, np.uint8)], axis=1)


def scaled(rule: Rule, exponent: int, setup: Setup) -> Rule:
    """Give a two-phase rule the period, traces and exponent of a setup."""
    k = int(np.log2(setup.period))

    def factor(f: Factor) -> Factor:
        return Factor(f"u{k}") if f.variable == "u7" else f

    updates = []
    for update in rule.updates:
        products = [
            dataclasses.replace(
                p,
                exponent=exponent if update.target == "w" and at == 0 else p.exponent,
                factors=tuple(map(factor, p.factors)),
            )
            for at, p in enumerate(update.products)
        ]
        updates.append(dataclasses.replace(update, products=tuple(products)))
    traces = tuple(
        dataclasses.replace(t, tau=setup.tau, impulse=setup.impulse) if t.source == "spikes" else t
        for t in rule.traces
    )
    return dataclasses.replace(rule, updates=tuple(updates), traces=traces, phases=setup.phases)


def _calmed(rule: Rule | None, exponent: int, s: Setup) -> Rule | None:
    """Add the product that takes weight from neurons that are often on."""
    if rule is None:
        return None
    more = Product(-1, exponent, (Factor(f"u{int(np.log2(s.period))}"), Factor("x1"), Factor("y1")))
    updates = tuple(
        dataclasses.replace(u, products=(*u.products, more)) if u.target == "w" else u for u in rule.updates
    )
    own = Trace("y1", s.tau, s.impulse / 8)
    return dataclasses.replace(rule, updates=updates, traces=(*rule.traces, own))


def _sources(sizes: tuple[int, ...], s: Setup, rng: np.random.Generator) -> list[Population]:
    both = s.rates(forward=s.input_rate, error=s.input_rate)
    pace = rng.integers(0, FULL * UNIT, sizes[0] + 1)
    return [
        Population("data", sizes[0] + 1, role="data", rates=both, offsets=pace),
        Population("label", sizes[-1], role="label", rates=s.rates(error=s.label_rate)),
        Population("hold", sizes[-1], role="label", rates=s.rates(error=UNIT)),
        Population("reset", 1, role="constant", rates=s.rates(reset=UNIT)),
        Population("lift", 1, role="constant", rates=s.rates(lift=UNIT // s.gap)),
        Population("closed", 1, role="constant", rates=s.rates(forward=UNIT)),
    ]


def _neurons(names: list[str], sizes: tuple[int, ...], s: Setup) -> list[Population]:
    found = []
    for at, (name, size) in enumerate(zip(names, sizes, strict=True)):
        threshold = s.thresholds[min(at, len(s.thresholds) - 1)] << WEIGHT_SHIFT
        found.append(Population(name, size, threshold, _floor(s.floor * threshold), linear=name == "out"))
    unit = ERROR_UNIT << WEIGHT_SHIFT
    return [*found, *(Population(n, sizes[-1], unit // 2, _floor(16 * unit)) for n in ("below", "above"))]


def _floor(depth: float) -> int:
    """Return the nearest floor that a compartment has, ``1 - 2**e``, at or below a depth."""
    return 1 - int(2 ** math.ceil(math.log2(depth)))


def _forward(
    rule: RateRule, names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator
) -> list[Projection]:
    found, only_last = [], rule.chip().layers == "last"
    for at, ((source, target), (i, o)) in enumerate(zip(pairwise(names), pairwise(sizes), strict=True)):
        threshold = s.thresholds[min(at, len(s.thresholds) - 1)]
        drawn = rng.normal(0, s.gain * np.sqrt(2 / i) * threshold, (o, i))
        learns = at not in s.frozen and (not only_last or target == "out")
        exponent = s.exponents[min(at, len(s.exponents) - 1)]
        found.append(
            Projection(source, target, even(drawn), 0, scaled(form(rule, s), exponent, s) if learns else None)
        )
        if learns and s.calm is not None and target != "out":
            found[-1] = dataclasses.replace(found[-1], rule=_calmed(found[-1].rule, s.calm, s))
    return found


def _errors(classes: int, s: Setup) -> list[Projection]:
    """Compare: *below* spikes for every spike the label has more than the output, *above* for the rest."""
    one, apart = np.eye(classes, dtype=np.int64), s.mechanism == "neuron-trace"
    sent = one * np.isin(np.arange(classes), s.taught or range(classes))
    return [
        Projection("label", "below", ERROR_UNIT * one),
        Projection("out", "below", -ERROR_UNIT * one),
        Projection("hold", "above", -4 * ERROR_UNIT * one),
        Projection("out", "above", ERROR_UNIT * one),
        Projection("below", "out", s.teach * sent, s.reach[0], apical=apart),
        Projection("above", "out", -s.teach * sent, s.reach[0], apical=apart),
    ]


def _back(
    path: str, names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator
) -> list[Projection]:
    found, apart = [], s.mechanism == "neuron-trace"
    for name, size in zip(names, sizes[1:-1], strict=True):
        drawn = even(_balanced(rng.uniform(-s.feedback, s.feedback, (size, sizes[-1]))))
        drawn = drawn * np.isin(np.arange(sizes[-1]), s.taught or range(sizes[-1]))
        if path == "label":
            found.append(Projection("label", name, drawn, s.reach[1], apical=apart))
            continue
        other = even(rng.uniform(-s.feedback, s.feedback, drawn.shape)) if s.shuffled else -drawn
        found += [
            Projection("below", name, drawn, s.reach[1], apical=apart),
            Projection("above", name, other, s.reach[1], apical=apart),
        ]
    return found


def _balanced(drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Take each neuron's mean off its feedback, so that an error all classes share moves no neuron."""
    return np.asarray(drawn - drawn.mean(axis=1, keepdims=True))


def _gates(names: list[str], populations: tuple[Population, ...], s: Setup) -> list[Projection]:
    """Take membranes to their floors after each phase, then up to 0, or to where errors begin to count."""
    found = []
    for p in (p for p in populations if p.name in (*names, "below", "above")):
        column = np.full((p.size, 1), 254, np.int64)
        found.append(Projection("reset", p.name, -column, GATE))
        exponent = (-p.floor).bit_length() - 8 - WEIGHT_SHIFT
        found.append(Projection("lift", p.name, column, exponent))
    for name, dead in zip(("below", "above"), s.dead, strict=True):
        column = np.full((sizes_of(populations, name), 1), -254, np.int64)
        found.append(Projection("closed", name, column, GATE))
        if dead:
            found.append(Projection("lift", name, np.sign(column) * dead * ERROR_UNIT))
    return found


def sizes_of(populations: tuple[Population, ...], name: str) -> int:
    """Return the neurons of a population."""
    return next(p.size for p in populations if p.name == name)


def even(codes: npt.ArrayLike) -> Ints:
    """Round to even codes that a synapse holds."""
    return np.asarray(np.clip(2 * np.rint(np.asarray(codes) / 2), -254, 254).astype(np.int64))
