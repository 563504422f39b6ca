"""Scales: how many units of the chip one unit of a float is, in each population.

One scale holds for all that enters a population, so that its membrane has one unit. The search for it equals
nengo-loihi's (`builder/discretize.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.registers import Registers
from neurodeploy.numerics import formats
from neurodeploy.program import Population, Program

Floats = npt.NDArray[np.float64]

TOP_EXPONENT, LAST_EXPONENT = 0, -7
"""Weight exponents the search goes through (nengo-loihi)."""
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
    membrane : float
        Membrane units per unit of the float membrane.
    bias : ndarray of float64, shape (N,)
        Membrane units per unit of the float bias.
    weight : float
        Nominal weight units per float weight of a neuron with `evenness` 1.
    exponent : int
        Weight exponent of the strongest projection.
    strongest : float
        Its largest weight.
    shift : int
        Bits the chip shifts every weight to the left.
    """

    membrane: float
    bias: Floats
    weight: float
    exponent: int
    strongest: float
    shift: int


def evenness(population: Population, regs: Registers) -> Floats:
    """Return the factor of every neuron's weights that gives all membranes one unit, shape (N,); 1 at most.

    Neurons of one population that decay at different rates sum a spike up to different sizes.
    """
    u, v = infactors(population, regs)
    return np.asarray(u * v / (u * v).max(initial=0))


def find_scale(
    population: Population, strongest: float, regs: Registers, *, nominal: float, steps: int
) -> Scale:
    """Find the largest scale at which threshold and bias of a population fit their registers.

    Parameters
    ----------
    population : Population
    strongest : float
        Largest absolute weight into it, each times its neuron's `evenness`.
    regs : Registers
    nominal : float
        What the largest weight becomes before it is rounded.
    steps : int
        Length of a run, for integrators.
    """
    u, v = infactors(population, regs)
    top = largest_bias(population)
    if strongest > SMALL:
        return _by_weight(population, strongest, nominal, u, v, regs, steps)
    if top > SMALL:
        return _by_bias(population, top, u, v, regs, steps)
    reach = min(regs.threshold_max, 2**regs.input_bits - 1)
    membrane = reach / (float(reached(population, steps).max()) + 1)
    weight = membrane * float((u * v).max()) / 2.0**regs.shift
    return Scale(membrane, membrane * v, weight, 0, strongest, regs.shift)


def reached(population: Population, steps: int) -> Floats:
    """Return how far the membrane goes: the threshold, or what an integrator may reach in a run.

    Returns
    -------
    ndarray of float64, shape (N,)
    """
    threshold = population.membrane.threshold
    if threshold is None:
        threshold = np.full((), integrator_reach(population, steps))
    return np.broadcast_to(
        np.nan_to_num(np.asarray(threshold, np.float64), posinf=0.0), population.shape
    ).reshape(-1)


def integrator_reach(population: Population, steps: int) -> float:
    """Return the reach of an integrator: peak drive times steps, or what calibration saw and more."""
    peak = float(population.notes.get("peak_drive", 1.0))
    keep = float(np.max(population.membrane.keep_v))
    total = peak if keep < 1 else peak * steps
    seen = float(population.notes.get("peak_membrane", 0.0)) * MARGIN
    longer = steps / max(float(population.notes.get("steps", steps)), 1.0)
    return min(total, seen * longer) if seen else total


def charge_reach(population: Population, steps: int) -> float:
    """Return how far a current goes that keeps its charge, as calibration saw it and more; else 0."""
    if not population.notes.get("accumulates"):
        return 0.0
    longer = steps / max(float(population.notes.get("steps", steps)), 1.0)
    return float(population.notes.get("peak_membrane", 1.0)) * MARGIN * max(longer, 1.0)


def largest_bias(population: Population) -> float:
    """Return the largest constant input; that of an encoder on the chip is one threshold per step."""
    if population.notes.get("role") == "encoder":
        return float(np.max(reached(population, 1)))
    return float(np.abs(np.nan_to_num(population.bias, posinf=0.0, neginf=0.0)).max(initial=0.0))


def run_length(program: Program) -> int:
    """Return the steps of a run: as asked for, else as the graph was converted for."""
    wanted = program.options.get("steps") or program.graph.meta.get("steps") or DEFAULT_STEPS
    return int(wanted)


def decays(population: Population, regs: Registers) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Round both decays to their registers, shape (N,)."""

    def code(keep: Floats, offset: int) -> npt.NDArray[np.int32]:
        codes = formats.decay_code(
            1 - np.asarray(keep), bits=regs.decay_bits, top=regs.decay_top, offset=offset
        )
        return np.broadcast_to(codes, population.shape).reshape(-1).astype(np.int32)

    return code(population.membrane.keep_u, regs.offset_u), code(population.membrane.keep_v, regs.offset_v)


def infactors(population: Population, regs: Registers) -> tuple[Floats, Floats]:
    """Return the factors that make current and membrane settle where their input is, shape (N,)."""
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
    bias = np.asarray(np.nan_to_num(population.bias, posinf=0.0, neginf=0.0), np.float32)
    drive = float(population.notes.get("peak_drive", 0.0))
    for exponent in range(TOP_EXPONENT, LAST_EXPONENT - 1, -1):
        membrane = float(1.0 / (u * v).max() * weight * 2.0 ** (regs.shift + exponent))
        fits = (np.rint(reach * membrane) <= regs.threshold_max).all()
        fits = fits and drive * weight * 2.0 ** (regs.shift + exponent) < 2**regs.input_bits
        fits = fits and charge_reach(population, steps) * membrane < 2**regs.current_bits
        if fits and (np.abs(np.rint(bias * membrane * v)) <= regs.bias_max).all():
            break
    return Scale(membrane, membrane * v, weight, exponent, strongest, regs.shift)


def _by_bias(population: Population, top: float, u: Floats, v: Floats, regs: Registers, steps: int) -> Scale:
    bias = regs.bias_max / top
    reach = np.asarray(reached(population, steps), np.float32)
    while bias * top > 1:
        if (np.rint(reach * (bias / v.max())) <= regs.threshold_max).all():
            break
        bias = bias / 2.0
    membrane = float(bias / v.max())
    weight = membrane * float((u * v).max()) / 2.0**regs.shift
    return Scale(membrane, membrane * v, weight, 0, 0.0, regs.shift)
