"""Plastic cores: a read-out whose weights learn by PES on nengo-loihi's emulator.

The read-out is laid out as nengo-loihi does it for the chip: a pair of compartments per class that do not
spike, one adding up ``+W`` and one ``-W``; traces of incoming spikes are renewed every 2 steps, weights
change every 4, in 8 bits, rounded at random. What is ours is the scale, chosen so that no accumulator can
wrap, and that both compartments of a pair may go below zero: half their difference is linear in the weights.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends import run_on_host
from neurodeploy.backends.adapter import nengo_loihi_module
from neurodeploy.compiler.cost import cost_model, group_words
from neurodeploy.learning.pes import PES
from neurodeploy.numerics import formats
from neurodeploy.targets import Target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

TOP = 127
"""Largest code of a learned weight, a trace, and an error (nengo-loihi)."""
TRACE_EPOCH, LEARN_EPOCH = 2, 4
"""Steps between two updates of traces, and of weights (nengo-loihi)."""
ROOM = 2.0
"""How far weights may grow beyond the largest at the start."""
FILTER = 10.0
"""Time constant of the read-out, in steps."""
LEARN_FRACTION, LEARN_OVERFLOW = 7, 2
"""Bits that weights gain while they learn, and that products of a trace and an error lose (nengo-loihi)."""
SMALLEST_INCREMENT = 1 / 128
LARGEST_INCREMENT = 128 - SMALLEST_INCREMENT
"""Of a trace, by one spike; the register has 7 bits before and 7 behind the point."""
EXPONENTS = range(0, -7, -1)
"""Weight exponents, largest first."""
NEVER = (2**17 - 1) * 2**6
"""Largest threshold; compartments of a read-out do not spike."""


@dataclass(frozen=True)
class Scales:
    """How the floats of a learning problem become the chip's integers.

    Parameters
    ----------
    weight : float
        Float weight per code.
    exponent : int
        Weight exponent; a code adds ``2**(7 + exponent)``.
    gain : float
        What a constant input grows to in the filtered read-out.
    decay : int
        Register of the read-out's filter.
    increment : float
        Of a trace by one spike, before it is rounded down.
    """

    weight: float
    exponent: int
    gain: float
    decay: int
    increment: float

    @property
    def unit(self) -> int:
        """What a code adds to a compartment."""
        return int(2 ** (7 + self.exponent))


def scales(weight: Floats, rule: PES) -> Scales:
    """Choose the scales for weights at the start and a rule.

    Parameters
    ----------
    weight : ndarray of float64, shape (O, I)
    rule : PES

    Notes
    -----
    Every fourth step a code changes by ``trace * error / 1024``, with traces of
    ``increment / (1 - exp(-2/tau))`` for a spike in every 2 steps, and errors of 1 as 127. The exponent is
    the largest at which the accumulators (21 bits) and the filtered current (23 bits) hold the largest
    weights of all inputs at once.
    """
    code = max(float(np.abs(weight).max(initial=0.0)), 1e-6) * ROOM / TOP
    decay = int(formats.decay_code(-math.expm1(-1 / FILTER), bits=12, top=4095, offset=1))
    gain = float(formats.decay_sum(decay, bits=12, offset=1, start=2.0**21))
    most = weight.shape[1] * TOP * 2**7
    exponent = next((e for e in EXPONENTS if most * 2.0**e * max(gain / 4, 1) < 2**21), EXPONENTS[-1])
    per_rate = 1024 * LEARN_EPOCH * rule.rate / (TOP * code)
    increment = per_rate * -math.expm1(-TRACE_EPOCH / rule.tau) / TRACE_EPOCH
    return Scales(code, exponent, gain, decay, increment)


@dataclass(frozen=True, eq=False)
class Core:
    """One core: some inputs to some classes.

    Parameters
    ----------
    inputs, classes : slice
        Of the weight matrix.
    synapse : nengo_loihi.block.Synapse
        Its rows are views of `codes`.
    weights : ndarray of int32, shape (inputs, 2 classes)
        The chip's own weights, changed in place.
    """

    inputs: slice
    classes: slice
    synapse: Any
    weights: Ints


@dataclass(frozen=True, eq=False)
class Readout:
    """A read-out on plastic cores. Its weights live in nengo-loihi's synapses and change as samples run.

    Parameters
    ----------
    model : nengo_loihi.builder.Model
    cores : tuple of Core
        One per block of the model.
    scales : Scales
    shape : tuple of int
        Of the weight matrix, (O, I).
    incidents : Counter of str
        What nengo-loihi complained about, and how often.
    """

    model: Any
    cores: tuple[Core, ...]
    scales: Scales
    shape: tuple[int, ...]
    incidents: Counter[str]

    def weights(self) -> Floats:
        """Read the weights back, shape (O, I): half the difference of each pair."""
        found = np.empty(self.shape)
        for core in self.cores:
            plus, minus = np.split(core.weights.T / self.scales.unit, 2)
            found[core.classes, core.inputs] = (plus - minus) / 2
        return found * self.scales.weight

    def run(self, train: Bools, error_of: Callable[[Floats], Floats], *, seed: int) -> None:
        """Run one sample from rest, learning as it goes.

        Parameters
        ----------
        train : ndarray of bool, shape (T, I)
            Spikes of the layer below; those of step k arrive in step k + 1.
        error_of : callable
            Called before every step with the filtered weighted input, shape (O,); returns the error that the
            host sends for it, shape (O,), from -1 to 1.
        seed : int
            Of the stochastic rounding.
        """
        run_on_host.load_train(self.model, train)
        emulator = sys.modules["nengo_loihi"].emulator.EmulatorInterface(self.model, seed=seed % 2**32)
        with emulator, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for part in (emulator.compartment, emulator.synapses):
                part.error = lambda message: self.incidents.update([message])
            emulator.synapses._weight_update = self._update
            for _ in range(len(train)):
                error = error_of(self._read(emulator))
                emulator.host2chip([], [(c.synapse, emulator.t + 1, error[c.classes]) for c in self.cores])
                emulator.step()
        self.incidents.update(str(w.message) for w in caught)

    def _read(self, emulator: Any) -> Floats:
        total = np.zeros(self.shape[0])
        ends = np.cumsum([core.weights.shape[1] for core in self.cores])
        for core, v in zip(self.cores, np.split(emulator.compartment.voltage, ends[:-1]), strict=True):
            plus, minus = np.split(v, 2)
            total[core.classes] += (plus - minus) / 2
        return total * (self.scales.weight / (self.scales.unit * self.scales.gain))

    def _update(self, synapse: Any, delta: Ints, rng: np.random.RandomState) -> None:
        """Change all weights of a core at once; nengo-loihi's own update goes row by row to the same ones."""
        weights = next(core.weights for core in self.cores if core.synapse is synapse)
        exponent = synapse.synapse_cfg.real_weight_exp
        product = (delta * synapse._lr_int) >> -(LEARN_FRACTION + synapse._lr_exp - LEARN_OVERFLOW)
        fine = shift(weights, LEARN_FRACTION - exponent) + product
        size, code = np.modf(np.abs(fine * 2.0 ** -(LEARN_FRACTION + 1)))
        code = code.astype(np.int32) + (size > rng.rand(*weights.shape))
        clipped = int((code > TOP).sum())
        if clipped:
            self.incidents.update({"Clipping learning weights": 1})
        weights[:] = (np.sign(fine) * np.minimum(code, TOP)) << (exponent + 1)


