"""A spiking graph as an ordinary `nengo.Network`, and the backend ``nengo`` that runs it in Nengo.

Every population is an ensemble under the user's layer name; what is linear between two populations is a
connection, or several with a node in between. A connection has ``synapse=0``, Nengo's way to say one step: a
spike sent in step t arrives in step t + 1, as on the chip and in `ir.simulate`, whose spikes these are.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.adapter import nengo_module
from neurodeploy.backends.base import Floats, Session, record
from neurodeploy.backends.nef import NEURONS, TAU, build_layer, fan_out, is_nef, with_nef
from neurodeploy.backends.nengo_neurons import neurons_of
from neurodeploy.backends.nengo_transforms import Late, between, transform
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops, paths
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.simulate import encoder_train, is_encoder
from neurodeploy.recording import Recording

nengo: Any = nengo_module()
Network: TypeAlias = Any  # nengo.Network; Nengo has no type information


def to_nengo(
    graph: Graph,
    *,
    nef: Iterable[str] = (),
    nef_neurons: int = NEURONS,
    seed: int = 0,
    input: npt.ArrayLike | None = None,
) -> Network:
    """Build a network that can be run, probed and extended like any other.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    nef : iterable of str
        Layers to build as NEF ensembles, by the user's names.
    nef_neurons : int
        LIF neurons for each unit of such a layer.
    seed : int
        Of the NEF ensembles.
    input : array_like, optional
        One sample as `Graph.prepare` returns it, without the batch axis; zeros otherwise. It can be replaced
        at any time: ``network.input.output = values`` of shape (N,), or a function of time, or a process.

    Returns
    -------
    nengo.Network
        To be simulated with ``dt=graph.dt``. ``network.input`` is the node where a sample enters,
        ``network.populations[name]`` the ensemble of a graph node (a `nengo.Network` for a NEF layer, see
        `nef.build_layer`), labelled with the user's layer name, and ``network.output`` the neurons that are
        read out, as in ``nengo.Probe(network.output)``.

    Raises
    ------
    OptionError
        If the graph is not in spiking form, or a layer cannot be a NEF ensemble.
    """
    network = build(with_nef(graph, nef, neurons=nef_neurons), seed=seed)
    if input is not None:
        network.input.output = np.asarray(input, dtype=np.float64).ravel()
    return network


def build(graph: Graph, *, seed: int = 0, trains: bool = False, plain: bool = False) -> Network:
    """Build the network; see `to_nengo`.

    Parameters
    ----------
    graph : Graph
    seed : int
    trains : bool
        Make each encoder a node, to be given ready spikes, in place of an ensemble.
    plain : bool
        Write convolutions as matrices too; see `nengo_transforms.transform`.
    """
    last = graph[graph.sources(graph.output.name)[0]]
    if not last.op.stateful:
        raise OptionError(
            f"'{graph.name}' is not in spiking form ('{last.name}' has no membrane); convert it first"
        )
    network = nengo.Network(label=graph.name, seed=seed)
    with network:
        network.input = nengo.Node(np.zeros(graph.size(graph.input.name)), label=graph.input.origin)
        network.populations = {
            node.name: _population(graph, node, trains=trains, seed=seed) for node in graph.neurons
        }
        for (source, target), chains in paths.projections(graph, delays=True).items():
            if not (trains and is_encoder(graph[target])):
                for ways in _ways(graph, chains):
                    _connect(network, graph, source, target, ways, plain=plain)
    network.output = network.populations[last.name].neurons
    return network


def _ways(graph: Graph, chains: paths.Chains) -> Iterator[paths.Chains]:
    """Take ways with a delay one by one, and the others together."""
    at_once = tuple(c for c in chains if not any(isinstance(graph[n].op, ops.Delay) for n in c))
    if at_once:
        yield at_once
    yield from ((chain,) for chain in chains if chain not in at_once)


def _population(graph: Graph, node: Node, *, trains: bool, seed: int) -> Any:
    if trains and is_encoder(node):
        return nengo.Node(np.zeros(graph.size(node.name)), label=node.origin)
    if is_nef(node):
        return build_layer(nengo, graph, node, seed=seed)
    shape, size = graph.shapes[node.name], graph.size(node.name)
    return nengo.Ensemble(
        size,
        dimensions=1,
        encoders=np.ones((size, 1)),
        gain=np.ones(size),
        bias=paths.bias(graph, node.name, delays=True).ravel(),
        neuron_type=neurons_of(node.op, shape, graph.dt, encoder=is_encoder(node)),
        label=node.origin,
    )


def _connect(
    network: Network, graph: Graph, source: str, target: str, chains: paths.Chains, *, plain: bool
) -> None:
    """Connect two populations, with a node in between where one connection would cost more than two."""
    after = network.populations[target]
    nef = isinstance(after, nengo.Network)
    before: Any = network.input if source == graph.input.name else network.populations[source]
    before = before.rate if isinstance(before, nengo.Network) else getattr(before, "neurons", before)
    synapse = None if source == graph.input.name else TAU if nef else 0
    *early, last = between(graph, source, target, chains)
    for stage in early:
        late = None if stage.delay is None else Late(stage.delay)
        node = nengo.Node(late, size_in=stage.weights.shape[0], label=stage.label)
        label = f"{graph[source].origin} -> {stage.label}"
        nengo.Connection(before, node, transform=transform(stage, plain=plain), synapse=synapse, label=label)
        before, synapse = node, None
    nengo.Connection(
        before,
        after.input if nef else after.neurons,
        transform=transform(last.scaled(1 / after.peak) if nef else last, plain=plain),
        synapse=synapse,
        label=f"{graph[source].origin} -> {graph[target].origin}",
    )


# --- running ------------------------------------------------------------------------------------------------


def input_rows(
    graph: Graph, x: Floats, *, steps: int, input_coding: str, seed: int, first: int
) -> dict[str, npt.NDArray[Any]]:
    """Make what the nodes of a network built with ``trains=True`` put out in every step.

    Returns
    -------
    dict of str to ndarray, shape (B, T, N)
        Spikes of every encoder.
    """
    rows = {}
    for node in filter(is_encoder, graph.neurons):
        current = paths.drive(graph, node.name, x)
        train = encoder_train(
            node, current, graph.dt, steps=steps, input_coding=input_coding, seed=seed, first=first
        )
        rows[node.name] = np.moveaxis(train.reshape(steps, len(x), -1), 0, 1)
    return rows


def add_probes(graph: Graph, network: Network) -> dict[str, list[Any]]:
    """Probe every population of a network built with ``trains=True``; NEF ensembles one by one."""
    with network:
        return {
            name: [
                nengo.Probe(e.neurons) for e in getattr(network.populations[name], "ensembles", [population])
            ]
            for name, population in network.populations.items()
            if not isinstance(population, nengo.Node)
        }


def train_of(graph: Graph, name: str, probed: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Put together what the probes of a population saw: spikes as bool, or an integrator's membranes."""
    values = np.concatenate(probed, axis=-1) if len(probed) > 1 else probed[0]
    return values != 0 if graph[name].op.spiking else values.astype(np.float64)


