"""Data-based balancing: what one spike of each population stands for, measured population by population.

Populations are taken in execution order. Each one runs for the full number of steps on the spikes that
those before it really emit, so that whatever a reset, a saturation or a late start loses is made up for
where it happens:

1. *threshold*: the percentile of the source's activations, divided by the rate it shall have;
2. *bias*: what the mean weighted input lacks of the source's, per channel, goes to the bias in front;
3. *unit*: the least-squares factor from rates to source activations, which scales the weights behind.

A membrane that is reset to zero loses what it holds above the threshold, so its rate under a drive J is
``1/ceil(threshold/J)``, not ``J/threshold``. The unit is fitted to the rates with that loss in them.

References
----------
.. [1] Rueckauer et al. (2017), Conversion of continuous-valued deep networks to efficient event-driven
   networks for image classification, Frontiers in Neuroscience 11:682, section 2.2 (percentiles).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.conversion import surgery
from neurodeploy.conversion.linear import is_weighted
from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.evaluate import apply, evaluate
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.simulate import encoder_train, is_encoder
from neurodeploy.numerics.neurons import MembraneState, step

Floats = npt.NDArray[np.float64]
Packed = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Options:
    """How to balance; as in `spiking.convert`."""

    percentile: float
    rate: float
    steps: int


@dataclass(frozen=True, eq=False)
class Response:
    """What a population did on the calibration samples.

    Parameters
    ----------
    threshold, unit : float
        In units of the source's activations.
    rates : ndarray of float64, shape (B, *population shape)
        Spikes, or growth, per step.
    train : tuple of ndarray of uint8
        Spikes of every step, packed.
    peak_drive, peak_membrane : float
        Largest weighted input of a step and largest membrane after one, without sign, in thresholds.
    """

    threshold: float
    unit: float
    rates: Floats
    train: tuple[Packed, ...] = ()
    peak_drive: float = 0.0
    peak_membrane: float = 0.0

    def spikes(self, t: int) -> Floats:
        """Return the spikes of one step, shape (B, *population shape)."""
        flat = np.unpackbits(self.train[t], count=self.rates.size)
        return flat.reshape(self.rates.shape).astype(np.float64)

    def activity(self, t: int) -> Floats:
        """Return what the spikes of one step stand for."""
        return self.unit * self.spikes(t)

    def delivered(self) -> Floats:
        """Return the mean activity that arrives within the run: the last step's spikes come too late."""
        return self.unit * (self.rates - self.spikes(-1) / len(self.train))


Responses = Mapping[str, Response]


def balance(graph: Graph, source: Graph, x: Floats, options: Options) -> Graph:
    """Scale weights and biases of a spiking skeleton so that its rates follow the source's activations.

    Parameters
    ----------
    graph : Graph
        The source with populations of threshold 1 in place of its activations.
    source : Graph
        The folded rate graph, whose activations have the populations' names.
    x : ndarray of float64, shape (B, *input shape)
    options : Options
    """
    inputs = source_inputs(graph, source, x)
    found: dict[str, Response] = {}
    for node in graph.neurons:
        z = inputs.pop(node.name)
        if is_encoder(node):
            found[node.name] = _encode(graph, node, x, options)
        else:
            graph, z = _shift_output(graph, graph[node.name], z)
            graph = _correct_bias(graph, node, z, found)
            found[node.name] = _respond(graph, node, z, found, options)
        graph = _noted(graph, graph[node.name], z, found)
    return with_scales(graph, found)


def source_inputs(graph: Graph, source: Graph, x: Floats) -> dict[str, Floats]:
    """Return what enters each population's counterpart in the source."""
    counterpart = {n.name: n.name if n.name in source else source.output.name for n in graph.neurons}
    wanted = {s for name in counterpart.values() for s in source.sources(name)}
    values: dict[str, Floats] = {}
    evaluate(source, x, watch=lambda name, value: values.update({name: value} if name in wanted else {}))
    result = {}
    for node in graph.neurons:
        if is_encoder(node):
            result[node.name] = weighted_input(graph, node.name, {graph.input.name: x})
        else:
            result[node.name] = functools.reduce(
                np.add, [values[s] for s in source.sources(counterpart[node.name])]
            )
    return result


def _encode(graph: Graph, node: Node, x: Floats, options: Options) -> Response:
    into = weighted_input(graph, node.name, {graph.input.name: x})
    train = encoder_train(node, into, graph.dt, steps=options.steps, input_coding="rate", seed=0, first=0)
    rates = train.mean(axis=0)
    unit = _slope(rates, np.maximum(into, 0.0), node.unit)
    return Response(1.0, unit, rates, tuple(np.packbits(s) for s in train), node.unit, 1.0)


def _slope(x: Floats, y: Floats, default: float) -> float:
    """Least-squares factor from x to y."""
    square = float(np.vdot(x, x))
    slope = float(np.vdot(x, y)) / square if square else default
    return slope if slope > 0 else default


def _shift_output(graph: Graph, node: Node, z: Floats) -> tuple[Graph, Floats]:
    """Raise all outputs alike, so that the largest is positive where it is to be read from spikes."""
    if not node.op.spiking or node.notes.get("role") != "output":
        return graph, z
    largest = z.reshape(len(z), -1).max(axis=1)
    shift = max(0.0, -float(np.percentile(largest, 1)))
    return graph.with_node(node.name, notes={**node.notes, "shift": shift}), z + shift


