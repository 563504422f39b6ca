"""What synapses cost in a core's memory, by the public models of a chip's formats.

Two tools publish how they count on Loihi, and they disagree a little in both directions. A hardware file
holds the figures of both and names the one in force; a report says where the other would decide differently.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.program import Synapses
from neurodeploy.targets import Target

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CostModel:
    """How synapses are counted in words.

    Parameters
    ----------
    name : str
    word : int
        Bits of a word.
    per_entry : int
        Synapses in one entry.
    head : int
        Bits in front of each entry.
    spare_from : int or None
        Bits of the last word from which one more word is taken; also if it is full.
    index_in_head : bool
        Whether an entry of a dense row starts with an index.
    rows_together : bool
        Whether the rows of a group are packed as one and each entry starts on a word, or every row takes the
        words of the longest.
    index_widths, delay_widths : tuple of int
        Widths an index and a delay may have.
    delay_implicit : int
        Steps that every spike takes, which no field holds.
    """

    name: str
    word: int
    per_entry: int
    head: int
    spare_from: int | None
    index_in_head: bool
    rows_together: bool
    index_widths: tuple[int, ...]
    delay_widths: tuple[int, ...] = ()
    delay_implicit: int = 0


def cost_model(target: Target, name: str | None = None) -> CostModel | None:
    """Return a target's cost model, the one in force unless named; None if it has none."""
    name = name or str(target.limit("synapse.cost_model").value)
    path = f"synapse.cost_models.{name}"
    if f"{path}.synapses_per_entry" not in target.facts:
        return None
    return CostModel(
        name=name,
        word=target.require("core.word_bits"),
        per_entry=target.require(f"{path}.synapses_per_entry"),
        head=target.require(f"{path}.entry_head_bits"),
        spare_from=target.number(f"{path}.spare_word_from_bit"),
        index_in_head=bool(target.is_true(f"{path}.index_in_dense_head")),
        rows_together=bool(target.is_true(f"{path}.rows_together")),
        index_widths=target.words("synapse.index.bits"),
        delay_widths=target.words("delay.bits"),
        delay_implicit=target.number("delay.implicit_steps") or 0,
    )


def words(model: CostModel, synapses: Synapses) -> int:
    """Count the words of synapse memory that one group of synapses takes."""
    dense = is_dense(synapses)
    index = index_width(int(synapses.index.max(initial=0)), model.index_widths)
    first, size = groups(synapses)
    width = synapses.weight_bits + delay_width(synapses.delay - model.delay_implicit, model.delay_widths)
    if model.rows_together:
        return int(group_words(model, size, bits=width + (0 if dense else index)).sum())
    length = np.diff(synapses.row_start)
    head = model.head + (index if dense and model.index_in_head else 0)
    bits = -(-length // model.per_entry) * head + length * (width + (0 if dense else index))
    each = -(-bits // model.word)
    if model.spare_from is not None:
        last = bits % model.word
        each = each + (((last == 0) | (last >= model.spare_from)) & (length > 0))
    if not len(first) or not len(each):
        return 0
    rows = np.diff(np.append(first, len(length)))
    return int((np.maximum.reduceat(each, first) * rows).sum())


def longest_row(model: CostModel, synapses: Synapses) -> int:
    """Count the words of the longest row, which one spike reads."""
    index = 0 if is_dense(synapses) else index_width(int(synapses.index.max(initial=0)), model.index_widths)
    width = synapses.weight_bits + delay_width(synapses.delay - model.delay_implicit, model.delay_widths)
    longest = np.diff(synapses.row_start).max(initial=0, keepdims=True)
    return int(group_words(model, longest, bits=width + index)[0])


def group_words(model: CostModel, count: Longs, *, bits: int) -> Longs:
    """Words of groups of `count` synapses of `bits` bits, packed in entries that each start on a word."""
    full = -(-(model.per_entry * bits + model.head) // model.word)
    rest = count % model.per_entry
    part = np.where(rest > 0, -(-(rest * bits + model.head) // model.word), 0)
    return np.asarray((count // model.per_entry) * full + part)


def index_width(largest: int, widths: tuple[int, ...]) -> int:
    """Return the smallest index field that holds an index; the widest if none does."""
    bits = max(largest, 0).bit_length()
    return min((w for w in widths if w >= bits), default=max(widths, default=bits))


def delay_width(steps: int, widths: tuple[int, ...]) -> int:
    """Return the smallest delay field for so many steps beyond the implicit ones; the widest if none does.

    A field of b bits holds up to ``2**b - 2`` steps (Davies et al. 2018, p. 92: 62 with 6 bits).
    """
    if steps <= 0:
        return 0
    return min((w for w in widths if steps <= 2**w - 2), default=max(widths, default=0))


def is_dense(synapses: Synapses) -> bool:
    """Whether every row runs through the compartments from 0 without gaps: then no index is stored."""
    if synapses.axon_kind != "discrete":
        return False
    length = np.diff(synapses.row_start)
    place = np.arange(len(synapses.index)) - np.repeat(synapses.row_start[:-1], length)
    return bool((synapses.index == place).all())


def groups(synapses: Synapses) -> tuple[Longs, Longs]:
    """Find the rows that are stored under one address; axons that share weights share a group.

    Returns
    -------
    first, size : ndarray of int64
        First row of each group, and synapses in the whole group.
    """
    first = np.unique(synapses.first_row).astype(np.int64)
    last = np.append(first[1:], len(synapses.row_start) - 1)
    return first, synapses.row_start[last] - synapses.row_start[first]