class Player:
    """The output of a node: one row per step; call it with the time in seconds."""

    def __init__(self, dt: float) -> None:
        self.dt = dt
        self.rows: npt.NDArray[Any] = np.zeros((1, 0))

    def __call__(self, t: float) -> npt.NDArray[Any]:  # noqa: D102
        return np.asarray(self.rows[round(t / self.dt) - 1])


def open_session(
    graph: Graph, *, steps: int, seed: int = 0, input_coding: str = "rate", raster: bool = True
) -> Session:
    """Open a session in Nengo's simulator, in float64, sample after sample from the same state at rest."""
    network = build(graph, seed=seed, trains=True, plain=True)
    players = {node.name: Player(graph.dt) for node in filter(is_encoder, graph.neurons)}
    network.input.output = held = Player(graph.dt)
    for name, player in players.items():
        network.populations[name].output = player
    probes = add_probes(graph, network)
    model = nengo.builder.Model(dt=graph.dt)  # one that leaves Nengo's cache of decoders on disk alone
    simulator = nengo.Simulator(network, model=model, progress_bar=False)
    reach = fan_out(graph)

    def run(x: Floats, first: int) -> Recording:
        start = time.perf_counter()
        inputs = input_rows(graph, x, steps=steps, input_coding=input_coding, seed=seed, first=first)
        seen: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in probes}
        for i, sample in enumerate(x):
            held.rows = np.broadcast_to(sample.ravel(), (steps, sample.size))
            for name, player in players.items():
                player.rows = inputs[name][i]
            simulator.reset()
            simulator.run_steps(steps)
            for name, parts in probes.items():
                seen[name].append(train_of(graph, name, [simulator.data[part] for part in parts]))
        trains = inputs | {name: np.stack(parts) for name, parts in seen.items()}
        return record(
            graph, trains, fan_out=reach, backend="nengo", seed=seed,
            seconds=time.perf_counter() - start, raster=raster and first == 0,
        )  # fmt: skip

    weakref.finalize(run, simulator.close)  # Nengo warns of simulators that are left open
    return run
