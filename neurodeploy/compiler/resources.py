"""Resources: what every core, chip and board of a program uses, next to what there is - also when it fits."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.cost import CostModel, cost_model, is_dense, longest_row, words
from neurodeploy.program import Block, Program, Synapses
from neurodeploy.targets import Limit, Target
from neurodeploy.targets.schema import COST_MODELS

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Use:
    """One resource of one core, chip or board.

    Parameters
    ----------
    resource : str
        As ``compartments``.
    used : int
    limit : Limit
        What the target's file says, with unit, source and grade.
    """

    resource: str
    used: int
    limit: Limit

    @property
    def share(self) -> float:
        """Used part of the limit; 0 where there is no known limit."""
        return self.used / self.limit.value if self.limit.known and self.limit.value else 0.0

    @property
    def over(self) -> bool:
        """Whether more is used than there is."""
        return self.limit.known and self.used > self.limit.value

    def as_dict(self) -> dict[str, int | str | None]:
        """Return plain JSON values."""
        return {
            "resource": self.resource,
            "used": self.used,
            "limit": self.limit.value if self.limit.known else None,
            "unit": self.limit.unit,
        }


@dataclass(frozen=True)
class CoreUse:
    """What one block uses of its core.

    Parameters
    ----------
    block : int
        Index of the block.
    core, chip : int or None
        Where it is placed.
    uses : tuple of Use
    extra_offchip : int
        Output axon entries that are there only because targets lie on other chips.
    """

    block: int
    core: int | None
    chip: int | None
    uses: tuple[Use, ...]
    extra_offchip: int = 0

    def has(self, resource: str) -> bool:
        """Whether the resource was counted."""
        return any(use.resource == resource for use in self.uses)

    def __getitem__(self, resource: str) -> Use:
        return next(use for use in self.uses if use.resource == resource)


@dataclass(frozen=True)
class Usage:
    """Everything a placed program uses.

    Parameters
    ----------
    cores : tuple of CoreUse
        One per block, in order.
    chips : tuple of Use
        Cores of every chip, in order.
    board : tuple of Use
        Chips, and what holds for the whole board.
    """

    cores: tuple[CoreUse, ...]
    chips: tuple[Use, ...]
    board: tuple[Use, ...]


_CACHE: weakref.WeakKeyDictionary[Program, Usage] = weakref.WeakKeyDictionary()


def usage(program: Program) -> Usage:
    """Count what a program uses.

    Parameters
    ----------
    program : Program
        With blocks; placed or not.
    """
    if program not in _CACHE:
        _CACHE[program] = _count(program)
    return _CACHE[program]


def core_rows(program: Program) -> list[dict[str, object]]:
    """Return used and limit of every resource of every core as plain JSON values."""
    return [
        {
            "core": row.core,
            "chip": row.chip,
            "layer": program.blocks[row.block].origin,
            "block": program.blocks[row.block].name,
            "use": [use.as_dict() for use in row.uses],
        }
        for row in usage(program).cores
    ]


def _count(program: Program) -> Usage:
    target = program.target
    per_chip = target.number("chip.cores")
    chips = [core // per_chip if per_chip else 0 for core in program.cores]
    entries, extra, away = out_entries(program, chips)
    models = [m for name in COST_MODELS if (m := cost_model(target, name)) is not None]
    cores = []
    for number, block in enumerate(program.blocks):
        core = program.cores[number] if program.cores else None
        uses = (
            *_block_uses(target, block, models),
            _use(target, OUT_AXONS, int(entries[number])),
            _use(target, OFF_CHIP, int(away[number])),
        )
        chip = chips[number] if chips else None
        cores.append(CoreUse(number, core, chip, uses, int(extra[number])))
    used = np.bincount(np.array(chips, np.int64)) if chips else np.zeros(0, np.int64)
    per_chip_uses = tuple(_use(target, "cores", int(n)) for n in used)
    return Usage(tuple(cores), per_chip_uses, (_use(target, "chips", len(used)),))


OUT_AXONS, OFF_CHIP = "output axons", "output axons to other chips"
PATHS = {
    "compartments": "core.compartments",
    "input axons": "core.in_axons",
    OUT_AXONS: "core.out_axon_entries",
    OFF_CHIP: "core.out_axon_entries_offchip",
    "synapse memory": "core.synapse_memory_words",
    "compartment profiles": "core.profiles.compartment",
    "threshold profiles": "core.profiles.threshold",
    "synapse formats": "core.profiles.synapse_format",
    "words per axon": "core.words_per_axon",
    "cores": "chip.cores",
    "chips": "board.chips",
}
"""Where the limit of each resource stands in a hardware file."""


def _use(target: Target, resource: str, used: int) -> Use:
    return Use(resource, used, target.limit(PATHS[resource]))


def _block_uses(target: Target, block: Block, models: list[CostModel]) -> Iterable[Use]:
    yield _use(target, "compartments", len(block.neurons))
    yield _use(target, "input axons", sum(s.n_axons for s in block.synapses))
    for model in models:
        used = sum(words(model, s) for s in block.synapses)
        in_force = model.name == target.limit("synapse.cost_model").value
        name = "synapse memory" if in_force else f"synapse memory ({model.name})"
        yield Use(name, used, target.limit(PATHS["synapse memory"]))
    if models:
        yield _use(
            target, "words per axon", max((longest_row(models[0], s) for s in block.synapses), default=0)
        )
    yield _use(target, "compartment profiles", compartment_profiles(block))
    yield _use(target, "threshold profiles", len(np.unique(block.compartments.vth)))
    yield _use(target, "synapse formats", synapse_formats(block, models))


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


def out_entries(program: Program, chips: list[int]) -> tuple[Longs, Longs, Longs]:
    """Count the output axon entries of every block.

    Returns
    -------
    entries, extra, away : ndarray of int64, shape (blocks,)
        All of them; those that are there only because the target lies on another chip; all to other chips.
    """
    owner = _owners(program)
    total, extra, away = np.zeros((3, len(program.blocks)), np.int64)
    for number, block in enumerate(program.blocks):
        for synapses in block.synapses:
            if synapses.source not in owner:
                continue
            count = axons_from(synapses, owner[synapses.source], len(program.blocks))
            path = f"synapse.axon_kinds.{synapses.axon_kind}"
            slots = count * (program.target.number(f"{path}.slots") or 1)
            total += slots
            if chips:
                off = np.array(chips) != chips[number]
                more = count * off * (program.target.number(f"{path}.extra_if_offchip") or 0)
                extra += more
                away += slots * off + more
    return total + extra, extra, away


def axons_from(synapses: Synapses, owner: Longs, blocks: int) -> Longs:
    """Count the different axons that every block of the source feeds, shape (blocks,)."""
    used = synapses.axon >= 0
    key = np.unique(owner[used] * max(synapses.n_axons, 1) + synapses.axon[used])
    return np.bincount(key // max(synapses.n_axons, 1), minlength=blocks).astype(np.int64)


def _owners(program: Program) -> dict[str, Longs]:
    """Block of every neuron, by population."""
    sizes = {p.name: p.size for p in program.populations if p.on_chip}
    owner = {name: np.zeros(size, np.int64) for name, size in sizes.items()}
    for number, block in enumerate(program.blocks):
        owner[block.population][block.neurons] = number
    return owner
