"""Rows, bytes, places and spikes of a network as a whole, for parts that are not laid out here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from neurodeploy.compiler import fans, maps
from neurodeploy.compiler.checks.finding import at_limit, of_population
from neurodeploy.compiler.counts.totals import hidden_populations, on_chip, output_population, synapses
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Population, Program
from neurodeploy.rules import capacity, expressibility, timing
from neurodeploy.targets import Limit

WHOLE = Place(layer="model")
SPIKES_PER_STEP = 1
"""What any of our neurons sends in a step at most."""


def rows_of_a_single_core(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``sources <= rows`` on a part of one core; inputs and neurons that send take one each."""
    limit = program.target.limit("core.in_axons")
    if program.blocks or program.target.number("chip.cores") != 1 or not limit.known:
        return
    used = sum(int((fans.fan_out(program, p) > 0).sum()) for p in program.populations)
    if used > limit.value:
        yield at_limit(capacity.TOO_MANY_INPUT_AXONS, WHOLE, limit, program, used=used, more="")


def synapse_bytes(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``synapses x bytes <= memory of the chips``."""
    each = program.target.number("synapse.bytes_per_synapse")
    limit = _on_all_chips(program, program.target.limit("chip.sdram_bytes"))
    if each is not None and limit.known and (used := each * synapses(program)) > limit.value:
        yield at_limit(capacity.SYNAPSE_BYTES, WHOLE, limit, program, used=used, bytes=each)


def places_of_shared_parameters(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that there are places for all neurons where several share decays and threshold."""
    shared, limit = program.target.number("neuron.shared_by"), program.target.limit("core.neurons")
    if program.blocks or not shared or shared == 1 or not limit.known:
        return
    sets: dict[bytes, int] = {}
    for population in hidden_populations(program):
        for row in _parameters(population):
            sets[row.tobytes()] = sets.get(row.tobytes(), 0) + 1
    used = sum(-(-count // shared) * shared for count in sets.values())
    neurons = sum(sets.values())
    if used > limit.value >= neurons:
        yield at_limit(
            capacity.SHARED_PARAMETERS, WHOLE, limit, program, used=used, neurons=neurons, shared=shared
        )


def _parameters(population: Population) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return both decays and the threshold of every neuron, shape (N, 3)."""
    neuron = population.membrane
    threshold = np.inf if neuron.threshold is None else neuron.threshold
    columns = [
        np.broadcast_to(v, population.shape).ravel() for v in (neuron.keep_u, neuron.keep_v, threshold)
    ]
    return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float64)


def throughput(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check the number of neurons against what cores usually update in real time; more is slow, not wrong."""
    per_core, cores = program.target.limit("rate.neurons_per_core"), program.target.number("chip.cores")
    limit = _on_all_chips(program, per_core, times=cores or 0)
    used = sum(p.size for p in on_chip(program))
    if limit.known and cores and used > limit.value:
        yield at_limit(timing.THROUGHPUT, WHOLE, limit, program, used=used, per_core=per_core.value)


def spikes_per_step(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check what a neuron sends in a step against the width of the part's counters."""
    output = output_population(program)
    for population in program.populations:
        if population.notes.get("role") == "encoder":
            path = "rate.input_spikes_per_channel_step"
        elif output is not None and population.name == output.name:
            path = "rate.output_spikes_per_step"
        else:
            path = "rate.hidden_spikes_per_step"
        limit = program.target.limit(path)
        spikes = population.membrane.threshold is not None
        if spikes and limit.known and limit.value < SPIKES_PER_STEP:
            place = of_population(population)
            yield at_limit(timing.SPIKES_PER_STEP, place, limit, program, used=SPIKES_PER_STEP)


def synops(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check the synaptic operations per second into every layer, as calibrated, against those of a core."""
    limit = program.target.limit("rate.synops_per_s")
    rate = {p.name: float(p.notes.get("rate_mean", 0.0)) for p in program.populations}
    for population in on_chip(program) if limit.known else ():
        into = [p for p in program.projections if p.target == population.name]
        used = sum(rate[p.source] * maps.synapse_count(p.map) for p in into) / program.graph.dt
        if used > limit.value:
            yield at_limit(timing.SYNOPS, of_population(population), limit, program, used=used)


def readout_classes(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check the number of outputs against the classes that the part's own read-out decides between."""
    limit, output = program.target.limit("io.readout_classes"), output_population(program)
    if limit.known and output is not None and output.size > limit.value:
        place = of_population(output)
        yield at_limit(expressibility.READOUT_CLASSES, place, limit, program, used=output.size)


def _on_all_chips(program: Program, limit: Limit, *, times: int = 1) -> Limit:
    """Multiply a limit per chip by the chips of the board."""
    if not limit.known:
        return limit
    chips = program.target.number("board.chips") or 1
    return dataclasses.replace(limit, value=limit.value * times * chips)


CHECKS = (
    rows_of_a_single_core,
    synapse_bytes,
    places_of_shared_parameters,
    throughput,
    spikes_per_step,
    synops,
    readout_classes,
)
