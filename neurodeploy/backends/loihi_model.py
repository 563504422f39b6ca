"""A model of nengo-loihi, discretised for the chip, as a circuit for the fast kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.circuit import Circuit, Entries, Group, Learning, Noise, Wires, gather, merge
from neurodeploy.numerics.neurons import Compartments

Ints = npt.NDArray[np.int32]

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
    groups : dict
        Group of each block, by identity.
    first : dict
        First neuron of each `SpikeInput` within the group outside, by identity.
    rules : tuple
        Synapses that learn, in the order of ``circuit.learning``.
    """

    circuit: Circuit
    groups: dict[int, int]
    first: dict[int, int]
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
        All inputs make up group 0, if there are any; then comes one group per block.
    """
    inputs, blocks = list(model.inputs), list(model.blocks)
    sizes = [i.n_neurons for i in inputs]
    first = {id(i): int(n) for i, n in zip(inputs, np.cumsum([0, *sizes]), strict=False)}
    groups = {id(b): k + bool(inputs) for k, b in enumerate(blocks)}
    outside = [Group("inputs", sum(sizes), None)] if inputs else []
    sources = [(0, first[id(i)], i) for i in inputs] + [(groups[id(b)], 0, b) for b in blocks]
    found = [(block, synapse) for block in blocks for synapse in block.synapses]
    plain = [
        w for block, s in found if not s.learning for w in _wires(s, groups[id(block)], sources, sum(sizes))
    ]
    learning = [(block, s) for block, s in found if s.learning]
    rules = tuple(_learning(s, groups[id(block)], sources, sum(sizes)) for block, s in learning)
    return Translation(
        Circuit((*outside, *(_group(b) for b in blocks)), tuple(plain), rules),
        groups,
        first,
        tuple(s for _, s in learning),
    )


def _group(block: Any) -> Group:
    c, n = block.compartment, block.n_neurons

    def column(values: Any) -> Ints:
        return np.broadcast_to(np.asarray(values), n).astype(np.int32)

    compartments = Compartments(
        column(c.decay_u), column(c.decay_v), column(c.vth), column(c.bias), column(c.refract_delay),
        int(np.min(c.vmin)), int(np.max(c.vmax)),
    )  # fmt: skip
    gain = np.where(c.enable_noise, 2.0 ** (column(c.noise_exp) - 7), 0.0)
    noise = Noise(gain, column(c.noise_offset) * 64, column(c.noise_at_membrane).astype(bool))
    return Group(str(block.label), n, compartments, (column(c.vmin), column(c.vmax)), noise=noise)


def _targets(synapse: Any, sources: list[tuple[int, int, Any]]) -> dict[int, list[tuple[Ints, Ints, Ints]]]:
    """List the neurons of every source group that reach a synapse, with axon and atom."""
    found: dict[int, list[tuple[Ints, Ints, Ints]]] = {}
    for group, first, source in sources:
        for axon in source.axons:
            if axon.target is synapse:
                n = source.n_neurons
                to = np.arange(n) if axon.compartment_map is None else np.asarray(axon.compartment_map)
                atom = np.zeros(n) if axon.compartment_atoms is None else np.asarray(axon.compartment_atoms)
                used = np.flatnonzero(to >= 0)
                entry = (first + used, to[used], atom[used])
                found.setdefault(group, []).append(tuple(a.astype(np.int32) for a in entry))  # type: ignore[arg-type]
    return found


def _wires(synapse: Any, target: int, sources: list[tuple[int, int, Any]], outside: int) -> list[Wires]:
    """Make the wires from every source group into one synapse."""
    start, index, weight = _rows(synapse)
    atoms = np.array([len(w) for w in synapse.weights])
    first_row = np.cumsum(atoms) - atoms
    sizes = {group: source.n_neurons if group or not outside else outside for group, _, source in sources}
    wires = []
    for group, parts in _targets(synapse, sources).items():
        entries = [_expand(synapse, part, first_row, (start, index, weight)) for part in parts]
        wires.append(merge(entries, sizes[group], ends=(group, target)))
    return wires


def _rows(synapse: Any) -> tuple[npt.NDArray[np.int64], Ints, Ints]:
    """Line up the rows of all weights and atoms; of equal targets in a row the last one counts, as in NumPy."""
    weights = [np.asarray(w) for w in synapse.weights]
    length = np.repeat([w.shape[1] for w in weights], [w.shape[0] for w in weights]).astype(np.int64)
    start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    none = np.zeros(0, np.int32)
    weight = np.concatenate([none, *(w.ravel() for w in weights)]).astype(np.int32)
    index = np.concatenate([none, *(np.asarray(i).ravel() for i in synapse.indices)]).astype(np.int32)
    key = np.repeat(np.arange(len(length)), length) * (int(index.max(initial=0)) + 1) + index
    if len(np.unique(key)) == len(key):
        return start, index, weight
    last = len(key) - 1 - np.unique(key[::-1], return_index=True)[1]
    row = np.sort(np.repeat(np.arange(len(length)), length)[last])
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(length)))]).astype(np.int64)
    return start, index[np.sort(last)], weight[np.sort(last)]


def _expand(
    synapse: Any, part: tuple[Ints, Ints, Ints], first_row: Any, rows: tuple[Any, Ints, Ints]
) -> Entries:
    """List the synapses of some source neurons one by one."""
    neuron, axon, atom = part
    base = np.zeros(synapse.n_axons, np.int64)
    if synapse.axon_compartment_bases is not None:
        base = np.asarray(synapse.axon_compartment_bases, np.int64)
    used = base[axon] >= 0
    neuron, axon, atom = neuron[used], axon[used], atom[used]
    order = np.argsort(neuron, kind="stable")
    neuron, axon, atom = neuron[order], axon[order], atom[order]
    weight_of = np.arange(synapse.n_axons)
    if synapse.axon_to_weight_map is not None:
        weight_of = np.asarray(synapse.axon_to_weight_map)
    row = first_row[weight_of[axon]] + atom
    start, index, weight = rows
    length = start[row + 1] - start[row]
    entry = gather(start[row], length)
    target = np.repeat(base[axon], length) + index[entry]
    return np.repeat(neuron, length), target.astype(np.int32), weight[entry]


def _learning(synapse: Any, target: int, sources: list[tuple[int, int, Any]], outside: int) -> Learning:
    """Read a synapse with the chip's rule for PES."""
    sizes = {group: source.n_neurons if group or not outside else outside for group, _, source in sources}
    axons = []
    for group, parts in _targets(synapse, sources).items():
        for neuron, axon, _ in parts:
            column = np.full(sizes[group], -1, np.int32)
            column[neuron] = axon
            axons.append((group, column))
    config = synapse.synapse_cfg
    exponent, shift = config.real_weight_exp, config.shift_bits
    return Learning(
        target=target,
        weight=np.concatenate([np.asarray(w) for w in synapse.weights]).astype(np.int32),
        axons=tuple(axons),
        decay=math.nan
        if not synapse.tracing_tau
        else float(np.exp(-synapse.train_epoch / synapse.tracing_tau)),
        gain=float(synapse.tracing_mag),
        rate=int(synapse._lr_int),
        product_shift=int(LEARN_FRACTION + synapse._lr_exp - LEARN_OVERFLOW),
        weight_shift=int(LEARN_FRACTION - exponent),
        back_shift=int(exponent + shift),
        scale=float(2.0 ** (-LEARN_FRACTION - shift)),
        top=int(2 ** (8 - shift) - 1),
        trace_every=int(synapse.train_epoch),
        learn_every=int(synapse.learn_epoch),
    )
