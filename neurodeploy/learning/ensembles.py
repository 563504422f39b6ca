"""Error ensembles: the output error goes down a chain of spiking populations, one for every hidden layer.

::

    below, above -> below-h2, above-h2 -> below-h1, above-h1      `Setup.ensemble` neurons per class, sign
    below-h2, above-h2 -> h2                                      decoders and feedback in one matrix
    below-h1, above-h1 -> h1

Neurons of an ensemble begin to spike at different sizes of the error, their intercepts, and together spike
as often as what comes in: a communication channel of the Neural Engineering Framework, in integers. Every
hop takes a step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.circuit import WEIGHT_SHIFT, Population, Projection
from neurodeploy.learning.setup import ERROR_UNIT, Setup, balanced, even, floor

Ints = npt.NDArray[np.int64]
SIGNS = ("below", "above")


def chain(
    names: list[str], sizes: tuple[int, ...], s: Setup, rng: np.random.Generator
) -> tuple[tuple[Population, ...], list[Projection]]:
    """Return the ensembles of every hidden layer, and their projections.

    Parameters
    ----------
    names : list of str
        Hidden layers, the lowest first.
    sizes : tuple of int
        The input's size first, the number of classes last.
    s : Setup
    rng : Generator
    """
    classes = sizes[-1]
    populations: list[Population] = []
    joins: list[Projection] = []
    above = dict(zip(SIGNS, SIGNS, strict=True))
    for name, size in reversed([*zip(names, sizes[1:-1], strict=True)]):
        drawn = even(balanced(rng.uniform(-s.feedback, s.feedback, (size, classes))))
        other = even(rng.uniform(-s.feedback, s.feedback, drawn.shape)) if s.shuffled else -drawn
        for sign, back in zip(SIGNS, (drawn, other), strict=True):
            made = ensemble(f"{sign}-{name}", classes, s.ensemble)
            populations.append(made)
            joins += [
                Projection(above[sign], made.name, _spread(above[sign] == sign, classes, s.ensemble)),
                Projection("lift", made.name, _starts(classes, s.ensemble)),
                Projection(
                    made.name, name, np.repeat(even(back - s.depress), s.ensemble, axis=1), s.reach[1],
                    apical=s.mechanism == "neuron-trace", gated=s.gated,
                ),
            ]  # fmt: skip
            above[sign] = made.name
    return tuple(populations), joins


def ensemble(name: str, classes: int, neurons: int) -> Population:
    """Return a population of which each class has as many neurons, that spike in turn."""
    unit = ERROR_UNIT << WEIGHT_SHIFT
    return Population(name, classes * neurons, neurons * unit - 1, floor(16 * unit), subtract=True)


def _spread(first: bool, classes: int, neurons: int) -> Ints:
    """Bring the spikes of a class to all its neurons, from one error neuron or an ensemble."""
    own = np.eye(classes, dtype=np.int64)
    across = own if first else np.repeat(own, neurons, axis=1)
    return np.asarray(np.repeat(ERROR_UNIT * across, neurons, axis=0))


def _starts(classes: int, neurons: int) -> Ints:
    """Let each neuron of a class begin one spike further from its threshold than the one before."""
    return np.tile(ERROR_UNIT * np.arange(neurons)[::-1] + ERROR_UNIT // 2, classes)[:, None]
