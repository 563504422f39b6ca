"""Layout: a circuit as the flat tables the fast kernel walks.

Neurons lie in groups padded to whole vectors; images lie with their channels innermost, so that the targets
of one spike of a convolution are a few stretches of neighbours. Weights shrink to 8-bit mantissas with a
common shift wherever they are exact, and equal rows are stored once.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.circuit import Circuit, Group, Learning
from neurodeploy.kernels.rows import LANES, LEARNED, Tables, sorted_rows
from neurodeploy.kernels.tiles import Tiles, tiles_of

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

HORIZON = 64
"""Steps a stage runs at a time; a host neuron's spikes in them are the bits of one word."""

MEMO = 2048
"""Trains of host neurons kept for reuse: images have few grey levels."""

WIDEST_BIAS = 2**22
"""Up to which bias current and bias surely stay within 24 bits where neither decays."""

OUTSIDE, INTEGRATE, GENERAL = range(3)
"""How a group is stepped: not at all; alike, and without decay but for the current; with everything."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A circuit in tables; positions are those of padded neurons, N of them.

    Parameters
    ----------
    groups : ndarray of int64, shape (G, 7)
        First position, size, kind of step; of `INTEGRATE` also the kept current (0 or 1), threshold, lower
        and upper bound.
    wires : ndarray of int64, shape (W, 7)
        Source group, target group, kind of rows, shift, first row, what the number of vectors is a multiple
        of (of `LEARNED` the line in `learning`), delay. Sorted by the target's stage.
    rows : ndarray of int32, shape (R, 4)
        Per source position: first vector, window, word or axon, how many, position they start from, synapses.
    windows : ndarray of int32, shape (2 * W,)
        Position, counted from the row's, and vector.
    vectors : ndarray of int8, shape (V * LANES,)
        Mantissas.
    words : ndarray of int32, shape (K,)
        Of `PACKED` rows index in the upper 24 bits and mantissa in the lower 8, of `WIDE` rows index, weight.
    neurons : ndarray of int32, shape (7 * N,)
        Kept current and membrane (of 4096), bias, threshold, refractory steps, lower and upper bound.
    noise : ndarray of float64, shape (3, n)
        Gain, offset, whether it goes to the membrane, of each of the circuit's neurons inside.
    learning : ndarray of int64, shape (L, 14); rates : ndarray of float64, shape (L, 2)
        Of synapses that learn: target, axons, neurons, first weight, first trace, first error, rate, shifts
        of product, weight and back, top, steps per trace and per weight, bits rounded off; decay, gain.
    learned : ndarray of int32, shape (E,)
        Their weights before the first step.
    position : ndarray of int64, shape (n,)
        Where each of the circuit's neurons lies.
    sequence : ndarray of int64, shape (G,)
        Groups in the order of stages.
    stages : ndarray of int64, shape (S, 4)
        First and last group in `sequence`, first and last of `wires` into them. Stages depend on earlier ones
        only; the groups of one stage feed each other.
    delay : int
        Longest.
    random : bool
        Whether random numbers are drawn.
    """

    groups: Longs
    wires: Longs
    rows: Ints
    windows: Ints
    vectors: npt.NDArray[np.int8]
    words: Ints
    neurons: Ints
    noise: Floats
    learning: Longs
    rates: Floats
    learned: Ints
    position: Longs
    sequence: Longs
    stages: Longs
    delay: int
    random: bool

    @functools.cached_property
    def tiles(self) -> Tiles:
        """Groups that can be stepped by matrix products; arranged when first asked for."""
        return tiles_of(self)

    @property
    def size(self) -> int:
        """Number of padded positions."""
        return len(self.neurons) // 7

    @property
    def outside(self) -> int:
        """Number of neurons outside."""
        return int(self.groups[0, 1]) if self.groups[0, 2] == OUTSIDE else 0

    def span(self, group: int) -> slice:
        """Where a group lies among the circuit's neurons."""
        before = int(self.groups[:group, 1].sum())
        return slice(before, before + int(self.groups[group, 1]))

    @property
    def nbytes(self) -> int:
        """Bytes of all weights and row tables."""
        return self.rows.nbytes + self.windows.nbytes + self.vectors.nbytes + self.words.nbytes


