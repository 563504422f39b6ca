"""Partition: every population on the chip is cut into blocks that fit one core each.

How a target is cut decides how many output axons its sources need, and cutting a source relieves it. So
populations are cut from the last to the first, each into as few boxes as its memory, its axons and the boxes
behind it allow; with recurrent projections this repeats until nothing changes. nengo-loihi counts before it
cuts, and so builds blocks that do not fit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from neurodeploy.compiler import tiling
from neurodeploy.compiler.cost import CostModel, cost_model
from neurodeploy.compiler.layout import AxonRules, Tile, axon_rules, synapses_into
from neurodeploy.compiler.tiling import FanOut, Grid, Limits, Need, Parts
from neurodeploy.program import Block, Population, Program, Projection
from neurodeploy.targets import Target

ROUNDS = 8
"""Most passes over the populations; without recurrence one is enough."""


@dataclass(frozen=True)
class Cut:
    """How one population is cut."""

    grid: Grid
    tiles: tuple[Tile, ...]


def partition(program: Program) -> Program:
    """Cut populations into blocks and lay their synapses out.

    Parameters
    ----------
    program : Program
        Quantised.
    """
    if any(p.on_chip and p.compartments is None for p in program.populations):
        return program
    rules = axon_rules(program.target, str(program.options.get("pop_axons", "pop32")))
    cut = find_cuts(program, rules)
    blocks = tuple(
        block
        for population in program.populations
        if population.on_chip
        for block in _blocks(program, population, cut[population.name], rules)
    )
    return dataclasses.replace(program, blocks=blocks)


def core_limits(target: Target) -> Limits:
    """Read what one core of a target holds."""

    def limit(*paths: str) -> float:
        found = [n for path in paths if (n := target.number(path)) is not None]
        return min(found, default=math.inf)

    return Limits(
        neurons=limit("core.compartments", "core.neurons"),
        in_axons=limit("core.in_axons"),
        words=limit("core.synapse_memory_words"),
        out_slots=limit("core.out_axon_entries"),
    )


def find_cuts(program: Program, rules: AxonRules) -> Mapping[str, Cut]:
    """Cut every population, from the last to the first, until no cut changes."""
    limits, model = core_limits(program.target), cost_model(program.target)
    cut: dict[str, Cut] = {}
    for _ in range(ROUNDS):
        before = dict(cut)
        for population in reversed(program.populations):
            if population.on_chip:
                cut[population.name] = _cut(program, population, cut, limits, model, rules)
        if before == cut or not _is_recurrent(program):
            break
    return cut


def _is_recurrent(program: Program) -> bool:
    order = {p.name: i for i, p in enumerate(program.populations)}
    return any(order[p.source] >= order[p.target] for p in program.projections)


def _cut(
    program: Program,
    population: Population,
    done: Mapping[str, Cut],
    limits: Limits,
    model: CostModel | None,
    rules: AxonRules,
) -> Cut:
    grid = tiling.grid_of(population, program)
    into = [p for p in program.projections if p.target == population.name]
    behind = [p for p in program.projections if p.source == population.name and p.target in done]
    fans = [
        fan
        for p in behind
        for fan in tiling.fan_out(p, list(done[p.target].tiles), done[p.target].grid, rules)
    ]
    limits = _reachable(into, fans, grid, limits, model, rules)
    least = math.ceil(population.size / limits.neurons)
    for ways in tiling.candidates(grid, least):
        good = [parts for parts in ways if _fits(parts, grid, into, fans, limits, model, rules)]
        if good:
            best = min(good, key=lambda parts: _replication(parts, grid, into, rules))
            return Cut(grid, tuple(best.tiles(grid)))
    return Cut(grid, tuple(Parts(*grid).tiles(grid)))


def _need(
    tile: Tile,
    grid: Grid,
    into: list[Projection],
    fans: list[FanOut],
    model: CostModel | None,
    rules: AxonRules,
) -> Need:
    counts = [tiling.incoming(p, tile, grid, model, rules) for p in into]
    return Need(
        neurons=math.prod(tile.shape),
        in_axons=sum(axons for axons, _ in counts),
        words=sum(words for _, words in counts),
        out_slots=sum(fan.outgoing(tile, grid) for fan in fans),
    )


def _reachable(
    into: list[Projection],
    fans: list[FanOut],
    grid: Grid,
    limits: Limits,
    model: CostModel | None,
    rules: AxonRules,
) -> Limits:
    """Drop the limits that not even a block of one neuron can keep; the checks report them."""
    middle = tuple((n // 2, n // 2 + 1) for n in grid)
    single = _need(Tile(*middle), grid, into, fans, model, rules)
    return Limits(
        max(limits.neurons, 1),
        limits.in_axons if single.in_axons <= limits.in_axons else math.inf,
        limits.words if single.words <= limits.words else math.inf,
        limits.out_slots if single.out_slots <= limits.out_slots else math.inf,
    )


def _fits(
    parts: Parts,
    grid: Grid,
    into: list[Projection],
    fans: list[FanOut],
    limits: Limits,
    model: CostModel | None,
    rules: AxonRules,
) -> bool:
    tiles = parts.tiles(grid)
    if max(math.prod(tile.shape) for tile in tiles) > limits.neurons:
        return False
    tiles = tiles[len(tiles) // 2 :] + tiles[: len(tiles) // 2]  # a tile in the middle usually needs most
    return all(_need(tile, grid, into, fans, model, rules).within(limits) for tile in tiles)


def _replication(parts: Parts, grid: Grid, into: list[Projection], rules: AxonRules) -> int:
    """Input axons over all boxes: what the cut costs the populations before."""
    tiles = parts.tiles(grid)
    return sum(tiling.incoming(p, tile, grid, None, rules)[0] for p in into for tile in tiles)


def _blocks(program: Program, population: Population, cut: Cut, rules: AxonRules) -> list[Block]:
    assert population.compartments is not None
    into = [p for p in program.projections if p.target == population.name]
    blocks = []
    for number, tile in enumerate(cut.tiles):
        neurons = tile.neurons(cut.grid)
        blocks.append(
            Block(
                name=f"{population.name}[{number}]",
                population=population.name,
                origin=population.origin,
                neurons=neurons,
                compartments=population.compartments.take(neurons),
                synapses=tuple(synapses_into(p, tile, cut.grid, rules) for p in into),
            )
        )
    return blocks
