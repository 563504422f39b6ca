"""Layers as NEF ensembles: leaky integrate-and-fire neurons that together represent the rate of each unit.

The neural engineering framework does not copy a unit into a neuron. Each unit's weighted input, smoothed by a
synapse, is *encoded* by an ensemble (gains and intercepts drawn at random); *decoders*, solved by least
squares over the tuning curves, read the unit's activation from the spikes of the whole ensemble.

References
----------
Eliasmith & Anderson (2003), Neural Engineering, chapters 2 (representation) and 3 (transformation).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.ir import ops, paths
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Shape

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

NEURONS = 50
"""LIF neurons per unit."""
LIMIT = 100_000
"""Neurons of one NEF layer at most: Nengo solves and steps every unit's ensemble on its own."""
TAU = 0.002
"""Time constant of the synapse that smooths the spikes arriving, in seconds. A longer one is less noisy and
settles later; over 64 to 200 steps this is the best of 0 to 20 ms."""
HEADROOM = 1.25
"""How far the represented range goes beyond the rate that calibration mapped large activations to."""


def with_nef(graph: Graph, layers: Iterable[str], *, neurons: int = NEURONS) -> Graph:
    """Mark layers to be built as NEF ensembles by the backends that know how.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    layers : iterable of str
        The user's layer names, or names of our nodes.
    neurons : int
        LIF neurons per unit.

    Returns
    -------
    Graph
        The populations of these layers carry the note ``nef``.

    Raises
    ------
    OptionError
        If a layer has no population between the encoder and the read-out, or would take more than `LIMIT`
        neurons.
    """
    if neurons < 2:
        raise OptionError(f"{neurons} NEF neurons per unit; at least 2 are needed")
    last = graph.sources(graph.output.name)[0]
    hidden = [
        n for n in graph.neurons if n.op.spiking and n.name != last and n.notes.get("role") != "encoder"
    ]
    for layer in layers:
        found = [node for node in hidden if layer in (node.origin, node.name)]
        if not found:
            names = ", ".join(dict.fromkeys(node.origin for node in hidden)) or "none"
            raise OptionError(f"layer '{layer}' cannot be a NEF ensemble; the hidden layers are: {names}")
        for node in found:
            total = graph.size(node.name) * neurons
            if total > LIMIT:
                raise OptionError(
                    f"layer '{layer}' as NEF ensemble takes {total} neurons ({neurons} for each of its "
                    f"{graph.size(node.name)} units); the limit is {LIMIT}; choose a smaller layer or fewer "
                    "neurons per unit"
                )
            graph = graph.with_node(node.name, notes={**node.notes, "nef": neurons})
    return graph


def is_nef(node: Node) -> bool:
    """Whether a population is to be built as a NEF ensemble."""
    return "nef" in node.notes


def build_layer(nengo: Any, graph: Graph, node: Node, *, seed: int) -> Any:
    """Build a population as a NEF ensemble inside the network that is open.

    Returns
    -------
    nengo.Network
        ``input`` takes each unit's input in units of ``peak``, shape (N,); ``ensembles`` holds one ensemble
        per unit; ``rate`` gives the decoded rates, in spikes per step as the graph's own neurons would send.
    """
    shape, size = graph.shapes[node.name], graph.size(node.name)
    top = min(1.0, HEADROOM * float(graph.meta.get("rate", 1.0)))
    peak = full_scale(node.op, shape, graph.dt, rate=top)
    with nengo.Network(label=node.origin, seed=seed) as layer:
        layer.peak = peak
        layer.input = nengo.Node(size_in=size, label="input")
        layer.rate = nengo.Node(size_in=size, label="rate")
        bias = nengo.Node(paths.bias(graph, node.name).ravel() / peak, label="bias")
        nengo.Connection(bias, layer.input, synapse=None)
        for i, activation in enumerate(activations(node.op, shape, graph.dt, peak)):
            _unit(nengo, layer, i, activation, int(node.notes["nef"]))
    return layer


def _unit(nengo: Any, layer: Any, i: int, activation: Callable[[Floats], Floats], neurons: int) -> None:
    ensemble = nengo.Ensemble(
        neurons,
        dimensions=1,
        encoders=nengo.dists.Choice(
            [[1.0]]
        ),  # every neuron is silent below its intercept: rectified as it is
        intercepts=nengo.dists.Uniform(0.0, 0.95),
        max_rates=nengo.dists.Uniform(200.0, 400.0),
        n_eval_points=200,
        neuron_type=nengo.LIF(),
        label=f"{layer.label}[{i}]",
    )
    nengo.Connection(layer.input[i], ensemble, synapse=None)
    nengo.Connection(ensemble, layer.rate[i], function=activation, synapse=None)


def fan_out(graph: Graph) -> dict[tuple[str, str], Longs]:
    """Count the synapses of every neuron, with a NEF layer's neurons in place of its units.

    Every neuron of a unit's ensemble receives what the unit receives, and is decoded by all the unit reaches.
    """
    counts = {}
    for (source, target), reach in paths.fan_out(graph).items():
        sending, receiving = (int(graph[name].notes.get("nef", 1)) for name in (source, target))
        counts[source, target] = np.repeat(reach * receiving, sending)
    return counts


def decode_errors(network: Any, simulator: Any) -> dict[str, float]:
    """Root mean square error of the decoders, per NEF layer, in spikes per step.

    Parameters
    ----------
    network : nengo.Network
        From `nengo.to_nengo`.
    simulator : nengo.Simulator
        Of this network; it holds what Nengo's solvers found.
    """
    errors = {}
    for population in network.populations.values():
        infos = [simulator.data[c].solver_info for c in getattr(population, "connections", ())]
        rmses = [info["rmses"] for info in infos if info]
        if rmses:
            errors[population.label] = float(np.sqrt(np.mean(np.square(rmses))))
    return errors


def full_scale(op: ops.Op, shape: Shape, dt: float, *, rate: float) -> Floats:
    """Find the constant input under which each unit sends `rate` spikes per step, shape (N,)."""

    def rates(current: Floats) -> Floats:
        return apply(op, current.reshape(1, *shape), dt=dt).ravel()

    low, high = np.zeros(int(np.prod(shape))), np.ones(int(np.prod(shape)))
    for _ in range(200):
        short = rates(high) < rate
        if not short.any():
            break
        high = np.where(short, 2 * high, high)
    else:
        raise OptionError(f"no input makes a {op.kind} send {rate} spikes per step")
    for _ in range(60):
        middle = (low + high) / 2
        above = rates(middle) >= rate
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return high


def activations(op: ops.Op, shape: Shape, dt: float, peak: Floats) -> list[Callable[[Floats], Floats]]:
    """Return each unit's mean response to an input in units of its peak, as a table to interpolate."""
    grid = np.linspace(0.0, 1.0, 201)
    table = apply(op, (grid[:, None] * peak).reshape(-1, *shape), dt=dt).reshape(len(grid), -1)
    return [functools.partial(np.interp, xp=grid, fp=unit) for unit in table.T]
