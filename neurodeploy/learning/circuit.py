"""A spiking network with synapses that learn, in a chip's integers: populations, projections, phases.

Everything a sample brings enters as spikes of sources; everything else happens between neurons. Time is in
steps; a spike arrives one step after it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.learning.description import Phase, Rule

Ints = npt.NDArray[np.int64]
Role = Literal["neurons", "data", "label", "constant"]

FULL = 255
"""Code of an input that spikes at its source's whole rate."""
UNIT = 1024
"""Rates of sources are in spikes per so many steps."""
ERROR_ZERO = 64
"""No error in the trace that neurons write: ``y2 = 64 + slope * (collected error >> shift)``, 0 to 127."""
WEIGHT_SHIFT = 6
"""Loihi adds ``code * 2**(6 + exponent)`` to a compartment at a spike."""


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons that integrate and fire, or a source of spikes.

    ::

        v <- max(v + input, floor);  spike where v > threshold, then v = 0 or v - threshold

    Parameters
    ----------
    name : str
    size : int
    threshold, floor : int
        In units of the accumulator; the floor is what strong inhibition resets a membrane to.
    role : str
        Neurons; or a source driven by the sample, by its label, or always on.
    rates : tuple of int
        Of a source, one for every phase: spikes per `UNIT` steps of an input of `FULL`.
    linear : bool
        Whether the error that a neuron's own program passes on to its synapses ignores its slope; otherwise
        there is none while it did not spike in the first phase.
    offsets : ndarray of int, shape (size,), optional
        Of a source, from 0 to below ``FULL * UNIT``: how far each is at the start of a phase.
    partner : str
        Population of as many neurons of which these are compartments: one each.
    subtract : bool
        Whether a spike takes the threshold off the membrane, and does not empty it.
    slopes : tuple of int
        What a neuron's own program writes into trace ``y1``, its pseudo-derivative, from 0 to 127, by the
        distance of its membrane from the threshold in units of ``2**slope_shift``, 0 first; 0 further away.
        A neuron that spikes in this step is at its threshold.
    slope_shift : int
    busy : int
        Spikes of the first phase beyond which a neuron has no slope, as one that cannot spike more often; 0
        for no such number.
    """

    name: str
    size: int
    threshold: int = 0
    floor: int = 0
    role: Role = "neurons"
    rates: tuple[int, ...] = ()
    offsets: Ints | None = None
    linear: bool = False
    partner: str = ""
    subtract: bool = False
    slopes: tuple[int, ...] = ()
    slope_shift: int = 0
    busy: int = 0


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from every neuron of one population to every one of another, or one to one.

    Parameters
    ----------
    source, target : str
    weight : ndarray of int, shape (O, I)
        Codes of 8 bits of magnitude, even; shape (1, I) for synapses that are one to one, which never learn.
    exponent : int
        From -8 to 7.
    rule : Rule, optional
        How they learn.
    apical : bool
        Whether spikes add to the error that the neuron collects, in place of its input.
    gated : bool
        Whether spikes arrive only at neurons that spiked in the first phase; compartments ask their partner.
    one_to_one : bool
    """

    source: str
    target: str
    weight: Ints
    exponent: int = 0
    rule: Rule | None = None
    apical: bool = False
    gated: bool = False
    one_to_one: bool = False


@dataclass(frozen=True, eq=False)
class Circuit:
    """A network and the phases of one sample.

    Parameters
    ----------
    populations : tuple of Population
    projections : tuple of Projection
    phases : tuple of Phase
    error_shift : int
        How far a collected error is shifted right on its way into trace ``y2``.
    error_leak : int
        In every step a collected error loses ``2**-error_leak`` of itself; 0 for a sum that keeps all.
    readout : str
        Population whose spikes in the first phase are the answer.
    nearest : bool
        Whether a collected error is rounded to the nearest on that way; otherwise down, which takes half a
        code off every error on average.

    Raises
    ------
    OptionError
        If names, shapes or numbers do not fit each other.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    phases: tuple[Phase, ...]
    readout: str
    error_shift: int = 12
    nearest: bool = False
    error_leak: int = 0

    def __post_init__(self) -> None:
        for p in self.populations:
            if p.role != "neurons" and len(p.rates) != len(self.phases):
                raise OptionError(f"source '{p.name}' has {len(p.rates)} rates for {len(self.phases)} phases")
            if p.partner and self[p.partner].size != p.size:
                raise OptionError(f"'{p.name}' and its partner '{p.partner}' differ in size")
            if p.slopes and not 0 <= min(p.slopes) <= max(p.slopes) <= 127:
                raise OptionError(f"pseudo-derivatives of '{p.name}' are not codes from 0 to 127")
            if p.role != "neurons" and max(p.rates) > UNIT:
                raise OptionError(f"source '{p.name}' spikes more than once a step")
        for j in self.projections:
            shape = (1 if j.one_to_one else self[j.target].size, self[j.source].size)
            fits = j.weight.shape == shape and (not j.one_to_one or shape[1] == self[j.target].size)
            if not fits or (j.one_to_one and j.rule):
                raise OptionError(
                    f"weights from '{j.source}' to '{j.target}' are {j.weight.shape}, not {shape}"
                )
            if np.abs(j.weight).max(initial=0) > 254 or (j.weight % 2).any():
                raise OptionError(
                    f"weights from '{j.source}' to '{j.target}' are not even codes from -254 to 254"
                )

    def __getitem__(self, name: str) -> Population:
        """Return a population by its name."""
        found = next((p for p in self.populations if p.name == name), None)
        if found is None:
            raise OptionError(f"there is no population '{name}'")
        return found

    @property
    def error_half(self) -> int:
        """What is added to a collected error before it is shifted."""
        return (1 << self.error_shift) >> 1 if self.nearest else 0

    @property
    def plastic(self) -> tuple[Projection, ...]:
        """Projections that learn."""
        return tuple(j for j in self.projections if j.rule is not None)

    @property
    def steps(self) -> int:
        """Steps of one sample."""
        return sum(p.steps for p in self.phases)

    def projection(self, source: str, target: str) -> Projection:
        """Return the projection between two populations."""
        return next(j for j in self.projections if (j.source, j.target) == (source, target))
