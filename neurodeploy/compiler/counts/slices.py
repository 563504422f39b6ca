"""Slices: parts whose cores are known by what they hold, neuron by neuron and axon by axon, and no further.

Where neurons per core and axons are published and nothing else binds, a network can be cut into cores
although its numbers stay in floats: populations into boxes, a core for each. Every source neuron takes an
axon of its own, because what two sources share is a matter of formats that are not written here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from neurodeploy.compiler import maps, partition
from neurodeploy.compiler.convolution import Conv
from neurodeploy.compiler.counts import coupled
from neurodeploy.compiler.counts.uses import CoreUse, use
from neurodeploy.compiler.tiles import DISCRETE, NONE
from neurodeploy.compiler.wiring import Wiring
from neurodeploy.program import ConvMap, Program, Projection

LARGEST = 2**25
"""Most synapses, written out one by one, that are looked at; a larger network is counted by its neurons."""


def count(program: Program) -> Iterator[CoreUse]:
    """Cut every population into as few boxes as fit, and count what each takes of its core."""
    target = program.target
    axons = target.limit("core.in_axons").known and _size(program) <= LARGEST
    seen = program if axons else dataclasses.replace(program, projections=())
    wiring = tuple(_wire(p) for p in seen.projections)
    cutter = partition.Cutter(seen, partition.core_limits(target), None, wiring)
    found = partition.find_cuts(cutter)
    number, per_chip = 0, target.require("chip.cores")
    for population in program.populations:
        if not population.on_chip:
            continue
        cut = found[population.name]
        for part, tile in enumerate(cut.cutting.tiles()):
            need = cutter.need(population.name, tile, cut.grid, [])
            uses = [use(target, "neurons", "core.neurons", need.neurons)]
            if axons:
                uses.append(use(target, "input axons", "core.in_axons", need.in_axons))
            uses += coupled.of_population(program, population, need.neurons)
            name = f"{population.name}[{part}]"
            yield CoreUse(population.name, population.origin, name, number, number // per_chip, tuple(uses))
            number += 1


def _size(program: Program) -> int:
    return sum(maps.synapse_count(p.map) for p in program.projections)


def _wire(projection: Projection) -> Wiring | Conv:
    """Prepare a projection for cutting, by which weights are there, not by what they are."""
    map_ = projection.map
    there = maps.with_weight(map_, (map_.weight != 0).astype(np.int32))
    if isinstance(there, ConvMap) and there.weight.all():  # with gaps, not all of a window takes an axon
        kernel = there.weight.shape[2:]
        alive = there.weight.any(axis=(0, 1, 3)), there.weight.any(axis=(0, 1, 2))
        return Conv(there, DISCRETE, tuple((np.arange(n), a) for n, a in zip(kernel, alive, strict=True)))
    matrix = maps.as_matrix(there)
    matrix.eliminate_zeros()
    used = np.asarray(matrix.sum(axis=0)).ravel() > 0
    return Wiring(matrix, np.where(used, np.arange(matrix.shape[1]), NONE))
