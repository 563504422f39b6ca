"""Spikes in floats: every neuron of a spiking graph stepped on batches, with the chip's one step per hop.

This is the reference for every float backend. A spike that a population emits in step t reaches the next
population in step t + 1, so step 0 delivers nothing; biases act from step 0. State starts at zero with every
sample.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.ir import ops, paths
from neurodeploy.ir.delays import Line, delay_steps
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.numerics import coding
from neurodeploy.numerics.neurons import MembraneState, step

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]
Watch = Callable[[int, str, Floats, Floats], None]


@dataclass(frozen=True, eq=False)
class Simulation:
    """What B samples gave in T steps.

    Parameters
    ----------
    outputs : ndarray of float64, shape (B, *output shape)
        Mean rate or membrane growth per step after the last step, times the population's unit.
    decisions : ndarray of int16, shape (B, T)
        Index of the largest read-out after every step.
    spikes : mapping of str to ndarray of int64, shape (B,)
        Spikes of every spiking population, per sample.
    rates : mapping of str to ndarray of float64, shape (B, *population shape)
        Spikes per step of every spiking population.
    steps : int
    """

    outputs: Floats
    decisions: npt.NDArray[np.int16]
    spikes: Mapping[str, Longs] = field(default_factory=dict)
    rates: Mapping[str, Floats] = field(default_factory=dict)
    steps: int = 0

    def __post_init__(self) -> None:
        for name in ("spikes", "rates"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def predictions(self) -> Longs:
        """Index of the largest output, shape (B,)."""
        return np.asarray(np.argmax(self.outputs.reshape(len(self.outputs), -1), axis=1))


def is_encoder(node: Node) -> bool:
    """Whether a node turns samples into spikes."""
    return node.notes.get("role") == "encoder"


def simulate(
    graph: Graph,
    x: Floats,
    *,
    steps: int,
    input_coding: str = "rate",
    seed: int = 0,
    first: int = 0,
    watch: Watch | None = None,
) -> Simulation:
    """Run a spiking graph on a batch, step by step.

    Parameters
    ----------
    graph : Graph
        In spiking form; back edges are ordinary, every hop between populations takes one step.
    x : ndarray of float64, shape (B, *input shape)
        Held for the whole run, as `Graph.prepare` returns it.
    steps : int
    input_coding : {"rate", "poisson", "bias"}
        Spikes of the encoder: deterministic, or seeded per sample. ``bias`` spikes like ``rate``.
    seed : int
    first : int
        Index of the first sample in the whole run.
    watch : callable of (int, str, ndarray, ndarray), optional
        Called in every step with the name, the weighted input and the output of every neuron population.

    Returns
    -------
    Simulation

    Raises
    ------
    OptionError
        If `steps` is below 1, the coding is unknown, or nothing in the graph keeps a membrane.
    """
    if steps < 1:
        raise OptionError(f"{steps} steps; at least 1 is needed")
    if input_coding not in coding.CODINGS:
        raise OptionError(
            f"input coding '{input_coding}' is unknown; choose from {', '.join(coding.CODINGS)}"
        )
    last = graph.sources(graph.output.name)[0]
    if not graph[last].op.stateful:
        raise OptionError(
            f"'{graph.name}' is not in spiking form ('{last}' has no membrane); convert it first"
        )
    counts = {n.name: np.zeros((len(x), *graph.shapes[n.name])) for n in graph.neurons if n.op.spiking}
    decisions = np.zeros((len(x), steps), np.int16)
    readout = np.zeros((len(x), *graph.shapes[last]))
    make_train = functools.partial(
        encoder_train, steps=steps, input_coding=input_coding, seed=seed, first=first
    )
    for t, outputs in enumerate(_run(graph, x, steps, make_train, watch)):
        for name, count in counts.items():
            count += outputs[name]
        readout = counts[last] if last in counts else outputs[last]
        decisions[:, t] = np.argmax(readout.reshape(len(x), -1), axis=1)
    return Simulation(
        outputs=readout / max(steps - int(graph[last].notes.get("latency", 0)), 1) * graph[last].unit,
        decisions=decisions,
        spikes={k: c.reshape(len(x), -1).sum(axis=1).astype(np.int64) for k, c in counts.items()},
        rates={k: c / steps for k, c in counts.items()},
        steps=steps,
    )


def encoder_train(
    node: Node, current: Floats, dt: float, *, steps: int, input_coding: str, seed: int, first: int
) -> Bools:
    """Return the spikes of an encoder under a constant current (B, *shape), shape (steps, B, *shape)."""
    rates = apply(node.op, current, dt=dt)
    flat = rates.reshape(len(rates), -1)
    if input_coding == "poisson":
        train = coding.poisson_spikes(flat, steps=steps, seed=seed, first=first)
    else:
        train = coding.rate_spikes(flat, steps=steps)
    return train.reshape(steps, *rates.shape)


def _run(
    graph: Graph, x: Floats, steps: int, make_train: Callable[..., Bools], watch: Watch | None
) -> Iterator[Mapping[str, Floats]]:
    """Yield the output of every neuron population after each step."""
    neurons = {n.name: membrane(n.op, graph.dt) for n in graph.neurons}
    states = {k: MembraneState.start(n, (len(x), *graph.shapes[k])) for k, n in neurons.items()}
    arriving: dict[str, Floats] = {name: np.zeros((len(x), *graph.shapes[name])) for name in neurons}
    trains: dict[str, Bools] = {}
    for node in filter(is_encoder, graph.neurons):
        paths.bias(graph, node.name)  # refuses to delay samples, which are held for the whole run
    order = (*paths.linear_order(graph, delays=True), *graph.neurons)
    lines = {
        node.name: Line(delay_steps(node.op, graph.dt), (len(x), *graph.shapes[node.name]))
        for node in graph
        if isinstance(node.op, ops.Delay)
    }
    for t in range(steps):
        values, outputs = dict(arriving), dict[str, Floats]()
        for node in order:
            sources = [values[s] for s in graph.sources(node.name)]
            total = functools.reduce(np.add, sources) if sources else x
            if node.name not in neurons:
                late = lines.get(node.name)
                values[node.name] = late.step(total) if late else apply(node.op, total, dt=graph.dt)
                continue
            if is_encoder(node):
                if t == 0:
                    trains[node.name] = make_train(node, total, graph.dt)
                out = trains[node.name][t].astype(np.float64)
            else:
                out = step(neurons[node.name], states[node.name], total)
            outputs[node.name] = out
            if watch is not None:
                watch(t, node.name, total, out)
        arriving = outputs
        yield outputs
