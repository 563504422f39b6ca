"""Circuit: what the fast kernel runs, whoever described it: groups of compartments and synapses between them.

A compiled program and a nengo-loihi model both come down to this. The blocks of a population are merged here:
which core holds a neuron changes nothing in the integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.numerics.neurons import Compartments
from neurodeploy.program import Block, Population, Program, Synapses

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Noise:
    """Uniform noise of a group's neurons: ``trunc((x + offset) * gain)`` with x from -127 to 127, every step.

    Parameters
    ----------
    gain : ndarray of float64, shape (N,)
        Zero where there is none.
    offset : ndarray of int32, shape (N,)
    at_membrane : ndarray of bool, shape (N,)
        Added to current plus bias; otherwise to the input.
    """

    gain: npt.NDArray[np.float64]
    offset: Ints
    at_membrane: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Group:
    """Neurons that are stepped together.

    Parameters
    ----------
    name : str
    size : int
    compartments : Compartments or None
        None where the spikes come from outside.
    bounds : pair of ndarray of int32, shape (N,), optional
        `vmin` and `vmax` of every neuron; those of `compartments` where absent.
    order : ndarray of int64, shape (N,), optional
        Place of every neuron if they are laid out so that targets of one spike are neighbours.
    noise : Noise, optional
    """

    name: str
    size: int
    compartments: Compartments | None
    bounds: tuple[Ints, Ints] | None = None
    order: Longs | None = None
    noise: Noise | None = None


@dataclass(frozen=True, eq=False)
class Wires:
    """Synapses from one group to another.

    A spike of neuron ``i`` adds ``weight[k]`` to neuron ``index[k]`` for every ``k`` in
    ``start[i]:start[i + 1]``, `delay` steps later.

    Parameters
    ----------
    source, target : int
        Groups.
    start : ndarray of int64, shape (N_source + 1,)
    index, weight : ndarray of int32, shape (K,)
    delay : int
        At least 1.
    """

    source: int
    target: int
    start: Longs
    index: Ints
    weight: Ints
    delay: int = 1


@dataclass(frozen=True, eq=False)
class Learning:
    """Synapses with the chip's rule for PES, from A axons to pairs of neurons with errors of opposite sign.

    Parameters
    ----------
    target : int
        Group; its neuron ``j`` has error ``-e[j]``, neuron ``d + j`` has ``e[j]``.
    weight : ndarray of int32, shape (A, 2 * d)
        Before the first step.
    axons : tuple of (int, ndarray of int32)
        Source groups, with the axon of each neuron, or -1.
    decay, gain : float
        Of the traces: ``trace * decay + gain`` where a spike came.
    rate : int
        Factor of trace times error.
    product_shift, weight_shift, back_shift : int
        Of that product and of the weight before they are added, and of the sum's mantissa.
    round_bits : int
        What the sum is rounded by, at random; at least 1.
    top : int
        Largest mantissa.
    trace_every, learn_every : int
        Steps.
    """

    target: int
    weight: Ints
    axons: tuple[tuple[int, Ints], ...]
    decay: float
    gain: float
    rate: int
    product_shift: int
    weight_shift: int
    back_shift: int
    round_bits: int
    top: int
    trace_every: int = 2
    learn_every: int = 4


@dataclass(frozen=True, eq=False)
class Circuit:
    """Groups and what connects them.

    Parameters
    ----------
    groups : tuple of Group
        In the order in which their neurons are numbered. Only the first may lie outside.
    wires : tuple of Wires
    learning : tuple of Learning
    """

    groups: tuple[Group, ...]
    wires: tuple[Wires, ...]
    learning: tuple[Learning, ...] = ()

    @property
    def size(self) -> int:
        """Number of neurons, those outside included."""
        return sum(group.size for group in self.groups)

    @property
    def delay(self) -> int:
        """Most steps that a spike is on its way."""
        return max((w.delay for w in self.wires), default=1)

    @property
    def random(self) -> bool:
        """Whether anything depends on random numbers."""
        return bool(self.learning) or any(g.noise is not None and g.noise.gain.any() for g in self.groups)


def circuit_of(program: Program) -> Circuit:
    """Flatten a placed program, one group per population.

    Parameters
    ----------
    program : Program
        With blocks.

    Returns
    -------
    Circuit
        Groups in the order of ``program.populations``.
    """
    number = {p.name: i for i, p in enumerate(program.populations)}
    wires = []
    for target in program.populations:
        blocks = [program.blocks[i] for i in program.blocks_of(target.name)]
        for source, delay in {(s.source, s.delay): None for block in blocks for s in block.synapses}:
            parts = [
                expand(s, block.neurons)
                for block in blocks
                for s in block.synapses
                if (s.source, s.delay) == (source, delay)
            ]
            n_source = program.population(source).size
            wires.append(merge(parts, n_source, ends=(number[source], number[target.name]), delay=delay))
    return Circuit(tuple(_group(program, p) for p in program.populations), tuple(wires))


def _group(program: Program, population: Population) -> Group:
    blocks = [program.blocks[i] for i in program.blocks_of(population.name)]
    if not blocks:
        return Group(population.name, population.size, None, order=channels_last(population.shape))
    return _join(population, blocks)


def channels_last(shape: tuple[int, ...]) -> Longs | None:
    """Place of every neuron of an image (C, H, W) if it is laid out as (H, W, C)."""
    if len(shape) != 3:
        return None
    channels, height, width = shape
    return np.arange(np.prod(shape)).reshape(height, width, channels).transpose(2, 0, 1).ravel()


def _join(population: Population, blocks: list[Block]) -> Group:
    """Put the compartments of all blocks of a population back into the population's order."""
    size = population.size
    columns = {}
    for field in ("decay_u", "decay_v", "vth", "bias", "refract", "vmin", "vmax"):
        columns[field] = np.zeros(size, np.int32)
        for block in blocks:
            columns[field][block.neurons] = getattr(block.compartments, field)
    bounds = columns.pop("vmin"), columns.pop("vmax")
    compartments = Compartments(**columns, vmin=int(bounds[0].min()), vmax=int(bounds[1].max()))
    return Group(population.name, size, compartments, bounds, channels_last(population.shape))


