"""Networks that find features without labels, in two stages of one chip; a plastic output reads them.

::

    data  -> h1          plastic, by a rule of two factors; and beside it the same inhibition from every input
    h1    -> h1          whoever spikes first inhibits all others
    tonic -> h1          a drive that rises slowly and falls at every spike: all neurons win equally often
    h1    -> out         in the second stage, by the delta rule, or rewarded:

    out   -> out         the first class to spike inhibits the others
    label -> right       spikes where the class that spiked in the first phase is the label
    out   -> wrong       spikes where another class spikes than the label's, which inhibits it
    right, wrong -> out  one number for all: more reward, or less

In the first stage thresholds are so high that one or two neurons spike per sample, and only those learn. Then
the host loads lower thresholds and weaker inhibition, features stay as they are, and the output learns.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.errors import OptionError
from neurodeploy.learning import deep
from neurodeploy.learning.circuit import FULL, UNIT, WEIGHT_SHIFT, Circuit, Ints, Population, Projection
from neurodeploy.learning.delta import Delta
from neurodeploy.learning.description import Phase, Rule, describe
from neurodeploy.learning.hebbian import Hebbian
from neurodeploy.learning.reward_stdp import RewardSTDP
from neurodeploy.learning.setup import ERROR_UNIT, GATE, Setup, even, floor

REST = (Phase("reset", 2), Phase("lift", 2))


@dataclass(frozen=True)
class Competition:
    """Numbers of both stages; thresholds and weights in codes.

    Parameters
    ----------
    steps : int
        Of a sample in the first stage, 4 of rest not counted.
    input_rate : int
        Of a full input, in spikes per `circuit.UNIT` steps.
    threshold, read_threshold : int
        While features are found, and while they are read.
    inhibition, read_inhibition : int
        Weight exponent of the same, at 254 codes.
    spread, offset : int
        Of the first weights, and what every input takes from every neuron.
    drive : int
        Weight exponent of the tonic drive.
    rise, fall : int
        Exponents of what the drive gains in every 16 steps, times 2^-7, and loses at every spike.
    faster : int
        Added to the exponents of a rule's ``dw``.
    tau, impulse : float
        Of the trace of inputs.
    own : float
        Impulse of a neuron's own traces.
    """

    steps: int = 60
    input_rate: int = 512
    threshold: int = 30000
    read_threshold: int = 3000
    inhibition: int = 7
    read_inhibition: int = 1
    spread: int = 20
    offset: int = 32
    drive: int = 4
    rise: int = 0
    fall: int = 1
    faster: int = 0
    tau: float = 32.0
    impulse: float = 8.0
    own: float = 16.0


def form(rule: Hebbian, numbers: Competition) -> Rule:
    """Return what a rule's synapses run, with the traces and the speed of a competition.

    Raises
    ------
    OptionError
        If the rule waits for a reward, which there is none of in the first stage.
    """
    chip = rule.chip("y3")
    if chip.feedback.path == "reward":
        raise OptionError(f"rule '{rule.name}' waits for a reward; features are found without one")
    return _told(chip, {"x1": numbers.impulse, "y1": numbers.own, "y2": numbers.own}, numbers)


def _told(chip: Rule, impulses: dict[str, float], numbers: Competition) -> Rule:
    """Give a rule impulses, the time constant and the speed of a competition."""
    traces = (
        dataclasses.replace(t, tau=numbers.tau, impulse=impulses[t.variable])
        if t.variable in impulses and t.source == "spikes"
        else t
        for t in chip.traces
    )
    updates = (
        dataclasses.replace(u, products=tuple(
            dataclasses.replace(p, exponent=p.exponent + numbers.faster * (u.target == "w"))
            for p in u.products
        ))
        for u in chip.updates
    )  # fmt: skip
    return dataclasses.replace(chip, traces=tuple(traces), updates=tuple(updates))


def homeostasis(rise: int, fall: int) -> Rule:
    """Describe a tonic synapse that rises steadily and falls at every spike of its neuron."""
    return describe("homeostasis", f"dw = 2^{rise - 7}*u4*x0 - 2^{fall}*y0")


def finding(
    rule: Hebbian, sizes: tuple[int, int], *, rng: np.random.Generator, numbers: Competition | None = None
) -> Circuit:
    """Build the circuit of the first stage.

    Parameters
    ----------
    rule : Hebbian
    sizes : (int, int)
        Inputs and features; a constant input is added.
    rng : Generator
        Draws first weights, and the pace of inputs.
    numbers : Competition, optional
    """
    n = numbers or Competition()
    inputs, count = sizes[0] + 1, sizes[1]
    phases = (Phase("forward", n.steps), *REST)
    pace = rng.integers(0, FULL * UNIT, inputs)
    threshold = n.threshold << WEIGHT_SHIFT
    populations = (
        Population("data", inputs, role="data", rates=(n.input_rate, 0, 0), offsets=pace),
        Population("tonic", 1, role="constant", rates=(UNIT, 0, 0)),
        Population("reset", 1, role="constant", rates=(0, UNIT, 0)),
        Population("lift", 1, role="constant", rates=(0, 0, UNIT // 2)),
        Population("h1", count, threshold, floor(threshold)),
    )
    drawn = even(rng.normal(n.offset, n.spread, (count, inputs)))
    column = np.full((count, 1), 254, np.int64)
    joins = [
        Projection("data", "h1", drawn, 0, form(rule, n)),
        *_between(n, inputs, count, n.inhibition),
        Projection("tonic", "h1", 0 * column, n.drive, homeostasis(n.rise, n.fall)),
        Projection("reset", "h1", -column, GATE),
        Projection("lift", "h1", column, _lift(populations[-1])),
    ]
    return Circuit(populations, tuple(joins), phases, "h1")


def _between(n: Competition, inputs: int, count: int, exponent: int) -> list[Projection]:
    """Return inhibition that does not learn: from inputs, and of each other."""
    others = -254 * (1 - np.eye(count, dtype=np.int64))
    return [
        Projection("data", "h1", np.full((count, inputs), -n.offset, np.int64)),
        Projection("h1", "h1", others, exponent),
    ]


def reading(
    sizes: tuple[int, int, int],
    found: tuple[Ints, Ints] | None,
    *,
    rng: np.random.Generator,
    setup: Setup,
    numbers: Competition | None = None,
) -> Circuit:
    """Build the circuit of the second stage, in which the output learns by the delta rule.

    Parameters
    ----------
    sizes : (int, int, int)
        Inputs, features, classes.
    found : (ndarray of int, shape (N, I + 1), ndarray of int, shape (N, 1)), optional
        Weights and drives of the first stage. None is a random encoder: weights as drawn, nothing between
        its neurons.
    rng : Generator
    setup : Setup
        Of errors and of the output; its first threshold is a random encoder's.
    numbers : Competition, optional
    """
    n = numbers or Competition()
    wired = deep.circuit(Delta(), sizes, rng=rng, setup=setup)
    return wired if found is None else _encoded(wired, found, setup, n)


def rewarded(
    rule: RewardSTDP,
    sizes: tuple[int, int, int],
    found: tuple[Ints, Ints] | None,
    *,
    rng: np.random.Generator,
    setup: Setup,
    numbers: Competition | None = None,
    reward: tuple[int, int] = (8, 254),
    rivalry: int = 1,
    start: int = 120,
    speed: int = 0,
) -> Circuit:
    """Build the second stage in which the output learns from a reward: one number, the same for all.

    Parameters
    ----------
    rule : RewardSTDP
    sizes, found, rng, setup, numbers
        As `reading` takes them.
    reward : (int, int)
        Codes by which a spike of *right* is counted, and one of *wrong*, with a minus.
    rivalry : int
        Weight exponent of inhibition between outputs, at 254 codes.
    start : int
        Largest first weight of the output: who never spikes never learns.
    speed : int
        Added to the exponent of the rule's ``dw``.
    """
    n = numbers or Competition()
    wired = reading(sizes, found, rng=rng, setup=setup, numbers=n)
    classes = sizes[-1]
    one, all_of = np.ones((1, classes), np.int64), np.ones((classes, classes), np.int64)
    dropped = {"below", "above"}
    kept = [j for j in wired.projections if not dropped & {j.source, j.target}]
    learns = _told(rule.chip("y3"), {"x1": setup.impulse, "y1": n.own}, dataclasses.replace(n, faster=speed))
    drawn = even(rng.uniform(0, start, (classes, sizes[1])))
    joins = [
        dataclasses.replace(j, rule=learns, weight=drawn) if (j.source, j.target) == ("h1", "out") else j
        for j in kept
    ]
    joins += [
        Projection("out", "out", -254 * (1 - np.eye(classes, dtype=np.int64)), rivalry),
        Projection("label", "right", ERROR_UNIT * one, one_to_one=True, gated=True),
        Projection("out", "wrong", ERROR_UNIT * one, one_to_one=True),
        Projection("label", "wrong", -254 * one, GATE, one_to_one=True),
        Projection("closed", "wrong", np.full((classes, 1), -254, np.int64), GATE),
        Projection("right", "out", reward[0] * all_of, apical=True),
        Projection("wrong", "out", -reward[1] * all_of, apical=True),
    ]
    unit = ERROR_UNIT << WEIGHT_SHIFT
    judges = (
        Population("right", classes, unit // 2, floor(16 * unit), partner="out"),
        Population("wrong", classes, unit // 2, floor(16 * unit)),
    )
    joins += [
        Projection(source, p.name, sign * np.full((classes, 1), 254, np.int64), exponent)
        for p in judges
        for source, sign, exponent in (("reset", -1, GATE), ("lift", 1, _lift(p)))
    ]
    populations = (*(p for p in wired.populations if p.name not in dropped), *judges)
    return dataclasses.replace(wired, populations=populations, projections=tuple(joins))


def _lift(p: Population) -> int:
    """Return the weight exponent that takes a membrane from its floor to near 0."""
    return (-p.floor).bit_length() - 8 - WEIGHT_SHIFT


def _encoded(wired: Circuit, found: tuple[Ints, Ints], setup: Setup, n: Competition) -> Circuit:
    """Put features in the place of the random encoder."""
    weight, drive = found
    threshold = n.read_threshold << WEIGHT_SHIFT
    hidden = dataclasses.replace(wired["h1"], threshold=threshold, floor=floor(2 * threshold))
    rates = setup.rates(forward=UNIT, error=UNIT)
    populations = (
        *(hidden if p.name == "h1" else p for p in wired.populations),
        Population("tonic", 1, role="constant", rates=rates),
    )
    given: dict[tuple[str, str], dict[str, Any]] = {
        ("data", "h1"): {"weight": weight}, ("lift", "h1"): {"exponent": _lift(hidden)}
    }  # fmt: skip
    joins = [dataclasses.replace(j, **given.get((j.source, j.target), {})) for j in wired.projections]
    joins += _between(n, weight.shape[1], weight.shape[0], n.read_inhibition)
    joins.append(Projection("tonic", "h1", drive, n.drive))
    return dataclasses.replace(wired, populations=populations, projections=tuple(joins))
