"""What rates leave out of a run, measured: the drive that comes late, and what a reset loses.

A population that is trained on steady rates would unlearn what its conversion made up for: spikes arrive a
step later per layer, biases act from the first step, membranes start at rest. So each population's drive gets
an offset per channel, and its rates a factor, with which rates are on average what the run gives.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.simulate import simulate

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fit:
    """How rates of one population follow from its drive.

    Parameters
    ----------
    offset : ndarray of float64
        Added to the weighted input; broadcasts to the population's shape.
    gain : float
        Factor of the rate, or of an integrator's growth.
    """

    offset: Floats
    gain: float


def fit_to_run(graph: Graph, x: Floats, *, steps: int) -> Mapping[str, Fit]:
    """Measure every population on training samples.

    Parameters
    ----------
    graph : Graph
        In spiking form, without loops.
    x : ndarray of float64, shape (B, *input shape)
    steps : int
    """
    drives = {node.name: np.zeros((len(x), *graph.shapes[node.name])) for node in graph.neurons}
    grown: dict[str, Floats] = {}

    def watch(t: int, name: str, drive: Floats, out: Floats) -> None:
        drives[name] += drive / steps
        if not graph[name].op.spiking:
            grown[name] = out / steps

    rates = {**simulate(graph, x, steps=steps, watch=watch).rates, **grown}
    found: dict[str, Fit] = {}
    values: dict[str, Floats] = {}
    for node in graph.nodes:
        total = functools.reduce(np.add, [values[s] for s in graph.sources(node.name)] or [x])
        if node.op.stateful:
            axes = (0, *range(2, total.ndim))
            offset = (drives[node.name] - total).mean(axis=axes, keepdims=True)[0]
            ramp = apply(node.op, total + offset, dt=graph.dt)
            square = float(np.vdot(ramp, ramp))
            gain = float(np.vdot(ramp, rates[node.name])) / square if square else 1.0
            found[node.name] = Fit(offset, gain)
            values[node.name] = ramp * gain
        else:
            values[node.name] = apply(node.op, total, dt=graph.dt)
    return found
