"""Wiring: single weights by unit; source neurons whose weights are all equal are one unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.tiles import DISCRETE, NONE, AxonRules, Ints

Longs = npt.NDArray[np.int64]
Sparse: TypeAlias = Any  # scipy.sparse.csr_array, which has no type information


@dataclass(frozen=True, eq=False)
class Wiring:
    """A dense or sparse projection by units: source neurons whose weights are all equal are one.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array or ndarray of int32, shape (N_target, U)
        One column per unit.
    unit : ndarray of int64, shape (N_source,)
        Unit of each source neuron, -1 where all its weights are zero.
    most_zeros : int
        Zeros in the column that has most; more neurons than that always hold a weight of every unit.
    rules : AxonRules
        Of the axons in use.
    atoms : int
        Units that share an axon; with more than one, rows are kept whole.
    """

    matrix: Any
    unit: Longs
    most_zeros: int = 0
    rules: AxonRules = DISCRETE
    atoms: int = 1

    @property
    def units(self) -> int:
        """Number of units."""
        return int(self.matrix.shape[1])

    @property
    def axons(self) -> int:
        """Number of axons that all units take."""
        return -(-self.units // self.atoms)

    def grouped(self, count: Longs) -> Longs:
        """Sum a count per unit over the units of every axon, shape (A,)."""
        if self.atoms == 1 or not len(count):
            return count
        return np.asarray(np.add.reduceat(count, np.arange(0, self.units, self.atoms)))

    @property
    def dense(self) -> bool:
        """Whether rows are kept without indices."""
        return isinstance(self.matrix, np.ndarray)

    def inputs(self) -> Longs:
        """Count the units that every neuron of the target listens to, shape (N_target,)."""
        if self.dense:
            return np.asarray(np.count_nonzero(self.matrix, axis=1), np.int64)
        return np.asarray(np.diff(self.matrix.indptr), np.int64)

    def counts_into(self, neurons: Ints) -> Longs:
        """Count the synapses of every unit into some neurons of the target, shape (U,)."""
        if self.dense and len(neurons) > self.most_zeros:
            return np.full(self.units, len(neurons), np.int64)
        if self.dense:
            return np.where(self.matrix[neurons].any(axis=0), len(neurons), 0)
        return np.bincount(self.matrix[neurons].indices, minlength=self.units).astype(np.int64)

    def rows_into(self, neurons: Ints) -> tuple[tuple[Longs, Ints, Ints], Longs]:
        """Return rows (start, index, weight) into some neurons, and the units that have one.

        Where one of the units of an axon has a row, all of them do.
        """
        if self.dense:
            block = np.ascontiguousarray(self.matrix[neurons].T)
            there = self.grouped(block.any(axis=1).astype(np.int64)) > 0
            used = np.flatnonzero(np.repeat(there, self.atoms)[: self.units])
            start = np.arange(len(used) + 1, dtype=np.int64) * len(neurons)
            index = np.tile(np.arange(len(neurons), dtype=np.int32), len(used))
            return (start, index, block[used].ravel()), used
        columns = self.matrix[neurons].tocsc()
        columns.sort_indices()
        length = np.diff(columns.indptr)
        used = np.flatnonzero(length)
        start = np.concatenate([[0], np.cumsum(length[used])]).astype(np.int64)
        return (start, columns.indices.astype(np.int32), columns.data.astype(np.int32)), used


def equal_columns(matrix: Sparse) -> tuple[Longs, Longs]:
    """Find columns that are equal.

    Returns
    -------
    unit : ndarray of int64, shape (N_source,)
        Number of the set each column is in, in order of first appearance; -1 for an empty column.
    first : ndarray of int64, shape (U,)
        First column of each set.
    """
    columns = matrix.tocsc()
    columns.sort_indices()
    mark = np.random.default_rng(0).integers(1, 2**62, size=matrix.shape[0], dtype=np.int64)
    length = np.diff(columns.indptr)
    owner = np.repeat(np.arange(matrix.shape[1]), length)
    key = np.zeros(matrix.shape[1], np.int64)
    np.add.at(key, owner, columns.data.astype(np.int64) * mark[columns.indices])  # a hash: wraps on purpose
    unit = np.full(matrix.shape[1], NONE, np.int64)
    filled = np.flatnonzero(length)
    _, first, group = np.unique(key[filled], return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    unit[filled] = rank[group.reshape(-1)]
    return unit, filled[first[order]]
