"""Small changes to a graph: follow a chain, replace an op, absorb a node into its neighbour."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from neurodeploy.ir.graph import Edge, Graph, Node
from neurodeploy.ir.ops import Op


def follower(graph: Graph, node: Node) -> Node | None:
    """Return the node that takes this node's output and nothing else, if it is the only taker."""
    targets = graph.targets(node.name)
    if len(targets) == 1 and len(graph.sources(targets[0])) == 1:
        return graph[targets[0]]
    return None


def leader(graph: Graph, node: Node) -> Node | None:
    """Return the node whose output goes into this node and nowhere else, if it is the only source."""
    sources = graph.sources(node.name)
    if len(sources) == 1 and len(graph.targets(sources[0])) == 1:
        return graph[sources[0]]
    return None


def replace_op(graph: Graph, node: Node, op: Op) -> Graph:
    """Return a graph in which a node has another op."""
    return graph.with_node(node.name, op=op)


def absorb(graph: Graph, host: Node, node: Node, op: Op) -> Graph:
    """Return a graph without `node`, whose work `host` does with the given op; a user's layer is noted."""
    told = [*_listed(host.notes, "folded"), *_listed(node.notes, "folded")]
    if node.layer and node.origin != host.origin:
        told.append(named(node))
    notes = {**host.notes, "folded": LIST.join(dict.fromkeys(told))} if told else host.notes
    return graph.with_node(host.name, op=op, notes=notes).without_node(node.name)


LIST = "; "
"""Between the layers that a note, or an entry of `Graph.meta`, lists."""


def _listed(notes: Mapping[str, float | str], key: str) -> list[str]:
    return str(notes[key]).split(LIST) if notes.get(key) else []


def named(node: Node) -> str:
    """Name a layer as the user knows it, with its kind."""
    return f"{node.origin} ({node.layer})"


def note_dropped(graph: Graph, what: str) -> Graph:
    """Return a graph whose `meta` says that a layer, or a part of one, was left out."""
    dropped = [*_listed(graph.meta, "dropped"), what]
    return graph.with_meta(dropped=LIST.join(dict.fromkeys(dropped)))


def swap(graph: Graph, first: Node, second: Node) -> Graph:
    """Exchange two neighbours of a chain, the names with them."""
    other = {first.name: second.name, second.name: first.name}
    nodes = tuple(graph[other[n.name]] if n.name in other else n for n in graph)
    edges: list[Edge] = []
    for src, dst in graph.edges:
        if (src, dst) == (first.name, second.name):
            edges.append((second.name, first.name))
        else:
            edges.append((other.get(src, src), other.get(dst, dst)))
    return dataclasses.replace(graph, nodes=nodes, edges=tuple(edges))


def insert_after(graph: Graph, before: str, node: Node) -> Graph:
    """Put a node behind another one, into all the edges that leave it."""
    place = next(i for i, n in enumerate(graph) if n.name == before) + 1
    edges = [(node.name, dst) if src == before else (src, dst) for src, dst in graph.edges]
    return _with(graph, node, place, [(before, node.name), *edges])


def insert_before(graph: Graph, after: str, node: Node) -> Graph:
    """Put a node in front of another one; it takes the sum of what entered there."""
    place = next(i for i, n in enumerate(graph) if n.name == after)
    edges = [(src, node.name) if dst == after else (src, dst) for src, dst in graph.edges]
    return _with(graph, node, place, [*edges, (node.name, after)])


def insert_on(graph: Graph, edge: Edge, node: Node) -> Graph:
    """Put a node on one edge."""
    place = next(i for i, n in enumerate(graph) if n.name == edge[1])
    edges = [(node.name, e[1]) if e == edge else e for e in graph.edges]
    return _with(graph, node, place, [*edges, (edge[0], node.name)])


def _with(graph: Graph, node: Node, place: int, edges: list[Edge]) -> Graph:
    nodes = (*graph.nodes[:place], node, *graph.nodes[place:])
    return dataclasses.replace(graph, nodes=nodes, edges=in_order(nodes, edges))


def in_order(nodes: tuple[Node, ...], edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Return edges in the execution order of their targets; those into one node keep their order."""
    order = {node.name: i for i, node in enumerate(nodes)}
    return tuple(sorted(edges, key=lambda edge: order[edge[1]]))


def fresh(graph: Graph, name: str) -> str:
    """Return the name, or the name with the first number that makes it unique."""
    taken, number, result = {n.name for n in graph}, 1, name
    while result in taken:
        number += 1
        result = f"{name}_{number}"
    return result
