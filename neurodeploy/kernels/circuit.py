"""Circuit: what the fast kernel runs, whoever described it - groups of compartments and the synapses between them.

A compiled program and a nengo-loihi model both come down to this. The blocks of a population are merged here: which core
holds a neuron changes nothing in the integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.numerics.neurons import Compartments
from neurodeploy.program import Block, Population, Program, Synapses

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


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
    shape : tuple of int
        For an image (C, H, W), so that the kernel may lay neighbours side by side.
    """

    name: str
    size: int
    compartments: Compartments | None
    bounds: tuple[Ints, Ints] | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Wires:
    """All synapses from one group to another.

    A spike of neuron ``i`` adds ``weight[k]`` to neuron ``index[k]`` for every ``k`` in ``start[i]:start[i + 1]``.

    Parameters
    ----------
    source, target : int
        Groups.
    start : ndarray of int64, shape (N_source + 1,)
    index, weight : ndarray of int32, shape (K,)
    """

    source: int
    target: int
    start: Longs
    index: Ints
    weight: Ints


@dataclass(frozen=True, eq=False)
class Circuit:
    """Groups and the wires between them.

    Parameters
    ----------
    groups : tuple of Group
        In the order in which their neurons are numbered.
    wires : tuple of Wires
    """

    groups: tuple[Group, ...]
    wires: tuple[Wires, ...]

    @property
    def size(self) -> int:
        """Number of neurons, those outside included."""
        return sum(group.size for group in self.groups)


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
        for source in {s.source: None for block in blocks for s in block.synapses}:
            parts = [(block, s) for block in blocks for s in block.synapses if s.source == source]
            wires.append(_merge(parts, number[source], number[target.name]))
    return Circuit(tuple(_group(program, p) for p in program.populations), tuple(wires))


def _group(program: Program, population: Population) -> Group:
    blocks = [program.blocks[i] for i in program.blocks_of(population.name)]
    if not blocks:
        return Group(population.name, population.size, None, shape=population.shape)
    columns = {}
    for name in ("decay_u", "decay_v", "vth", "bias", "refract", "vmin", "vmax"):
        columns[name] = np.zeros(population.size, np.int32)
        for block in blocks:
            columns[name][block.neurons] = getattr(block.compartments, name)
    bounds = columns.pop("vmin"), columns.pop("vmax")
    compartments = Compartments(**columns, vmin=int(bounds[0].min()), vmax=int(bounds[1].max()))
    return Group(population.name, population.size, compartments, bounds, population.shape)


def _merge(parts: list[tuple[Block, Synapses]], source: int, target: int) -> Wires:
    """Gather what a source's spikes do in all blocks of a population into one row per source neuron."""
    n_source = len(parts[0][1].axon)
    pieces = [_expand(block, synapses) for block, synapses in parts]
    neuron, index, weight = (np.concatenate(column) for column in zip(*pieces, strict=True))
    if len(pieces) > 1:
        order = np.argsort(neuron, kind="stable")
        neuron, index, weight = neuron[order], index[order], weight[order]
    start = np.concatenate([[0], np.cumsum(np.bincount(neuron, minlength=n_source))]).astype(np.int64)
    return Wires(source, target, start, index, weight)


def _expand(block: Block, synapses: Synapses) -> tuple[Ints, Ints, Ints]:
    """List every synapse as (source neuron, target neuron, weight), in the order of the source."""
    neuron = np.flatnonzero(synapses.axon >= 0).astype(np.int32)
    axon = synapses.axon[neuron]
    row = synapses.first_row[axon] + synapses.atom[neuron]
    length = synapses.row_start[row + 1] - synapses.row_start[row]
    entry = gather(synapses.row_start[row], length)
    index = np.repeat(synapses.base[axon], length) + synapses.index[entry]
    return np.repeat(neuron, length), block.neurons[index], synapses.weight[entry]


def gather(start: Longs, length: Longs) -> Longs:
    """Return ``concatenate([arange(s, s + n) for s, n in zip(start, length)])``."""
    ends = np.cumsum(length)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - (ends - length), length)
