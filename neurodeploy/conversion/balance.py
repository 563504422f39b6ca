"""Data-based balancing: what one spike of each population stands for, measured population by population.

Populations are taken in execution order. Each one runs for the full number of steps on the spikes that
those before it really emit:

1. *threshold*: the percentile of the source's activations, per channel, divided by the rate it shall have;
   where balancing is local, the best one around it (`local`);
2. *unit*: the threshold where nothing is lost at a reset, else the least-squares factor from rates to source
   activations; it scales the weights behind;
3. *start*: half a threshold, and what the mean input lacks by the end of the run, goes to the membrane before
   the first step.

What a start makes up for is mostly a charge that is missing once: biases act before the first spikes arrive,
rates need steps to settle, a membrane at rest is half a spike late. It is kept apart from the biases, which
stay the source's, so a network is as good in any number of steps as the steps allow, and its rates are the
source's activations. Only what a membrane loses in every step, when it is reset to zero with some charge
above its threshold, is a rate, and goes to the bias in front. Membranes that leak forget a start; there the
charge is spread over the steps of the conversion, as part of that bias, and more or fewer steps cost
accuracy.

References
----------
.. [1] Rueckauer et al. (2017), Conversion of continuous-valued deep networks to efficient event-driven
   networks for image classification, Frontiers in Neuroscience 11:682, section 2.2 (percentiles).
.. [2] Bu et al. (2022), Optimized potential initialization for low-latency spiking neural networks, AAAI 36
   (half a threshold).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neurodeploy.conversion import surgery
from neurodeploy.conversion.linear import is_weighted
from neurodeploy.conversion.local import FEW, best_threshold
from neurodeploy.conversion.thresholds import Options, cap, nothing, of_pools, threshold_of, wanted_of
from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.evaluate import apply, evaluate
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.simulate import encoder_train, is_encoder
from neurodeploy.numerics.layers import IN_CACHE
from neurodeploy.numerics.neurons import MembraneState, step

Floats = npt.NDArray[np.float64]
Packed = npt.NDArray[np.uint8]

TELL_EVERY = 64
"""Steps between two words about progress."""


@dataclass(frozen=True, eq=False)
class Response:
    """What a population did on the calibration samples.

    Parameters
    ----------
    threshold, unit : ndarray of float64
        In units of the source's activations; broadcast to the population's shape.
    rates : ndarray of float64, shape (B, *population shape)
        Spikes, or growth, per step since the first spike could be.
    latency : int
        Steps before the first spike of a sample can arrive.
    train : ndarray of uint8, shape (T, B, bytes)
        Spikes of every step and sample, packed; T is 0 for an integrator.
    peak_drive, peak_membrane : float
        Largest weighted input of a step and largest membrane before a reset, without sign, in thresholds.
    """

    threshold: Floats
    unit: Floats
    rates: Floats
    latency: int = 0
    train: Packed = field(default_factory=lambda: np.zeros((0, 0, 0), np.uint8))
    peak_drive: float = 0.0
    peak_membrane: float = 0.0

    def spikes(self, t: int) -> Floats:
        """Return the spikes of one step, shape (B, *population shape)."""
        flat = np.unpackbits(self.train[t], axis=1, count=math.prod(self.rates.shape[1:]))
        return flat.reshape(self.rates.shape).astype(np.float64)

    def of(self, rows: slice) -> Response:
        """Return the response to some of the samples."""
        return dataclasses.replace(self, rates=self.rates[rows], train=self.train[:, rows])

    def activity(self, t: int) -> Floats:
        """Return what the spikes of one step stand for."""
        return self.unit * self.spikes(t)

    def delivered(self, start: int, stop: int) -> Floats:
        """Return the mean activity that arrives in some steps; a spike arrives a step after it was sent."""
        sent = np.zeros(self.rates.shape)
        for t in range(max(start, 1), stop):
            sent += self.spikes(t - 1)
        return self.unit * sent / max(stop - start, 1)


Responses = Mapping[str, Response]


def balance(
    graph: Graph,
    source: Graph,
    x: Floats,
    options: Options,
    progress: Callable[[int, int], object] | None = None,
) -> Graph:
    """Scale weights and biases of a spiking skeleton so that its rates follow the source's activations.

    Parameters
    ----------
    graph : Graph
        The source with populations of threshold 1 in place of its activations.
    source : Graph
        The folded rate graph, whose activations have the populations' names.
    x : ndarray of float64, shape (B, *input shape)
    options : Options
    progress : callable of (done, total), optional
        Called with steps done and all there are.
    """
    inputs = source_inputs(graph, source, x)
    alike = of_pools(graph, inputs, options)
    found: dict[str, Response] = {}
    total = options.steps * len(graph.neurons)
    for number, node in enumerate(graph.neurons):
        z = inputs.pop(node.name)
        if progress is not None:
            options = dataclasses.replace(options, advance=_share_of(progress, number, options.steps, total))
            options.advance(0.0)
        if is_encoder(node):
            found[node.name] = _encode(graph, node, x, options)
        else:
            graph, z = _shift_output(graph, graph[node.name], z)
            threshold = threshold_of(node, z, options, alike)
            graph, found[node.name] = _settle(graph, graph[node.name], z, found, options, threshold)
        graph = _noted(graph, graph[node.name], z, found)
    return with_scales(graph, found)


def _share_of(
    progress: Callable[[int, int], object], number: int, steps: int, total: int
) -> Callable[[float], object]:
    """Return what takes the share of one population that is done, and tells it in steps of all."""
    return lambda share: progress(int((number + share) * steps), total)


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
    one = np.ones(())
    packed = np.packbits(train.reshape(*train.shape[:2], -1), axis=-1)
    return Response(one, node.unit * one, train.mean(axis=0), train=packed, peak_drive=1.0, peak_membrane=1.0)


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
    graph = graph.with_node(node.name, notes={**node.notes, "shift": shift})
    return add_bias(graph, node, np.full((1,) * (z.ndim - 1), shift)), z + shift


# --- one population -----------------------------------------------------------------------------------------


def _settle(
    graph: Graph, node: Node, z: Floats, found: Responses, options: Options, threshold: Floats
) -> tuple[Graph, Response]:
    """Give one population its threshold, its start and, where its reset loses charge, its bias."""
    late = latency(graph, node.name, found)
    lossy = node.op.spiking and not is_lossless(node.op)
    charge, per_step = missing(graph, node.name, z, found, options.steps, late)
    if lossy:
        charge = charge - per_step * max(options.steps - late, 1)
        if forgets(node.op, graph.dt):  # a start leaks away; the charge comes with the bias
            per_step, charge = per_step + charge / options.steps, np.zeros(())
        graph = add_bias(graph, node, per_step)
    half = 0.5 if node.op.spiking and not lossy else 0.0

    def ready(at: Floats) -> Node:
        assert isinstance(node.op, ops.Neuron)
        return dataclasses.replace(node, op=dataclasses.replace(node.op, v_init=half + charge / at))

    def decoded(at: Floats) -> Floats:
        few, quiet = {k: r.of(FEW) for k, r in found.items()}, dataclasses.replace(options, advance=nothing)
        response = _respond(graph, ready(at), z[FEW], few, quiet, at, late)
        return response.rates * response.unit

    threshold = best_threshold(node, z, options, threshold, decoded)
    graph = graph.with_node(node.name, op=ready(threshold).op)
    return graph, _respond(graph, graph[node.name], z, found, options, threshold, late)


def is_lossless(op: ops.Op) -> bool:
    """Whether a reset keeps all charge, so that rates follow a constant drive exactly."""
    return isinstance(op, ops.IF) and op.reset == "subtract" and not op.refractory


def forgets(op: ops.Op, dt: float) -> bool:
    """Whether charge leaks out of the membrane, or lies in a current first."""
    neuron = membrane(op, dt)
    return bool(np.any(neuron.keep_v < 1) or np.any(neuron.keep_u > 0))


def latency(graph: Graph, name: str, found: Responses) -> int:
    """Return the steps until spikes reach a membrane on its longest way; a slow current adds its own."""
    neuron = membrane(graph[name].op, graph.dt)
    slow = round(float(np.max(neuron.keep_u / (1 - np.minimum(neuron.keep_u, 0.999)))))
    return max((found[k].latency + 1 for k in feeding(graph, name)), default=0) + slow


def missing(
    graph: Graph, name: str, z: Floats, found: Responses, steps: int, late: int
) -> tuple[Floats, Floats]:
    """Measure what the mean weighted input of a population lacks of the source's, per channel.

    Returns
    -------
    charge, per_step : ndarray of float64, broadcast to the population's shape
        What is missing by the end of the run, and of that what is missing in every step, as the second half
        of the run tells it.
    """
    half, on_time = steps // 2, max(steps - late, 1)
    before = feeding(graph, name)
    whole = weighted_input(graph, name, {k: found[k].delivered(0, steps) for k in before})
    later = weighted_input(graph, name, {k: found[k].delivered(half, steps) for k in before})
    axes = tuple(a for a in range(z.ndim) if a != 1)
    per_step = (z - later).mean(axis=axes)
    charge = (z * on_time - whole * steps).mean(axis=axes)
    shape = (-1, *(1,) * (z.ndim - 2))
    return charge.reshape(shape), per_step.reshape(shape)


def add_bias(graph: Graph, node: Node, amount: Floats) -> Graph:
    """Add to the bias in front of a population, per channel, where there is one."""
    host = _bias_host(graph, node)
    if host is None or not is_weighted(host.op):
        return graph
    bias = host.op.bias + np.broadcast_to(amount.ravel(), host.op.bias.shape)
    return surgery.replace_op(graph, host, dataclasses.replace(host.op, bias=bias))


def _bias_host(graph: Graph, node: Node) -> Node | None:
    """Return an op with a bias whose output goes into this population alone."""
    for name in graph.sources(node.name):
        if is_weighted(graph[name].op) and graph.targets(name) == (node.name,):
            return graph[name]
    return None


def _respond(
    graph: Graph, node: Node, z: Floats, found: Responses, options: Options, threshold: Floats, late: int
) -> Response:
    """Step one population on the recorded spikes of those before it."""
    wanted = wanted_of(node, z)
    neuron = membrane(node.op, graph.dt)
    packed = math.ceil(math.prod(z.shape[1:]) / 8) if node.op.spiking else 0
    train = np.zeros((options.steps if packed else 0, len(z), packed), np.uint8)
    rates, peak_drive, peak_membrane = np.zeros(z.shape), 0.0, 0.0
    parts = list(_in_cache(z))
    for part, rows in enumerate(parts):
        before = {k: found[k].of(rows) for k in feeding(graph, node.name)}
        state = MembraneState.start(neuron, z[rows].shape)
        for t, drive in enumerate(drives(graph, node.name, before, options.steps)):
            if t % TELL_EVERY == 0:
                options.advance((part + t / options.steps) / len(parts))
            given = drive / threshold
            peak_drive = max(peak_drive, float(np.abs(given).max()))
            peak_membrane = max(peak_membrane, float(np.abs(state.v + given).max()))
            out = step(neuron, state, given)
            if node.op.spiking:
                rates[rows] += out
                train[t, rows] = np.packbits(out.reshape(len(out), -1) > 0, axis=-1)
        if not node.op.spiking:
            rates[rows] = state.v
    rates /= max(options.steps - late, 1)
    lossless = is_lossless(node.op) or not node.op.spiking
    gain = 1.0 if lossless else _slope(rates * threshold, wanted, 1.0)
    return Response(threshold, threshold * gain, rates, late, train, peak_drive, peak_membrane)


def _in_cache(z: Floats) -> Iterator[slice]:
    """Yield the samples of a batch in parts that the processor's cache holds, a megabyte or two."""
    size = max(1, IN_CACHE // math.prod(z.shape[1:]))
    return (slice(i, i + size) for i in range(0, len(z), size))


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
    wanted = wanted_of(node, z)
    size = float(np.sqrt(np.mean(wanted**2)))
    without_time = apply(node.op, z / (1.0 if is_encoder(node) else response.threshold), dt=graph.dt)
    exact = is_encoder(node) or is_lossless(node.op) or not node.op.spiking
    notes: dict[str, float | str] = {
        **node.notes,
        "gain": 1.0 if exact else _slope(without_time, rates, 1.0),
        "latency": response.latency,
        "peak_drive": response.peak_drive,
        "peak_membrane": response.peak_membrane,
        "rate_mean": float(rates.mean()),
        "relative_error": float(np.sqrt(np.mean((rates * unit - wanted) ** 2))) / size if size else 0.0,
    }
    if node.op.spiking:
        steps = len(response.train)
        threshold = unit if is_encoder(node) else response.threshold  # an encoder spikes once per unit
        notes["threshold_min"], notes["threshold_max"] = float(threshold.min()), float(threshold.max())
        notes["dead_units"] = int(((rates.max(axis=0) == 0) & (wanted.max(axis=0) > 0)).sum())
        full = rates.max(axis=0) * (steps - response.latency) >= steps - 2
        notes["saturated_units"] = int((full & (wanted.max(axis=0) < cap(node))).sum())
    return graph.with_node(node.name, unit=unit, notes=notes)


def with_scales(graph: Graph, found: Responses) -> Graph:
    """Write units and thresholds into the graph, as scales behind and in front of a population."""
    for src, dst in graph.edges:
        after = found[src].unit if src in found and dst != graph.output.name else np.ones(())
        before = 1 / found[dst].threshold if dst in found else np.ones(())
        edge = (src, dst)
        for factor in (after, before):
            if (factor != 1).any():
                shape = (1,) * len(graph.shapes[src])
                scale = ops.Scale(np.reshape(factor, factor.shape or shape))
                node = Node(surgery.fresh(graph, f"{src}.scale"), scale, graph[dst].origin)
                graph = surgery.insert_on(graph, edge, node)
                edge = (node.name, dst)
    return graph
