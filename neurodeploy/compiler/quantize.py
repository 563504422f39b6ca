"""Quantisation: weights, thresholds, biases and decays become the integers of the chip.

One scale holds for all that enters a population, so that its membrane has one unit. The search for it and all
rounding equal nengo-loihi's (`builder/discretize.py`) except where nengo-loihi is wrong: a projection far
weaker than its neighbours keeps its size, and the largest positive weight keeps its top code. With
``match="nengo-loihi"`` the old numbers come back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import maps
from neurodeploy.compiler.registers import Registers, registers
from neurodeploy.numerics import formats
from neurodeploy.numerics.neurons import Compartments
from neurodeploy.program import Population, Program, Projection

Floats = npt.NDArray[np.float64]

NOMINAL_BITS = 8
"""Width at which the nominal range of weights, -255 to 255, has a step of 1 (nengo-loihi)."""
TOP_EXPONENT, LAST_EXPONENT, WEAKEST_EXPONENT = 0, -7, -6
"""Exponents the search goes through, and the smallest that a weaker projection gets (nengo-loihi)."""
SMALL = 1e-8
"""Weights and biases below this count as none (nengo-loihi)."""
DEFAULT_STEPS = 100
"""Assumed length of a run, for the range of an integrator, where the graph does not say."""
MARGIN = 2.0
"""How far beyond the largest membrane seen on calibration data an integrator may go."""


@dataclass(frozen=True)
class Scale:
    """How floats become integers in one population.

    Parameters
    ----------
    membrane : ndarray of float64, shape (N,)
        Membrane units per unit of the float membrane.
    bias : ndarray of float64, shape (N,)
        Membrane units per unit of the float bias.
    weight : ndarray of float64, shape () or (N,)
        Nominal weight units per float weight.
    exponent : int
        Weight exponent of the strongest projection.
    strongest : float
        Its largest weight.
    """

    membrane: Floats
    bias: Floats
    weight: Floats
    exponent: int
    strongest: float


def quantize(program: Program) -> Program:
    """Give every population on the chip its integer compartments, and every projection its integer weights.

    A target without fixed-point registers of this kind is left in floats.
    """
    regs = registers(program.target)
    if regs is None:
        return program
    bits = stored_bits(int(program.options.get("weight_bits", 8)), regs)
    lossy = program.options.get("match") == "nengo-loihi"
    populations, projections = [], list(program.projections)
    for population in program.populations:
        if not population.on_chip:
            populations.append(population)
            continue
        into = [i for i, p in enumerate(projections) if p.target == population.name]
        largest = [_largest(projections[i]) for i in into]
        form = WeightForm(bits, int(_is_signed([projections[i] for i in into], bits, regs)), lossy)
        found = find_scale(
            population, max(largest, default=0.0), regs, nominal=form.nominal, steps=_steps(program)
        )
        populations.append(_population(population, found, regs))
        for i in into:
            projections[i] = _projection(projections[i], found, regs, form)
    return dataclasses.replace(program, populations=tuple(populations), projections=tuple(projections))


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
        unused = NOMINAL_BITS - self.bits + self.signed
        return float((2 ** (NOMINAL_BITS - unused) - 0.5) * 2**unused)


def _is_signed(into: list[Projection], bits: int, regs: Registers) -> bool:
    return bits == max(regs.weight_bits) or any((p.map.weight < 0).any() for p in into)


def stored_bits(wanted: int, regs: Registers) -> int:
    """Return the smallest width the chip stores that is at least the one wanted."""
    return min((b for b in regs.weight_bits if b >= wanted), default=max(regs.weight_bits))


def find_scale(
    population: Population, strongest: float, regs: Registers, *, nominal: float, steps: int
) -> Scale:
    """Find the largest scale at which threshold and bias of a population fit their registers.

    Parameters
    ----------
    population : Population
    strongest : float
        Largest absolute weight into it.
    regs : Registers
    nominal : float
        What the largest weight becomes before it is rounded.
    steps : int
        Length of a run, for integrators.
    """
    u, v = _infactors(population, regs)
    top = largest_bias(population)
    if strongest > SMALL:
        return _by_weight(population, strongest, nominal, u, v, regs, steps)
    if top > SMALL:
        return _by_bias(population, top, u, v, regs, steps)
    reach = min(regs.threshold_max, 2**regs.input_bits - 1)
    membrane = np.full(population.size, reach / (float(reached(population, steps).max()) + 1))
    return Scale(membrane, membrane * v, membrane * v * u / 2.0**regs.shift, 0, strongest)


def reached(population: Population, steps: int) -> Floats:
    """How far the membrane goes: the threshold, or for an integrator the largest value it may take in a run.

    Returns
    -------
    ndarray of float64, shape (N,)
    """
    threshold = population.membrane.threshold
    if threshold is None:
        threshold = np.full((), integrator_reach(population, steps))
    return np.broadcast_to(np.nan_to_num(np.asarray(threshold, np.float64)), population.shape).reshape(-1)


def integrator_reach(population: Population, steps: int) -> float:
    """Largest membrane of an integrator: peak drive times steps, or what calibration saw with a margin."""
    peak = float(population.notes.get("peak_drive", 1.0))
    keep = float(np.max(population.membrane.keep_v))
    total = peak if keep < 1 else peak * steps
    seen = float(population.notes.get("peak_membrane", 0.0)) * MARGIN
    longer = steps / max(float(population.notes.get("steps", steps)), 1.0)
    return min(total, seen * longer) if seen else total


def largest_bias(population: Population) -> float:
    """Largest constant input; that of an encoder on the chip is one threshold per step."""
    if population.notes.get("role") == "encoder":
        return float(np.max(reached(population, 1)))
    return float(np.abs(np.nan_to_num(population.bias)).max(initial=0.0))


def _steps(program: Program) -> int:
    wanted = program.options.get("steps") or program.graph.meta.get("steps") or DEFAULT_STEPS
    return int(wanted)


def _largest(projection: Projection) -> float:
    weight = np.nan_to_num(np.asarray(projection.map.weight, np.float32), posinf=0.0, neginf=0.0)
    return float(np.abs(weight).max(initial=0.0))


def decays(population: Population, regs: Registers) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Round both decays to their registers, shape (N,)."""

    def code(keep: Floats, offset: int) -> npt.NDArray[np.int32]:
        codes = formats.decay_code(
            1 - np.asarray(keep), bits=regs.decay_bits, top=regs.decay_top, offset=offset
        )
        return np.broadcast_to(codes, population.shape).reshape(-1).astype(np.int32)

    return code(population.membrane.keep_u, regs.offset_u), code(population.membrane.keep_v, regs.offset_v)


