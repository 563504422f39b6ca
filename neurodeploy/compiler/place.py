"""Placement: which block lies on which core, so that few cores are used and blocks that talk lie close."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from neurodeploy.compiler import packing, traffic
from neurodeploy.compiler.counts.blocks import OUT_AXONS, chip_of, count
from neurodeploy.program import Program


def place(program: Program) -> Program:
    """Put every block on a core.

    Blocks share a core where they fit together. Where some would not because what they feed came to lie on
    other chips, which takes more entries, all are packed anew with room for that. Cores that exchange many
    spikes are put on one chip, and within a chip on one tile.
    """
    if not program.blocks:
        return program
    if not program.options.get("share_cores", 1):
        return _placed(program, [[i] for i in range(len(program.blocks))])
    placed = _placed(program, packing.pack(program))
    return _placed(program, packing.pack(_apart(program))) if _overfilled(placed) else placed


def one_block_per_core(program: Program) -> Program:
    """Return the same blocks with a core for each, as nengo-loihi's boards take them.

    A program that has them already is returned as it is.
    """
    if len(set(program.cores)) == len(program.blocks):
        return program
    return _placed(program, [[i] for i in range(len(program.blocks))])


def _placed(program: Program, homes: list[list[int]]) -> Program:
    return dataclasses.replace(program, cores=_number(program, homes))


def _apart(program: Program) -> Program:
    """Put every block on a chip of its own, where each of its axons takes the entry for another chip."""
    per_chip = program.target.number("chip.cores") or 1
    return dataclasses.replace(program, cores=tuple(i * per_chip for i in range(len(program.blocks))))


def _overfilled(program: Program) -> bool:
    """Whether blocks that share a core send more than it can, now that their chips are known."""
    several = {core for core, blocks in Counter(program.cores).items() if blocks > 1}
    if len(set(chip_of(program))) == 1:
        return False  # packing has counted all there is
    return any(row.core in several and row[OUT_AXONS].over for row in count(program))


def _number(program: Program, homes: list[list[int]]) -> tuple[int, ...]:
    """Give cores their numbers, chip by chip and tile by tile."""
    per_chip = program.target.number("chip.cores") or len(homes)
    between = _between_homes(traffic.messages(program), homes)
    core_of = np.zeros(len(program.blocks), np.int64)
    for chip, on_chip in enumerate(traffic.cluster(between, per_chip)):
        inside = between[np.ix_(on_chip, on_chip)]
        tiles = traffic.cluster(inside, traffic.cores_per_tile(program))
        for offset, local in enumerate(i for tile in tiles for i in tile):
            core_of[homes[on_chip[local]]] = chip * per_chip + offset
    return tuple(int(core) for core in core_of)


def _between_homes(sent: traffic.Floats, homes: list[list[int]]) -> traffic.Floats:
    """Sum what blocks send each other by the core they lie on, shape (homes, homes)."""
    order = [block for blocks in homes for block in blocks]
    first = np.cumsum([0, *map(len, homes[:-1])])
    by_row = np.add.reduceat(sent[order], first, axis=0)
    return np.asarray(np.add.reduceat(by_row[:, order], first, axis=1))
