"""ND4xx: what the number formats make of the network. Weights are measured while they are rounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import fans, rounding, scales
from neurodeploy.compiler.checks.finding import at_limit, of_population
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.compiler.lower import gain
from neurodeploy.compiler.registers import Registers, registers
from neurodeploy.compiler.widths import wanted_bits
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.graph import Node
from neurodeploy.program import ConvMap, DenseMap, Population, Program, Projection
from neurodeploy.rules import precision as rules

Floats = npt.NDArray[np.float64]

DECAY_TOLERANCE = 0.1
"""Relative error of a time constant that passes without a word."""
BIAS_TOLERANCE = 0.1
"""The same for the biases of a layer, in RMS."""
DEAD_TOLERANCE = 0.05
"""Share of neurons that may stay silent on calibration data without a word."""
HEADROOM = 2.0
"""How far calibrated drive must stay below a wrap for the worst case not to be worth a word."""

NOT_CALIBRATED = "Whether it happens is not known; neurodeploy run FILE.nd --data D.npz counts the samples"


def finite(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that every parameter of every node is a finite number."""
    for node in program.graph.nodes:
        for name, value in vars(node.op).items():
            if isinstance(value, np.ndarray) and not np.isfinite(value).all():
                yield _not_finite(node, name, value)


def _not_finite(node: Node, name: str, value: npt.NDArray[Any]) -> Diagnostic:
    bad = np.argwhere(~np.isfinite(value))
    first = tuple(int(i) for i in bad[0])
    return rules.NOT_FINITE.at(
        Place(layer=node.origin, node=node.name),
        used=len(bad), count=value.size, parameter=name, value=str(value[first]), where=str(first),
    )  # fmt: skip


def _on_chip(program: Program) -> Iterator[tuple[Population, Registers]]:
    regs = registers(program.target)
    for population in program.populations if regs is not None else ():
        if population.on_chip and population.compartments is not None:
            assert regs is not None
            yield population, regs


