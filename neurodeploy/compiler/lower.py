"""Lowering: a spiking graph becomes populations and the projections between them, still in floats."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import delays, maps
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops, paths
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.numerics.neurons import Membrane
from neurodeploy.program import Population, Program, Projection

Floats = npt.NDArray[np.float64]


def lower(program: Program) -> Program:
    """Turn every neuron node into a population and every linear way between two of them into a projection.

    Gains are folded into weights and biases, so that a membrane keeps only decays, a threshold and a reset. A
    current that decays is held at its steady value by a bias, as on a chip, where a bias bypasses the
    current.

    Parameters
    ----------
    program : Program
        With a spiking graph.
    """
    graph = program.graph
    neurons = {node.name: _population(program, node) for node in graph.neurons}
    ways = [
        (source, target, chain)
        for (source, target), chains in paths.projections(graph, delays=True).items()
        for chain in chains
        if source in neurons or _no_delay(graph, chain)
    ]
    found = [
        late
        for source, target, chain in ways
        if source in neurons
        for late in delays.split(graph, chain, _projection(graph, source, target, chain))
    ]
    fitting, notes = delays.fitted(program, found)
    early = [note for source, target, chain in ways for note in delays.early_bias(graph, target, chain)]
    return dataclasses.replace(
        program,
        populations=tuple(neurons.values()),
        projections=tuple(fitting),
        diagnostics=(*program.diagnostics, *notes, *early),
    )


def _no_delay(graph: Graph, chain: tuple[str, ...]) -> bool:
    """Whether samples enter at once; a delay before the encoder is refused."""
    for name in chain:
        if isinstance(graph[name].op, ops.Delay):
            raise OptionError(
                f"'{graph[name].origin}' delays samples on their way in; they are held for a whole run, so "
                "leave it out of the network"
            )
    return True


def is_encoder(node: Node) -> bool:
    """Whether a node turns samples into spikes."""
    return node.notes.get("role") == "encoder"


def gain(neuron: Membrane) -> Floats:
    """Factor from weighted input to the current that a membrane with unit gain would take.

    A leaky variable with unit gain settles where its input is: ``x <- keep x + (1 - keep) input``.
    """
    return np.asarray(_unit(neuron.gain_u, neuron.keep_u) * _unit(neuron.gain_v, neuron.keep_v))


def _unit(factor: Floats, keep: Floats) -> Floats:
    return np.asarray(factor / np.where(keep < 1, 1 - keep, 1.0))


def _population(program: Program, node: Node) -> Population:
    graph = program.graph
    neuron = membrane(node.op, graph.dt)
    shape = graph.shapes[node.name]
    encoder = is_encoder(node)
    bias = paths.bias(graph, node.name, delays=True) * gain(neuron)
    bias = bias + _unit(neuron.drift, neuron.keep_v)
    plain = dataclasses.replace(
        neuron,
        gain_u=np.where(neuron.keep_u < 1, 1 - neuron.keep_u, 1.0),
        gain_v=np.where(neuron.keep_v < 1, 1 - neuron.keep_v, 1.0),
        drift=np.zeros(()),
        v_init=neuron.v_init,
    )
    measured_over = {"steps": graph.meta["steps"]} if "steps" in graph.meta else {}
    return Population(
        name=node.name,
        origin=node.origin,
        shape=shape,
        membrane=plain,
        bias=np.zeros(graph.size(node.name)) if encoder else np.broadcast_to(bias, shape).reshape(-1).copy(),
        on_chip=not encoder or program.options.get("input_coding") == "bias",
        unit=float(np.max(node.unit)),
        notes={**measured_over, **node.notes, "op": node.op.kind},
    )


def _projection(graph: Graph, source: str, target: str, chain: tuple[str, ...]) -> Projection:
    map_ = maps.compose(graph, source, target, delays.at_once(graph, chain))
    factor = np.broadcast_to(gain(membrane(graph[target].op, graph.dt)), graph.shapes[target])
    weighted = [graph[n] for n in chain if isinstance(graph[n].op, ops.Affine | ops.Conv1d | ops.Conv2d)]
    origin = weighted[-1].origin if weighted else graph[target].origin
    return Projection(source, target, origin, maps.scale_rows(map_, factor))
