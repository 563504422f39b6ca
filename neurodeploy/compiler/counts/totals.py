"""What a network takes as a whole, where single blocks say nothing or are not laid out."""

from __future__ import annotations

from collections.abc import Iterator

from neurodeploy.compiler import maps
from neurodeploy.compiler.counts.blocks import chip_of
from neurodeploy.compiler.counts.uses import Use, use
from neurodeploy.program import ConvMap, Population, Program


def count(program: Program) -> tuple[Use, ...]:
    """Count everything that the target's file limits for a network as a whole."""
    return tuple(found for found in _all(program) if found.limit.path in program.target.facts)


def _all(program: Program) -> Iterator[Use]:
    target = program.target
    hidden, output = hidden_populations(program), output_population(program)
    encoder = [p for p in program.populations if p.notes.get("role") == "encoder"]
    if program.cores:
        yield use(target, "chips", "board.chips", len(set(chip_of(program))))
    if not program.blocks:
        yield use(target, "neurons in all", "chip.neurons", sum(p.size for p in on_chip(program)))
    yield use(target, "synapses in all", "chip.synapses", synapses(program))
    yield use(target, "input channels", "io.in_channels", sum(p.size for p in encoder))
    yield use(target, "output channels", "io.out_channels", output.size if output else 0)
    fed = [p for p in hidden if any(_from(program, e, p) for e in encoder)]
    yield use(target, "neurons fed by the input", "io.hidden_fed_by_input", sum(p.size for p in fed))
    feeding = [p for p in hidden if output is not None and _from(program, p, output)]
    path = "io.hidden_feeding_output"
    yield use(target, "neurons that feed the output", path, sum(p.size for p in feeding))


def on_chip(program: Program) -> list[Population]:
    """Return the populations that take neurons of the part."""
    return [p for p in program.populations if p.on_chip]


def output_population(program: Program) -> Population | None:
    """Return the population that is read out, unless it is the encoder."""
    found = program.output
    return None if found.notes.get("role") == "encoder" else found


def hidden_populations(program: Program) -> list[Population]:
    """Return the populations on the part other than the one that is read out."""
    output = output_population(program)
    return [p for p in on_chip(program) if output is None or p.name != output.name]


def synapses(program: Program) -> int:
    """Count the synapses on the part: a convolution once where weights are shared, else at every place."""
    shared = program.target.is_true("synapse.weight_sharing")
    there = {p.name for p in on_chip(program)}
    total = 0
    for p in program.projections:
        if p.target in there:
            once = shared and isinstance(p.map, ConvMap)
            total += p.map.weight.size if once else maps.synapse_count(p.map)
    return total


def cores_needed(program: Program) -> tuple[int, str]:
    """Return the fewest cores that could hold the network, and what makes it so many.

    A bound from neurons and memory alone, for parts whose blocks are not laid out here.
    """
    target = program.target
    per_core = target.number("core.neurons") or target.number("core.compartments")
    bounds = [(1, "one core")]
    if per_core:
        sizes = [p.size for p in on_chip(program)]
        single = target.number("chip.cores") == 1
        cores = -(-sum(sizes) // per_core) if single else sum(-(-n // per_core) for n in sizes)
        bounds.append((cores, "neurons"))
    memory, bits = target.number("core.sram_bytes"), target.words("synapse.weight.bits")
    if memory and bits and target.mapping == "cores":
        bounds.append((-(-synapses(program) * max(bits) // (8 * memory)), "memory for weights"))
    return max(bounds)


def _from(program: Program, source: Population, target: Population) -> bool:
    return any(p.source == source.name and p.target == target.name for p in program.projections)
