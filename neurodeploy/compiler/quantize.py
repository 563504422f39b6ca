"""Quantisation: weights, thresholds, biases and decays become the integers of the chip.

One scale holds for all that enters a population, so that its membrane has one unit. The search for it and all
rounding equal nengo-loihi's (`builder/discretize.py`) except where nengo-loihi is wrong: a projection far
weaker than its neighbours keeps its size, and the largest positive weight keeps its top code. With
``match="nengo-loihi"`` the old numbers come back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import maps, rounding
from neurodeploy.compiler.registers import Registers, registers
from neurodeploy.compiler.scales import SMALL, Scale, decays, evenness, find_scale, reached, run_length
from neurodeploy.compiler.widths import check_layers, wanted_bits
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.numerics import formats
from neurodeploy.numerics.neurons import Compartments
from neurodeploy.program import Population, Program, Projection
from neurodeploy.rules import precision as rules
from neurodeploy.rules.hardware import STAYS_IN_FLOATS

Floats = npt.NDArray[np.float64]

NOMINAL_BITS = 8
"""Width at which the nominal range of weights, -255 to 255, has a step of 1 (nengo-loihi)."""
WEAKEST_EXPONENT = -6
"""Smallest exponent that a weaker projection gets (nengo-loihi)."""
CLOCK_TOLERANCE = 0.01
"""Error of a bias in every step, relative to what moves a busy neuron in one, that passes without a word."""


def quantize(program: Program) -> Program:
    """Give every population on the chip its integer compartments, and every projection its integer weights.

    For a target without fixed-point registers of this kind all stays in floats, and a finding says so.

    Raises
    ------
    OptionError
        If bits are wanted for a layer that has no weights.
    """
    check_layers(program)
    regs = registers(program.target)
    if regs is None:
        note = STAYS_IN_FLOATS.at(Place(layer="model"), target=program.target.id)
        return dataclasses.replace(program, diagnostics=(*program.diagnostics, note))
    lossy = program.options.get("match") == "nengo-loihi"
    populations, projections = [], list(program.projections)
    found: list[Diagnostic] = []
    for population in program.populations:
        if not population.on_chip:
            populations.append(population)
            continue
        into = [i for i, p in enumerate(projections) if p.target == population.name]
        even = evenness(population, regs)
        for i in into:
            projections[i] = _evened(projections[i], even)
        forms = {i: _form(program, [projections[j] for j in into], projections[i], regs, lossy) for i in into}
        strongest = max(into, key=lambda i: _largest(projections[i]), default=None)
        scale = find_scale(
            population,
            _largest(projections[strongest]) if strongest is not None else 0.0,
            regs,
            nominal=forms[strongest].nominal if strongest is not None else 1.0,
            steps=run_length(program),
        )
        populations.append(_population(population, scale, regs))
        for i, form in forms.items():
            before, projections[i] = projections[i], _projection(projections[i], scale, regs, form)
            found += _measure(program, population, before, projections[i], scale, form)
    return dataclasses.replace(
        program,
        populations=tuple(populations),
        projections=tuple(projections),
        diagnostics=(*program.diagnostics, *found),
    )


@dataclass(frozen=True)
class WeightForm:
    """How the weights into one population are stored.

    Parameters
    ----------
    bits : int
        The sign included.
    signed : int
        Bits lost to the sign: 1 for weights of both signs.
    lossy : bool
        Lose what nengo-loihi loses.
    """

    bits: int
    signed: int
    lossy: bool

    @property
    def nominal(self) -> float:
        """What the largest weight becomes before rounding: half a code above the top one, 255 for 8 bits."""
        return float((2 ** (NOMINAL_BITS - self.unused) - 0.5) * 2**self.unused)

    @property
    def unused(self) -> int:
        """Low bits of the nominal range that are always zero."""
        return NOMINAL_BITS - self.bits + self.signed


def _form(
    program: Program, into: list[Projection], projection: Projection, regs: Registers, lossy: bool
) -> WeightForm:
    bits = max(regs.weight_bits) if projection.widest else layer_bits(program, projection.origin, regs)
    return WeightForm(bits, int(_is_signed(into, bits, regs)), lossy)


def layer_bits(program: Program, layer: str, regs: Registers) -> int:
    """Return the width that the weights of a layer are stored in."""
    return stored_bits(wanted_bits(program, layer, NOMINAL_BITS), regs)


def _is_signed(into: list[Projection], bits: int, regs: Registers) -> bool:
    return bits == max(regs.weight_bits) or any((p.map.weight < 0).any() for p in into)


def stored_bits(wanted: int, regs: Registers) -> int:
    """Return the smallest width the chip stores that is at least the one wanted."""
    return min((b for b in regs.weight_bits if b >= wanted), default=max(regs.weight_bits))


def _evened(projection: Projection, even: Floats) -> Projection:
    """Scale the weights of every neuron so that all membranes of the population have one unit."""
    if (even == 1).all():
        return projection
    return dataclasses.replace(projection, map=maps.scale_rows(projection.map, even))


def _largest(projection: Projection) -> float:
    weight = np.nan_to_num(np.asarray(projection.map.weight, np.float32), posinf=0.0, neginf=0.0)
    return float(np.abs(weight).max(initial=0.0))


def _population(population: Population, scale: Scale, regs: Registers) -> Population:
    decay_u, decay_v = decays(population, regs)
    if population.membrane.threshold is None:
        threshold = np.full(population.size, regs.threshold_max, np.int32)
    else:
        reach = np.asarray(reached(population, 1), np.float32)
        threshold, _ = formats.threshold_code(
            reach * scale.membrane, mantissa_bits=regs.threshold_bits, exponent=regs.threshold_exponent
        )
    bias, _ = formats.bias_code(
        np.asarray(np.nan_to_num(population.bias, posinf=0.0, neginf=0.0), np.float32) * scale.bias,
        mantissa_bits=regs.bias_bits,
        exponent_max=regs.bias_exponent_max,
    )
    compartments = Compartments(
        decay_u=decay_u,
        decay_v=decay_v,
        vth=threshold,
        bias=bias,
        refract=np.full(population.size, population.membrane.refractory + 1, np.int32),
        vmin=formats.floor_code(-np.inf, exponent_max=regs.vmin_exponent_max),
        vmax=formats.ceiling_code(np.inf, base=regs.vmax_exponent_base, exponent_max=regs.vmax_exponent_max),
    )
    return dataclasses.replace(population, compartments=compartments, weight_scale=scale.membrane)


def _projection(projection: Projection, scale: Scale, regs: Registers, form: WeightForm) -> Projection:
    map_ = projection.map
    weight = np.nan_to_num(np.asarray(map_.weight, np.float32), posinf=0.0, neginf=0.0)
    largest = float(np.abs(weight).max(initial=0.0))
    exponent, up = _exponent(largest, scale, lossy=form.lossy)
    codes = formats.weight_code(
        weight * np.float32(scale.weight) * np.float32(2.0**up),
        bits=form.bits,
        signed_shift=form.signed,
        exponent=exponent,
        shift=regs.shift,
        lossy=form.lossy,
    )
    kept = exponent if form.lossy else max(exponent, -form.unused)
    return dataclasses.replace(
        projection, map=maps.with_weight(map_, codes), weight_exp=kept, weight_bits=form.bits
    )


def _exponent(largest: float, scale: Scale, *, lossy: bool) -> tuple[int, int]:
    """Exponent of a projection, and the power of two by which its weights grow to use it."""
    if scale.strongest <= SMALL or largest <= SMALL**2:
        exponent = WEAKEST_EXPONENT
        return exponent, scale.exponent - exponent
    weaker = int(np.floor(np.log2(np.float32(scale.strongest) / np.float32(largest))))
    exponent = max(scale.exponent - weaker, WEAKEST_EXPONENT)
    return exponent, weaker if lossy else scale.exponent - exponent


def _measure(
    program: Program,
    population: Population,
    before: Projection,
    after: Projection,
    scale: Scale,
    form: WeightForm,
) -> Iterator[Diagnostic]:
    """Say what rounding did to the weights of one projection, where it is more than is tolerated."""
    place = Place(layer=before.origin, node=population.name)
    if form.unused >= NOMINAL_BITS:
        yield rules.NO_SIGN_BIT.at(place, used=form.bits, limit=form.bits + 1, unit="bits")
        return
    largest = _largest(before)
    if scale.strongest <= SMALL or largest <= SMALL**2:
        return
    up = _exponent(largest, scale, lossy=False)[1]
    lost = -min(form.unused + scale.exponent, 0)
    if lost and largest == scale.strongest:
        rule = rules.READOUT_BITS if population.membrane.threshold is None else rules.WEIGHT_BITS_LOST
        yield rule.at(
            place, source=before.source, used=form.bits - lost, limit=form.bits, unit="bits",
            exponent=scale.exponent, steps=run_length(program),
        )  # fmt: skip
    weaker = int(np.floor(np.log2(scale.strongest / largest)))
    if weaker > max(up, 0) and not form.lossy:
        yield rules.WEAK_PROJECTION.at(
            place, source=before.source, used=scale.strongest / largest, factor=2.0 ** (weaker - up)
        )
    units = scale.weight * 2.0 ** (scale.shift + scale.exponent)
    moved = after.map.weight / units - before.map.weight
    if before.widest:
        yield from _own_synapses(population, before, moved, place)
        return
    error = rounding.rms(moved)
    size = rounding.typical_size(before.map.weight)
    if error > rounding.TOLERANCE * size:
        yield rules.WEIGHT_ROUNDING.at(
            place, source=before.source, used=error / size, limit=rounding.TOLERANCE, unit="of their size",
            bits=form.bits, most=NOMINAL_BITS,
        )  # fmt: skip


def _own_synapses(
    population: Population, before: Projection, moved: Floats, place: Place
) -> Iterator[Diagnostic]:
    """Say what rounding did to synapses that the compiler added, by its effect on what a neuron does.

    Their size says nothing: a bias far below a step of the weights may vanish, and nothing comes of it.
    """
    to_itself = before.source == population.name
    limit = rounding.TOLERANCE if to_itself else CLOCK_TOLERANCE
    typical, of = _typical_step(population)
    used = rounding.rms(np.asarray(moved).reshape(-1) / typical)
    if used > limit:
        part = "the thresholds that spikes take off" if to_itself else "the biases"
        yield rules.OWN_SYNAPSES.at(
            place, source=before.source, part=part, of=of, used=used, limit=limit, unit=f"of {of}"
        )


def _typical_step(population: Population) -> tuple[Floats, str]:
    """Return what a step adds where a neuron is busy, shape (N,): a threshold, or a read-out's mean drive."""
    notes, gain = population.notes, float(np.max(population.membrane.gain_u))
    if population.membrane.threshold is not None:
        return np.maximum(reached(population, 1), SMALL) / gain, "a threshold a step"
    peak = float(notes.get("peak_drive", 1.0))  # in units of the current already
    if notes.get("peak_membrane") and notes.get("steps"):
        peak = min(peak, float(notes["peak_membrane"]) / float(notes["steps"]) / gain)
    return np.full(population.size, max(peak, SMALL)), "what a read-out gains a step"
