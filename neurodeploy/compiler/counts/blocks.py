"""What the blocks of a program take of their cores."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.cost import CostModel, cost_model, index_width, is_dense, longest_row, words
from neurodeploy.compiler.counts import coupled
from neurodeploy.compiler.counts.uses import CoreUse, Use, use
from neurodeploy.program import Block, Program, Synapses
from neurodeploy.targets import Target
from neurodeploy.targets.schema import COST_MODELS

Longs = npt.NDArray[np.int64]

MEMORY, OUT_AXONS, OFF_CHIP = "synapse memory", "output axons", "output axons to other chips"


def count(program: Program, *, by_core: bool = True) -> Iterator[CoreUse]:
    """Count core by core; blocks that share a core count together unless `by_core` is False."""
    target = program.target
    chip = chip_of(program)
    entries, extra, away = out_entries(program, chip)
    models = [m for name in COST_MODELS if (m := cost_model(target, name)) is not None]
    for numbers in _together(program) if by_core else ([i] for i in range(len(program.blocks))):
        blocks = [program.blocks[i] for i in numbers]
        uses = (
            *_uses(target, blocks, models),
            use(target, OUT_AXONS, "core.out_axon_entries", int(entries[numbers].sum())),
            use(target, OFF_CHIP, "core.out_axon_entries_offchip", int(away[numbers].sum())),
        )
        by_size = sorted(blocks, key=lambda block: -len(block.neurons))
        largest = by_size[0]
        yield CoreUse(
            population=largest.population,
            layer=largest.origin,
            name=" + ".join(block.name for block in blocks),
            core=program.cores[numbers[0]] if program.cores else None,
            chip=chip[numbers[0]] if chip else None,
            uses=uses,
            extra_offchip=int(extra[numbers].sum()),
            layers=tuple(dict.fromkeys(block.origin for block in by_size)),
        )


def _together(program: Program) -> list[list[int]]:
    """Blocks by core, in order of cores; every block by itself before placement."""
    if not program.cores:
        return [[i] for i in range(len(program.blocks))]
    found: dict[int, list[int]] = {}
    for number, core in enumerate(program.cores):
        found.setdefault(core, []).append(number)
    return [found[core] for core in sorted(found)]


def chips(program: Program) -> tuple[Use, ...]:
    """Count the cores in use on every chip."""
    found = np.bincount(np.array(chip_of(program), np.int64)) if program.cores else np.zeros(0, np.int64)
    return tuple(use(program.target, "cores", "chip.cores", int(n)) for n in found)


def chip_of(program: Program) -> list[int]:
    """Chip of every block; empty before placement."""
    per_chip = program.target.number("chip.cores")
    return [core // per_chip if per_chip else 0 for core in program.cores]


def _uses(target: Target, blocks: list[Block], models: list[CostModel]) -> Iterable[Use]:
    synapses = [s for block in blocks for s in block.synapses]
    yield use(target, "compartments", "core.compartments", sum(len(block.neurons) for block in blocks))
    yield use(target, "input axons", "core.in_axons", sum(s.n_axons for s in synapses))
    for model in models:
        in_force = model.name == target.limit("synapse.cost_model").value
        name = MEMORY if in_force else f"{MEMORY} ({model.name})"
        used = sum(words(model, s) for s in synapses)
        yield use(target, name, "core.synapse_memory_words", used)
    if models:
        longest = max((longest_row(models[0], s) for s in synapses), default=0)
        yield use(target, "words per axon", "core.words_per_axon", longest)
    for name, path, found in (
        ("compartment profiles", "compartment", [profile_set(block) for block in blocks]),
        ("threshold profiles", "threshold", [threshold_set(block) for block in blocks]),
        ("synapse formats", "synapse_format", [format_set(block, target) for block in blocks]),
    ):
        yield use(target, name, f"core.profiles.{path}", len(frozenset[Hashable]().union(*found)))
    yield from coupled.of_blocks(target, blocks)


def threshold_set(block: Block) -> frozenset[Hashable]:
    """Return the different thresholds of a block."""
    return frozenset(np.unique(block.compartments.vth).tolist())


def profile_set(block: Block) -> frozenset[Hashable]:
    """Return the different sets of decays and refractory steps of a block."""
    c = block.compartments
    return frozenset(zip(c.decay_u.tolist(), c.decay_v.tolist(), c.refract.tolist(), strict=True))


def format_set(block: Block, target: Target) -> frozenset[Hashable]:
    """Return the different formats: weight width and exponent, kind of axon, and index width if any."""
    widths = target.words("synapse.index.bits")
    formats = set()
    for s in block.synapses:
        width = 0 if is_dense(s) else index_width(int(s.index.max(initial=0)), widths)
        formats.add((s.weight_bits, s.weight_exp, s.axon_kind, width))
    return frozenset(formats)


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
