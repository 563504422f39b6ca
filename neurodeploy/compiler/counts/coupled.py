"""Coupled limits: what a file bounds as a product, as compartments times the slots that delays need."""

from __future__ import annotations

import math
from collections.abc import Iterable

from neurodeploy.compiler.cost import delay_width
from neurodeploy.compiler.counts.uses import Use
from neurodeploy.program import Block, Population, Program, Projection
from neurodeploy.targets import Target


def of_population(program: Program, population: Population, neurons: int) -> list[Use]:
    """Count the coupled resources of a core that holds some neurons of a population."""
    into = [p for p in program.projections if p.target == population.name]
    signs = any(map(_excites, into)) + any(map(_inhibits, into))
    longest = max((p.delay for p in into), default=1)
    return _uses(program.target, neurons, longest, max(signs, 1))


def of_blocks(target: Target, blocks: Iterable[Block]) -> list[Use]:
    """Count the coupled resources of a core that holds some blocks; none where nothing is delayed."""
    found = list(blocks)
    longest = max((s.delay for block in found for s in block.synapses), default=1)
    neurons = sum(len(block.neurons) for block in found)
    return _uses(target, neurons, longest, 1) if longest > 1 else []


def most_neurons(target: Target, steps: int) -> float:
    """Return how many neurons a core holds whose spikes arrive after so many steps; infinite if unbounded."""
    found = [
        use.limit.value // use.used for use in _uses(target, 1, steps, 1) if use.limit.known and use.used
    ]
    return float(min(found, default=math.inf)) if steps > 1 else math.inf


def _uses(target: Target, neurons: int, steps: int, types: int) -> list[Use]:
    extra = steps - (target.number("delay.implicit_steps") or 0)
    value = {
        "core.compartments": neurons,
        "core.neurons": neurons,
        "2**delay_bits": 2 ** delay_width(extra, target.words("delay.bits")),
        "delay_slots": 2 ** math.ceil(math.log2(max(steps, 1))),
        "synapse_types": types,
    }
    found = []
    for c in target.coupled:
        terms = [value[term] for term in c.terms]
        found.append(Use(c.name, math.prod(terms) if c.form == "product_le" else sum(terms), c.limit))
    return found


def _excites(projection: Projection) -> bool:
    return bool((projection.map.weight > 0).any())


def _inhibits(projection: Projection) -> bool:
    return bool((projection.map.weight < 0).any())
