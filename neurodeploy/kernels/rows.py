"""Rows: the synapses of each spike in the form the kernel adds fastest, equal ones stored once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.circuit import Wires, gather, stable_order

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int8]

LANES = 32
"""Neurons per vector: 32 16-bit accumulators fill the widest register there is."""
PACK = 4
"""Single synapses added at a time; rows of them are filled up with zeros."""

DENSE, WINDOWS, PACKED, WIDE, LEARNED = range(5)
"""How wires store their rows: one stretch over all vectors of the target; a list of vectors; single synapses
with index and mantissa in one word; single synapses of 32 bits each; weights that belong to the sample."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in compressed form, both ends in internal order, targets ascending and without duplicates."""

    start: Longs
    index: Longs
    weight: Ints

    @property
    def length(self) -> Longs:
        """Synapses per row."""
        return np.diff(self.start)


def sorted_rows(wires: Wires, source_order: Longs, target_order: Longs) -> tuple[Rows, Longs]:
    """Bring rows into internal order; also return the number of synapses of each, duplicates counted."""
    n_source, n_target = len(source_order), len(target_order)
    row = np.repeat(source_order, np.diff(wires.start))
    key = row * n_target + target_order[wires.index]
    if len(key) > 1 and not (np.diff(key) > 0).all():
        order = stable_order(target_order[wires.index], n_target)
        order = order[stable_order(row[order], n_source)]
        key, weight = key[order], wires.weight[order]
        first = np.flatnonzero(np.concatenate([[True], np.diff(key) > 0]))
        weight = np.add.reduceat(weight, first, dtype=np.int32)
        key = key[first]
    else:
        weight = wires.weight
    fan = np.bincount(row, minlength=n_source)
    count = np.bincount(key // n_target, minlength=n_source)
    start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    return Rows(start, key % n_target, weight), fan


def mantissas(weight: Ints) -> tuple[Ints, int] | None:
    """Write weights as 8-bit mantissas times a common power of two, or None where that is not exact."""
    bits = int(np.bitwise_or.reduce(weight)) if len(weight) else 0
    shift = (bits & -bits).bit_length() - 1 if bits else 0
    mantissa = weight >> shift
    if len(mantissa) and not -128 <= mantissa.min() <= mantissa.max() <= 127:
        return None
    return mantissa, shift


def _vectors_per_row(rows: Rows, n_target: int) -> Longs:
    """Count the vectors of the grid that each row touches."""
    row = np.repeat(np.arange(len(rows.length)), rows.length)
    cell = np.unique(row * (n_target + 1) + rows.index // LANES)
    return np.bincount(cell // (n_target + 1), minlength=len(rows.length))


def best_chunk(vectors: Longs) -> int:
    """Choose 1, 2 or 4 vectors at a time: zeros added cost time, so does a length that cannot be foreseen.

    A wrong guess of the processor about the length costs as much as some 12 vectors.
    """

    def cost(chunk: int) -> float:
        chunks = -(-vectors // chunk)
        foreseen = np.bincount(chunks).max() / len(chunks)
        return float(chunks.mean() * chunk + 12 * (1 - foreseen))

    return min((1, 2, 4), key=cost)


class Tables:
    """The growing tables of a layout."""

    def __init__(self) -> None:
        self.rows: list[Ints] = []
        self.windows: list[Ints] = []
        self.vectors: list[Bytes] = []
        self.words: list[Ints] = []
        self.counts = {"rows": 0, "windows": 0, "vectors": 0, "words": 0}

    def add(self, rows: Rows, fan: Longs, n_target: int, *, base: int) -> tuple[int, int, int, int]:
        """Store rows in the form that costs least; return kind, shift, first row and chunk.

        Parameters
        ----------
        rows : Rows
        fan : ndarray of int64, shape (R,)
            Synapses of each.
        n_target : int
            Size of the target group.
        base : int
            Its first position.
        """
        narrow = mantissas(rows.weight) if n_target < 2**23 else None
        if narrow is None:
            kind, shift, chunk, table = WIDE, 0, 0, self._words(rows, rows.weight, wide=True)
        else:
            mantissa, shift = narrow
            full = len(rows.index) == n_target * len(rows.length)
            kind, chunk, table = self._narrow(rows, mantissa, full=full, n_target=n_target)
        table[:, 2] += base
        table[:, 3] = fan
        return kind, shift, self.append(table), chunk

    def append(self, table: Ints) -> int:
        """Append lines of the row table; return the first one's number."""
        self.rows.append(table)
        self.counts["rows"] += len(table)
        return self.counts["rows"] - len(table)

    def _narrow(self, rows: Rows, mantissa: Ints, *, full: bool, n_target: int) -> tuple[int, int, Ints]:
        if full:
            return DENSE, 1, self._dense(rows, mantissa)
        few, row_of, shift_of = distinct_rows(rows, mantissa)
        vectors = _vectors_per_row(few, n_target)
        if 2 * vectors.sum() > len(few.index):
            return PACKED, 0, self._words(rows, mantissa, wide=False)
        chunk = best_chunk(vectors[row_of])
        table = self._windows(few, few.weight, chunk=chunk)[row_of]
        table[:, 2] += shift_of.astype(np.int32)
        return WINDOWS, chunk, table

    def _vectors(self, rows: Rows, mantissa: Ints, *, chunk: int) -> tuple[Ints, npt.NDArray[np.int8], Ints]:
        """Cut rows into vectors on the grid of LANES, filled up with zeros to a multiple of `chunk`.

        Returns
        -------
        table : ndarray of int32, shape (R, 4)
            First vector and how many.
        data : ndarray of int8, shape (V, LANES)
        at : ndarray of int32, shape (V,)
            Position of each vector.
        """
        length = rows.length
        row = np.repeat(np.arange(len(length)), length)
        grid = rows.index // LANES
        fresh = np.concatenate([[True], (np.diff(row) > 0) | (np.diff(grid) > 0)])[: len(row)]
        vector = np.cumsum(fresh) - 1  # in the order of rows; entries of a row are ascending
        used = np.bincount(row[fresh], minlength=len(length))
        held = -(-used // chunk) * chunk
        start = np.cumsum(held) - held
        slot = vector + np.repeat(start - (np.cumsum(used) - used), length)
        data = np.zeros((int(held.sum()), LANES), np.int8)
        data[slot, rows.index % LANES] = mantissa
        at = (gather(np.zeros_like(held), held) * LANES).astype(np.int32)  # zeros may go anywhere
        at[slot] = grid * LANES
        table = np.zeros((len(length), 4), np.int32)
        table[:, 0], table[:, 1] = start, held
        return table, data, at

    def _dense(self, rows: Rows, mantissa: Ints) -> Ints:
        table, data, _ = self._vectors(rows, mantissa, chunk=1)
        table[:, 0] += self._keep(data)
        return table

    def _windows(self, rows: Rows, mantissa: Ints, *, chunk: int) -> Ints:
        """Store rows as lists of places and vectors; equal vectors once, as a kernel's at all places."""
        table, data, at = self._vectors(rows, mantissa, chunk=chunk)
        distinct, number = np.unique(data.view(f"V{LANES}").ravel(), return_inverse=True)
        first = self._keep(distinct.view(np.int8).reshape(-1, LANES))
        table[:, 0] += self.counts["windows"]
        self.windows.append(np.column_stack([at, number.reshape(-1) + first]).astype(np.int32))
        self.counts["windows"] += len(at)
        return table

    def _keep(self, data: Bytes) -> int:
        """Append vectors; return the first one's number."""
        self.vectors.append(data)
        self.counts["vectors"] += len(data)
        return self.counts["vectors"] - len(data)

    def _words(self, rows: Rows, weight: Ints, *, wide: bool) -> Ints:
        """Store rows as single synapses."""
        table = np.zeros((len(rows.length), 4), np.int32)
        index = rows.index.astype(np.int32)
        if wide:
            words = np.stack([index, weight], axis=1).ravel()
            table[:, 0], table[:, 1] = 2 * rows.start[:-1], rows.length
        else:
            held = -(-rows.length // PACK) * PACK
            start = np.cumsum(held) - held
            words = (gather(np.zeros_like(held), held) % PACK << 8).astype(np.int32)  # zeros may go anywhere
            words[gather(start, rows.length)] = (index << 8) | (weight & 255)
            table[:, 0], table[:, 1] = start, held
        table[:, 0] += self.counts["words"]
        self.words.append(words.astype(np.int32))
        self.counts["words"] += len(words)
        return table

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the finished tables."""
        none = np.zeros(0, np.int32)
        return {
            "rows": np.concatenate([np.zeros((0, 4), np.int32), *self.rows]),
            "windows": np.concatenate([np.zeros((0, 2), np.int32), *self.windows]).ravel(),
            "vectors": np.concatenate([np.zeros((0, LANES), np.int8), *self.vectors]).ravel(),
            "words": np.concatenate([none, *self.words]),
        }


def distinct_rows(rows: Rows, mantissa: Ints) -> tuple[Rows, Longs, Longs]:
    """Find rows that are equal but for a shift by whole vectors.

    Returns
    -------
    kept : Rows
        One of each, targets counted from the vector of its first one.
    row_of : ndarray of int64, shape (R,)
        Which of the kept ones a row equals.
    shift_of : ndarray of int64, shape (R,)
        Position of that vector.
    """
    length = rows.length
    shift_of = np.zeros(len(length), np.int64)
    some = length > 0
    shift_of[some] = rows.index[rows.start[:-1][some]] // LANES * LANES
    local = rows.index - np.repeat(shift_of, length)
    # A row's name is a sum over codes of its targets and weights, and its length; checked below.
    names = _row_sums(_codes(local, mantissa), rows.start) * np.uint64(2**32 + 1) + length.astype(np.uint64)
    _, first, row_of = np.unique(names, return_index=True, return_inverse=True)
    row_of = row_of.reshape(-1)
    twin = gather(rows.start[first[row_of]], length)
    if not (np.array_equal(local[twin], local) and np.array_equal(mantissa[twin], mantissa)):
        first, row_of = np.arange(len(length)), np.arange(len(length))
    entry = gather(rows.start[first], length[first])
    start = np.concatenate([[0], np.cumsum(length[first])]).astype(np.int64)
    return Rows(start, local[entry], mantissa[entry]), row_of, shift_of


def _codes(target: Longs, mantissa: Ints) -> npt.NDArray[np.uint64]:
    """Mix each target and weight into a number that hardly any other pair has (as SplitMix64 does)."""
    x = target.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x += mantissa.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x ^= x >> np.uint64(shift)
        x *= np.uint64(factor)
    return x


def _row_sums(values: npt.NDArray[np.uint64], start: Longs) -> npt.NDArray[np.uint64]:
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
    return np.asarray(total[start[1:]] - total[start[:-1]])