# --- one population -----------------------------------------------------------------------------------------


def _correct_bias(graph: Graph, node: Node, z: Floats, found: Responses) -> Graph:
    """Add to the bias in front what the mean weighted input lacks, per channel."""
    host = _bias_host(graph, node)
    if host is None or not is_weighted(host.op):
        return graph
    arriving = {name: found[name].delivered() for name in feeding(graph, node.name)}
    lacks = z - weighted_input(graph, node.name, arriving)
    axis = lacks.ndim - 1 if isinstance(host.op, ops.Affine) else 1
    mean = lacks.mean(axis=tuple(a for a in range(lacks.ndim) if a != axis))
    return surgery.replace_op(graph, host, dataclasses.replace(host.op, bias=host.op.bias + mean))


def _bias_host(graph: Graph, node: Node) -> Node | None:
    """Return an op with a bias whose output goes into this population alone."""
    for name in graph.sources(node.name):
        if is_weighted(graph[name].op) and graph.targets(name) == (node.name,):
            return graph[name]
    return None


def _respond(graph: Graph, node: Node, z: Floats, found: Responses, options: Options) -> Response:
    """Step one population on the recorded spikes of those before it."""
    wanted = np.maximum(z, 0.0) if node.op.spiking else z
    threshold = 1.0
    if node.op.spiking:
        active = wanted[wanted > 0]
        threshold = (float(np.percentile(active, options.percentile)) if active.size else 1.0) / options.rate
    neuron, state = membrane(node.op, graph.dt), MembraneState.zeros(z.shape)
    count, train, peak_drive, peak_membrane = np.zeros(z.shape), [], 0.0, 0.0
    for drive in drives(graph, node.name, found, options.steps):
        out = step(neuron, state, drive / threshold)
        peak_drive = max(peak_drive, float(np.abs(drive).max()) / threshold)
        peak_membrane = max(peak_membrane, float(np.abs(state.v).max()))
        if node.op.spiking:
            count += out
            train.append(np.packbits(out > 0))
    rates = (count if node.op.spiking else state.v) / options.steps
    unit = _slope(rates, wanted, threshold)
    return Response(threshold, unit, rates, tuple(train), peak_drive, peak_membrane)


def feeding(graph: Graph, name: str) -> tuple[str, ...]:
    """Return the populations whose spikes reach a population through linear ops."""
    seen: set[str] = set()
    stack = list(graph.sources(name))
    while stack:
        here = stack.pop()
        if here not in seen:
            seen.add(here)
            stack += [] if graph[here].op.stateful else graph.sources(here)
    return tuple(n.name for n in graph.neurons if n.name in seen)


def drives(graph: Graph, name: str, found: Responses, steps: int) -> Iterator[Floats]:
    """Yield the weighted input of a population in every step; spikes arrive one step after they were sent."""
    before = feeding(graph, name)
    yield weighted_input(graph, name, {k: np.zeros(found[k].rates.shape) for k in before})
    for t in range(steps - 1):
        yield weighted_input(graph, name, {k: found[k].activity(t) for k in before})


def weighted_input(graph: Graph, name: str, outputs: Mapping[str, Floats]) -> Floats:
    """Return what arrives at a population, given the outputs of the populations before it."""
    values = dict(outputs)

    def total(at: str) -> Floats:
        return functools.reduce(np.add, [value(s) for s in graph.sources(at)])

    def value(of: str) -> Floats:
        if of not in values:
            values[of] = apply(graph[of].op, total(of), dt=graph.dt)
        return values[of]

    return total(name)


# --- what was found, into the graph -------------------------------------------------------------------------


def _noted(graph: Graph, node: Node, z: Floats, found: Responses) -> Graph:
    """Write down what was measured."""
    response = found[node.name]
    rates, unit = response.rates, response.unit
    wanted = np.maximum(z, 0.0) if node.op.spiking else z
    size = float(np.sqrt(np.mean(wanted**2)))
    without_time = apply(node.op, z / (1.0 if is_encoder(node) else response.threshold), dt=graph.dt)
    notes: dict[str, float | str] = {
        **node.notes,
        "gain": _slope(without_time, rates, 1.0),
        "peak_drive": response.peak_drive,
        "peak_membrane": response.peak_membrane,
        "rate_mean": float(rates.mean()),
        "relative_error": float(np.sqrt(np.mean((rates * unit - wanted) ** 2))) / size if size else 0.0,
    }
    if node.op.spiking:
        steps = len(response.train)
        notes["dead_units"] = int(((rates.max(axis=0) == 0) & (wanted.max(axis=0) > 0)).sum())
        notes["saturated_units"] = int((rates.max(axis=0) * steps >= steps - 2).sum())
    return graph.with_node(node.name, unit=unit, notes=notes)


def with_scales(graph: Graph, found: Responses) -> Graph:
    """Write units and thresholds into the graph, as scales on the edges that leave or enter a population."""
    for src, dst in graph.edges:
        factor = found[src].unit if src in found and dst != graph.output.name else 1.0
        factor /= found[dst].threshold if dst in found else 1.0
        if factor != 1.0:
            scale = ops.Scale(np.full((1,) * len(graph.shapes[src]), factor))
            node = Node(surgery.fresh(graph, f"{src}.scale"), scale, graph[dst].origin)
            graph = surgery.insert_on(graph, (src, dst), node)
    return graph
