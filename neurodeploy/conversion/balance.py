"""Data-based balancing: what one spike of each population stands for, measured population by population.

Populations are taken in execution order. Each one runs for the full number of steps on the spikes that the
populations before it really emit, so that whatever a reset, a saturation or a late start loses is made up for where
it happens:

1. *threshold*: the percentile of the source activations, divided by the rate it shall have;
2. *bias*: what the mean weighted input lacks of the source's mean pre-activation, per channel, goes to the bias in
   front;
3. *unit*: the least-squares factor from measured rates to source activations scales the weights behind.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neurodeploy.conversion import surgery
from neurodeploy.conversion.linear import Weighted, is_weighted
from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.evaluate import apply, evaluate
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.simulate import encoder_train, is_encoder
from neurodeploy.numerics.neurons import MembraneState, step

Floats = npt.NDArray[np.float64]
Packed = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Response:
    """What a population did on the calibration samples: spikes (or growth) per step, the spikes packed."""

    rates: Floats
    train: tuple[Packed, ...] = ()
    peak_drive: float = 0.0
    peak_membrane: float = 0.0


@dataclass
class Balance:
    """Findings so far: unit, threshold and response of every population that has been balanced."""

    steps: int
    units: dict[str, float] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    responses: dict[str, Response] = field(default_factory=dict)


def balance(graph: Graph, source: Graph, x: Floats, *, percentile: float, rate: float, steps: int) -> Graph:
    """Scale weights and biases of a spiking skeleton so that its rates follow the source's activations.

    Parameters
    ----------
    graph : Graph
        The source with populations of threshold 1 in place of its activations.
    source : Graph
        The folded rate graph, whose activations have the populations' names.
    x : ndarray of float64, shape (B, *input shape)
    percentile, rate, steps
        As in `spiking.convert`.
    """
    wanted: dict[str, Floats] = {}
    evaluate(source, x, watch=lambda name, value: wanted.update({name: value}))
    found = Balance(steps)
    for node in graph.neurons:
        if is_encoder(node):
            graph = _encoder(graph, node, x, found)
            continue
        into = source.sources(node.name if node.name in source else source.output.name)
        z = functools.reduce(np.add, [wanted[s] for s in into])
        graph = _population(graph, node, z, found, percentile, rate)
    return with_scales(graph, found)


def _encoder(graph: Graph, node: Node, x: Floats, found: Balance) -> Graph:
    into = weighted_input(graph, node.name, {graph.input.name: x})
    train = encoder_train(node, into, graph.dt, steps=found.steps, input_coding="rate", seed=0, first=0)
    rates = train.mean(axis=0)
    want = np.maximum(into, 0.0)
    found.units[node.name] = _slope(rates, want, node.unit)
    found.thresholds[node.name] = 1.0
    found.responses[node.name] = Response(rates, tuple(_pack(s) for s in train), 0.0)
    return _noted(graph, node, rates, want, found)


def _population(graph: Graph, node: Node, z: Floats, found: Balance, percentile: float, rate: float) -> Graph:
    integrator = not node.op.spiking
    wanted = z if integrator else np.maximum(z, 0.0)
    if integrator:
        threshold = 1.0
    else:
        alive = wanted[wanted > 0]
        threshold = (float(np.percentile(alive, percentile)) if alive.size else 1.0) / rate
    graph = _correct_bias(graph, node, z, found)
    response = _run(graph, node, threshold, found)
    found.thresholds[node.name] = threshold
    found.units[node.name] = _slope(response.rates, wanted, threshold)
    found.responses[node.name] = response
    return _noted(graph, node, response.rates, wanted, found)


def _slope(rates: Floats, wanted: Floats, default: float) -> float:
    square = float(np.vdot(rates, rates))
    slope = float(np.vdot(rates, wanted)) / square if square else default
    return slope if slope > 0 else default


def _correct_bias(graph: Graph, node: Node, z: Floats, found: Balance) -> Graph:
    """Add to the bias in front what the mean weighted input lacks, per channel."""
    host = _bias_host(graph, node)
    if host is None:
        return graph
    late = {
        name: r.rates - _unpack(r.train[-1], r.rates.shape) / found.steps
        for name, r in found.responses.items()
        if r.train
    }
    lacks = z - weighted_input(graph, node.name, {k: found.units[k] * v for k, v in late.items()})
    axis = lacks.ndim - 1 if isinstance(host.op, ops.Affine) else 1
    mean = lacks.mean(axis=tuple(a for a in range(lacks.ndim) if a != axis))
    assert is_weighted(host.op)
    return surgery.replace_op(graph, host, _more_bias(host.op, mean))


def _more_bias(op: Weighted, more: Floats) -> Weighted:
    return dataclasses.replace(op, bias=op.bias + more)


def _bias_host(graph: Graph, node: Node) -> Node | None:
    for name in graph.sources(node.name):
        if is_weighted(graph[name].op) and graph.targets(name) == (node.name,):
            return graph[name]
    return None


def weighted_input(graph: Graph, name: str, outputs: Mapping[str, Floats]) -> Floats:
    """Return what arrives at a population, given the outputs of the populations before it."""
    values = dict(outputs)

    def value(of: str) -> Floats:
        if of not in values:
            values[of] = apply(graph[of].op, total(of), dt=graph.dt)
        return values[of]

    def total(at: str) -> Floats:
        return functools.reduce(np.add, [value(s) for s in graph.sources(at)])

    return total(name)


def _run(graph: Graph, node: Node, threshold: float, found: Balance) -> Response:
    """Step one population on the recorded spikes of those before it."""
    neuron = membrane(node.op, graph.dt)
    before = {k: r for k, r in found.responses.items() if r.train}
    batch = len(next(iter(before.values())).rates)
    shape = (batch, *graph.shapes[node.name])
    state = MembraneState.zeros(shape)
    count, train = np.zeros(shape), []
    peak_drive = peak_membrane = 0.0
    arriving = {k: np.zeros(r.rates.shape) for k, r in before.items()}
    for t in range(found.steps):
        drive = weighted_input(graph, node.name, arriving) / threshold
        out = step(neuron, state, drive)
        peak_drive = max(peak_drive, float(np.abs(drive).max()))
        peak_membrane = max(peak_membrane, float(np.abs(state.v).max()))
        if node.op.spiking:
            count += out
            train.append(_pack(out))
        arriving = {k: found.units[k] * _unpack(r.train[t], r.rates.shape) for k, r in before.items()}
    rates = (count if node.op.spiking else state.v) / found.steps
    return Response(rates, tuple(train), peak_drive, peak_membrane)


def _pack(spikes: npt.NDArray[np.generic]) -> Packed:
    return np.packbits(spikes != 0)


def _unpack(packed: Packed, shape: tuple[int, ...]) -> Floats:
    count = int(np.prod(shape))
    return np.unpackbits(packed, count=count).reshape(shape).astype(np.float64)


def _noted(graph: Graph, node: Node, rates: Floats, wanted: Floats, found: Balance) -> Graph:
    """Write down what was measured."""
    unit, response = found.units[node.name], found.responses[node.name]
    size = float(np.sqrt(np.mean(wanted**2)))
    notes: dict[str, float | str] = {
        **node.notes,
        "rate_mean": float(rates.mean()),
        "peak_drive": response.peak_drive,
        "peak_membrane": response.peak_membrane,
        "gain": found.thresholds[node.name] / unit,
        "relative_error": float(np.sqrt(np.mean((rates * unit - wanted) ** 2))) / size if size else 0.0,
    }
    if node.op.spiking:
        notes["dead_units"] = int(((rates.max(axis=0) == 0) & (wanted.max(axis=0) > 0)).sum())
        notes["saturated_units"] = int((rates.max(axis=0) > 1 - 1.5 / found.steps).sum())
    return graph.with_node(node.name, unit=unit, notes=notes)


def with_scales(graph: Graph, found: Balance) -> Graph:
    """Write units and thresholds into the graph, as scales behind and in front of the populations."""
    for node in graph.neurons:
        ones = (1,) * len(graph.shapes[node.name])
        into, out = found.thresholds[node.name], found.units[node.name]
        if into != 1.0:
            scale = Node(
                surgery.fresh(graph, f"{node.name}.drive"), ops.Scale(np.full(ones, 1 / into)), node.origin
            )
            graph = surgery.insert_before(graph, node.name, scale)
        if graph.output.name not in graph.targets(node.name):
            scale = Node(
                surgery.fresh(graph, f"{node.name}.unit"), ops.Scale(np.full(ones, out)), node.origin
            )
            graph = surgery.insert_after(graph, node.name, scale)
    return graph
