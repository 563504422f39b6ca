"""Deep networks that learn on a chip in two phases: from a rule's description to a spiking circuit.

::

    data -> h1 -> h2 -> ... -> out          plastic, the rule's own updates
    label -> below, hold -> above           one error neuron of each kind per class, on in the second phase
    out   -> below, above
    below, above -> out                     drives the output to its target while the label is shown
    below, above -> h1, h2, ...             the way back: fixed, drawn once (path "direct")
    label -> h1, h2, ...                    or from the label itself (path "label"), or as `layered` or
                                            `ensembles` say
    reset, lift -> ...                      after each phase membranes go to their floor, and up to near 0
    closed -> below, above                  no errors in the first phase

Everything is spikes. A sample's pixels and label enter as spike trains of sources, and three gating neurons
follow the phases; the host does nothing else, and reads the output's spike counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.learning import chain, ensembles, forms, layered
from neurodeploy.learning.circuit import (
    FULL,
    UNIT,
    WEIGHT_SHIFT,
    Circuit,
    Population,
    Projection,
)
from neurodeploy.learning.description import Rule, Trace
from neurodeploy.learning.notation import Factor, Product, variables
from neurodeploy.learning.setup import ERROR_UNIT, GATE, Setup, balanced, even
from neurodeploy.learning.setup import floor as floor_at
from neurodeploy.learning.temporal import CircuitRule, TemporalRule

Ints = npt.NDArray[np.int64]
STAIRS, PEAK = 16, 64
"""Of pseudo-derivatives: steps from the threshold to 0, and the code at the threshold."""
__all__ = ["PATHS", "Setup", "circuit", "codes", "even", "form", "scaled"]


def circuit(
    rule: CircuitRule, sizes: tuple[int, ...], *, rng: np.random.Generator, setup: Setup | None = None
) -> Circuit:
    """Build the circuit of a deep rule.

    Parameters
    ----------
    rule : CircuitRule
        Its feedback's path is one of `PATHS`.
    sizes : tuple of int
        Inputs, hidden layers, classes; a constant input is added.
    rng : Generator
        Draws weights, feedback and the pace of inputs.
    setup : Setup, optional

    Raises
    ------
    OptionError
        If the rule's way back has no circuit, or not with this setup.
    """
    made = setup or Setup()
    path = rule.chip().feedback.path
    if path not in PATHS:
        raise OptionError(f"rule '{rule.name}' sends its error back '{path}'; there is no circuit for that")
    if rule.chip().feedback.weights == "copied":
        raise OptionError(f"feedback of rule '{rule.name}' copies weights; there is no circuit for that")
    names = [*(f"h{i + 1}" for i in range(len(sizes) - 2)), "out"]
    populations = (*_sources(sizes, made, rng), *_neurons(rule, names, sizes[1:], made))
    joins = _forward(rule, ["data", *names], (sizes[0] + 1, *sizes[1:]), made, rng)
    if path == "output":
        joins += [*layered.targets(sizes[-1]), *layered.from_output(names[:-1], sizes, made, rng)]
    elif path != "settling":
        joins += _errors(sizes[-1], made)
    more, added = _on_the_way_back(rule.chip(), names, sizes, made, rng)
    populations, joins = (*populations, *more), [*joins, *added]
    if path in ("direct", "direct-signs", "label"):
        joins += _back(path, names[:-1], sizes, made, rng)
    if path == "settling":
        joins += _scaled_all(layered.settling(rule.chip(), names, sizes, made, rng), made)
    joins += _gates(populations, made)
    found = Circuit(
        populations, tuple(joins), made.phases, "out", made.error_shift, made.nearest, made.error_leak
    )
    return _late(found) if isinstance(rule, TemporalRule) else found


def _on_the_way_back(
    rule: Rule, names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator
) -> tuple[Sequence[Population], Sequence[Projection]]:
    """Return populations that errors pass on their way, and what joins them."""
    if rule.feedback.path == "direct-signs":
        return _relays(sizes[-1], s), _once(sizes[-1])
    if rule.feedback.path == "ensembles":
        return ensembles.chain(names[:-1], sizes, s, rng)
    if rule.feedback.path != "layered":
        return (), ()
    if rule.feedback.weights != "learned":
        return chain.feedback(names[:-1], sizes, s, rng, slopes=rule.feedback.slopes)
    more, added = layered.feedback(rule, names, sizes, s, rng)
    return more, _scaled_all(added, s)


def _late(circuit: Circuit) -> Circuit:
    """Where tags are emptied by a flag, raise it, and show errors, in the last steps of a sample only."""
    rules = (j.rule for j in circuit.plastic if j.rule)
    if not any("y3" in variables(r.updates) for r in rules):
        return circuit
    last = len(circuit.phases) - 1
    phases = (
        dataclasses.replace(p, reward=int(at == last), show=at == last) for at, p in enumerate(circuit.phases)
    )
    return dataclasses.replace(circuit, phases=tuple(phases))


def _scaled_all(joins: Sequence[Projection], s: Setup) -> list[Projection]:
    """Give what learns on the way back the numbers of a setup."""
    return [dataclasses.replace(j, rule=scaled(j.rule, s.back_exponent, s)) if j.rule else j for j in joins]


def form(rule: CircuitRule, setup: Setup) -> Rule:
    """Return what a rule's synapses run under a setup, before its numbers are put in."""
    if isinstance(rule, TemporalRule):
        if setup.mechanism != "neuron-trace":
            raise OptionError(f"neurons of rule '{rule.name}' write traces: the mechanism is neuron-trace")
        return rule.chip("y3")
    chip = rule.chip()
    if chip.feedback.mechanism == "neuron-trace" and setup.mechanism == "two-phase":
        raise OptionError(
            f"rule '{rule.name}' reads what neurons collect; its setup lets errors make them spike"
        )
    if setup.mechanism in ("two-phase", chip.feedback.mechanism):
        return chip
    return forms.neuron_trace(chip.name, chip.feedback, layers=chip.layers)


