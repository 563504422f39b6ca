"""A program with the chip's rounded parameters in floats: what rounding costs, apart from what wrapping does.

Membranes and weights are counted in the chip's units, so a parameter is either the integer of the chip or the
exact value in the same units, and the two kinds of rounding (weights; thresholds with biases) can be taken
one by one. Registers have no end here: with both rounded, what is left between this and the emulator is the
width of accumulators and membranes, and decays that truncate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.base import outputs_of
from neurodeploy.backends.feed import encoder_rates, host_train
from neurodeploy.compiler import rounding
from neurodeploy.compiler.lower import lower
from neurodeploy.compiler.maps import as_matrix
from neurodeploy.compiler.pipeline import PASSES
from neurodeploy.compiler.quantize import quantize
from neurodeploy.compiler.registers import Registers, registers
from neurodeploy.compiler.scales import infactors
from neurodeploy.ir.simulate import Simulation
from neurodeploy.numerics import coding
from neurodeploy.numerics.neurons import Membrane, MembraneState, step
from neurodeploy.program import Population, Program, Projection

Floats = npt.NDArray[np.float64]

Advance = Callable[[Membrane, MembraneState, Floats], Floats]

WEIGHTS, THRESHOLDS = "weights", "thresholds"
BOTH = (WEIGHTS, THRESHOLDS)
"""What can be rounded; thresholds stand for all registers of a neuron: its biases and decays too."""


@dataclass(frozen=True, eq=False)
class _Neurons:
    """One population on the chip, in its units."""

    membrane: Membrane
    state: MembraneState
    inputs: tuple[tuple[str, Any], ...]


def simulate_rounded(
    program: Program,
    x: Floats,
    *,
    steps: int,
    rounded: Collection[str] = BOTH,
    advance: Advance = step,
    hard_encoder: bool = False,
    seed: int = 0,
    first: int = 0,
) -> Simulation:
    """Run a quantised program in floats.

    Parameters
    ----------
    program : Program
        For a target with fixed-point registers, or nothing is to be rounded.
    x : ndarray of float64, shape (B, *input shape)
        As `Graph.prepare` returns it.
    steps : int
    rounded : collection of str
        Of `BOTH`; the rest is exact.
    advance : callable of (Membrane, MembraneState, ndarray)
        `numerics.neurons.step`, or `burst` in its place.
    hard_encoder : bool
        Let an encoder on the chip reset to zero, as it does there.
    seed, first : int
        Of the input train, as `ir.simulate.simulate` takes them.

    Returns
    -------
    Simulation
        Its rates have shape (B, N).
    """
    if not rounded:  # then nothing needs the chip's ways of keeping charge
        program = lower(dataclasses.replace(program, populations=(), projections=(), blocks=(), cores=()))
    exact = unrounded(program) if rounded else program
    trains = _entering(program, x, steps=steps, seed=seed, first=first, hard=hard_encoder)
    inner = [p for p in program.populations if p.name not in trains]
    neurons = {p.name: _neurons(program, exact, p, len(x), rounded) for p in inner}
    own = [p.name for p in program.populations if p.name in program.graph]  # the compiler may add others
    spiking = [name for name in own if program.graph[name].op.spiking]
    counts = {name: np.zeros((len(x), program.population(name).size)) for name in spiking}
    out, decisions = program.output.name, np.zeros((len(x), steps), np.int16)
    arriving = {p.name: np.zeros((len(x), p.size)) for p in program.populations}
    readout = arriving[out]
    for t in range(steps):
        sent = {name: train[t] for name, train in trains.items()}
        for name, n in neurons.items():
            drive = sum((arriving[src] @ m for src, m in n.inputs), np.zeros(n.state.v.shape))
            sent[name] = advance(n.membrane, n.state, drive)
        for name in spiking:
            counts[name] += sent[name]
        readout = counts[out] if out in counts else sent[out]
        decisions[:, t] = np.argmax(readout, axis=1)
        arriving = sent
    unit = 1.0 if out in counts else program.output.weight_scale
    return Simulation(
        outputs=outputs_of(program.graph[out], readout / unit, steps=steps),
        decisions=decisions,
        spikes={k: c.sum(axis=1).astype(np.int64) for k, c in counts.items()},
        rates={k: c / steps for k, c in counts.items()},
        steps=steps,
    )


def unrounded(program: Program) -> Program:
    """Return the program as it was before it was quantised."""
    made = dataclasses.replace(program, populations=(), projections=(), blocks=(), cores=(), diagnostics=())
    for make in PASSES[: PASSES.index(quantize)]:
        made = make(made)
    return made


def _entering(
    program: Program, x: Floats, *, steps: int, seed: int, first: int, hard: bool
) -> dict[str, Floats]:
    """Spikes of the first population, shape (steps, B, N)."""
    entry, how = program.populations[0], str(program.options["input_coding"])
    if entry.on_chip:  # fed by biases, it spikes as at the rate
        rates = encoder_rates(program, x)
        train = hard_spikes(rates, steps) if hard else coding.rate_spikes(rates, steps=steps)
        return {entry.name: train.astype(np.float64)}
    train = host_train(program, x, steps=steps, input_coding=how, seed=seed, first=first)
    return {entry.name: np.moveaxis(train, 1, 0).astype(np.float64)}


def hard_spikes(rates: Floats, steps: int) -> npt.NDArray[np.bool_]:
    """Spikes of neurons that a spike sets to zero, under a constant drive in thresholds; (steps, B, N)."""
    period = np.floor(1 / np.maximum(rates, 1e-12)) + 1  # steps until the sum exceeds the threshold
    return np.stack([(t + 1) % period == 0 for t in range(steps)])


def _neurons(
    program: Program, exact: Program, population: Population, samples: int, rounded: Collection[str]
) -> _Neurons:
    factor, membrane = (np.ones(1), np.ones(1)), None
    if rounded:
        regs = registers(program.target)
        assert regs is not None
        factor = infactors(population, regs)
        membrane = _rounded(population, regs, *factor) if THRESHOLDS in rounded else None
    membrane = membrane or _exact(population, *factor)

    def matrix(mine: Projection, theirs: Projection) -> Any:
        if WEIGHTS in rounded:
            return (as_matrix(mine.map).T / (factor[0] * factor[1])).tocsr()
        return (as_matrix(theirs.map).T * population.weight_scale).tocsr()

    into = [
        (a.source, matrix(a, b))
        for a, b in zip(program.projections, exact.projections, strict=True)
        if a.target == population.name
    ]
    return _Neurons(membrane, MembraneState.start(membrane, (samples, population.size)), tuple(into))


def _rounded(population: Population, regs: Registers, u: Floats, v: Floats) -> Membrane:
    """Return the membrane as the chip has it, in its units, for an input divided by u and v."""
    c = population.compartments
    assert c is not None
    whole = 2.0**regs.decay_bits
    return Membrane(
        keep_u=1 - (c.decay_u + regs.offset_u) / whole,
        gain_u=u,
        keep_v=1 - (c.decay_v + regs.offset_v) / whole,
        gain_v=v,
        drift=c.bias.astype(np.float64),
        threshold=None if population.membrane.threshold is None else c.vth.astype(np.float64),
        v_reset=np.zeros(()),
        refractory=population.membrane.refractory,
    )


def _exact(population: Population, u: Floats, v: Floats) -> Membrane:
    """Return the float membrane in the chip's units."""
    free, scale = population.membrane, population.weight_scale

    def flat(values: Floats) -> Floats:
        return np.broadcast_to(values, population.shape).reshape(-1)

    return Membrane(
        keep_u=flat(free.keep_u),
        gain_u=flat(free.gain_u),
        keep_v=flat(free.keep_v),
        gain_v=flat(free.gain_v),
        drift=population.bias * scale * flat(free.gain_v),
        threshold=None if free.threshold is None else flat(free.threshold) * scale,
        v_reset=flat(free.v_reset) * scale,
        v_init=flat(free.v_init) * scale,
        subtract=free.subtract,
        refractory=free.refractory,
    )


