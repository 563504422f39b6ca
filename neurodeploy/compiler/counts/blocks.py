"""What the blocks of a program take of their cores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.cost import CostModel, cost_model, is_dense, longest_row, words
from neurodeploy.compiler.counts.uses import CoreUse, Use, use
from neurodeploy.program import Block, Program, Synapses
from neurodeploy.targets import Target
from neurodeploy.targets.schema import COST_MODELS

Longs = npt.NDArray[np.int64]

MEMORY, OUT_AXONS, OFF_CHIP = "synapse memory", "output axons", "output axons to other chips"


def count(program: Program) -> Iterator[CoreUse]:
    """Count block by block."""
    target = program.target
    chip = chip_of(program)
    entries, extra, away = out_entries(program, chip)
    models = [m for name in COST_MODELS if (m := cost_model(target, name)) is not None]
    for number, block in enumerate(program.blocks):
        uses = (
            *_block_uses(target, block, models),
            use(target, OUT_AXONS, "core.out_axon_entries", int(entries[number])),
            use(target, OFF_CHIP, "core.out_axon_entries_offchip", int(away[number])),
        )
        yield CoreUse(
            population=block.population,
            layer=block.origin,
            name=block.name,
            core=program.cores[number] if program.cores else None,
            chip=chip[number] if chip else None,
            uses=uses,
            extra_offchip=int(extra[number]),
        )


def chips(program: Program) -> tuple[Use, ...]:
    """Count the cores in use on every chip."""
    found = np.bincount(np.array(chip_of(program), np.int64)) if program.cores else np.zeros(0, np.int64)
    return tuple(use(program.target, "cores", "chip.cores", int(n)) for n in found)


def chip_of(program: Program) -> list[int]:
    """Chip of every block; empty before placement."""
    per_chip = program.target.number("chip.cores")
    return [core // per_chip if per_chip else 0 for core in program.cores]


def _block_uses(target: Target, block: Block, models: list[CostModel]) -> Iterable[Use]:
    yield use(target, "compartments", "core.compartments", len(block.neurons))
    yield use(target, "input axons", "core.in_axons", sum(s.n_axons for s in block.synapses))
    for model in models:
        in_force = model.name == target.limit("synapse.cost_model").value
        name = MEMORY if in_force else f"{MEMORY} ({model.name})"
        used = sum(words(model, s) for s in block.synapses)
        yield use(target, name, "core.synapse_memory_words", used)
    if models:
        longest = max((longest_row(models[0], s) for s in block.synapses), default=0)
        yield use(target, "words per axon", "core.words_per_axon", longest)
    profiles = "core.profiles."
    yield use(target, "compartment profiles", profiles + "compartment", compartment_profiles(block))
    yield use(target, "threshold profiles", profiles + "threshold", len(np.unique(block.compartments.vth)))
    yield use(target, "synapse formats", profiles + "synapse_format", synapse_formats(block, models))


def compartment_profiles(block: Block) -> int:
    """Count the different sets of decays and refractory steps on a core."""
    c = block.compartments
    return len(np.unique(np.stack([c.decay_u, c.decay_v, c.refract]), axis=1).T)


def synapse_formats(block: Block, models: list[CostModel]) -> int:
    """Count the different formats: weight width and exponent, with or without indices, and their width."""
    formats = set()
    for s in block.synapses:
        width = 0
        if models and not is_dense(s):
            width = int(s.index.max(initial=0)).bit_length()
            width = min((w for w in models[0].index_widths if w >= width), default=width)
        formats.add((s.weight_bits, s.weight_exp, s.axon_kind, width))
    return len(formats)


def out_entries(program: Program, chip: list[int]) -> tuple[Longs, Longs, Longs]:
    """Count the output axon entries of every block.

    Returns
    -------
    entries, extra, away : ndarray of int64, shape (blocks,)
        All of them; those that are there only because the target lies on another chip; all to other chips.
    """
    owner = owners(program)
    total, extra, away = np.zeros((3, len(program.blocks)), np.int64)
    for number, block in enumerate(program.blocks):
        for synapses in block.synapses:
            if synapses.source not in owner:
                continue
            found = axons_from(synapses, owner[synapses.source], len(program.blocks))
            path = f"synapse.axon_kinds.{synapses.axon_kind}"
            slots = found * (program.target.number(f"{path}.slots") or 1)
            total += slots
            if chip:
                off = np.array(chip) != chip[number]
                more = found * off * (program.target.number(f"{path}.extra_if_offchip") or 0)
                extra += more
                away += slots * off + more
    return total + extra, extra, away


def axons_from(synapses: Synapses, owner: Longs, blocks: int) -> Longs:
    """Count the different axons that every block of the source feeds, shape (blocks,)."""
    used = synapses.axon >= 0
    key = np.unique(owner[used] * max(synapses.n_axons, 1) + synapses.axon[used])
    return np.bincount(key // max(synapses.n_axons, 1), minlength=blocks).astype(np.int64)


def owners(program: Program) -> dict[str, Longs]:
    """Block of every neuron, by population."""
    sizes = {p.name: p.size for p in program.populations if p.on_chip}
    owner = {name: np.zeros(size, np.int64) for name, size in sizes.items()}
    for number, block in enumerate(program.blocks):
        owner[block.population][block.neurons] = number
    return owner
