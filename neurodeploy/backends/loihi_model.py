"""A model of nengo-loihi, discretised for the chip, as a circuit for the fast kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.circuit import Circuit, Entries, Group, Learning, Noise, Wires, gather, merge
from neurodeploy.kernels.rows import mantissas
from neurodeploy.numerics.neurons import Compartments

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

LEARN_FRACTION = 7
"""Bits of a learned weight that are kept while it changes (nengo-loihi, `builder/discretize.py`)."""
LEARN_OVERFLOW = 2
"""Bits by which the product of trace and error is shifted back."""


@dataclass(frozen=True, eq=False)
class Translation:
    """A circuit, and where the parts of the model are in it.

    Parameters
    ----------
    circuit : Circuit
        All inputs make up group 0, if there are any; the blocks follow in the model's order.
    homes : dict
        Group, and first neuron in it, of each block and input, by identity.
    rules : tuple
        Synapses that learn, in the order of ``circuit.learning``.
    """

    circuit: Circuit
    homes: dict[int, tuple[int, int]]
    rules: tuple[Any, ...]


def translate(model: Any) -> Translation:
    """Read a model's blocks and inputs.

    Parameters
    ----------
    model : nengo_loihi.builder.Model
        Discretised.

    Returns
    -------
    Translation
    """
    inputs, families = list(model.inputs), gather_families(model)
    homes = _homes([inputs] if inputs else [], families)
    outside = [Group("inputs", sum(i.n_neurons for i in inputs), None)] if inputs else []
    groups = (*outside, *(_group(family, model) for family in families))
    sources = [*inputs, *model.blocks]
    entries: dict[tuple[int, int, int], list[Entries]] = {}
    rules, learning = [], []
    for block in model.blocks:
        for synapse in block.synapses:
            target, first = homes[id(block)]
            reached = _reached(synapse, sources, homes)
            if synapse.learning:
                learning.append(_learning(synapse, target, reached, groups))
                rules.append(synapse)
                continue
            rows = _rows(synapse)
            shift = _shift(rows[2])
            for source, parts in reached.items():
                found = [_expand(synapse, part, rows, first) for part in parts]
                entries.setdefault((source, target, shift), []).extend(found)
    wires = [_wires(parts, groups[ends[0]].size, ends[:2]) for ends, parts in entries.items()]
    return Translation(Circuit(groups, tuple(wires), tuple(learning)), homes, tuple(rules))


def gather_families(model: Any) -> list[list[Any]]:
    """Put blocks that were cut from one together again, if they come in a row and share a weight scale."""
    blocks, families = list(model.blocks), []
    number = {id(b): i for i, b in enumerate(blocks)}
    lists = [v for parts in model.objs.values() for v in parts.values() if isinstance(v, list) and len(v) > 1]
    runs = {min(number[id(b)] for b in v): v for v in lists if all(id(b) in number for b in v)}
    i = 0
    while i < len(blocks):
        run = runs.get(i, [blocks[i]])
        family = blocks[i : i + len(run)]
        if {id(b) for b in family} != {id(b) for b in run} or not _alike(family):
            family = [blocks[i]]
        families.append(family)
        i += len(family)
    return families


def _alike(family: list[Any]) -> bool:
    """Whether blocks neither learn nor need more than 8 bits for all their weights together."""
    synapses = [s for block in family for s in block.synapses]
    if any(s.learning for s in synapses):
        return False
    weights = [np.asarray(w).ravel() for s in synapses for w in s.weights]
    return not weights or mantissas(np.concatenate(weights).astype(np.int32)) is not None


def _homes(inputs: list[list[Any]], families: list[list[Any]]) -> dict[int, tuple[int, int]]:
    homes = {}
    for group, members in enumerate([*inputs, *families]):
        first = 0
        for member in members:
            homes[id(member)] = (group, first)
            first += member.n_neurons
    return homes


def _group(family: list[Any], model: Any) -> Group:
    def column(field: str) -> Ints:
        parts = [np.broadcast_to(np.asarray(getattr(b.compartment, field)), b.n_neurons) for b in family]
        return np.asarray(np.concatenate(parts), np.int32)

    lower, upper = column("vmin"), column("vmax")
    compartments = Compartments(
        column("decay_u"), column("decay_v"), column("vth"), column("bias"), column("refract_delay"),
        int(lower.min()), int(upper.max()),
    )  # fmt: skip
    gain = np.where(column("enable_noise"), 2.0 ** (column("noise_exp") - 7), 0.0)
    noise = Noise(gain, column("noise_offset") * 64, column("noise_at_membrane") != 0)
    size, order = len(lower), None
    ids = [np.asarray(list(model.block_comp_map[b])) for b in family if b in model.block_comp_map]
    if len(family) > 1 and sum(map(len, ids)) == size:  # blocks of one image lie side by side again
        order = np.argsort(np.argsort(np.concatenate(ids), kind="stable"), kind="stable")
    return Group(str(family[0].label), size, compartments, (lower, upper), order, noise)


Reached = dict[int, list[tuple[Ints, Ints, Ints]]]
"""By source group: neurons that reach a synapse, with axon and atom."""


def _reached(synapse: Any, sources: list[Any], homes: dict[int, tuple[int, int]]) -> Reached:
    found: Reached = {}
    for source in sources:
        group, first = homes[id(source)]
        for axon in source.axons:
            if axon.target is synapse:
                n = source.n_neurons
                to = np.arange(n) if axon.compartment_map is None else np.asarray(axon.compartment_map)
                atoms = axon.compartment_atoms
                atom = np.zeros(n) if atoms is None else np.asarray(atoms)
                used = np.flatnonzero(to >= 0).astype(np.int32)
                entry = (first + used, to[used].astype(np.int32), atom[used].astype(np.int32))
                found.setdefault(group, []).append(entry)
    return found


def _wires(parts: list[Entries], n_source: int, ends: tuple[int, int]) -> Wires:
    return merge(parts, n_source, ends=ends)


def _shift(weight: Ints) -> int:
    """Return the largest power of two that divides all weights, as an exponent."""
    bits = int(np.bitwise_or.reduce(weight)) if len(weight) else 0
    return (bits & -bits).bit_length()


def _rows(synapse: Any) -> tuple[Longs, Ints, Ints]:
    """Line up the rows of all weights and atoms; the last of equal targets counts, as in NumPy."""
    weights = [np.asarray(w) for w in synapse.weights]
    length = np.repeat([w.shape[1] for w in weights], [w.shape[0] for w in weights]).astype(np.int64)
    start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    none = np.zeros(0, np.int32)
    weight = np.concatenate([none, *(w.ravel() for w in weights)]).astype(np.int32)
    index = np.concatenate([none, *(np.asarray(i).ravel() for i in synapse.indices)]).astype(np.int32)
    key = np.repeat(np.arange(len(length)), length) * (int(index.max(initial=0)) + 1) + index
    if (np.diff(key) > 0).all() or len(np.unique(key)) == len(key):
        return start, index, weight
    last = np.sort(len(key) - 1 - np.unique(key[::-1], return_index=True)[1])
    row = np.repeat(np.arange(len(length)), length)[last]
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(length)))]).astype(np.int64)
    return start, index[last], weight[last]


def _expand(
    synapse: Any, part: tuple[Ints, Ints, Ints], rows: tuple[Longs, Ints, Ints], first: int
) -> Entries:
    """List the synapses of some source neurons one by one."""
    neuron, axon, atom = part
    base = np.zeros(synapse.n_axons, np.int64)
    if synapse.axon_compartment_bases is not None:
        base = np.asarray(synapse.axon_compartment_bases, np.int64)
    used = np.flatnonzero(base[axon] >= 0)
    used = used[np.argsort(neuron[used], kind="stable")]
    neuron, axon, atom = neuron[used], axon[used], atom[used]
    weight_of = np.arange(synapse.n_axons)
    if synapse.axon_to_weight_map is not None:
        weight_of = np.asarray(synapse.axon_to_weight_map)
    atoms = np.array([len(w) for w in synapse.weights])
    row = (np.cumsum(atoms) - atoms)[weight_of[axon]] + atom
    start, index, weight = rows
    length = start[row + 1] - start[row]
    entry = gather(start[row], length)
    target = np.repeat(first + base[axon], length) + index[entry]
    return np.repeat(neuron, length), target.astype(np.int32), weight[entry]


def _learning(synapse: Any, target: int, reached: Reached, groups: tuple[Group, ...]) -> Learning:
    """Read a synapse with the chip's rule for PES."""
    axons = []
    for group, parts in reached.items():
        for neuron, axon, _ in parts:
            column = np.full(groups[group].size, -1, np.int32)
            column[neuron] = axon
            axons.append((group, column))
    exponent, shift = synapse.synapse_cfg.real_weight_exp, synapse.synapse_cfg.shift_bits
    return Learning(
        target=target,
        weight=np.concatenate([np.asarray(w) for w in synapse.weights]).astype(np.int32),
        axons=tuple(axons),
        decay=float(np.exp(-synapse.train_epoch / synapse.tracing_tau)),
        gain=float(synapse.tracing_mag),
        rate=int(synapse._lr_int),
        product_shift=int(LEARN_FRACTION + synapse._lr_exp - LEARN_OVERFLOW),
        weight_shift=int(LEARN_FRACTION - exponent),
        back_shift=int(exponent + shift),
        round_bits=int(LEARN_FRACTION + shift),
        top=int(2 ** (8 - shift) - 1),
        trace_every=int(synapse.train_epoch),
        learn_every=int(synapse.learn_epoch),
    )
