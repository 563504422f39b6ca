"""ND7xx: steps, runs and spikes that come in time."""

from __future__ import annotations

from collections.abc import Iterator

from neurodeploy.compiler import scales
from neurodeploy.compiler.checks.finding import at_limit, of_population
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Program
from neurodeploy.rules import timing as rules


def input_spikes(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check the host's spikes per step, as calibrated, against what it can send."""
    limit = program.target.limit("io.in_spikes_per_step")
    for population in program.populations:
        if population.on_chip or not limit.known:
            continue
        used = float(population.notes.get("rate_mean", 0.0)) * population.size
        if used > limit.value:
            place, note = of_population(population), limit.note or "a parameter of its software"
            yield at_limit(rules.INPUT_SPIKES, place, limit, program, used=used, note=note)


def step_length(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that a step is not shorter than the part needs: its own minimum, or the longest barrier."""
    for path in ("time.step_ns_min", "time.barrier_ns_max"):
        limit = program.target.limit(path)
        used = program.graph.dt * 1e9
        if limit.known and used < limit.value * (1 - 1e-9):
            yield at_limit(rules.STEP_TOO_SHORT, Place(layer="model"), limit, program, used=used)
            return


def run_length(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that a run is not longer than the part's timer."""
    limit = program.target.limit("time.run_max_s")
    faster = program.target.limit("time.acceleration")
    used = scales.run_length(program) * program.graph.dt / (faster.value if faster.known else 1)
    if limit.known and used > limit.value:
        yield at_limit(rules.RUN_TOO_LONG, Place(layer="model"), limit, program, used=used)


CHECKS = (input_spikes, step_length, run_length)