def shift(x: Ints, bits: int) -> Ints:
    """Shift to the left, or to the right where `bits` is negative."""
    return x << bits if bits >= 0 else x >> -bits


def build(weight: Floats, rule: PES, target: Target) -> Readout:
    """Lay a read-out out on as many plastic cores as it needs.

    Parameters
    ----------
    weight : ndarray of float64, shape (O, I)
        At the start.
    rule : PES
    target : Target
        Gives the size of a core.
    """
    loihi = nengo_loihi_module()
    found = scales(weight, rule)
    codes = np.clip(np.rint(weight / found.weight), -TOP, TOP).astype(np.int32)
    model = loihi.builder.Model(label="plastic read-out")
    model.pes_error_scale = float(TOP)
    source = loihi.inputs.SpikeInput(weight.shape[1], label="features")
    model.add_input(source)
    cores: list[Core] = []
    for inputs, classes in tiles(weight.shape, target):
        part = codes[classes, inputs].T * found.unit
        weights = np.concatenate([part, -part], axis=1)
        block = _block(loihi, weights.shape[1], found, name=f"readout[{len(cores)}]")
        synapse = _synapse(loihi, weights, found, rule)
        block.add_synapse(synapse)
        model.add_block(block)
        axon = loihi.block.Axon(len(weights), label="features")
        axon.target = synapse
        reached = np.full(weight.shape[1], -1)
        reached[inputs] = np.arange(len(weights))
        axon.set_compartment_axon_map(reached)
        source.add_axon(axon)
        cores.append(Core(inputs, classes, synapse, weights))
    return Readout(model, tuple(cores), found, weight.shape, Counter())


