"""The oracle of online learning: whole arrays, every synapse, `learning.engine` at every projection."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.learning import engine
from neurodeploy.learning.arithmetic import DEFAULT, Arithmetic
from neurodeploy.learning.circuit import ERROR_ZERO, FULL, UNIT, WEIGHT_SHIFT, Circuit, Population, Projection
from neurodeploy.learning.description import Phase, Rule
from neurodeploy.numerics.draws import Draws

Ints = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Network:
    """Membranes, spikes of the last step and synapses, by name and by place among the projections."""

    v: Arrays
    fired: Arrays
    synapses: tuple[engine.Synapses, ...]
    step: int = 0
    apical: Arrays = dataclasses.field(default_factory=dict)
    active: Arrays = dataclasses.field(default_factory=dict)


def at_rest(circuit: Circuit) -> Network:
    """Return a circuit's network before its first step."""
    return Network(
        {p.name: np.zeros(p.size, np.int64) for p in circuit.populations},
        {p.name: np.zeros(p.size, np.int64) for p in circuit.populations},
        tuple(engine.at_rest(j.weight) for j in circuit.projections),
    )


def run(
    circuit: Circuit,
    network: Network,
    x: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    seed: int = 0,
    arithmetic: Arithmetic = DEFAULT,
) -> tuple[Network, Ints]:
    """Show samples, learning; return the network and the read-out's spikes in the first phase.

    Parameters
    ----------
    circuit : Circuit
    network : Network
    x : array_like of int, shape (B, I)
    labels : array_like of int, shape (B,)
    seed : int
    arithmetic : Arithmetic
    """
    found = []
    for sample, label in zip(np.asarray(x, np.int64), np.asarray(labels), strict=True):
        zero = {p.name: np.zeros(p.size, np.int64) for p in circuit.populations}
        network = dataclasses.replace(network, apical=dict(zero), active=dict(zero))
        counted = np.zeros(circuit[circuit.readout].size, np.int64)
        for at, phase in enumerate(circuit.phases):
            drive = {
                p.name: np.zeros(p.size, np.int64) if p.offsets is None else p.offsets
                for p in circuit.populations
            }
            for _ in range(phase.steps):
                left = {k: v - (v >> circuit.error_leak) for k, v in network.apical.items()}
                if circuit.error_leak:
                    network = dataclasses.replace(network, apical=left)
                network = _spike(
                    circuit, network, _codes(circuit, sample, int(label)), drive, at, phase.collect
                )
                if at == 0:
                    seen = {k: network.active[k] + v for k, v in network.fired.items()}
                    network = dataclasses.replace(network, active=seen)
                network = _learn(circuit, network, phase, seed, arithmetic)
                counted += network.fired[circuit.readout] * (at == 0)
            if at == 0:
                network = dataclasses.replace(network, active=_with_slope(circuit, network.active))
        found.append(counted)
    return network, np.array(found)


def _with_slope(circuit: Circuit, counted: Arrays) -> Arrays:
    """Say who spiked in the first phase, and not too often."""
    return {
        p.name: ((counted[p.name] > 0) & (counted[p.name] <= (p.busy or np.inf))).astype(np.int64)
        for p in circuit.populations
    }


def _codes(circuit: Circuit, sample: Ints, label: int) -> Arrays:
    def of(p: Population) -> Ints:
        if p.role == "data":
            return sample
        return FULL * (np.arange(p.size) == label) if p.role == "label" else np.full(p.size, FULL)

    return {p.name: of(p) for p in circuit.populations}


def _spike(
    circuit: Circuit, network: Network, codes: Arrays, drive: Arrays, phase: int, collect: int
) -> Network:
    v, fired, apical = {}, {}, {}
    for p in circuit.populations:
        if p.role != "neurons":
            total = drive[p.name] + codes[p.name] * p.rates[phase]
            fired[p.name] = (total >= FULL * UNIT).astype(np.int64)
            v[p.name], drive[p.name] = network.v[p.name], total - FULL * UNIT * fired[p.name]
            continue
        arriving = {False: np.zeros(p.size, np.int64), True: network.apical[p.name]}
        for j, s in zip(circuit.projections, network.synapses, strict=True):
            if j.target == p.name:
                more = _arriving(circuit, network, j, s.w) * (collect if j.apical else 1)
                arriving[j.apical] = arriving[j.apical] + more
        apical[p.name] = arriving[True]
        total = np.maximum(network.v[p.name] + arriving[False], p.floor)
        fired[p.name] = (total > p.threshold).astype(np.int64)
        v[p.name] = np.where(fired[p.name], (total - p.threshold) * p.subtract, total)
    return dataclasses.replace(
        network, v=v, fired=fired, apical={**network.apical, **apical}, step=network.step + 1
    )


def _arriving(circuit: Circuit, network: Network, j: Projection, w: Ints) -> Ints:
    """Return what spikes of the step before bring to each neuron, shape (O,)."""
    spikes = network.fired[j.source]
    found: Ints = (w[0] * spikes if j.one_to_one else w @ spikes) << (WEIGHT_SHIFT + j.exponent)
    return found * (network.active[circuit[j.target].partner or j.target] > 0 if j.gated else 1)


def _of_partner(rule: Rule) -> Rule:
    """Return a rule whose traces are those of the spikes that it is given: the partner's."""
    own = (dataclasses.replace(t, source="spikes") if t.source == "partner" else t for t in rule.traces)
    return dataclasses.replace(rule, traces=tuple(own))


def _slopes(circuit: Circuit, network: Network, name: str) -> Ints:
    """Return the pseudo-derivatives that neurons write, shape (O,)."""
    p = circuit[name]
    away = np.abs(network.v[name] - p.threshold) >> p.slope_shift
    away = np.where(network.fired[name] > 0, 0, away)
    table = np.array([*p.slopes, 0], np.int64)
    return np.asarray(table[np.minimum(away, len(p.slopes))])


def _learn(circuit: Circuit, network: Network, phase: Phase, seed: int, how: Arithmetic) -> Network:
    changed, layer = list(network.synapses), 0
    for at, j in enumerate(circuit.projections):
        if j.rule is None:
            continue
        slope = (network.active[j.target] > 0) | circuit[j.target].linear
        collected = network.apical[j.target] + circuit.error_half
        error = ERROR_ZERO + phase.show * slope * (collected >> circuit.error_shift)
        written = {"y3": np.array([phase.reward]), "y2": np.clip(error, 0, 127)}
        if circuit[j.target].role == "neurons":
            written["y1"] = _slopes(circuit, network, j.target)
        partner = any(t.source == "partner" for t in j.rule.traces)
        behind = circuit[j.target].partner if partner else j.target
        changed[at] = engine.step(
            _of_partner(j.rule) if partner else j.rule,
            network.synapses[at],
            pre=network.fired[j.source],
            post=network.fired[behind],
            rng=Draws(seed, network.step, layer),
            imposed=written,
            rewards=(0, phase.reward),
            arithmetic=how,
        )
        layer += 1
    return dataclasses.replace(network, synapses=tuple(changed))
