"""Where a learning circuit goes: its populations cut over cores, with what learns and what does not on each.

A population's neurons are cut into as many equal parts as its compartments and its synapse memory take. Axons
are no reason to cut: every part is reached by all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.compiler.checks.plasticity import check_core, check_feedback
from neurodeploy.compiler.cost import CostModel, cost_model, group_words
from neurodeploy.compiler.counts.uses import Use, use
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.learning import widths
from neurodeploy.learning.circuit import Circuit, Population, Projection
from neurodeploy.targets import Target

AXONS = "input axons"


@dataclass(frozen=True)
class LearningCores:
    """The cores of one population; all parts use as much but the last, which may use less.

    Parameters
    ----------
    population : str
    cores : int
    neurons : int
        On the fullest core.
    forward, backward : int
        Axons that bring inputs to plastic synapses, and that bring errors and gates by fixed ones.
    learning, static : int
        Synapses that learn, and that do not, on the fullest core.
    uses : tuple of Use
        Of the fullest core.
    """

    population: str
    cores: int
    neurons: int
    forward: int
    backward: int
    learning: int
    static: int
    uses: tuple[Use, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "uses": [u.as_dict() for u in self.uses]}

    @property
    def text(self) -> str:
        """What the population takes, in one line."""
        counted = ", ".join(
            f"{u.used:,} of {u.limit.value:,} {u.resource}" if u.limit.known else f"{u.used:,} {u.resource}"
            for u in self.uses
        )
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return (
            f"{self.population}: {cores} of up to {counted}; {self.forward:,} axons forward, "
            f"{self.backward:,} back; {self.learning:,} synapses learn, {self.static:,} do not"
        )


def lay_out(circuit: Circuit, target: Target) -> tuple[LearningCores, ...]:
    """Cut a circuit's populations over cores.

    Parameters
    ----------
    circuit : Circuit
    target : Target
        Where it prices no synapses, compartments alone decide.
    """
    return tuple(_population(circuit, p, target) for p in circuit.populations if p.role == "neurons")


def check_cores(circuit: Circuit, target: Target, *, layers: dict[str, Place]) -> Iterator[Diagnostic]:
    """Check every plastic population's core, and that no way back copies a way forward.

    Parameters
    ----------
    circuit : Circuit
    target : Target
    layers : dict
        Where each plastic population is in the user's network.
    """
    for found in lay_out(circuit, target):
        if found.learning:
            yield from check_core(
                target,
                forward=found.forward,
                backward=found.backward,
                static=found.static,
                place=layers.get(found.population, Place(node=found.population)),
            )
    for forward in circuit.plastic:
        for back in circuit.projections:
            fits = back.weight.shape == forward.weight.T.shape and not back.one_to_one
            if forward.rule and back.rule is None and back.target == forward.source and fits:
                place = layers.get(back.target, Place(node=back.target))
                yield from check_feedback(forward.rule, forward.weight, back.weight, place=place)


def _population(circuit: Circuit, population: Population, target: Target) -> LearningCores:
    joins = [j for j in circuit.projections if j.target == population.name]
    model = cost_model(target)
    name, size = population.name, population.size
    found = _part(circuit, joins, name, size, target, model)
    while any(u.over for u in found.uses if u.resource != AXONS) and size > 1:
        parts = -(-population.size // size) + 1
        size = min(-(-population.size // parts), size - 1)
        found = _part(circuit, joins, name, size, target, model)
    return dataclasses.replace(found, cores=-(-population.size // size))


def _part(
    circuit: Circuit, joins: list[Projection], name: str, size: int, target: Target, model: CostModel | None
) -> LearningCores:
    """Count what so many neurons of a population take."""
    axons = {True: 0, False: 0}
    synapses, words = {True: 0, False: 0}, 0
    for j in joins:
        learns, rows = j.rule is not None, circuit[j.source].size
        width = 1 if j.one_to_one else size
        axons[learns] += rows
        synapses[learns] += min(rows, size) if j.one_to_one else rows * size
        if model:
            each = group_words(model, np.array([width]), bits=_bits(j, target))
            words += int(each[0]) * (min(rows, size) if j.one_to_one else rows)
    kind = "compartments" if "core.compartments" in target.facts else "neurons"
    uses = [
        use(target, kind, f"core.{kind}", size),
        use(target, AXONS, "core.in_axons", sum(axons.values())),
    ]
    if model:
        uses.append(use(target, "words of synapse memory", "core.synapse_memory_words", words))
    return LearningCores(
        name, 1, size, axons[True], axons[False], synapses[True], synapses[False], tuple(uses)
    )


def _bits(j: Projection, target: Target) -> int:
    """Return a synapse's bits: its weight, and the tag or delay that its rule changes."""
    bits = max(target.words("synapse.weight.bits"), default=8)
    changed = {u.target for u in j.rule.updates} if j.rule else set()
    return bits + sum(widths.BITS[v] for v in ("t", "d") if v in changed)
