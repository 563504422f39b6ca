"""Fan-in and fan-out of a network's neurons, counted on its maps without writing single synapses out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import maps
from neurodeploy.program import ConvMap, DenseMap, Map, Population, Program

Longs = npt.NDArray[np.int64]


def fan_in(program: Program, population: Population, *, signed: bool | None = None) -> Longs:
    """Count the synapses into every neuron of a population, shape (N,).

    Parameters
    ----------
    signed : bool, optional
        Count positive (False) or negative (True) weights only.
    """
    into = [p.map for p in program.projections if p.target == population.name]
    return sum((_fan(map_, 1, signed) for map_ in into), np.zeros(population.size, np.int64))


def fan_out(program: Program, population: Population) -> Longs:
    """Count the synapses that leave every neuron of a population, shape (N,)."""
    out = [p.map for p in program.projections if p.source == population.name]
    return sum((_fan(map_, 0, None) for map_ in out), np.zeros(population.size, np.int64))


def fan_out_by_target(program: Program, population: Population) -> dict[str, Longs]:
    """Count the synapses that leave every neuron of a population to each other one, shape (N,) each."""
    found: dict[str, Longs] = {}
    for p in program.projections:
        if p.source == population.name:
            found[p.target] = found.get(p.target, 0) + _fan(p.map, 0, None)
    return found


def _fan(map_: Map, axis: int, signed: bool | None) -> Longs:
    """Count weights that are not zero: per target neuron (axis 1) or per source neuron (axis 0)."""
    weight = map_.weight
    there = weight != 0 if signed is None else (weight < 0 if signed else weight > 0)
    match map_:
        case DenseMap():
            return np.asarray(there.sum(axis=axis), np.int64)
        case ConvMap():
            return _conv_fan(map_, there, axis)
        case _:
            if axis == 1:
                rows = np.repeat(np.arange(map_.shape[0]), np.diff(map_.row_start))
                return np.bincount(rows[there], minlength=map_.shape[0]).astype(np.int64)
            return np.bincount(map_.column[there], minlength=map_.shape[1]).astype(np.int64)


def _conv_fan(map_: ConvMap, there: npt.NDArray[np.bool_], axis: int) -> Longs:
    """Count the taps of a convolution that fall on the image, kernel by kernel."""
    shape = map_.target_shape if axis == 1 else map_.source_shape
    hits = [_hits(map_, along, axis) for along in (0, 1)]  # (places, taps) each
    if axis == 1:
        taps = there.sum(axis=1, dtype=np.int64)  # (O, KH, KW)
    else:
        out, per_group = there.shape[:2]
        grouped = there.reshape(map_.groups, out // map_.groups, *there.shape[1:])
        taps = grouped.sum(axis=1, dtype=np.int64).reshape(map_.groups * per_group, *there.shape[2:])
    return np.asarray(np.einsum("ckl,hk,wl->chw", taps, *hits).reshape(int(np.prod(shape))), np.int64)


def _hits(map_: ConvMap, along: int, axis: int) -> Longs:
    at = maps.windows_of(map_, along)  # (targets, taps) -> source place or -1
    if axis == 1:
        return (at >= 0).astype(np.int64)
    hits = np.zeros((map_.source_shape[1 + along], at.shape[1]), np.int64)
    target, tap = np.nonzero(at >= 0)
    np.add.at(hits, (at[target, tap], tap), 1)
    return hits


def weights_per_neuron(program: Program, population: Population) -> Longs:
    """Count the different weights (zero left out) into every neuron of a population, shape (N,)."""
    into = [p.map for p in program.projections if p.target == population.name]
    if not into:
        return np.zeros(population.size, np.int64)
    if len(into) == 1 and isinstance(into[0], ConvMap):
        map_ = into[0]
        kernels = [len(np.unique(k[k != 0])) for k in map_.weight]
        return np.repeat(np.array(kernels, np.int64), population.size // len(kernels))
    if len(into) == 1 and isinstance(into[0], DenseMap):
        return _different(into[0].weight)
    matrices = [maps.as_matrix(map_) for map_ in into]
    row = np.concatenate([np.repeat(np.arange(population.size), np.diff(m.indptr)) for m in matrices])
    value = np.concatenate([m.data for m in matrices])
    row, value = row[value != 0], value[value != 0]
    order = np.lexsort((value, row))
    row, value = row[order], value[order]
    new = np.append(True, (row[1:] != row[:-1]) | (value[1:] != value[:-1]))[: len(row)]
    return np.bincount(row[new], minlength=population.size).astype(np.int64)


def _different(weight: npt.NDArray[np.float64]) -> Longs:
    """Count the different values, zero left out, of every row."""
    rows = np.sort(weight, axis=1)
    new = np.ones(rows.shape, np.bool_)
    new[:, 1:] = rows[:, 1:] != rows[:, :-1]
    return np.asarray((new & (rows != 0)).sum(axis=1), np.int64)


def mixed_sources(program: Program, population: Population) -> int:
    """Count the neurons of a population whose outgoing weights have both signs."""
    out = [p.map for p in program.projections if p.source == population.name]
    up = sum((_fan(m, 0, False) for m in out), np.zeros(population.size, np.int64))
    down = sum((_fan(m, 0, True) for m in out), np.zeros(population.size, np.int64))
    return int(((up > 0) & (down > 0)).sum())