def tiles(shape: tuple[int, ...], target: Target) -> list[tuple[slice, slice]]:
    """Cut a weight matrix (O, I) into inputs and classes that each fit one plastic core.

    A plastic axon takes two of a core's axon ids, a class two compartments.
    """
    model = cost_model(target)
    most = min(shape[1], target.require("core.in_axons") // 2)
    memory = target.require("core.synapse_memory_words")
    classes = min(shape[0], target.require("core.compartments") // 2)
    while model and classes > 1 and most * group_words(model, np.array([2 * classes]), bits=8)[0] > memory:
        classes -= 1
    return [
        (slice(i, min(i + most, shape[1])), slice(o, min(o + classes, shape[0])))
        for i in range(0, shape[1], most)
        for o in range(0, shape[0], classes)
    ]


def _block(loihi: Any, size: int, found: Scales, *, name: str) -> Any:
    block = loihi.block.LoihiBlock(size, label=name)
    compartment = block.compartment
    compartment.decay_u = np.full(size, found.decay, np.int32)
    compartment.decay_v = np.full(size, 4095, np.int32)  # the membrane is the current, no more
    compartment.vth = np.full(size, NEVER, np.int32)
    compartment.bias = np.zeros(size, np.int32)
    compartment.refract_delay = np.ones(size, np.int32)
    compartment.vmin, compartment.vmax = 1 - 2**23, 2**23 - 1
    compartment.scale_u = compartment.scale_v = False
    compartment.noise_exp = run_on_host.NOISE_EXP
    return block


def _synapse(loihi: Any, weights: Ints, found: Scales, rule: PES) -> Any:
    synapse = loihi.block.Synapse(len(weights), label="readout")
    synapse.weights = [weights[i : i + 1] for i in range(len(weights))]
    synapse.indices = [np.arange(weights.shape[1], dtype=np.int32)[None]] * len(weights)
    synapse.format(
        compression=3, idx_bits=synapse.idx_bits(), fanout_type=1, n_synapses=63, weight_bits=7,
        weight_exp=found.exponent,
    )  # fmt: skip
    held = min(math.floor(found.increment / SMALLEST_INCREMENT) * SMALLEST_INCREMENT, LARGEST_INCREMENT)
    synapse.set_learning(tracing_tau=round(rule.tau), tracing_mag=held, wgt_exp=found.exponent)
    synapse.learning_rate, synapse._lr_int, synapse._lr_exp = 2.0**-7, 1, -7
    return synapse