ONCE = ("below_once", "above_once")
"""Relays of error neurons, where only signs are sent."""
PATHS = ("local", "direct", "direct-signs", "ensembles", "label", "layered", "output", "settling")
"""Ways back that there are circuits for."""


def codes(x: npt.ArrayLike, *, divide_by: float = 255.0) -> npt.NDArray[np.uint8]:
    """Turn samples, shape (B, ...), into codes of a circuit's data source, the constant input last."""
    given = np.asarray(x, np.float64).reshape(len(np.asarray(x)), -1) / divide_by
    whole = np.rint(np.clip(given, 0, 1) * FULL).astype(np.uint8)
    return np.concatenate([whole, np.full((len(whole), 1), FULL, np.uint8)], axis=1)


def scaled(rule: Rule, exponent: int, setup: Setup) -> Rule:
    """Give a rule of two phases the period, traces and exponent of a setup.

    The exponent is that of the first product of ``dw``. Where the sign is the phase's, the others keep their
    distance from it; otherwise they are as described.
    """
    later = {"u7": int(np.log2(setup.period)), "u6": int(np.log2(setup.period)) - 1}
    together = rule.feedback.mechanism == "phase-sign"

    def factor(f: Factor) -> Factor:
        return Factor(f"u{later[f.variable]}") if f.variable in later else f

    updates = []
    for update in rule.updates:
        kept = update.target == "w" or (update.target == "t" and "y2" in variables(rule.updates))
        wanted = exponent if update.target == "w" else setup.eligible
        more = wanted - update.products[0].exponent if kept else 0
        products = tuple(
            dataclasses.replace(
                p,
                exponent=p.exponent + more * (at == 0 or together),
                factors=tuple(map(factor, p.factors)),
            )
            for at, p in enumerate(update.products)
        )
        updates.append(dataclasses.replace(update, products=products))
    traces = tuple(
        t if t.source == "neuron" else dataclasses.replace(t, tau=setup.tau, impulse=setup.impulse)
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
        Population("closed", 1, role="constant", rates=s.rates(forward=UNIT, reference=UNIT)),
        Population("clamp", 1, role="constant", rates=s.rates(error=UNIT)),
    ]


