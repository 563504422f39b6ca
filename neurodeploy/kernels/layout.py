"""Layout: a circuit as the flat tables the fast kernel walks.

Neurons lie in groups padded to whole vectors of `LANES`; images lie with their channels innermost, so that the
targets of one spike of a convolution are a few stretches of neighbours. Weights shrink to 8-bit mantissas with a common
shift wherever they are exact, and equal rows are stored once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.circuit import Circuit, Group, Wires, gather

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int8]

LANES = 32
"""Neurons per vector: 32 16-bit accumulators fill the widest register there is."""

HORIZON = 64
"""Steps a stage runs at a time; a host neuron's spikes in them are the bits of one word."""
MEMO = 1024
"""Trains of host neurons kept for reuse: images have few grey levels."""

DENSE, WINDOWS, PACKED, WIDE = range(4)
"""How wires store their rows: one stretch over all vectors of the target; a list of vectors; single synapses with index and
mantissa in one word; single synapses of 32 bits each."""

OUTSIDE, INTEGRATE, GENERAL = range(3)
"""How a group is stepped: not at all; without decay but for the current's last bit; with everything."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A circuit in tables; positions are those of padded neurons, N of them.

    Parameters
    ----------
    groups : ndarray of int64, shape (G, 7)
        First position, size, kind of step; of `INTEGRATE` also the kept current (0 or 1), threshold, lower and
        upper bound.
    wires : ndarray of int64, shape (W, 6)
        Source group, target group, kind of rows, shift, first row; of `WINDOWS` also what the number of vectors
        is a multiple of. Sorted by the target's stage.
    rows : ndarray of int32, shape (R, 4)
        Per source position: first vector or word, how many, position they start from, synapses.
    vector_at : ndarray of int32, shape (V,)
        Position of a vector, counted from the row's.
    vectors : ndarray of int8, shape (V * LANES,)
        Mantissas.
    words : ndarray of int32, shape (K,)
        Of PACKED rows (index in the upper 24 bits, mantissa in the lower 8); of WIDE rows an index, then a weight.
    neurons : ndarray of int32, shape (7, N)
        Kept current and membrane (of 4096), bias, threshold, refractory steps, lower and upper bound.
    position : ndarray of int64, shape (n,)
        Where each of the circuit's neurons lies.
    sequence : ndarray of int64, shape (G,)
        Groups in the order of stages.
    stages : ndarray of int64, shape (S, 4)
        First and last group in `sequence`, first and last of `wires` into them. Stages depend on earlier ones only;
        the groups of one stage feed each other.
    """

    groups: Longs
    wires: Longs
    rows: Ints
    vector_at: Ints
    vectors: Bytes
    words: Ints
    neurons: Ints
    position: Longs
    sequence: Longs
    stages: Longs

    @property
    def size(self) -> int:
        """Number of padded positions."""
        return self.neurons.shape[1]

    def span(self, group: int) -> slice:
        """Where a group lies among the circuit's neurons."""
        before = int(self.groups[:group, 1].sum())
        return slice(before, before + int(self.groups[group, 1]))

    @property
    def nbytes(self) -> int:
        """Bytes of all weights and row tables."""
        return self.rows.nbytes + self.vector_at.nbytes + self.vectors.nbytes + self.words.nbytes


def lay_out(circuit: Circuit) -> Layout:
    """Arrange a circuit for the kernel.

    Parameters
    ----------
    circuit : Circuit

    Returns
    -------
    Layout
    """
    starts = np.cumsum([0] + [_padded(group.size) for group in circuit.groups])
    orders = [internal_order(group) for group in circuit.groups]
    groups = np.zeros((len(circuit.groups), 7), np.int64)
    neurons = np.zeros((7, int(starts[-1])), np.int32)
    neurons[3] = np.iinfo(np.int32).max
    for i, group in enumerate(circuit.groups):
        place = starts[i] + orders[i]
        groups[i] = starts[i], group.size, *_fill(group, neurons, place)
    tables = _Tables()
    sequence, stage_of = stages_of(len(circuit.groups), [(w.source, w.target) for w in circuit.wires])
    wires = sorted(circuit.wires, key=lambda w: (stage_of[w.target], w.target))
    records = [
        tables.add(_sorted_rows(w, orders[w.source], orders[w.target]), circuit.groups[w.target].size,
                   base=int(starts[w.target]), ends=(w.source, w.target))
        for w in wires
    ]  # fmt: skip
    position = np.concatenate([s + o for s, o in zip(starts, orders, strict=False)])
    return Layout(
        groups=groups,
        wires=np.array(records, np.int64).reshape(-1, 6),
        neurons=neurons,
        position=position.astype(np.int64),
        sequence=np.array(sequence, np.int64),
        stages=_bounds([stage_of[g] for g in sequence], [stage_of[w.target] for w in wires]),
        **tables.arrays(),
    )


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
    cuts = [
        np.searchsorted(given, stages, side)
        for given in (group_stages, wire_stages)
        for side in ("left", "right")
    ]
    return np.stack(cuts, axis=1).astype(np.int64)


