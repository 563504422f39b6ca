"""ND5xx: who can be connected to whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from neurodeploy.compiler import fans
from neurodeploy.compiler.checks.finding import at_limit, of_block, of_population
from neurodeploy.compiler.counts.totals import on_chip
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic
from neurodeploy.program import Program
from neurodeploy.rules import connectivity as rules
from neurodeploy.rules.precision import SIGN_PER_SOURCE


def fan_in(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``inputs <= limit`` for every neuron; a signed weight may have a limit of its own."""
    limit = program.target.limit("connectivity.fan_in")
    signed = program.target.limit("connectivity.fan_in_signed")
    if not limit.known and not signed.known:
        return
    for population in on_chip(program):
        count = fans.fan_in(program, population)
        negative = fans.fan_in(program, population, signed=True).any() if signed.known else False
        bound = signed if negative else limit
        if bound.known and (over := int((count > bound.value).sum())):
            yield at_limit(
                rules.FAN_IN, of_population(population), bound, program,
                used=int(count.max()), more=_of(over, population.size),
            )  # fmt: skip


def fan_out(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``targets <= limit`` for every neuron."""
    limit = program.target.limit("connectivity.fan_out")
    for population in program.populations if limit.known else ():
        count = fans.fan_out(program, population)
        if over := int((count > limit.value).sum()):
            yield at_limit(
                rules.FAN_OUT, of_population(population), limit, program,
                used=int(count.max()), more=_of(over, population.size),
            )  # fmt: skip


def different_weights(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``different weights <= limit`` for every neuron."""
    limit = program.target.limit("connectivity.weights_per_neuron")
    for population in on_chip(program) if limit.known else ():
        count = fans.weights_per_neuron(program, population)
        if over := int((count > limit.value).sum()):
            yield at_limit(
                rules.TOO_MANY_WEIGHTS, of_population(population), limit, program,
                used=int(count.max()), more=_of(over, population.size),
            )  # fmt: skip


def target_cores(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that a neuron's targets fit the number of cores it can reach, packed as tight as can be."""
    limit, per_core = (
        program.target.limit("connectivity.fan_out_cores"),
        program.target.number("core.neurons"),
    )
    if not limit.known or not per_core:
        return
    for population in on_chip(program):
        reached = fans.fan_out_by_target(program, population)
        each = [-(-count // per_core) for count in reached.values()]
        cores = int(np.sum(each, axis=0).max()) if each else 0
        if cores > limit.value:
            yield at_limit(
                rules.TOO_MANY_TARGET_CORES, of_population(population), limit, program, used=cores, more=""
            )


def signs(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that a source neuron's weights have one sign where the sign belongs to the source."""
    modes = program.target.words("synapse.weight.sign_modes")
    if "per-source" not in modes or "mixed" in modes:
        return
    limit = program.target.limit("synapse.weight.sign_modes")
    for population in program.populations:
        if used := fans.mixed_sources(program, population):
            yield at_limit(
                SIGN_PER_SOURCE, of_population(population), limit, program, used=used, count=population.size
            )


def axon_ids(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that the ids of a core's axons, counted over all its blocks, fit the field of their kind."""
    worst: dict[tuple[str, str], tuple[int, int]] = {}
    table, on_core = program.target.limit("core.in_axons"), Counter[int]()
    homes = program.cores or tuple(range(len(program.blocks)))
    for home, block in zip(homes, program.blocks, strict=True):
        on_core[home] += sum(s.n_axons for s in block.synapses)
    for number, block in enumerate(program.blocks):
        last = on_core[homes[number]] - 1
        if table.known and last >= table.value:
            continue  # the table itself is too small, which is said elsewhere
        for s in block.synapses:
            key = (block.population, s.axon_kind)
            if last > worst.get(key, (0, -1))[1]:
                worst[key] = (number, last)
    for (_, kind), (number, last) in worst.items():
        limit = program.target.limit(f"synapse.axon_kinds.{kind}.axon_bits")
        if limit.known and last >= 2**limit.value:
            found = at_limit(
                rules.AXON_ID_RANGE, of_block(program, number), limit, program, used=last, kind=kind
            )
            yield rules.AXON_ID_RANGE.at(found.place, **{**found.facts, "limit": 2**limit.value - 1})


def _of(count: int, size: int) -> str:
    return f" ({count:,} of {size:,} neurons)" if count > 1 else ""


CHECKS = (fan_in, fan_out, different_weights, target_cores, signs, axon_ids)