def thresholds(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``1 <= threshold <= largest`` in mantissa codes."""
    for population, regs in _on_chip(program):
        if population.membrane.threshold is None or not np.isfinite(population.membrane.threshold).all():
            continue
        wanted = scales.reached(population, 1) * population.weight_scale
        codes = np.rint(wanted / 2.0**regs.threshold_exponent)
        facts = {"limit": 2**regs.threshold_bits - 1, "unit": "mantissa codes", "target": program.target.id}
        if codes.min() < 1:
            yield rules.THRESHOLD_RANGE.at(of_population(population), used=int(codes.min()), least=1, **facts)
        if codes.max() > facts["limit"]:
            yield rules.NO_WEIGHT_EXPONENT.at(of_population(population), used=int(codes.max()), **facts)


def biases(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``|bias| <= largest`` in membrane units, and how far rounding moves them."""
    for population, regs in _on_chip(program):
        assert population.compartments is not None
        factor = population.weight_scale * scales.infactors(population, regs)[1]
        wanted = np.nan_to_num(population.bias, posinf=0.0, neginf=0.0) * factor
        top = float(np.abs(np.rint(wanted)).max(initial=0))
        place = of_population(population)
        if top > regs.bias_max:
            yield rules.BIAS_RANGE.at(
                place, used=int(top), limit=regs.bias_max, unit="membrane units", target=program.target.id
            )
        elif wanted.any():
            error = float(np.linalg.norm(population.compartments.bias - wanted) / np.linalg.norm(wanted))
            if error > BIAS_TOLERANCE:
                yield rules.BIAS_ROUNDING.at(place, used=error, limit=BIAS_TOLERANCE, unit="of their RMS")


def decays(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that a decay is at least half a code, and close to what was asked for."""
    dt = program.graph.dt
    for population, regs in _on_chip(program):
        assert population.compartments is not None
        c, neuron = population.compartments, population.membrane
        for which, keep, code, offset in (
            ("synaptic", neuron.keep_u, c.decay_u, regs.offset_u),
            ("membrane", neuron.keep_v, c.decay_v, regs.offset_v),
        ):
            wanted = 1 - np.broadcast_to(keep, population.shape).reshape(-1)
            got = (code + offset) / 2.0**regs.decay_bits
            yield from _decay(population, which, wanted, got, 0.5 / 2**regs.decay_bits, dt, program)


def _decay(
    population: Population, which: str, wanted: Floats, got: Floats, least: float, dt: float, program: Program
) -> Iterator[Diagnostic]:
    place, target = of_population(population), program.target.id
    slow = (wanted > 0) & (wanted <= least)
    if slow.any():
        tau = float((dt / wanted[slow]).max())
        yield rules.DECAY_RANGE.at(place, which=which, used=tau, limit=dt / least, unit="s", target=target)
        return
    error = np.where(wanted > 0, np.abs(got - wanted) / np.maximum(wanted, least), 0.0)
    worst = int(error.argmax()) if error.size else 0
    if error.size and error[worst] > DECAY_TOLERANCE:
        yield rules.DECAY_ROUNDING.at(
            place, which=which, used=float(error[worst]), limit=DECAY_TOLERANCE, unit="relative",
            tau=float(dt / wanted[worst]), got=float(dt / got[worst]), target=target,
        )  # fmt: skip


def refractory(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``least <= refractory steps <= most``, the spike's own step included."""
    least = program.target.limit("neuron.refractory.min_steps")
    most = program.target.limit("neuron.refractory.max_steps")
    for population in program.populations:
        used = population.membrane.refractory + 1
        if population.on_chip and most.known and used > most.value:
            yield at_limit(
                rules.REFRACTORY_RANGE, of_population(population), most, program, used=used, least=least.value
            )


def input_overflow(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``sum of the weights of one step <= largest``: as calibrated, else at worst."""
    for population, regs in _on_chip(program):
        top = 2**regs.input_bits - 1
        facts = {"limit": top, "unit": "accumulator units", "target": program.target.id}
        place, peak = of_population(population), _calibrated(program, population, regs)
        if peak > top:
            yield rules.INPUT_OVERFLOWS.at(place, used=round(peak), **facts)
            continue
        worst = worst_input(program, population)
        if worst > top and (not peak or peak * HEADROOM > top):
            drive = f"Calibration saw {round(peak):,} in a step" if peak else NOT_CALIBRATED
            yield rules.INPUT_OVERFLOW.at(place, used=worst, drive=drive, more="", **facts)


def current_overflow(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that a current that decays slowly stays in its register."""
    for population, regs in _on_chip(program):
        if not np.any(population.membrane.keep_u > 0):
            continue
        if population.notes.get("accumulates"):
            used = scales.charge_reach(population, scales.run_length(program)) * population.weight_scale
        else:
            longest = 1 / float(scales.infactors(population, regs)[0].min())
            used = (_calibrated(program, population, regs) or worst_input(program, population)) * longest
        top = 2**regs.current_bits - 1
        if used > top:
            yield rules.CURRENT_OVERFLOW.at(
                of_population(population), used=round(used), limit=top, unit="current units",
                target=program.target.id,
            )  # fmt: skip


def _calibrated(program: Program, population: Population, regs: Registers) -> float:
    """Return the largest drive of one step seen on calibration data, in accumulator units; 0 if not known."""
    if population.name not in program.graph:
        return 0.0  # a population of the compiler's own, which nothing drives
    op = program.graph[population.name].op
    unit = float(np.max(gain(membrane(op, program.graph.dt))))
    u, v = scales.infactors(population, regs)
    peak = float(population.notes.get("peak_drive", 0.0))
    return peak * unit * population.weight_scale * float((u * v).max())


def worst_input(program: Program, population: Population) -> int:
    """Largest sum of weights of one sign into one neuron, as if all its inputs spiked at once."""
    into = [p for p in program.projections if p.target == population.name]
    up = sum((_sums(p, 1) for p in into), np.zeros(population.size))
    down = sum((_sums(p, -1) for p in into), np.zeros(population.size))
    return int(max(np.max(up, initial=0), np.max(down, initial=0)))


def _sums(projection: Projection, sign: int) -> Floats:
    """Sum of the weights of one sign into every neuron; at a convolution's border as in its middle."""
    map_ = projection.map
    weight = np.maximum(sign * map_.weight.astype(np.float64), 0)
    match map_:
        case DenseMap():
            return np.asarray(weight.sum(axis=1))
        case ConvMap():
            pixels = map_.target_shape[1] * map_.target_shape[2]
            return np.repeat(weight.sum(axis=(1, 2, 3)), pixels)
        case _:
            rows = np.repeat(np.arange(map_.shape[0]), np.diff(map_.row_start))
            return np.bincount(rows, weight, map_.shape[0]).astype(np.float64)


def membranes(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that inhibition stays in the membrane's register, as calibrated; excitation ends at a spike.

    Populations whose current keeps the charge are those of `current_overflow`.
    """
    steps = scales.run_length(program)
    for population, _ in _on_chip(program):
        c, seen = population.compartments, float(population.notes.get("peak_membrane", 0.0))
        assert c is not None
        if population.membrane.threshold is None or population.notes.get("accumulates"):
            continue
        above = 1 + float(population.notes.get("peak_drive", 0.0))  # a threshold, and what one step adds
        leaks = bool((population.membrane.keep_v < 1).all())
        longer = 1.0 if leaks else max(steps / float(population.notes.get("steps", steps)), 1.0)
        used = round(seen * longer * population.weight_scale)
        if seen > above and used > -c.vmin:
            yield rules.MEMBRANE_CLAMPED.at(
                of_population(population), used=-used, limit=c.vmin, unit="membrane units", steps=steps,
                target=program.target.id,
            )  # fmt: skip


def readouts(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that an integrator stays below the end of its register over a whole run."""
    steps = scales.run_length(program)
    for population, regs in _on_chip(program):
        if population.membrane.threshold is None:
            used = float(scales.reached(population, steps).max()) * population.weight_scale
            if used > regs.threshold_max:
                yield rules.READOUT_RANGE.at(
                    of_population(population), used=used, limit=regs.threshold_max, unit="membrane units",
                    steps=steps, target=program.target.id,
                )  # fmt: skip


def calibrated_units(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check how many neurons never or always spiked on calibration data; an input pixel may."""
    for population in program.populations:
        if population.notes.get("role") == "encoder":
            continue
        dead, full = (int(population.notes.get(k, 0)) for k in ("dead_units", "saturated_units"))
        for rule, used in ((rules.DEAD_UNITS, dead), (rules.SATURATED_UNITS, full)):
            if used > DEAD_TOLERANCE * population.size:
                yield rule.at(of_population(population), used=used, count=population.size, unit="neurons")


def positive_thresholds(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``threshold > 0`` where no pass has written thresholds as integers."""
    for population in program.populations if registers(program.target) is None else ():
        threshold = population.membrane.threshold
        low = np.zeros(0) if threshold is None else threshold[threshold <= 0]
        if low.size:
            count = int((np.broadcast_to(np.asarray(threshold), population.shape) <= 0).sum())
            facts = {
                "used": float(low.min()),
                "limit": 0,
                "unit": "",
                "count": count,
                "size": population.size,
            }
            yield rules.NO_THRESHOLD.at(of_population(population), **facts)


def silent_populations(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that something positive leads to a population that is to spike."""
    for population in program.populations:
        if population.membrane.threshold is None or population.notes.get("role") == "encoder":
            continue
        lifted = fans.fan_in(program, population, signed=False).any() or not (population.bias <= 0).all()
        if not lifted:
            yield rules.SILENT_POPULATION.at(of_population(population), used=population.size, unit="neurons")


def generic_rounding(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check what rounding to the part's widest weights does, where no pass has rounded them."""
    bits = program.target.words("synapse.weight.bits")
    if registers(program.target) is not None or not bits:
        return
    for p in program.projections:
        width = min(max(bits), wanted_bits(program, p.origin, max(bits)))
        weight = np.nan_to_num(p.map.weight, posinf=0.0, neginf=0.0)
        signed = int((weight < 0).any() and "mixed" in program.target.words("synapse.weight.sign_modes"))
        step = float(np.abs(weight).max(initial=0)) / max(2 ** (width - signed) - 1, 1)
        error = rounding.rms(np.rint(weight / step) * step - weight) if step else 0.0
        size = rounding.typical_size(weight)
        if error > rounding.TOLERANCE * size:
            yield rules.WEIGHT_ROUNDING.at(
                Place(layer=p.origin, node=p.target), source=p.source, used=error / size,
                limit=rounding.TOLERANCE, unit="of their size", bits=width, most=max(bits),
            )  # fmt: skip


def shift_decays(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``tau <= 2**k steps`` where a decay is a bit shift of at most k."""
    top = program.target.number("neuron.decay.max")
    if program.target.limit("neuron.decay.form").value != "shift" or top is None:
        return
    for population in program.populations:
        neuron = population.membrane
        for which, keep in (("synaptic", neuron.keep_u), ("membrane", neuron.keep_v)):
            lost = 1 - np.asarray(keep)
            used = float(1 / lost[lost > 0].min()) if (lost > 0).any() else 0.0
            if population.on_chip and used > 2**top * (1 + 1e-9):
                yield rules.SHIFT_DECAY.at(
                    of_population(population), which=which, used=used, limit=2**top, unit="steps",
                    target=program.target.id,
                )  # fmt: skip


def weights_above_threshold(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that one spike adds less than a threshold where events are handled one by one."""
    if program.target.mapping != "layer-engines":
        return
    for population in program.populations:
        threshold = population.membrane.threshold
        into = [p.map.weight for p in program.projections if p.target == population.name]
        if threshold is None or not into or np.min(threshold) <= 0:
            continue
        used = max(float(np.nanmax(w, initial=0)) for w in into) / float(np.min(threshold))
        if used > 1:
            yield rules.THRESHOLD_BELOW_WEIGHTS.at(
                of_population(population), used=used, limit=1, unit="thresholds"
            )


CHECKS = (
    finite,
    thresholds,
    biases,
    decays,
    refractory,
    input_overflow,
    current_overflow,
    membranes,
    readouts,
    calibrated_units,
    positive_thresholds,
    silent_populations,
    generic_rounding,
    shift_decays,
    weights_above_threshold,
)