def _padded(size: int) -> int:
    return -(-size // LANES) * LANES


def internal_order(group: Group) -> Longs:
    """Place of every neuron within its group: images (C, H, W) are laid out as (H, W, C)."""
    if len(group.shape) != 3 or 1 in (group.shape[0], group.shape[1] * group.shape[2]):
        return np.arange(group.size)
    channels, height, width = group.shape
    return np.arange(group.size).reshape(height, width, channels).transpose(2, 0, 1).ravel()


def _fill(group: Group, neurons: Ints, place: Longs) -> tuple[int, int, int, int, int]:
    """Write a group's parameters; return how it is stepped."""
    c = group.compartments
    if c is None:
        return OUTSIDE, 0, 0, 0, 0
    lower, upper = group.bounds or (np.full(group.size, c.vmin), np.full(group.size, c.vmax))
    keep = 4095 - c.decay_u
    for row, column in zip(
        neurons, (keep, 4096 - c.decay_v, c.bias, c.vth, c.refract, lower, upper), strict=True
    ):
        row[place] = column
    # Without decay neither sum can leave its width: |u| <= 2**21 + 2**11 and |u + bias| < 2**23.
    same = [int(column[0]) for column in (keep, c.vth, lower, upper) if (column == column[0]).all()]
    plain = (
        len(same) == 4
        and same[0] <= 1
        and same[1] >= 0
        and not c.decay_v.any()
        and int(c.refract.max()) <= 1
        and int(np.abs(c.bias.astype(np.int64)).max()) <= 2**22
    )
    return (INTEGRATE, *same) if plain else (GENERAL, 0, 0, 0, 0)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows in compressed form, both ends in internal order, targets ascending and without duplicates."""

    start: Longs
    index: Longs
    weight: Ints

    @property
    def length(self) -> Longs:
        return np.diff(self.start)


def _sorted_rows(wires: Wires, source_order: Longs, target_order: Longs) -> tuple[_Rows, Longs]:
    """Bring rows into internal order; also return the number of synapses of each, duplicates counted."""
    n_source, n_target = len(source_order), len(target_order)
    row = np.repeat(source_order, np.diff(wires.start))
    key = row * n_target + target_order[wires.index]
    if len(key) > 1 and not (np.diff(key) > 0).all():
        order = np.argsort(key, kind="stable")
        key, weight = key[order], wires.weight[order]
        first = np.flatnonzero(np.concatenate([[True], np.diff(key) > 0]))
        weight = np.add.reduceat(weight, first, dtype=np.int32)
        key = key[first]
    else:
        weight = wires.weight
    fan = np.bincount(row, minlength=n_source)
    count = np.bincount(key // n_target, minlength=n_source)
    start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    return _Rows(start, key % n_target, weight), fan


def mantissas(weight: Ints) -> tuple[Ints, int] | None:
    """Write weights as 8-bit mantissas times a common power of two, or None where that is not exact."""
    bits = int(np.bitwise_or.reduce(weight)) if len(weight) else 0
    shift = (bits & -bits).bit_length() - 1 if bits else 0
    mantissa = weight >> shift
    if len(mantissa) and not -128 <= mantissa.min() <= mantissa.max() <= 127:
        return None
    return mantissa, shift


def _vectors_per_row(rows: _Rows, n_target: int) -> Longs:
    """Count the vectors of the grid that each row touches."""
    row = np.repeat(np.arange(len(rows.length)), rows.length)
    cell = np.unique(row * (n_target + 1) + rows.index // LANES)
    return np.bincount(cell // (n_target + 1), minlength=len(rows.length))


def best_chunk(vectors: Longs) -> int:
    """Choose 1, 2 or 4 vectors at a time: zeros added cost time, and so does a length that cannot be foreseen.

    A wrong guess of the processor about the length costs as much as some 12 vectors.
    """

    def cost(chunk: int) -> float:
        chunks = -(-vectors // chunk)
        foreseen = np.bincount(chunks).max() / len(chunks)
        return float(chunks.mean() * chunk + 12 * (1 - foreseen))

    return min((1, 2, 4), key=cost)


class _Tables:
    """The growing tables of a layout."""

    def __init__(self) -> None:
        self.rows: list[Ints] = []
        self.vector_at: list[Ints] = []
        self.vectors: list[Bytes] = []
        self.words: list[Ints] = []
        self.counts = {"rows": 0, "vectors": 0, "words": 0}

    def add(
        self, given: tuple[_Rows, Longs], n_target: int, *, base: int, ends: tuple[int, int]
    ) -> tuple[int, int, int, int, int, int]:
        """Store the rows of one wires record in the form that costs least; return its line in the table."""
        rows, fan = given
        narrow = mantissas(rows.weight)
        first_row = self.counts["rows"]
        if narrow is None:
            kind, shift, chunk, table = WIDE, 0, 0, self._words(rows, rows.weight, wide=True)
        else:
            mantissa, shift = narrow
            full = len(rows.index) == n_target * len(rows.length)
            kind, chunk, table = self._narrow(rows, mantissa, full=full, n_target=n_target)
        table[:, 2] += base
        table[:, 3] = fan
        self.rows.append(table)
        self.counts["rows"] += len(table)
        return (*ends, kind, shift, first_row, chunk)

    def _narrow(self, rows: _Rows, mantissa: Ints, *, full: bool, n_target: int) -> tuple[int, int, Ints]:
        if full:
            return DENSE, 1, self._vectors(rows, mantissa, chunk=1)
        few, row_of, shift_of = distinct_rows(rows, mantissa)
        vectors = _vectors_per_row(few, n_target)
        if 2 * vectors.sum() > len(few.index):
            return PACKED, 0, self._words(rows, mantissa, wide=False)
        chunk = best_chunk(vectors[row_of])
        table = self._vectors(few, few.weight, chunk=chunk)[row_of]
        table[:, 2] += shift_of.astype(np.int32)
        return WINDOWS, chunk, table

    def _vectors(self, rows: _Rows, mantissa: Ints, *, chunk: int) -> Ints:
        """Store rows as vectors on the grid of LANES, filled up with zeros to a multiple of `chunk`."""
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
        table[:, 0], table[:, 1] = self.counts["vectors"] + start, held
        self.vectors.append(data)
        self.vector_at.append(at)
        self.counts["vectors"] += len(data)
        return table

    def _words(self, rows: _Rows, weight: Ints, *, wide: bool) -> Ints:
        """Store rows as single synapses."""
        per = 2 if wide else 1
        table = np.zeros((len(rows.length), 4), np.int32)
        table[:, 0] = self.counts["words"] + per * rows.start[:-1]
        table[:, 1] = rows.length
        index = rows.index.astype(np.int32)
        words = np.stack([index, weight], axis=1).ravel() if wide else (index << 8) | (weight & 255)
        self.words.append(words.astype(np.int32))
        self.counts["words"] += len(words)
        return table

    def arrays(self) -> dict[str, npt.NDArray[np.int32] | Bytes]:
        """The finished tables."""
        none = np.zeros(0, np.int32)
        return {
            "rows": np.concatenate([np.zeros((0, 4), np.int32), *self.rows]),
            "vector_at": np.concatenate([none, *self.vector_at]),
            "vectors": np.concatenate([np.zeros((0, LANES), np.int8), *self.vectors]).ravel(),
            "words": np.concatenate([none, *self.words]),
        }


def distinct_rows(rows: _Rows, mantissa: Ints) -> tuple[_Rows, Longs, Longs]:
    """Find rows that are equal but for a shift by whole vectors.

    Returns
    -------
    kept : _Rows
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
    # A row's name: its length and two sums over a random code per (target, weight), exact enough to be checked below.
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**63, (2, 1 << 16), dtype=np.uint64)
    with np.errstate(over="ignore"):
        mixed = [
            c[local & 0xFFFF] * (2 * (mantissa.astype(np.int64) + 1000).astype(np.uint64) + 1) for c in codes
        ]
    sums = [_row_sums(m, rows.start) for m in mixed]
    names = np.stack([length.astype(np.uint64), *sums], axis=1)
    _, first, row_of = np.unique(names, axis=0, return_index=True, return_inverse=True)
    row_of = row_of.reshape(-1)
    twin = gather(rows.start[first[row_of]], length)
    if not (np.array_equal(local[twin], local) and np.array_equal(mantissa[twin], mantissa)):
        first, row_of = np.arange(len(length)), np.arange(len(length))
    entry = gather(rows.start[first], length[first])
    start = np.concatenate([[0], np.cumsum(length[first])]).astype(np.int64)
    return _Rows(start, local[entry], mantissa[entry]), row_of, shift_of


def _row_sums(values: npt.NDArray[np.uint64], start: Longs) -> npt.NDArray[np.uint64]:
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
    return total[start[1:]] - total[start[:-1]]
