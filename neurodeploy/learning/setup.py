"""Numbers of deep circuits, and how weights and floors become codes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.learning.description import Phase

Ints = npt.NDArray[np.int64]
GATE = 7
"""Weight exponent of gating neurons: one spike takes every membrane to its floor."""
TOP = 20
"""Synapses from above that full feedback weights are meant for; more of them get smaller ones."""
ERROR_UNIT = 60
"""Code of a label's or an output's synapse onto error neurons; half of it is their threshold."""


@dataclass(frozen=True)
class Setup:
    """Numbers of a deep circuit; rates are in spikes per `circuit.UNIT` steps, codes in weight codes.

    Parameters
    ----------
    forward, error, gap : int
        Steps of the phases, and of the silence after each.
    reference : int
        Steps of a phase between them, in which error neurons show what they do without errors; 0 for none.
    input_rate, label_rate : int
        Of a full input, and the rate an output of the right class is driven to.
    thresholds : tuple of int
        Of hidden layers and of the output, in codes; a short one's last counts for all that follow.
    floor : float
        Depth of the lowest membrane, in thresholds, at least.
    gain : float
        Spread of first weights relative to ``sqrt(2 / inputs)`` thresholds.
    dead : tuple of int
        Spikes by which the right output may fall short, and others may spike, before an error neuron does.
    teach : int
        Code of error neurons' synapses onto the output.
    feedback : int
        Largest code of their synapses onto hidden layers.
    reach : tuple of int
        Weight exponents of these two, for thresholds that are many codes.
    tau, impulse : float
        Of the trace of incoming spikes.
    exponents : tuple of int
        Of ``dw`` in each layer.
    back_exponent : int
        Of ``dw`` of feedback that learns.
    calm : int, optional
        Exponent of a further product of hidden layers' ``dw``, ``-2^calm u x1 y1``: neurons that are often on
        lose weight. None is none.
    taught : tuple of int
        Classes whose errors are sent; those of all if empty. The outputs of others stay as they are.
    frozen : tuple of int
        Plastic layers that are held as they were drawn.
    shuffled : bool
        Whether signs of the way back are drawn anew for every neuron and kind: a control that must fail.
    mechanism : {"two-phase", "neuron-trace"}
        Whether errors make neurons spike, and tags count (Loihi 1); or neurons collect errors by a program of
        their own, and their synapses read them (Loihi 2).
    free : {1, -1}
        How what reaches an apical compartment counts in the first phase.
    error_leak : int
        As a circuit has it: how collected errors fade.
    ensemble : int
        Neurons of an error ensemble per class and sign, up to 4.
    slope_width : float
        Distance in thresholds at which a pseudo-derivative is cut off.
    eligible : int
        Exponent of what an eligible spike adds to a tag.
    nudge : int
        Code by which each step pulls outputs of other classes down where a network settles in two phases; the
        right one is pulled up by the largest. 0 holds all outputs at what is wanted instead.
    gated : bool
        Whether errors reach only hidden neurons that spiked in the first phase.
    error_shift : int
    nearest : bool
        How collected errors become codes, as in `circuit.Circuit`.
    depress : int
        Code that every error spike takes off hidden neurons' feedback, of either sign: whoever was on at an
        error comes to be on less, which keeps layers sparse.
    hops : tuple of int
        Thresholds, in codes, of the error neurons that bring errors from layer to layer, from the output
        down; multiples of 4 up to 252. A short one's last counts for all that follow.
    busy : int
        Spikes of the first phase beyond which hidden neurons have no slope; 0 for no such number.
    sure : int
        Spikes of an error neuron that its sign takes, where only signs are sent.
    """

    forward: int = 60
    error: int = 60
    gap: int = 2
    reference: int = 0
    input_rate: int = 256
    label_rate: int = 256
    thresholds: tuple[int, ...] = (510,)
    floor: float = 2.0
    gain: float = 1.0
    dead: tuple[int, int] = (2, 0)
    teach: int = 254
    feedback: int = 254
    reach: tuple[int, int] = (0, 0)
    tau: float = 32.0
    impulse: float = 16.0
    exponents: tuple[int, ...] = (-3,)
    back_exponent: int = -2
    calm: int | None = None
    taught: tuple[int, ...] = ()
    frozen: tuple[int, ...] = ()
    shuffled: bool = False
    mechanism: Literal["two-phase", "neuron-trace"] = "two-phase"
    free: int = 1
    gated: bool = False
    nudge: int = 0
    error_shift: int = 12
    nearest: bool = False
    depress: int = 0
    error_leak: int = 0
    slope_width: float = 1.0
    eligible: int = -3
    ensemble: int = 3
    hops: tuple[int, ...] = (128,)
    busy: int = 0
    sure: int = 1

    def __post_init__(self) -> None:
        if self.forward < 1 or self.error < 1 or self.gap < 2:
            raise OptionError("phases have at least 1 step, gaps at least 2: spikes in flight must arrive")
        if any(h % 4 or not 0 < h <= 252 for h in self.hops):
            raise OptionError(f"thresholds of error neurons are multiples of 4 up to 252, not {self.hops}")
        if self.period & (self.period - 1):
            raise OptionError(
                f"a sample of {self.period} steps; engines wait for powers of two (u_k), as 60+4+60+4"
            )

    def hop(self, at: int) -> int:
        """Return the threshold of error neurons, 0 for those nearest to the output."""
        return self.hops[min(at, len(self.hops) - 1)]

    @property
    def period(self) -> int:
        """Steps of one sample."""
        between = self.reference and self.reference + 2 * self.gap
        return self.forward + between + self.error + 4 * self.gap

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of one sample."""
        made = [*self._with_gaps(Phase("forward", self.forward, collect=self.free))]
        if self.reference:
            made += self._with_gaps(Phase("reference", self.reference, feedback=True, collect=-1))
        return (*made, *self._with_gaps(Phase("error", self.error, reward=1, feedback=True)))

    def _with_gaps(self, phase: Phase) -> list[Phase]:
        """Let membranes go to rest after a phase; what is still in flight counts as that phase's."""
        gap = dataclasses.replace(phase, steps=self.gap, feedback=False)
        return [phase, *(dataclasses.replace(gap, name=name) for name in ("reset", "lift"))]

    def rates(self, **given: int) -> tuple[int, ...]:
        """Return a source's rates in every phase, by the phases' names; 0 where none is given."""
        return tuple(given.get(p.name, 0) for p in self.phases)


def floor(depth: float) -> int:
    """Return the nearest floor that a compartment has, ``1 - 2**e``, at or below a depth."""
    return 1 - int(2 ** math.ceil(math.log2(depth)))


def balanced(drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Take each neuron's mean off its feedback, so that an error all classes share moves no neuron."""
    return np.asarray(drawn - drawn.mean(axis=1, keepdims=True))


def even(codes: npt.ArrayLike) -> Ints:
    """Round to even codes that a synapse holds."""
    return np.asarray(np.clip(2 * np.rint(np.asarray(codes) / 2), -254, 254).astype(np.int64))
