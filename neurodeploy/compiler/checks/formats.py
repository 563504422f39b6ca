"""ND4xx for parts that are not rounded here: what their registers cannot hold, whatever the scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurodeploy.compiler import fans
from neurodeploy.compiler.checks.finding import at_limit, of_population
from neurodeploy.compiler.counts.totals import on_chip
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.compiler.registers import registers
from neurodeploy.diagnostics import Diagnostic
from neurodeploy.program import Population, Program
from neurodeploy.rules import precision as rules


def membrane_floors(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that nothing pulls a membrane down that stops at a floor."""
    limit = program.target.limit("neuron.clamp.floor")
    for population in on_chip(program) if limit.known else ():
        down = (fans.fan_in(program, population, signed=True) > 0) | (population.bias < 0)
        if used := int(down.sum()):
            yield at_limit(
                rules.MEMBRANE_FLOOR, of_population(population), limit, program,
                used=used, count=population.size,
            )  # fmt: skip


def thresholds_beside_weights(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that threshold and weights fit their registers at one scale."""
    top, bits = _top_weight(program), program.target.limit("neuron.threshold.mantissa_bits")
    exponent = program.target.number("neuron.threshold.exponent")
    if registers(program.target) is not None or top is None or not bits.known or exponent != 0:
        return
    most = 2**bits.value - 1
    for population in on_chip(program):
        ratio = _threshold_in_weights(program, population)
        left = int(most / ratio) if ratio else top
        facts = {"limit": most, "unit": "codes", "target": program.target.id, "source": bits.src}
        if left < 1:
            yield rules.NO_WEIGHT_EXPONENT.at(of_population(population), used=int(np.ceil(ratio)), **facts)
        elif left < top:
            yield rules.WEIGHTS_UNDER_THRESHOLD.at(
                of_population(population), **{**facts, "used": left, "limit": top, "threshold": most}
            )


def _top_weight(program: Program) -> int | None:
    """Return the largest weight code, or None where it is not known."""
    given, bits = program.target.number("synapse.weight.max"), program.target.words("synapse.weight.bits")
    if given is not None or not bits:
        return given
    mixed = "mixed" in program.target.words("synapse.weight.sign_modes")
    return int(2 ** (max(bits) - mixed) - 1)


def _threshold_in_weights(program: Program, population: Population) -> float:
    """Return the largest threshold in units of the largest weight; 0 where there is none of either."""
    weights = [p.map.weight for p in program.projections if p.target == population.name]
    largest = max((float(np.abs(np.nan_to_num(w)).max(initial=0)) for w in weights), default=0.0)
    threshold = population.membrane.threshold
    return float(np.max(threshold)) / largest if threshold is not None and largest else 0.0


CHECKS = (membrane_floors, thresholds_beside_weights)