def _infactors(population: Population, regs: Registers) -> tuple[Floats, Floats]:
    """Factors that make a decaying variable settle where its input is."""
    code_u, code_v = decays(population, regs)
    start = regs.decay_start
    u = 1 / formats.decay_sum(code_u, bits=regs.decay_bits, offset=regs.offset_u, start=start)
    v = 1 / formats.decay_sum(code_v, bits=regs.decay_bits, offset=regs.offset_v, start=start)
    leaks = np.broadcast_to(population.membrane.keep_v < 1, population.shape).reshape(-1)
    return u, np.where(leaks, v, 1.0)


def _by_weight(
    population: Population,
    strongest: float,
    nominal: float,
    u: Floats,
    v: Floats,
    regs: Registers,
    steps: int,
) -> Scale:
    weight = nominal / strongest
    reach = np.asarray(reached(population, steps), np.float32)
    bias = np.asarray(np.nan_to_num(population.bias), np.float32)
    for exponent in range(TOP_EXPONENT, LAST_EXPONENT - 1, -1):
        membrane = 1.0 / (u * v) * weight * 2.0 ** (regs.shift + exponent)
        fits = (np.rint(reach * membrane) <= regs.threshold_max).all()
        if fits and (np.abs(np.rint(bias * membrane * v)) <= regs.bias_max).all():
            break
    return Scale(membrane, membrane * v, np.asarray(weight), exponent, strongest)


def _by_bias(population: Population, top: float, u: Floats, v: Floats, regs: Registers, steps: int) -> Scale:
    bias = np.full(population.size, regs.bias_max / top)
    reach = np.asarray(reached(population, steps), np.float32)
    while bias[0] * top > 1:
        membrane = bias / v
        if (np.rint(reach * membrane) <= regs.threshold_max).all():
            break
        bias = bias / 2.0
    return Scale(bias / v, bias, bias * u / 2.0**regs.shift, 0, 0.0)


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
        np.asarray(np.nan_to_num(population.bias), np.float32) * scale.bias,
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
    return dataclasses.replace(population, compartments=compartments, weight_scale=float(scale.membrane[0]))


def _projection(projection: Projection, scale: Scale, regs: Registers, form: WeightForm) -> Projection:
    map_ = projection.map
    weight = np.nan_to_num(np.asarray(map_.weight, np.float32), posinf=0.0, neginf=0.0)
    largest = float(np.abs(weight).max(initial=0.0))
    exponent, up = _exponent(largest, scale, lossy=form.lossy)
    if scale.weight.ndim and not np.all(scale.weight == scale.weight[0]):
        per_neuron = maps.scale_rows(
            maps.with_weight(map_, weight.astype(np.float64)), scale.weight * 2.0**up
        )
        map_, nominal = per_neuron, per_neuron.weight
    else:
        nominal = weight * np.float32(scale.weight.flat[0]) * np.float32(2.0**up)
    codes = formats.weight_code(
        nominal,
        bits=form.bits,
        signed_shift=form.signed,
        exponent=exponent,
        shift=regs.shift,
        lossy=form.lossy,
    )
    kept = exponent if form.lossy else max(exponent, form.bits - form.signed - NOMINAL_BITS)
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
