"""Repair: what can be given up so that a network fits, and what that costs.

Cutting, sharing and placing cost nothing and always happen. Fewer weight bits cost precision; they are taken
only as far as the user allows, one layer at a time, where most memory is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from neurodeploy.compiler import maps, rounding
from neurodeploy.compiler.accumulate import accumulate
from neurodeploy.compiler.lower import lower
from neurodeploy.compiler.quantize import layer_bits
from neurodeploy.compiler.registers import registers
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Program, Projection
from neurodeploy.rules import capacity as rules
from neurodeploy.rules.precision import WEIGHTS_NARROWED

RELIEVED = {
    rule.code
    for rule in (
        rules.SYNAPSE_MEMORY_EXCEEDED,
        rules.TOO_MANY_OUTPUT_AXONS,
        rules.ONLY_ON_ONE_CHIP,
        rules.TOO_MANY_CORES,
        rules.TOO_MANY_WORDS_PER_AXON,
    )
}
"""Findings that narrower weights can lift."""


Compile = Callable[[Mapping[str, int]], Program]


def narrow_weights(compile_with: Compile, *, least: int) -> Program:
    """Compile, and take bits from the largest layers until the network fits or no bit may be taken.

    Parameters
    ----------
    compile_with : callable of mapping of str to int
        Compiles with these weight bits by layer, where given.
    least : int
        Fewest bits, the sign included.

    Returns
    -------
    Program
        The one that fits, with a note for every layer that says what it gave up; the first one where none
        does.
    """
    first = compile_with({})
    program, bits = first, dict[str, int]()
    while _errors(program):
        layer = _largest(program, bits, least)
        if layer is None:
            return first
        bits[layer] = _narrower(program, layer, bits)
        program = compile_with(bits)
    notes = tuple(_note(first, program, layer) for layer in bits)
    return dataclasses.replace(program, diagnostics=(*program.diagnostics, *notes))


def _errors(program: Program) -> set[str]:
    return {d.code for d in program.errors} & RELIEVED


def _largest(program: Program, bits: Mapping[str, int], least: int) -> str | None:
    """Name the layer whose weights take most memory and may still lose a bit."""
    size: dict[str, int] = {}
    for p in program.projections:
        if _narrower(program, p.origin, bits) >= least:
            size[p.origin] = size.get(p.origin, 0) + maps.synapse_count(p.map) * p.weight_bits
    return max(size, key=lambda layer: size[layer], default=None)


def _narrower(program: Program, layer: str, bits: Mapping[str, int]) -> int:
    """Return the next width below a layer's, or 0."""
    regs = registers(program.target)
    now = bits.get(layer, layer_bits(program, layer, regs)) if regs else 0
    return max((b for b in regs.weight_bits if b < now), default=0) if regs else 0


def _note(before: Program, after: Program, layer: str) -> Diagnostic:
    old, new = ([p for p in program.projections if p.origin == layer] for program in (before, after))
    targets = {p.target for p in new}
    return WEIGHTS_NARROWED.at(
        Place(layer=layer),
        used=new[0].weight_bits,
        before=old[0].weight_bits,
        unit="bits",
        blocks=sum(len(after.blocks_of(name)) for name in targets),
        blocks_before=sum(len(before.blocks_of(name)) for name in targets),
        cores=len(set(after.cores)),
        cores_before=len(set(before.cores)),
        error=_error(after, new),
        error_before=_error(before, old),
    )


def _error(program: Program, into: list[Projection]) -> float:
    """Return the worst RMS error of rounding, relative to the weights' typical size."""
    bare = dataclasses.replace(program, populations=(), projections=(), blocks=(), cores=())
    floats = accumulate(lower(bare))
    worst = 0.0
    for p in into:
        key = (p.source, p.target, p.origin, p.delay)
        exact = next(q for q in floats.projections if (q.source, q.target, q.origin, q.delay) == key)
        scale = program.population(p.target).weight_scale
        got, want = p.map.weight / scale, exact.map.weight
        if got.shape == want.shape and (size := rounding.typical_size(want)):
            worst = max(worst, rounding.rms(got - want) / size)
    return worst