def _neurons(rule: CircuitRule, names: list[str], sizes: tuple[int, ...], s: Setup) -> list[Population]:
    found = []
    for at, (name, size) in enumerate(zip(names, sizes, strict=True)):
        threshold = s.thresholds[min(at, len(s.thresholds) - 1)] << WEIGHT_SHIFT
        found.append(
            Population(
                name, size, threshold, floor_at(s.floor * threshold), linear=name == "out",
                busy=s.busy * (name != "out"),
            )
        )  # fmt: skip
        if isinstance(rule, TemporalRule) and name != "out":
            slopes, shift = _slopes(rule, threshold, s)
            found[-1] = dataclasses.replace(found[-1], linear=True, slopes=slopes, slope_shift=shift)
    unit = ERROR_UNIT << WEIGHT_SHIFT
    return [*found, *(Population(n, sizes[-1], unit // 2, floor_at(16 * unit)) for n in ("below", "above"))]


def _slopes(rule: TemporalRule, threshold: int, s: Setup) -> tuple[tuple[int, ...], int]:
    """Return a pseudo-derivative as codes, of which the threshold has `PEAK`, and their distance in bits."""
    shift = round(np.log2(threshold / STAIRS))
    away = np.arange(int(s.slope_width * threshold) >> shift) * 2.0**shift / threshold
    codes = np.rint(PEAK * rule.derivative(away) / rule.derivative(np.zeros(1)))
    return tuple(codes.astype(int).tolist()), shift


def _forward(
    rule: CircuitRule, names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator
) -> list[Projection]:
    found, only_last = [], rule.chip().layers == "last"
    for at, ((source, target), (i, o)) in enumerate(zip(pairwise(names), pairwise(sizes), strict=True)):
        threshold = s.thresholds[min(at, len(s.thresholds) - 1)]
        drawn = rng.normal(0, s.gain * np.sqrt(2 / i) * threshold, (o, i))
        learns = at not in s.frozen and (not only_last or target == "out")
        exponent = s.exponents[min(at, len(s.exponents) - 1)]
        chosen = form(rule, s)
        if target == "out" and isinstance(rule, TemporalRule):
            chosen = rule.chip_output()
        elif target == "out" and chosen.feedback.path == "output":
            chosen = layered.output_rule(chosen)
        found.append(
            Projection(source, target, even(drawn), 0, scaled(chosen, exponent, s) if learns else None)
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


def _relays(classes: int, s: Setup) -> list[Population]:
    """Return what spikes once in a phase, when an error neuron has spiked often enough."""
    unit = ERROR_UNIT << WEIGHT_SHIFT
    return [Population(name, classes, (s.sure - 1) * unit, floor_at(unit * 64)) for name in ONCE]


def _once(classes: int) -> list[Projection]:
    found = []
    for source, name in zip(("below", "above"), ONCE, strict=True):
        one = np.ones((1, classes), np.int64)
        found.append(Projection(source, name, ERROR_UNIT * one, one_to_one=True))
        found.append(Projection(name, name, -254 * one, GATE, one_to_one=True))
    return found


def _back(
    path: str, names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator
) -> list[Projection]:
    found, apart = [], s.mechanism == "neuron-trace"
    for name, size in zip(names, sizes[1:-1], strict=True):
        drawn = even(balanced(rng.uniform(-s.feedback, s.feedback, (size, sizes[-1]))))
        drawn = drawn * np.isin(np.arange(sizes[-1]), s.taught or range(sizes[-1]))
        if path == "label":
            found.append(Projection("label", name, drawn, s.reach[1], apical=apart, gated=s.gated))
            continue
        other = even(rng.uniform(-s.feedback, s.feedback, drawn.shape)) if s.shuffled else -drawn
        below, above = ONCE if path == "direct-signs" else ("below", "above")
        found += [
            Projection(below, name, even(drawn - s.depress), s.reach[1], apical=apart, gated=s.gated),
            Projection(above, name, even(other - s.depress), s.reach[1], apical=apart, gated=s.gated),
        ]
    return found


def _gates(populations: tuple[Population, ...], s: Setup) -> list[Projection]:
    """Take membranes to their floors after each phase, then up to 0, or to where errors begin to count."""
    found = []
    for p in (p for p in populations if p.role == "neurons"):
        column = np.full((p.size, 1), 254, np.int64)
        found.append(Projection("reset", p.name, -column, GATE))
        exponent = (-p.floor).bit_length() - 8 - WEIGHT_SHIFT
        found.append(Projection("lift", p.name, column, exponent))
        dead = dict(zip(("below", "above"), s.dead, strict=True)).get(p.name)
        if dead is not None:
            found.append(Projection("closed", p.name, -column, GATE))
        if dead:
            found.append(Projection("lift", p.name, -dead * ERROR_UNIT * np.ones_like(column)))
    return found