def moved_by_rounding(program: Program, population: Population) -> tuple[float, float]:
    """Return how far rounding moves a population's weights, and its thresholds and biases.

    Returns
    -------
    weights : float
        RMS of the difference, of their typical size.
    registers : float
        The larger of two: the thresholds' largest difference, and the RMS of the biases', of a threshold.
    """
    bare = unrounded(program)
    exact, chip = (_neurons(program, bare, population, 1, rounded) for rounded in ((), BOTH))
    square = sum(
        float(((a - b) ** 2).sum()) for (_, a), (_, b) in zip(exact.inputs, chip.inputs, strict=True)
    )
    weights = np.concatenate([m.data for _, m in exact.inputs]) if exact.inputs else np.zeros(0)
    size = rounding.typical_size(weights)
    share = float(np.sqrt(square / len(weights))) / size if size else 0.0
    if exact.membrane.threshold is None or chip.membrane.threshold is None:
        return share, 0.0
    reach = exact.membrane.threshold
    off = float((np.abs(chip.membrane.threshold - reach) / np.abs(reach)).max())
    return share, max(off, rounding.rms((chip.membrane.drift - exact.membrane.drift) / reach))


def burst(neuron: Membrane, state: MembraneState, drive: Floats) -> Floats:
    """Advance a population as `numerics.neurons.step` does, with several spikes in a step if need be."""
    v = step(dataclasses.replace(neuron, threshold=None), state, drive)
    if neuron.threshold is None:
        return v
    spikes = np.where(v > neuron.threshold, np.maximum(np.floor(v / neuron.threshold), 1.0), 0.0)
    after = v - spikes * neuron.threshold if neuron.subtract else np.broadcast_to(neuron.v_reset, v.shape)
    state.v = np.where(spikes > 0, after, v)
    return spikes
