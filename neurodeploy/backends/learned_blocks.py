"""Learning connections wider than one core, cut into blocks that each fit.

nengo-loihi cuts blocks that are too large for a core, but the parts of a learning connection no longer learn.
Here such a block is cut first: by pairs of compartments, which have errors of opposite sign, and by axons,
whose parts add up in the decoded value. Every part is a learning synapse like any other, with traces and
random numbers of its own.
"""

from __future__ import annotations

import contextlib
import importlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neurodeploy.backends.adapter import nengo_loihi_module

nengo_loihi_module()
blocks: Any = importlib.import_module("nengo_loihi.block")
network: Any = importlib.import_module("nengo_loihi.builder.network")
Model: Any = importlib.import_module("nengo_loihi.builder").Model

AXON_IDS = 2
"""A plastic axon takes so many of a core's axon ids (nengo-loihi, `hardware/builder.py`)."""
PER_COMPARTMENT = ("decay_u", "decay_v", "refract_delay", "vth", "bias", "enable_noise")
PER_BLOCK = ("tau_s", "scale_u", "scale_v", "vmin", "vmax", "noise_offset", "noise_exp", "noise_at_membrane")
LEARNING = ("learning", "tracing_tau", "tracing_mag", "train_epoch", "learn_epoch_k", "learn_epoch",
            "learning_rate", "learning_wgt_exp")  # fmt: skip

Parts = list[tuple[Any, slice]]
"""Learning synapses of the parts, and which errors of the connection are theirs."""


def new_model(dt: float, label: str) -> Any:
    """Make a model of nengo-loihi whose learning connections are cut where one core is too small."""
    model = Model(dt=dt, label=label)
    model.learned_parts = {}
    return model


def parts_of(model: Any, synapse: Any) -> Parts:
    """Return the parts of a learning synapse; itself with all errors where it was not cut."""
    whole: Parts = [(synapse, slice(None))]
    found: Parts = getattr(model, "learned_parts", {}).get(synapse, whole)
    return found


def cut_first(split_model: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap nengo-loihi's function that cuts blocks."""

    def split(model: Any) -> Any:
        if getattr(model, "learned_parts", None) is None:
            return split_model(model)
        too_large = {b: s for b in model.blocks for s in b.synapses if s.learning and not fits(s)}
        probes = list(model.probes)
        cuts = {block: cut(model, block, synapse) for block, synapse in too_large.items()}
        order = [part for block in model.blocks for part in cuts.get(block, [block])]
        model.blocks = OrderedDict((block, i) for i, block in enumerate(order))
        # nengo-loihi expects of every probe that its block was not cut before
        model.probes[:] = [p for p in probes if len(p.target) == 1]
        found = split_model(model)
        model.probes[:] = probes
        for held in model.objs.values():
            cut_here = {k: b for k, b in held.items() if isinstance(b, blocks.LoihiBlock) and b in cuts}
            held.update({name: cuts[block] for name, block in cut_here.items()})
        return found

    return split


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Let nengo-loihi's builder cut learning blocks of models made by `new_model`; others are as before."""
    before = network.split_model
    network.split_model = cut_first(before)
    try:
        yield
    finally:
        network.split_model = before


def fits(synapse: Any) -> bool:
    """Whether a learning block fits one core, as far as nengo-loihi would cut it."""
    size = synapse.weights[0].shape[1]
    small = size <= blocks.MAX_COMPARTMENTS and synapse.n_axons <= blocks.MAX_IN_AXONS
    return bool(small and synapse.bits() <= blocks.MAX_SYNAPSE_BITS)


def tiles(synapse: Any) -> list[tuple[slice, slice]]:
    """Cut axons and pairs of compartments into as few parts as fit a core each."""
    axons, pairs = synapse.n_axons, synapse.weights[0].shape[1] // 2
    most = min(axons, blocks.MAX_IN_AXONS // AXON_IDS)
    many = min(pairs, blocks.MAX_COMPARTMENTS // 2)
    while many > 1 and most * synapse.synapse_cfg.bits_per_axon(2 * many) > blocks.MAX_SYNAPSE_BITS:
        many -= 1
    return [
        (slice(a, min(a + most, axons)), slice(p, min(p + many, pairs)))
        for a in range(0, axons, most)
        for p in range(0, pairs, many)
    ]


def cut(model: Any, block: Any, synapse: Any) -> list[Any]:
    """Make the parts of a learning block and join them to what the block was joined to."""
    found, parts = [], []
    pairs = synapse.weights[0].shape[1] // 2
    for number, (axons, chosen) in enumerate(tiles(synapse)):
        columns = np.concatenate([np.arange(pairs)[chosen], pairs + np.arange(pairs)[chosen]])
        part = _part(block, columns, f"{block.label}[{number}]")
        learned = _learned(synapse, axons, columns, f"{synapse.label}[{number}]")
        part.add_synapse(learned)
        found.append((part, axons, learned, columns))
        parts.append((learned, chosen))
    for source in (*model.blocks, *model.inputs):
        source.axons[:] = [new for axon in source.axons for new in _axons(axon, synapse, found)]
    for probe in model.probes:
        if probe.target == [block]:
            weights = probe.weights[0]
            probe.target = [part for part, *_ in found]
            probe.slice = [slice(None)] * len(found)
            probe.weights = [weights[columns].copy() for *_, columns in found]
    model.learned_parts[synapse] = parts
    return [part for part, *_ in found]


def _part(block: Any, columns: Any, label: str) -> Any:
    part = blocks.LoihiBlock(len(columns), label=label)
    for name in PER_COMPARTMENT:
        setattr(part.compartment, name, getattr(block.compartment, name)[columns].copy())
    for name in PER_BLOCK:
        setattr(part.compartment, name, getattr(block.compartment, name))
    return part


def _learned(synapse: Any, axons: slice, columns: Any, label: str) -> Any:
    learned = blocks.Synapse(axons.stop - axons.start, label=label)
    learned.set_weights(np.concatenate(synapse.weights[axons])[:, columns])
    for name in LEARNING:
        setattr(learned, name, getattr(synapse, name))
    learned.format(learning_cfg=1, stdp_cfg=0)
    return learned


def _axons(axon: Any, synapse: Any, found: list[Any]) -> list[Any]:
    """Replace an axon to the whole synapse by axons to its parts."""
    if axon.target is not synapse:
        return [axon]
    new = []
    for _, axons, learned, _ in found:
        inside = (axon.compartment_map >= axons.start) & (axon.compartment_map < axons.stop)
        if inside.any():
            part = blocks.Axon(int(inside.sum()), label=axon.label)
            part.target = learned
            part.set_compartment_axon_map(np.where(inside, axon.compartment_map - axons.start, -1))
            new.append(part)
    return new