def lay_out(circuit: Circuit) -> Layout:
    """Arrange a circuit for the kernel.

    Parameters
    ----------
    circuit : Circuit

    Returns
    -------
    Layout

    Raises
    ------
    ValueError
        If neurons whose synapses learn have an order: those weights are kept in the circuit's.
    """
    if any(circuit.groups[rule.target].order is not None for rule in circuit.learning):
        raise ValueError("a group whose synapses learn has an order of neurons; leave Group.order out")
    starts = np.cumsum([0] + [-(-group.size // LANES) * LANES for group in circuit.groups])
    orders = [np.arange(group.size) if group.order is None else group.order for group in circuit.groups]
    groups = np.zeros((len(circuit.groups), 7), np.int64)
    neurons = np.zeros((7, int(starts[-1])), np.int32)
    neurons[3] = np.iinfo(np.int32).max
    for i, group in enumerate(circuit.groups):
        groups[i] = starts[i], group.size, *_fill(group, neurons, starts[i] + orders[i])
    sequence, stage_of = _stages(circuit)
    tables = Tables()
    wires = _wires(circuit, tables, starts, orders, stage_of)
    position = np.concatenate([s + o for s, o in zip(starts, orders, strict=False)])
    return Layout(
        groups=groups,
        wires=wires,
        neurons=neurons.ravel(),
        noise=_noise(circuit),
        position=position.astype(np.int64),
        sequence=np.array(sequence, np.int64),
        stages=_bounds([stage_of[g] for g in sequence], [stage_of[w] for w in wires[:, 1].tolist()]),
        delay=circuit.delay,
        random=circuit.random,
        **_learning(circuit.learning),
        **tables.arrays(),
    )


def _wires(
    circuit: Circuit, tables: Tables, starts: Longs, orders: list[Longs], stage_of: list[int]
) -> Longs:
    """Store all rows; return the lines of the wires table in order."""
    lines = []
    for w in circuit.wires:
        rows, fan = sorted_rows(w, orders[w.source], orders[w.target])
        stored = tables.add(rows, fan, circuit.groups[w.target].size, base=int(starts[w.target]))
        lines.append((w.source, w.target, *stored, w.delay))
    for number, rule in enumerate(circuit.learning):
        for source, axons in rule.axons:
            table = np.zeros((len(axons), 4), np.int32)
            table[orders[source], 0] = axons
            table[orders[source], 3] = np.where(axons >= 0, rule.weight.shape[1], 0)
            lines.append((source, rule.target, LEARNED, 0, tables.append(table), number, 1))
    lines.sort(key=lambda line: (stage_of[line[1]], line[1]))
    return np.array(lines, np.int64).reshape(-1, 7)


def _stages(circuit: Circuit) -> tuple[list[int], list[int]]:
    """Sort groups into stages; random numbers are drawn step by step, so with them there is one only."""
    n = len(circuit.groups)
    if circuit.random:
        return list(range(n)), [0] * n
    return stages_of(n, [(w.source, w.target) for w in circuit.wires])


def stages_of(n: int, edges: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Sort groups so that each comes after all it depends on, groups in a loop together.

    Returns
    -------
    sequence : list of int
    stage_of : list of int
        Stage of every group, counted from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(edges, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(ends.shape[1], np.int8), (ends[0], ends[1])), shape=(n, n))
    count, loop = connected_components(graph, directed=True, connection="strong")
    depth = np.zeros(count, np.int64)
    for _ in range(count):  # longest way from a source; settles after as many rounds as the longest chain
        before = depth.copy()
        outside = loop[ends[0]] != loop[ends[1]]
        np.maximum.at(depth, loop[ends[1]][outside], before[loop[ends[0]][outside]] + 1)
        if np.array_equal(before, depth):
            break
    order = sorted(range(count), key=lambda c: (depth[c], np.flatnonzero(loop == c)[0]))
    rank = {c: i for i, c in enumerate(order)}
    stage_of = [rank[int(c)] for c in loop]
    return sorted(range(n), key=lambda g: (stage_of[g], g)), stage_of


def _bounds(group_stages: list[int], wire_stages: list[int]) -> Longs:
    """First and last group and wire of every stage, from the sorted stages of both."""
    stages = np.arange(max(group_stages) + 1)
    sides: tuple[Literal["left"], Literal["right"]] = ("left", "right")
    cuts = [np.searchsorted(given, stages, side) for given in (group_stages, wire_stages) for side in sides]
    return np.stack(cuts, axis=1).astype(np.int64)


def _fill(group: Group, neurons: Ints, place: Longs) -> tuple[int, ...]:
    """Write a group's parameters; return how it is stepped."""
    c = group.compartments
    if c is None:
        return OUTSIDE, 0, 0, 0, 0
    lower, upper = group.bounds or (np.full(group.size, c.vmin), np.full(group.size, c.vmax))
    keep = 4095 - c.decay_u
    columns = (keep, 4096 - c.decay_v, c.bias, c.vth, c.refract, lower, upper)
    for row, column in zip(neurons, columns, strict=True):
        row[place] = column
    # Without decay neither sum can leave its width: |u| <= 2**21 + 2**11 and |u + bias| < 2**23.
    same = [int(column[0]) for column in (keep, c.vth, lower, upper) if (column == column[0]).all()]
    plain = (
        len(same) == 4
        and same[0] <= 1
        and same[1] >= 0
        and not c.decay_v.any()
        and int(c.refract.max()) <= 1
        and int(np.abs(c.bias.astype(np.int64)).max()) <= WIDEST_BIAS
        and (group.noise is None or not group.noise.gain.any())
    )
    return (INTEGRATE, *same) if plain else (GENERAL, 0, 0, 0, 0)


def _noise(circuit: Circuit) -> Floats:
    """Line up the noise of all neurons inside."""
    parts = []
    for group in circuit.groups:
        if group.compartments is not None:
            part = np.zeros((3, group.size))
            if group.noise is not None:
                part[:] = group.noise.gain, group.noise.offset, group.noise.at_membrane
            parts.append(part)
    return np.concatenate([np.zeros((3, 0)), *parts], axis=1)


def _learning(rules: tuple[Learning, ...]) -> dict[str, Any]:
    """Lay the weights, traces and errors of all rules one after the other."""
    lines, rates, weight, trace, error = [], [], 0, 0, 0
    for rule in rules:
        axons, neurons = rule.weight.shape
        lines.append((
            rule.target, axons, neurons, weight, trace, error, rule.rate, rule.product_shift,
            rule.weight_shift, rule.back_shift, rule.top, rule.trace_every, rule.learn_every,
            rule.round_bits,
        ))  # fmt: skip
        rates.append((rule.decay, rule.gain))
        weight, trace, error = weight + axons * neurons, trace + axons, error + neurons // 2
    return {
        "learning": np.array(lines, np.int64).reshape(-1, 14),
        "rates": np.array(rates, np.float64).reshape(-1, 2),
        "learned": np.concatenate([np.zeros(0, np.int32), *(rule.weight.ravel() for rule in rules)]),
    }