Entries = tuple[Ints, Ints, Ints]
"""Synapses one by one: source neuron, target neuron, weight."""


def merge(parts: list[Entries], n_source: int, *, ends: tuple[int, int], delay: int = 1) -> Wires:
    """Gather what a source's spikes do in all parts of a group into one row per source neuron."""
    neuron, index, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    if len(parts) > 1:
        order = stable_order(neuron, n_source)
        neuron, index, weight = neuron[order], index[order], weight[order]
    start = np.concatenate([[0], np.cumsum(np.bincount(neuron, minlength=n_source))]).astype(np.int64)
    return Wires(*ends, start, index, weight, delay)


def expand(synapses: Synapses, neurons: Ints) -> Entries:
    """List every synapse into the compartments of a block, in the order of the source."""
    neuron = np.flatnonzero(synapses.axon >= 0).astype(np.int32)
    axon = synapses.axon[neuron]
    row = synapses.first_row[axon] + synapses.atom[neuron]
    length = synapses.row_start[row + 1] - synapses.row_start[row]
    entry = gather(synapses.row_start[row], length)
    index = np.repeat(synapses.base[axon], length) + synapses.index[entry]
    return np.repeat(neuron, length), neurons[index], synapses.weight[entry]


def gather(start: Longs, length: Longs) -> Longs:
    """Return ``concatenate([arange(s, s + n) for s, n in zip(start, length)])``."""
    ends = np.cumsum(length, dtype=np.int64)
    return np.asarray(np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - (ends - length), length))


def stable_order(values: npt.NDArray[np.integer[Any]], count: int) -> Longs:
    """Return the stable order of numbers below `count`; below 2**16 NumPy sorts in linear time."""
    return np.argsort(values.astype(np.uint16) if count <= 2**16 else values, kind="stable")
