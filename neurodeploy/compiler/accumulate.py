"""Reset by subtraction on a chip that resets to zero: the current accumulates in place of the membrane.

A spike takes a Loihi compartment's membrane to zero, and what lay above the threshold is lost. Its current
is left alone. So the current keeps its charge (decay 0, of which 4095/4096 stay in a step), the membrane
shows it without a memory of its own (decay 4096), and a synapse from every neuron to itself takes the
threshold off the step after it spiked: reset by subtraction in one compartment per neuron, exact but for the
charge that fades by 1/4096 a step. A bias
goes straight to the membrane and so becomes the start of the charge; the source's biases come as spikes of a
clock, one neuron that fires in every step. It costs one synapse, one input and one output axon per neuron,
and a synapse per neuron that has a bias.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import maps
from neurodeploy.compiler.registers import registers
from neurodeploy.compiler.scales import run_length
from neurodeploy.numerics.neurons import Membrane
from neurodeploy.program import DenseMap, Population, Program, Projection, SparseMap

Floats = npt.NDArray[np.float64]

CLOCK = "clock"
"""Name of the population that fires in every step; its notes say ``role="clock"``."""


def accumulate(program: Program) -> Program:
    """Let charge accumulate in the current where a membrane would lose it, or starts with some.

    Parameters
    ----------
    program : Program
        Lowered.
    """
    regs = registers(program.target)
    if regs is None or "subtract" in program.target.words("neuron.reset"):
        return program
    program = dataclasses.replace(
        program, populations=tuple(_spread(p, run_length(program)) for p in program.populations)
    )
    chosen = {p.name: p for p in program.populations if accumulates(p)}
    if not chosen:
        return program
    keep = 1 - regs.offset_u / 2.0**regs.decay_bits
    clock = _clock(program, keep)
    projections = [_stronger(p, 1 / (1 - keep)) if p.target in chosen else p for p in program.projections]
    for p in chosen.values():
        projections += _loops(p, clock.name, 1 / (1 - keep))
    ticks = any(p.source == clock.name for p in projections)
    populations = [_in_current(p, keep) if p.name in chosen else p for p in program.populations]
    populations[1:1] = [clock] if ticks else []
    return dataclasses.replace(program, populations=tuple(populations), projections=tuple(projections))


def accumulates(population: Population) -> bool:
    """Whether a population on the chip sums its input without loss: by its reset, or its start."""
    neuron = population.membrane
    perfect = bool(np.all(neuron.keep_v == 1) and np.all(neuron.keep_u == 0) and not neuron.refractory)
    subtracts = neuron.threshold is not None and neuron.subtract
    started = neuron.threshold is None and bool(np.any(neuron.v_init))
    encoder = population.notes.get("role") == "encoder"
    return population.on_chip and perfect and (subtracts or started) and not encoder


def _spread(p: Population, steps: int) -> Population:
    """Spread the start of a membrane that begins at rest on the chip over the steps of a run, as a bias."""
    if not p.on_chip or accumulates(p) or not np.any(p.membrane.v_init):
        return p
    start = np.broadcast_to(p.membrane.v_init, p.shape).reshape(-1)
    at_rest = dataclasses.replace(p.membrane, v_init=np.zeros(()))
    return dataclasses.replace(p, membrane=at_rest, bias=p.bias + start / steps)


def _clock(program: Program, keep: float) -> Population:
    one, zero = np.ones(()), np.zeros(())
    name = CLOCK
    while any(p.name == name for p in program.populations):
        name += "_"
    neuron = Membrane(np.asarray(keep), np.asarray(1 - keep), one, one, zero, one, zero)
    return Population(name, name, (1,), neuron, np.full(1, 2.0), notes={"role": "clock", "op": "IF"})


def _in_current(p: Population, keep: float) -> Population:
    """Return a population whose current accumulates; the clock's first spike arrives a step after a bias."""
    neuron, zero, one = p.membrane, np.zeros(()), np.ones(())
    start = np.broadcast_to(neuron.v_init, p.shape).reshape(-1) + p.bias
    accumulating = Membrane(
        np.asarray(keep), np.asarray(1 - keep), zero, one, zero, neuron.threshold, zero, v_init=zero
    )
    peak = float(p.notes.get("peak_drive", 0.0)) + (neuron.threshold is not None)
    notes = {**p.notes, "accumulates": 1, "peak_drive": peak / (1 - keep)}
    return dataclasses.replace(p, membrane=accumulating, bias=start, notes=notes)


def _stronger(p: Projection, factor: float) -> Projection:
    return dataclasses.replace(p, map=maps.scale_rows(p.map, np.asarray(factor)))


def _loops(p: Population, clock: str, factor: float) -> list[Projection]:
    """Return the synapses that take the threshold off, and those of the clock."""
    found = []
    if p.membrane.threshold is not None:
        size = p.size
        weight = np.broadcast_to(p.membrane.v_reset - p.membrane.threshold, p.shape).reshape(-1) * factor
        itself = SparseMap(
            maps.locked(np.arange(size + 1)), maps.locked(np.arange(size, dtype=np.int32)),
            maps.locked(weight), (size, size),
        )  # fmt: skip
        found.append(Projection(p.name, p.name, p.origin, itself, widest=True))
    if p.bias.any():
        ticks = DenseMap(maps.locked(p.bias[:, None] * factor))
        found.append(Projection(clock, p.name, p.origin, ticks, widest=True))
    return found
