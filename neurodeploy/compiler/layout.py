"""Layout: the part of a projection that reaches one block, as axons, rows and compartment indices.

Dense and sparse projections take one axon per source neuron, a convolution one population axon per source
pixel. This is how nengo-loihi lays them out; that equal sources share an axon is ours, and that several
sources are the atoms of one population axon where a neuron has more inputs than its core has axons.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from neurodeploy.compiler import maps
from neurodeploy.compiler.convolution import Conv, conv_synapses, equal_taps
from neurodeploy.compiler.tiles import NONE, AxonRules, Grid, Tile
from neurodeploy.compiler.wiring import Wiring, equal_columns
from neurodeploy.program import ConvMap, Projection, Synapses


def synapses_into(projection: Projection, wiring: Wiring | Conv, tile: Tile, grid: Grid) -> Synapses:
    """Lay out the synapses of a projection that end in a tile of the target.

    Parameters
    ----------
    projection : Projection
        With integer weights.
    wiring : Wiring or Conv
        Of this projection.
    tile : Tile
    grid : tuple of int
        Shape (C, H, W) of the target population that tiles are cut from.
    """
    if isinstance(wiring, Conv):
        return conv_synapses(projection, wiring, tile)
    rows, used = wiring.rows_into(tile.neurons(grid))
    axons, first = np.unique(used // wiring.atoms, return_index=True)
    number = np.full(wiring.axons + 1, NONE, np.int32)  # the last one is for sources without weights
    number[axons] = np.arange(len(axons), dtype=np.int32)
    axon = number[np.where(wiring.unit >= 0, wiring.unit // wiring.atoms, NONE)]
    return Synapses(
        source=projection.source,
        axon=axon,
        atom=np.where(axon >= 0, wiring.unit % wiring.atoms, 0).astype(np.int32),
        first_row=first.astype(np.int32),
        base=np.zeros(len(axons), np.int32),
        row_start=rows[0],
        index=rows[1],
        weight=rows[2],
        axon_kind=wiring.rules.kind,
        weight_exp=projection.weight_exp,
        weight_bits=projection.weight_bits,
        delay=projection.delay,
    )


def wire(projection: Projection, rules: AxonRules, *, sparse_below: float) -> Wiring | Conv:
    """Prepare a projection with integer weights for cutting.

    Parameters
    ----------
    projection : Projection
    rules : AxonRules
        Of the axons that a convolution uses.
    sparse_below : float
        Share of weights that are not zero below which single synapses with indices are smaller than whole
        rows.
    """
    map_ = projection.map
    if isinstance(map_, ConvMap):
        return Conv(map_, rules, (equal_taps(map_, 0), equal_taps(map_, 1)))
    matrix = maps.as_matrix(map_)
    matrix.eliminate_zeros()
    unit, first = equal_columns(matrix)
    matrix = matrix[:, first]
    rows, columns = matrix.shape
    full = matrix.nnz >= sparse_below * rows * columns
    if not full:
        return Wiring(matrix, unit)
    dense = matrix.toarray().astype(np.int32)
    zeros = rows - np.count_nonzero(dense, axis=0)
    return Wiring(dense, unit, int(zeros.max(initial=0)))


def share_axons(wiring: Wiring, rules: AxonRules, atoms: int) -> Wiring:
    """Let so many units share an axon, told apart by their atoms: the same sums from fewer axons."""
    matrix = wiring.matrix if wiring.dense else wiring.matrix.toarray().astype(np.int32)
    zeros = int((matrix.shape[0] - np.count_nonzero(matrix, axis=0)).max(initial=0))
    return dataclasses.replace(wiring, matrix=matrix, most_zeros=zeros, rules=rules, atoms=atoms)
