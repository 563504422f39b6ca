"""ND2xx: the part can do what the network asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from neurodeploy.compiler.checks.finding import at_limit, of_block, of_population
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Program
from neurodeploy.rules import expressibility as rules

MODEL_OF = {"IF": "if", "LIF": "lif", "CubaLIF": "cuba-lif", "I": "i", "LI": "li", "CubaLI": "li"}
"""Names of our neurons in hardware files."""
RESET_OF = {False: "hard-zero", True: "subtract"}


def spiking_part(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that the part exists and computes with spikes."""
    if program.target.status in ("announced", "not-spiking"):
        yield rules.NOT_A_SPIKING_CHIP.at(
            Place(layer="model"), target=program.target.id, status=program.target.status
        )


def something_on_chip(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that at least one population lies on the chip."""
    if not any(p.on_chip and p.notes.get("role") != "encoder" for p in program.populations):
        yield rules.NOTHING_ON_CHIP.at(Place(layer="model"), target=program.target.id)


def neuron_models(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that every population's neuron is among the part's models."""
    limit = program.target.limit("neuron.models")
    for population in program.populations:
        model = MODEL_OF[str(population.notes["op"])]
        if population.on_chip and limit.known and "any" not in limit.value and model not in limit.value:
            found = at_limit(
                rules.UNSUPPORTED_NEURON, of_population(population), limit, program,
                used=model, model=model, models=", ".join(limit.value),
            )  # fmt: skip
            readout = population.membrane.threshold is None
            yield dataclasses.replace(found, remedy=rules.SPIKES_OUT) if readout else found


def resets(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that every spiking population resets as the part does."""
    limit = program.target.limit("neuron.reset")
    if not limit.known:
        return
    for population in program.populations:
        if not population.on_chip or population.membrane.threshold is None:
            continue
        reset = RESET_OF[population.membrane.subtract]
        place = of_population(population)
        if reset not in limit.value and population.notes.get("role") == "encoder":
            yield at_limit(rules.HARD_RESET_ENCODER, place, limit, program, used=reset)
        elif reset not in limit.value:
            neuron = "if" if "hard-zero" in limit.value else "if-soft"
            cost = program.target.limit("neuron.soft_reset_cost_compartments").value
            yield at_limit(
                rules.UNSUPPORTED_RESET, place, limit, program,
                used=reset, reset=reset, resets=", ".join(limit.value), cost=cost, neuron=neuron,
            )  # fmt: skip


def reset_levels(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``v_reset = 0`` where the part resets to zero only."""
    limit = program.target.limit("neuron.reset")
    if not limit.known or "hard-value" in limit.value:
        return
    for population in program.populations:
        level = np.asarray(population.membrane.v_reset)
        wrong = level[level != 0]
        known = RESET_OF[population.membrane.subtract] in limit.value
        spikes = population.membrane.threshold is not None and known
        if population.on_chip and spikes and wrong.size:
            yield at_limit(
                rules.RESET_OFF_ZERO, of_population(population), limit, program, used=float(wrong.flat[0])
            )


def recurrence(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that nothing feeds back where the part is feed-forward."""
    limit = program.target.limit("connectivity.recurrence")
    if not limit.known or limit.value:
        return
    order = {p.name: i for i, p in enumerate(program.populations)}
    for p in program.projections:
        if order[p.source] >= order[p.target]:
            source = program.population(p.source)
            yield at_limit(rules.NO_RECURRENCE, of_population(source), limit, program, used=p.target)


def destinations(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``layers fed <= limit`` for every population."""
    limit = program.target.limit("connectivity.destinations_per_layer")
    for population in program.populations if limit.known else ():
        used = len({p.target for p in program.projections if p.source == population.name})
        if used > limit.value:
            yield at_limit(rules.TOO_MANY_DESTINATIONS, of_population(population), limit, program, used=used)


def core_parameters(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that what a core keeps once is the same for all neurons of a block."""
    limit = program.target.limit("core.global_params")
    if not limit.known or "decay_u_is_0" not in limit.value:
        return
    for number, block in enumerate(program.blocks):
        still = block.compartments.decay_u == 0
        if still.any() and not still.all():
            yield at_limit(
                rules.MIXED_CORE_PARAMETER, of_block(program, number), limit, program,
                used=int(still.sum()), parameter="whether the current decays",
            )  # fmt: skip


CHECKS = (
    spiking_part,
    something_on_chip,
    neuron_models,
    resets,
    reset_levels,
    recurrence,
    destinations,
    core_parameters,
)
