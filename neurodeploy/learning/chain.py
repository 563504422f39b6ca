"""Errors that go down layer by layer through fixed weights: two error neurons behind every hidden neuron.

::

    below, above -> h3 (apical), below_h3, above_h3      the same weights, with the signs of an error
    below_h3, above_h3 -> h2 (apical), below_h2, above_h2
    below_h3 <-> above_h3                                 one to one: what one spiked, the other owes

The two membranes of a pair hold what has arrived less what was sent, with both signs; one spikes for every
threshold that arrives, the other for every one that is taken away, to the nearest. Without errors none
spikes. Where the chain has slopes, errors reach only the pairs of neurons that spiked in the first phase.
"""

from __future__ import annotations

import numpy as np

from neurodeploy.learning.circuit import WEIGHT_SHIFT, Circuit, Population, Projection
from neurodeploy.learning.setup import TOP, Ints, Setup, balanced, even, floor

Pair = tuple[str, str]
OUTPUT: Pair = ("below", "above")


def feedback(
    names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator, *, slopes: bool
) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Return pairs of error neurons of every hidden layer but the first, and all that brings errors down.

    Parameters
    ----------
    names : list of str
        Hidden layers.
    sizes : tuple of int
        Of the input, the hidden layers and the output.
    s : Setup
    rng : Generator
    slopes : bool
        Whether errors pass only where a neuron spiked.
    """
    pairs, joins, source, above = [], list[Projection](), OUTPUT, sizes[-1]
    for at in reversed(range(len(names))):
        name, size = names[at], sizes[at + 1]
        reach = s.feedback * min(1.0, np.sqrt(TOP / above))
        drawn = even(balanced(rng.uniform(-reach, reach, (size, above))))
        other = even(rng.uniform(-reach, reach, drawn.shape)) if s.shuffled else -drawn
        apart = s.mechanism == "neuron-trace"
        for end, w in zip(source, (drawn, other), strict=True):
            joins.append(Projection(end, name, w, s.reach[1], apical=apart, gated=not apart and s.gated))
        if at:
            pair: Pair = (f"below_{name}", f"above_{name}")
            hop = s.hop(len(names) - 1 - at)
            pairs += [_error_neurons(p, size, name, hop) for p in pair]
            joins += [*_into(source, pair, (drawn, other), slopes=slopes), *_within(pair, pairs[-1], hop)]
            source, above = pair, size
    return tuple(pairs), tuple(joins)


def opposites(circuit: Circuit) -> list[tuple[int, int, int]]:
    """Return places of projections that bring errors down, of the forward ones they go against, and signs.

    The sign is -1 where an error arrives as its opposite.
    """
    names = {(j.source, j.target): at for at, j in enumerate(circuit.projections)}
    found = []
    for at, j in enumerate(circuit.projections):
        lower, upper = circuit[j.target].partner or j.target, circuit[j.source].partner or "out"
        if j.source.startswith(OUTPUT) and (lower, upper) in names and not j.one_to_one:
            taken = j.source.startswith("above") != j.target.startswith("above")
            found.append((at, names[lower, upper], -1 if taken else 1))
    return found


def _error_neurons(name: str, size: int, partner: str, hop: int) -> Population:
    threshold = hop << WEIGHT_SHIFT
    return Population(name, size, threshold, floor(16 * threshold), partner=partner, subtract=True)


def _into(source: Pair, pair: Pair, weights: tuple[Ints, Ints], *, slopes: bool) -> list[Projection]:
    return [
        Projection(end, target, sign * w, 0, gated=slopes)
        for target, sign in zip(pair, (1, -1), strict=True)
        for end, w in zip(source, weights, strict=True)
    ]


def _within(pair: Pair, one: Population, hop: int) -> list[Projection]:
    """Let each neuron of a pair owe what the other spiked, and begin at half its threshold."""
    whole = np.full((1, one.size), hop, np.int64)
    lifted = 254 << ((-one.floor).bit_length() - 8)
    half = even((-one.floor - lifted) / 2**WEIGHT_SHIFT + hop / 2)
    start = [Projection("lift", p, np.full((one.size, 1), half, np.int64)) for p in pair]
    cross = [Projection(a, b, whole, one_to_one=True) for a, b in (pair, pair[::-1])]
    return [*cross, *start]
