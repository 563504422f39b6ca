"""A graph stepped under input that changes in every step, with no time between populations.

Other simulators compute layer by layer: a spike reaches the next population in the step in which it was
emitted, and an edge that points backwards takes one step. `ir.simulate` has the chip's time, one step a hop;
in a chain of layers both give the same spikes, shifted by the depth.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import DataError
from neurodeploy.ir import ops
from neurodeploy.ir.delays import Line, delay_steps
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.numerics.neurons import MembraneState, step

Floats = npt.NDArray[np.float64]


def replay(graph: Graph, x: npt.ArrayLike) -> dict[str, Floats]:
    """Step a graph under given input.

    Parameters
    ----------
    graph : Graph
    x : array_like, shape (T, B, *input shape)
        What enters in each step: spikes, or currents. An encoder passes it on as it is.

    Returns
    -------
    dict of str to ndarray of float64, shape (T, B, *shape)
        What every population puts out, and the output node under its own name.

    Raises
    ------
    DataError
        If the input has another shape.
    """
    given = np.asarray(x, dtype=np.float64)
    want = graph.shapes[graph.input.name]
    if given.shape[2:] != want or given.ndim < 2:
        raise DataError(f"input of shape {given.shape}; '{graph.name}' takes (steps, samples, *{want})")
    stepper = _Stepper(graph, given.shape[1])
    kept = [node.name for node in (*graph.neurons, graph.output)]
    out = {name: np.zeros((*given.shape[:2], *graph.shapes[name])) for name in kept}
    for t, sample in enumerate(given):
        values = stepper.step(sample)
        for name in kept:
            out[name][t] = values[name]
    return out


class _Stepper:
    """State of every node of a graph, on a batch."""

    def __init__(self, graph: Graph, batch: int) -> None:
        self.graph, self.batch = graph, batch
        self.neurons = {n.name: membrane(n.op, graph.dt) for n in graph.neurons}
        self.states = {name: MembraneState.zeros(self._shape(name)) for name in self.neurons}
        self.lines = {
            node.name: Line(delay_steps(node.op, graph.dt), self._shape(node.name))
            for node in graph
            if isinstance(node.op, ops.Delay)
        }
        self.before: dict[str, Floats] = {}
        self.before = self._silence()

    def _shape(self, name: str) -> tuple[int, ...]:
        return (self.batch, *self.graph.shapes[name])

    def _silence(self) -> dict[str, Floats]:
        """Return what every node put out before the first step: zeros, and biases of linear nodes."""
        values: dict[str, Floats] = {}
        for node in self.graph:
            values[node.name] = np.zeros(self._shape(node.name))
            known = [values[s] for s in self.graph.sources(node.name) if s in values]
            if node.op.linear and known:
                values[node.name] = apply(node.op, functools.reduce(np.add, known), dt=self.graph.dt)
        return values

    def step(self, sample: Floats) -> dict[str, Floats]:
        """Advance every node by one step, in execution order."""
        now: dict[str, Floats] = {}
        for node in self.graph:
            sources = [(now if s in now else self.before)[s] for s in self.graph.sources(node.name)]
            now[node.name] = self._next(node, functools.reduce(np.add, sources) if sources else sample)
        self.before = now
        return now

    def _next(self, node: Node, total: Floats) -> Floats:
        if node.name in self.lines:
            return self.lines[node.name].step(total)
        if node.name in self.neurons and node.notes.get("role") != "encoder":
            return step(self.neurons[node.name], self.states[node.name], total)
        return apply(node.op, total, dt=self.graph.dt)
