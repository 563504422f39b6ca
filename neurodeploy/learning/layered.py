"""Ways back that `deep` has no error neurons for: weights that learn, the output itself, and settling.

Where weights on the way back learn, every neuron has an error compartment that spikes at half its largest
rate where nothing is wrong, more or less where something is::

    tonic -> eout, e2, e1          in the phases "reference" and "error"
    below, above -> eout           one spike more, one less
    eout -> e2 -> e1               through synapses that learn from both their ends
    eout -> out, e2 -> h2, ...     one to one: the spikes of the error phase less those of the reference

What the tonic spikes themselves send down is the same in both phases, so only errors are left. Where the
chain has slopes, what comes from above reaches only compartments of neurons that spiked in the first phase.

The output itself: it is made to spike as the label says in the error phase, and every neuron's apical
compartment collects what comes from there, less what came in the first phase.

Settling: every layer sends its spikes up and down in both phases, and in the second the output is held at
what is wanted, or pulled to it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from neurodeploy.errors import OptionError
from neurodeploy.learning import forms
from neurodeploy.learning.circuit import UNIT, WEIGHT_SHIFT, Population, Projection
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.setup import GATE, TOP, Setup, balanced, even, floor


def feedback(
    rule: Rule, names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator
) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Return error compartments of every layer, and their projections.

    Parameters
    ----------
    rule : Rule
        Its feedback says whether the chain has slopes.
    names : list of str
        Hidden layers, then the output.
    sizes : tuple of int
        The input's size first.
    s : Setup
    rng : Generator

    Raises
    ------
    OptionError
        If the setup has no phase in which error neurons show what they do without errors.
    """
    if not s.reference or s.mechanism != "neuron-trace":
        raise OptionError(
            f"rule '{rule.name}' sends errors layer by layer: its setup needs a reference phase and neurons "
            "that collect errors"
        )
    above = len(sizes) - 2
    errors = tuple(
        _errors(n, size, s.hop(above - at)) for at, (n, size) in enumerate(zip(names, sizes[1:], strict=True))
    )
    tonic = Population("tonic", 1, role="constant", rates=s.rates(reference=UNIT, error=UNIT))
    joins = [Projection("tonic", e.name, np.full((e.size, 1), _half(e), np.int64)) for e in errors]
    joins += [Projection("lift", e.name, np.full((e.size, 1), _start(e, s), np.int64)) for e in errors]
    whole = np.full((1, sizes[-1]), 2 * _half(errors[-1]), np.int64)
    joins += [
        Projection("below", errors[-1].name, whole, one_to_one=True),
        Projection("above", errors[-1].name, -whole, one_to_one=True),
    ]
    for lower, upper in pairwise(errors):
        joins.append(_chain(rule, lower, upper, s, rng))
    return (tonic, *errors), (*joins, *(_home(e, s) for e in errors[:-1]))


def _errors(name: str, size: int, hop: int) -> Population:
    threshold = (hop << WEIGHT_SHIFT) - 1
    return Population(f"e{name}", size, threshold, floor(16 * threshold), partner=name, subtract=True)


def _half(errors: Population) -> int:
    """Return what a tonic spike adds, in codes: half the threshold."""
    return (errors.threshold + 1 >> WEIGHT_SHIFT) // 2


def _start(errors: Population, s: Setup) -> int:
    """Return what a membrane begins with, in codes, so that tonic spikes leave it at half its threshold.

    Otherwise errors of one sign would make a spike more sooner than others make one less, and weights drift.
    """
    lifted = 254 << ((-errors.floor).bit_length() - 8)
    left_below = -errors.floor - lifted
    half = _half(errors) * (1 - s.error % 2)
    return 2 * int(np.rint((left_below / 2**WEIGHT_SHIFT + half) / 2))


def _chain(
    rule: Rule, lower: Population, upper: Population, s: Setup, rng: np.random.Generator
) -> Projection:
    reach = s.feedback * min(1.0, np.sqrt(TOP / upper.size))
    drawn = even(rng.uniform(-reach, reach, (lower.size, upper.size)))
    form = forms.signed_tag(rule.name, rule.feedback, reward="y3", counted="x0", partner=True)
    return Projection(upper.name, lower.name, drawn, 0, form, gated=rule.feedback.slopes)


def _home(errors: Population, s: Setup) -> Projection:
    """Bring an error compartment's spikes to its own neuron."""
    weight = np.full((1, errors.size), s.teach, np.int64)
    return Projection(errors.name, errors.partner, weight, 0, apical=True, one_to_one=True)


def targets(classes: int) -> list[Projection]:
    """Return what makes the output spike as the label says, and not otherwise, in the error phase."""
    return [
        Projection("label", "out", 254 * np.eye(classes, dtype=np.int64), GATE),
        Projection("clamp", "out", np.full((classes, 1), -254, np.int64), GATE - 4),
    ]


def from_output(
    names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator
) -> list[Projection]:
    """Return fixed synapses from the output to the apical compartments of every hidden layer.

    Raises
    ------
    OptionError
        If the setup does not take what comes in the first phase from what comes in the second.
    """
    if s.free != -1 or s.mechanism != "neuron-trace":
        raise OptionError("dendrites that compare phases need 'free' of -1 and neurons that collect")
    drawn = (even(balanced(rng.uniform(-s.feedback, s.feedback, (n, sizes[-1])))) for n in sizes[1:-1])
    return [Projection("out", name, w, s.reach[1], apical=True) for name, w in zip(names, drawn, strict=True)]


def settling(
    rule: Rule, names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator
) -> list[Projection]:
    """Return synapses from every layer to the one before, fixed or learning, and what drives the output."""
    learned = rule if rule.feedback.weights == "learned" else None
    found = _nudge(sizes[-1], s.nudge) if s.nudge else targets(sizes[-1])
    layers = list(zip(names, sizes[1:], strict=True))
    for (lower, n), (upper, m) in pairwise(layers):
        reach = s.feedback * min(1.0, np.sqrt(TOP / m))
        weight = even(balanced(rng.uniform(-reach, reach, (n, m))))
        found.append(Projection(upper, lower, weight, s.reach[1], learned))
    return found


def _nudge(classes: int, code: int) -> list[Projection]:
    return [
        Projection("label", "out", 254 * np.eye(classes, dtype=np.int64)),
        Projection("clamp", "out", np.full((classes, 1), -code, np.int64)),
    ]


def output_rule(rule: Rule) -> Rule:
    """Return what synapses onto such an output run: the change of its own spike count."""
    back = Feedback(rule.feedback.path, rule.feedback.weights, "two-phase")
    return forms.signed_tag(rule.name, back, reward="y3", layers=rule.layers)
