"""Which graphs are legal. A violation after a stage of ours is our bug, never the user's."""

from __future__ import annotations

from neurodeploy.errors import VerifyError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.values import check_sizes, check_values


def verify(graph: Graph, *, form: str = "any") -> Graph:
    """Return the graph if it is legal.

    Parameters
    ----------
    graph : Graph
    form : {"any", "rate", "spiking"}
        In the spiking form only NIR's ops, and moves of values, are legal, and every path ends in a neuron.

    Raises
    ------
    VerifyError
        Naming the node and what is wrong with it.
    """
    check_values(graph)
    names = [node.name for node in graph.nodes]
    if len(set(names)) != len(names):
        raise VerifyError(f"node names repeat: {sorted(n for n in set(names) if names.count(n) > 1)}")
    for kind in (ops.Input, ops.Output):
        found = sum(isinstance(node.op, kind) for node in graph.nodes)
        if found != 1:
            raise VerifyError(f"the graph has {found} {kind.__name__} nodes, not one")
    for src, dst in graph.edges:
        if src not in graph or dst not in graph:
            raise VerifyError(f"edge {src} -> {dst} names a node that is not there")
    _check_shapes(graph)
    check_sizes(graph)
    if form == "spiking":
        _check_spiking(graph)
    if form == "rate" and graph.neurons:
        raise VerifyError(f"node '{graph.neurons[0].name}' spikes in a rate graph")
    return graph


def _check_shapes(graph: Graph) -> None:
    shapes = graph.shapes
    for node in graph.nodes:
        feeding = {shapes[s] for s in graph.sources(node.name)}
        if len(feeding) > 1:
            raise VerifyError(f"node '{node.name}' sums inputs of different shapes {sorted(feeding)}")


def _check_spiking(graph: Graph) -> None:
    for node in graph.nodes:
        if not node.op.may_lie_between_neurons:
            raise VerifyError(f"node '{node.name}' ({node.op.kind}) has no place in a spiking graph")
    last = graph.sources(graph.output.name)
    if len(last) != 1 or not graph[last[0]].op.stateful:
        raise VerifyError("the output of a spiking graph must come from one neuron population")
