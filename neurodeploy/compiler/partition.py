"""Partition: every population on the chip is cut into blocks that fit one core each.

How a target is cut decides how many output axons its sources need, and cutting a source relieves it. So
populations are cut from the last to the first, each into as few boxes as its memory, its axons and the boxes
behind it allow; with recurrent projections this repeats until nothing changes. nengo-loihi counts before it
cuts, and so builds blocks that do not fit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from neurodeploy.compiler import maps, tiling
from neurodeploy.compiler.convolution import Conv
from neurodeploy.compiler.cost import CostModel, cost_model, delay_width
from neurodeploy.compiler.counts.coupled import most_neurons
from neurodeploy.compiler.layout import share_axons, synapses_into, wire
from neurodeploy.compiler.tiles import AxonRules, Grid, Tile, axon_rules
from neurodeploy.compiler.tiling import Cutting, FanOut, Limits, Need
from neurodeploy.compiler.wiring import Wiring
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Block, Population, Program, Projection, Synapses
from neurodeploy.rules.capacity import SOURCES_SHARE_AXONS
from neurodeploy.rules.hardware import NOT_CUT_INTO_CORES
from neurodeploy.targets import Target

ROUNDS = 8
"""Most passes over the populations; without recurrence one is enough."""
TRIES = 24
"""Most sizes of boxes that are tried to fill cores better."""
FULL = 0.75
"""Part of a core from which on little can share it."""
DENSE_FROM = 0.5
"""Share of all inputs that a neuron has to listen to for rows that are kept whole."""
CLOSE = 1.02
"""How near to the fewest possible cores a cut is good enough."""


@dataclass(frozen=True)
class Cut:
    """How one population is cut."""

    grid: Grid
    cutting: Cutting


@dataclass(frozen=True, eq=False)
class Cutter:
    """What the search for cuts looks at: limits, costs and the wiring of every projection.

    With `fill`, boxes are as large as they fit, and what remains shares a core with others. With
    `several_chips` every axon counts as one that leaves the chip.
    """

    program: Program
    limits: Limits
    model: CostModel | None
    wiring: tuple[Wiring | Conv, ...]
    fill: bool = False
    several_chips: bool = False

    def need(self, name: str, tile: Tile, grid: Grid, fans: list[FanOut]) -> Need:
        """Count what a box of a population asks of its core."""
        counts = [
            tiling.incoming(w, self.bits(p), tile, grid, self.model)
            for p, w in zip(self.program.projections, self.wiring, strict=True)
            if p.target == name
        ]
        return Need(
            neurons=math.prod(tile.shape),
            in_axons=sum(c.axons for c in counts),
            words=sum(c.words for c in counts),
            out_slots=sum(fan.outgoing(tile, grid) for fan in fans),
            axon_words=max((c.longest for c in counts), default=0),
        )

    def ids(self, name: str) -> float:
        """Count the axons of a core that every kind of axon into a population can name."""
        into = zip(self.program.projections, self.wiring, strict=True)
        return min((w.rules.ids for p, w in into if p.target == name), default=math.inf)

    def bits(self, projection: Projection) -> int:
        """Bits of one synapse without its index: those of the weight, and of the delay if there is one."""
        if self.model is None:
            return projection.weight_bits
        steps = projection.delay - self.model.delay_implicit
        return projection.weight_bits + delay_width(steps, self.model.delay_widths)

    def slots(self, wiring: Wiring | Conv) -> int:
        """Count the output entries of one axon; with several chips, as if it left its own."""
        path = f"synapse.axon_kinds.{wiring.rules.kind}"
        slots = self.program.target.number(f"{path}.slots") or 1
        return slots + (self.program.target.number(f"{path}.extra_if_offchip") or 0) * self.several_chips

    def fans(self, name: str, done: Mapping[str, Cut]) -> list[FanOut]:
        """Say what the populations behind need from this one, as far as they are cut."""
        return [
            tiling.fan_out(w, done[p.target].cutting, done[p.target].grid, self.slots(w))
            for p, w in zip(self.program.projections, self.wiring, strict=True)
            if p.source == name and p.target in done
        ]


def partition(program: Program) -> Program:
    """Cut populations into blocks and lay their synapses out.

    Parameters
    ----------
    program : Program
        Quantised.
    """
    if any(p.on_chip and p.compartments is None for p in program.populations):
        return _uncut(program)
    rules = axon_rules(program.target, str(program.options.get("pop_axons", "pop32")))
    model = cost_model(program.target)
    wiring = tuple(wire(p, rules, sparse_below=_sparse_below(p, model)) for p in program.projections)
    wiring, notes = _within_axons(program, wiring, rules)
    fill = bool(program.options.get("share_cores", 1))
    cutter = Cutter(program, core_limits(program.target), model, wiring, fill)
    cut = find_cuts(cutter)
    per_chip = program.target.number("chip.cores")
    if per_chip is not None and sum(len(c.cutting) for c in cut.values()) > per_chip:
        cutter = dataclasses.replace(cutter, several_chips=True)
        cut = find_cuts(cutter)
    blocks = tuple(
        block
        for population in program.populations
        if population.on_chip
        for block in _blocks(cutter, population, cut[population.name])
    )
    return dataclasses.replace(program, blocks=blocks, diagnostics=(*program.diagnostics, *notes))


def _within_axons(
    program: Program, wiring: tuple[Wiring | Conv, ...], rules: AxonRules
) -> tuple[tuple[Wiring | Conv, ...], list[Diagnostic]]:
    """Let sources share axons where neurons listen to more of them than a core has axons, and say so.

    Every spike still arrives with its own weights, so the sums are the same. Partial sums over further
    neurons would not be: those pass on spikes, not sums.
    """
    limit, found = program.target.limit("core.in_axons"), list(wiring)
    notes = []
    for population in program.populations if limit.known and limit.value else ():
        into = [i for i, p in enumerate(program.projections) if p.target == population.name]
        single = [(i, w) for i in into if isinstance(w := wiring[i], Wiring)]
        units = sum(w.units for _, w in single)
        most = int(sum((w.inputs() for _, w in single), np.zeros(population.size, np.int64)).max(initial=0))
        dense = most > limit.value / 2 and most >= DENSE_FROM * units
        atoms = math.ceil(units / min(limit.value, rules.ids))
        if units <= limit.value or atoms > rules.atoms or not (dense or most > limit.value):
            continue
        for i, w in single:
            found[i] = share_axons(w, rules, atoms)
        facts = {"axons": sum(-(-w.units // atoms) for _, w in single), "atoms": atoms}
        place = Place(layer=population.origin, node=population.name)
        notes.append(
            SOURCES_SHARE_AXONS.at(
                place, used=units, limit=limit.value, unit=limit.unit, target=program.target.id, **facts
            )
        )
    return tuple(found), notes


def _uncut(program: Program) -> Program:
    """Say that single cores are not looked at, where a network would have to be cut into several."""
    target = program.target
    if target.mapping == "layer-engines" or target.number("chip.cores") == 1 or cores_are_published(target):
        return program
    note = NOT_CUT_INTO_CORES.at(Place(layer="model"), target=target.id)
    return dataclasses.replace(program, diagnostics=(*program.diagnostics, note))


def cores_are_published(target: Target) -> bool:
    """Whether neurons and axons of a core are known and all that is said to bind, and there are several."""
    several = (target.number("chip.cores") or 1) > 1 and target.mapping in ("cores", "processors")
    needed = ("core.neurons", "core.in_axons", "core.out_axon_entries", "core.synapse_memory_words")
    unknown = any(path in target.facts and target.limit(path).unknown for path in needed)
    return several and target.number("core.neurons") is not None and not unknown


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
        axon_words=limit("core.words_per_axon"),
    )


def _sparse_below(projection: Projection, model: CostModel | None) -> float:
    """Density at which a weight with an index costs as much as the zeros of a whole row."""
    if model is None:
        return 0.0
    return projection.weight_bits / (projection.weight_bits + max(model.index_widths))


def find_cuts(cutter: Cutter) -> Mapping[str, Cut]:
    """Cut every population, from the last to the first, until no cut changes."""
    cut: dict[str, Cut] = {}
    for _ in range(ROUNDS):
        before = dict(cut)
        for population in reversed(cutter.program.populations):
            if population.on_chip:
                cut[population.name] = _cut(cutter, population, cut)
        if before == cut or not _is_recurrent(cutter.program):
            break
    return cut


def _is_recurrent(program: Program) -> bool:
    order = {p.name: i for i, p in enumerate(program.populations)}
    return any(order[p.source] >= order[p.target] for p in program.projections)


def _cut(cutter: Cutter, population: Population, done: Mapping[str, Cut]) -> Cut:
    grid, name = tiling.grid_of(population, cutter.program), population.name
    fans = cutter.fans(name, done)
    limits = _reachable(cutter, name, grid, fans)
    for ways in tiling.candidates(grid, math.ceil(population.size / limits.neurons)):
        good = [cutting for cutting in ways if _fits(cutter, name, cutting, grid, fans, limits)]
        if good:
            best = min(good, key=lambda cutting: _replication(cutter, name, cutting, grid))
            if cutter.fill:
                best = _denser(
                    cutter, name, _fill(cutter, name, best, grid, fans, limits), grid, fans, limits
                )
            return Cut(grid, best)
    return Cut(grid, tiling.evenly(grid, *grid))


def _denser(
    cutter: Cutter, name: str, found: Cutting, grid: Grid, fans: list[FanOut], limits: Limits
) -> Cutting:
    """Look for boxes that fill cores better, where neurons are what cores run out of."""
    cost, size = _cores(cutter, name, found, grid, fans), math.prod(grid)
    for _, sizes in sorted(_box_sizes(grid, limits.neurons), reverse=True)[:TRIES]:
        if cost <= (size / limits.neurons) * CLOSE or not math.isfinite(limits.neurons):
            break
        cutting = tiling.filled(grid, sizes)
        if _fits(cutter, name, cutting, grid, fans, limits):
            other = _cores(cutter, name, cutting, grid, fans)
            if other < cost - 1e-9:
                cost, found = other, cutting
    return found


def _box_sizes(grid: Grid, most: float) -> Iterator[tuple[float, Grid]]:
    """Yield boxes of at most `most` neurons, each as many channels as fit, with the neurons in it."""
    for rows in range(1, grid[1] + 1):
        for columns in {grid[2], -(-grid[2] // 2), -(-grid[2] // 3)}:
            channels = min(int(most // (rows * columns)), grid[0])
            if channels:
                yield channels * rows * columns, (channels, rows, columns)


def _cores(cutter: Cutter, name: str, cutting: Cutting, grid: Grid, fans: list[FanOut]) -> float:
    """Estimate the cores that boxes take: one each if little room is left, else their part of one."""
    shares = [cutter.need(name, tile, grid, fans).share(cutter.limits) for tile in cutting.tiles()]
    return sum(1.0 if share > FULL else share for share in shares)


def _fill(
    cutter: Cutter, name: str, cutting: Cutting, grid: Grid, fans: list[FanOut], limits: Limits
) -> Cutting:
    """Make boxes as large as they fit, axis by axis, so that what remains can share a core with others."""
    sizes = [max(b - a for a, b in axis) for axis in cutting.axes]
    for axis in range(len(grid)):
        low, high = sizes[axis], _largest_part(grid[axis], len(cutting.axes[axis]))
        while low < high:
            middle = (low + high + 1) // 2
            tried = [*sizes[:axis], middle, *sizes[axis + 1 :]]
            larger = tiling.filled(grid, (tried[0], tried[1], tried[2]))
            good = _fits(cutter, name, larger, grid, fans, limits)
            low, high = (middle, high) if good else (low, middle - 1)
        sizes[axis] = low
    return tiling.filled(grid, (sizes[0], sizes[1], sizes[2]))


def _largest_part(length: int, parts: int) -> int:
    """Return the largest part that still leaves this many parts."""
    return length if parts == 1 else (length - 1) // (parts - 1)


def _reachable(cutter: Cutter, name: str, grid: Grid, fans: list[FanOut]) -> Limits:
    """Drop the limits that not even a block of one neuron can keep; the checks report them."""
    c, y, x = ((n // 2, n // 2 + 1) for n in grid)
    single = cutter.need(name, Tile(c, y, x), grid, fans)
    limits, ids = cutter.limits, cutter.ids(name)
    if single.in_axons <= ids:
        limits = dataclasses.replace(limits, in_axons=min(limits.in_axons, ids))
    longest = max((p.delay for p in cutter.program.projections if p.target == name), default=1)
    return Limits(
        max(min(limits.neurons, most_neurons(cutter.program.target, longest)), 1),
        limits.in_axons if single.in_axons <= limits.in_axons else math.inf,
        limits.words if single.words <= limits.words else math.inf,
        limits.out_slots if single.out_slots <= limits.out_slots else math.inf,
        limits.axon_words if single.axon_words <= limits.axon_words else math.inf,
    )


def _fits(
    cutter: Cutter, name: str, cutting: Cutting, grid: Grid, fans: list[FanOut], limits: Limits
) -> bool:
    if math.prod(max(b - a for a, b in axis) for axis in cutting.axes) > limits.neurons:
        return False
    if not cutter.need(name, cutting.middle(), grid, fans).within(limits):  # usually the one that needs most
        return False
    return all(cutter.need(name, tile, grid, fans).within(limits) for tile in cutting.tiles())


def _replication(cutter: Cutter, name: str, cutting: Cutting, grid: Grid) -> int:
    """Input axons over all boxes: what the cut costs the populations before."""
    return sum(
        tiling.incoming(w, p.weight_bits, tile, grid, None).axons
        for p, w in zip(cutter.program.projections, cutter.wiring, strict=True)
        if p.target == name
        for tile in cutting.tiles()
    )


def _locked(synapses: Synapses) -> Synapses:
    for value in vars(synapses).values():
        if isinstance(value, np.ndarray):
            value.setflags(write=False)
    return synapses


def _blocks(cutter: Cutter, population: Population, cut: Cut) -> list[Block]:
    assert population.compartments is not None
    into = [
        (p, w)
        for p, w in zip(cutter.program.projections, cutter.wiring, strict=True)
        if p.target == population.name
    ]
    blocks = []
    for number, tile in enumerate(cut.cutting.tiles()):
        neurons = maps.locked(tile.neurons(cut.grid))
        synapses = [_locked(synapses_into(p, w, tile, cut.grid)) for p, w in into]
        blocks.append(
            Block(
                name=f"{population.name}[{number}]",
                population=population.name,
                origin=population.origin,
                neurons=neurons,
                compartments=population.compartments.take(neurons),
                synapses=tuple(s for s in synapses if s.n_axons),  # nothing arrives by the others
            )
        )
    return blocks
