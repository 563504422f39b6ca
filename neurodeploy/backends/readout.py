"""The last layer of a spiking network as one matrix, out of the graph for learning and back into it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.ir import ops, paths
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Graph, Node

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LastLayer:
    """The way from the last hidden population to the read-out.

    Parameters
    ----------
    source, target : str
        The two populations.
    chain : tuple of str
        The linear nodes between them.
    weight : ndarray of float64, shape (O, I)
        All of them multiplied out.
    bias : ndarray of float64, shape (O,)
    slope : float
        Change of an output, in the source model's units, per weighted input in every step.
    """

    source: str
    target: str
    chain: tuple[str, ...]
    weight: Floats
    bias: Floats
    slope: float


def last_layer(graph: Graph) -> LastLayer:
    """Multiply out what lies between the last hidden population and the read-out.

    Raises
    ------
    OptionError
        If the read-out is not a vector of integrators or IF neurons, fed by one population in one way that no
        other node shares.
    """
    out = graph.sources(graph.output.name)[0]
    ways = [
        (source, chain)
        for (source, target), chains in paths.projections(graph).items()
        if target == out
        for chain in chains
    ]
    op = graph[out].op
    if not isinstance(op, ops.IF | ops.I) or len(graph.shapes[out]) != 1:
        raise OptionError(
            f"learning reads a vector of integrators or IF neurons; '{out}' is {op.kind} of shape "
            f"{graph.shapes[out]}"
        )
    source, chain = ways[0]
    alone = len(ways) == 1 and all(len(graph.targets(n)) == 1 == len(graph.sources(n)) for n in chain)
    if not alone or not chain or not graph[source].op.spiking:
        raise OptionError(
            f"learning changes one layer between a spiking population and the read-out; '{out}' is fed by "
            + ", ".join(sorted({source for source, _ in ways}))
        )
    slope = float(np.mean(apply(op, np.ones(graph.shapes[out]), dt=graph.dt) * graph[out].unit))
    matrix = paths.matrix(graph, source, out, (chain,))
    return LastLayer(source, out, chain, matrix.toarray(), paths.bias(graph, out).ravel(), slope)


def with_weight(graph: Graph, layer: LastLayer, weight: Floats, **notes: float) -> Graph:
    """Put learned weights back.

    Parameters
    ----------
    graph : Graph
    layer : LastLayer
        Of this graph.
    weight : ndarray of float64, shape (O, I)
    **notes
        Added to the read-out's.

    Returns
    -------
    Graph
        In which one `Affine`, under the name of the last one of the chain, holds the weights; pooling that
        lay in the chain is part of them.
    """
    affine = next((n for n in reversed(layer.chain) if isinstance(graph[n].op, ops.Affine)), layer.chain[-1])
    flat = next((n for n in layer.chain if isinstance(graph[n].op, ops.Flatten)), f"{affine}.flat")
    kept = [graph[affine].name]
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name == layer.chain[0] and len(graph.shapes[layer.source]) > 1:
            nodes.append(graph[flat] if flat in graph else Node(flat, ops.Flatten(), graph[affine].origin))
            kept.insert(0, flat)
        if node.name == affine:
            nodes.append(dataclasses.replace(node, op=ops.Affine(weight, layer.bias)))
        elif node.name == layer.target:
            nodes.append(dataclasses.replace(node, notes={**node.notes, **notes}))
        elif node.name not in layer.chain:
            nodes.append(node)
    way = [layer.source, *kept, layer.target]
    edges = [e for e in graph.edges if e[0] not in layer.chain and e[1] not in layer.chain]
    edges += pairwise(way)
    return dataclasses.replace(graph, nodes=tuple(nodes), edges=tuple(edges))
