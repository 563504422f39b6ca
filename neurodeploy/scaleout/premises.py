"""Premises of a run: samples in the calibration's scale, and as many steps as the program was compiled for.

A run that breaks them is carried out exactly as it was asked for, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurodeploy.arrays import Rows
from neurodeploy.compiler.accumulate import accumulates
from neurodeploy.compiler.lower import lower
from neurodeploy.compiler.registers import Registers, registers
from neurodeploy.compiler.scales import charge_reach, reached, run_length
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Population, Program
from neurodeploy.rules.timing import OTHER_RUN_LENGTH, OTHER_SCALE
from neurodeploy.scaleout.job import Job, entering

SAMPLES = 256
"""Samples whose range is measured; another scale shows in every one of them."""
BEYOND = 0.5
"""How far, in widths of the calibration's range, the typical sample may reach beyond that range.

The range is that of all calibration samples, and what is held against it is the median of the samples' own
ends: outliers of ordinary data, however far, lie in few samples, while a factor of two or a shift of half
the range moves them all.
"""
BELOW = 8.0
"""How many times smaller than the calibration's largest value all samples together may be;"""
ENOUGH = 8
"""asked of so many samples at least, as one dark image is no other scale."""


def broken_premises(job: Job, x: Rows) -> tuple[Diagnostic, ...]:
    """Return a finding for every premise that a run of these samples breaks."""
    length = _length(job.model, job.steps) if isinstance(job.model, Program) else ()
    return (*length, *_scale(job, x))


def _length(program: Program, steps: int) -> Iterator[Diagnostic]:
    """Name layers whose numbers hold for runs of the compiled length only."""
    compiled, regs = run_length(program), registers(program.target)
    if regs is None or steps == compiled:
        return
    spread = [p.origin for p in _lowered(program) if _is_spread(p)]
    wide = [p.origin for p in program.populations if p.on_chip and _passes_end(p, regs, steps)]
    reasons = [f"charge of {_names(spread)} is spread over {compiled} steps"] if spread else []
    if steps > compiled and wide:
        reasons.append(f"registers of {_names(wide)} may not hold what so many steps add up to")
    if reasons:
        yield OTHER_RUN_LENGTH.at(
            Place(layer="model"), used=steps, limit=compiled, unit="steps", what=" and ".join(reasons)
        )


def _lowered(program: Program) -> tuple[Population, ...]:
    return lower(Program(program.graph, program.target, options=program.options)).populations


def _is_spread(p: Population) -> bool:
    return p.on_chip and bool(np.any(p.membrane.v_init)) and not accumulates(p)


def _passes_end(p: Population, regs: Registers, steps: int) -> bool:
    """Whether a program for so many steps would have to take another scale."""
    endless = p.membrane.threshold is None
    membrane = float(reached(p, steps).max()) * p.weight_scale > regs.threshold_max
    current = charge_reach(p, steps) * p.weight_scale >= 2**regs.current_bits
    return bool((endless and membrane) or current)


def _names(layers: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in dict.fromkeys(layers))


def _scale(job: Job, x: Rows) -> Iterator[Diagnostic]:
    """Hold the range of the samples, divided, against that of the calibration."""
    meta = job.graph.meta
    if "calibration_min" not in meta or "calibration_max" not in meta or not len(x):
        return
    low, high = float(meta["calibration_min"]), float(meta["calibration_max"])
    divided = entering(job.graph, x[:SAMPLES], job.divide_by)
    each = divided.reshape(len(divided), -1)
    largest, peak = max(abs(low), abs(high)), float(np.abs(each).max())
    room = BEYOND * max(high - low, largest)
    above, under = np.median(each.max(axis=1)) - high, low - np.median(each.min(axis=1))
    beyond = max(float(above), float(under)) > room
    below = len(each) >= ENOUGH and 0 < peak * BELOW < largest
    if not (beyond or below):
        return
    divisor = float(meta.get("divide_by", 1.0)) if job.divide_by is None else float(job.divide_by)
    yield OTHER_SCALE.at(
        Place(layer="(input)"), used=peak, limit=largest, unit="input", least=float(each.min()),
        most=float(each.max()), low=low, high=high, divisor=divisor,
        fitting=divisor * peak / (largest or 1.0),
    )  # fmt: skip
