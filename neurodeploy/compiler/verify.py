"""Which programs are legal after which pass. A violation is our bug, never the user's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import maps
from neurodeploy.errors import VerifyError
from neurodeploy.program import Block, Program, Synapses


def verify(program: Program, *, after: str) -> Program:
    """Return the program if it is legal.

    Raises
    ------
    VerifyError
        Naming the pass, the population or block, and what is wrong with it.
    """
    try:
        _populations(program)
        _blocks(program)
        _cores(program)
    except VerifyError as error:
        raise VerifyError(f"after pass '{after}': {error}") from error
    return program


def _populations(program: Program) -> None:
    names = [p.name for p in program.populations]
    if len(set(names)) != len(names):
        raise VerifyError("population names repeat")
    sizes = {p.name: p.size for p in program.populations}
    for p in program.projections:
        if p.source not in sizes or p.target not in sizes:
            raise VerifyError(f"projection {p.source} -> {p.target} names a population that is not there")
        if maps.shape_of(p.map) != (sizes[p.target], sizes[p.source]):
            raise VerifyError(f"projection {p.source} -> {p.target} has shape {maps.shape_of(p.map)}")
    for q in program.populations:
        if q.bias.shape != (q.size,):
            raise VerifyError(f"population '{q.name}' has {q.bias.shape} biases")
        if q.compartments is not None and len(q.compartments) != q.size:
            raise VerifyError(f"population '{q.name}' has {len(q.compartments)} compartments")


def _blocks(program: Program) -> None:
    if not program.blocks:
        return
    for population in program.populations:
        ids = [program.blocks[i].neurons for i in program.blocks_of(population.name)]
        held = np.sort(np.concatenate(ids)) if ids else np.zeros(0)
        wanted = np.arange(population.size if population.on_chip else 0)
        if not np.array_equal(held, wanted):
            raise VerifyError(f"blocks do not hold every neuron of '{population.name}' once")
    sizes = {p.name: p.size for p in program.populations}
    for block in program.blocks:
        for synapses in block.synapses:
            fault = _fault(block, synapses, sizes[synapses.source])
            if fault:
                raise VerifyError(f"block '{block.name}', synapses from '{synapses.source}': {fault}")


def _fault(block: Block, s: Synapses, sources: int) -> str:
    rows = len(s.row_start) - 1
    if len(s.axon) != sources or len(s.atom) != sources:
        return "axon or atom table of another size than the source"
    if len(s.axon) and s.axon.max(initial=-1) >= s.n_axons:
        return "an axon id without an axon"
    if s.row_start[0] != 0 or s.row_start[-1] != len(s.index) or len(s.index) != len(s.weight):
        return "rows do not cover the synapses"
    used = s.axon >= 0
    row = s.first_row[s.axon[used]] + s.atom[used]
    if len(row) and (row.min() < 0 or row.max() >= rows):
        return "an axon points to a row that is not there"
    top = _highest(s, row, s.base[s.axon[used]])
    return f"compartment {top} of {len(block.neurons)}" if top >= len(block.neurons) else ""


def _highest(s: Synapses, row: npt.NDArray[Any], base: npt.NDArray[Any]) -> int:
    """Highest compartment that any spike reaches."""
    if not len(s.index) or not len(row):
        return -1
    filled = np.diff(s.row_start) > 0
    highest = np.full(len(filled), -1, np.int64)
    highest[filled] = np.maximum.reduceat(s.index, s.row_start[:-1][filled])
    return int(np.where(highest[row] >= 0, highest[row] + base, -1).max())


def _cores(program: Program) -> None:
    if program.cores and len(program.cores) != len(program.blocks):
        raise VerifyError(f"{len(program.blocks)} blocks on {len(program.cores)} cores")
