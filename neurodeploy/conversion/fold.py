"""Folding: the same function in fewer ops, all of them NIR's where that is possible.

Each rule looks at one node and returns a simpler graph, or None where it has nothing to do; `fold` applies
all `RULES` until nothing changes. A rule is exact: the folded graph computes what the source does, up to
rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from neurodeploy.conversion import surgery
from neurodeploy.conversion.linear import fold_batch_norm, fold_crop, fold_pad, fold_scale, merge_affine
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Graph, Node

Rule = Callable[[Graph, Node], Graph | None]

MOVES = (ops.Reshape, ops.Transpose, ops.Flatten)
"""Ops that only say where the values are."""


def fold(graph: Graph) -> Graph:
    """Fold batch normalisation, padding, permutations and scales, and drop what is inert.

    Parameters
    ----------
    graph : Graph
        In rate form.

    Returns
    -------
    Graph
        Equal to the source in ``evaluate(..., logits=True)``; what could not be folded is still there.
    """
    while True:
        before = graph
        for rule in RULES:
            graph = _everywhere(rule, graph)
        if graph is before:
            return graph


def _everywhere(rule: Rule, graph: Graph) -> Graph:
    for name in [node.name for node in graph]:
        while name in graph and (simpler := rule(graph, graph[name])) is not None:
            graph = simpler
    return graph


def drop_inert(graph: Graph, node: Node) -> Graph | None:
    """Drop what does nothing: dropout, linear activations, empty reshapes, pads and scales."""
    if isinstance(node.op, ops.Input | ops.Output) or not _is_inert(graph, node):
        return None
    if len(graph.sources(node.name)) > 1 and len(graph.targets(node.name)) > 1:
        # a sum that several read: without the node each would add up by itself
        one = ops.Scale(np.ones((1,) * len(graph.shapes[node.name])))
        return None if isinstance(node.op, ops.Scale) else surgery.replace_op(graph, node, one)
    own = _is_own_layer(graph, node) and len(graph.sources(node.name)) == 1  # sums go on in what follows
    without = graph.without_node(node.name)
    return surgery.note_dropped(without, surgery.named(node)) if own else without


def _is_own_layer(graph: Graph, node: Node) -> bool:
    """Whether a node is a whole layer of the user's, not the activation of one."""
    return bool(node.layer) and all(n.origin != node.origin for n in graph if n.name != node.name)


def _is_inert(graph: Graph, node: Node) -> bool:
    shape, op = graph.shapes[node.name], node.op
    before = graph.shapes[graph.sources(node.name)[0]]
    if isinstance(op, ops.Reshape | ops.Flatten):
        return shape == before
    if isinstance(op, ops.Transpose):
        return op.axes == tuple(range(len(shape)))
    if isinstance(op, ops.Pad | ops.Crop):
        return not np.any(op.pads if isinstance(op, ops.Pad) else op.crops)
    if isinstance(op, ops.Scale):
        return bool((op.scale == 1).all())
    if isinstance(op, ops.SumPool2d):
        return op.kernel_size == op.stride == (1, 1) and op.padding == (0, 0)
    return isinstance(op, ops.Identity)


def join_double_edges(graph: Graph, node: Node) -> Graph | None:
    """Make of an edge that is there several times, for which NIR has no word, one edge with a factor."""
    sources = graph.sources(node.name)
    often = next((s for s in sources if sources.count(s) > 1), None)
    if often is None:
        return None
    edges = [edge for edge in graph.edges if edge != (often, node.name)]
    factor = np.full((1,) * len(graph.shapes[often]), float(sources.count(often)))
    scale = Node(surgery.fresh(graph, f"{often}.times"), ops.Scale(factor), node.origin)
    once = dataclasses.replace(graph, edges=(*edges, (often, node.name)))
    return surgery.insert_on(once, (often, node.name), scale)


def drop_softmax(graph: Graph, node: Node) -> Graph | None:
    """Drop a final softmax, which does not change which output is the largest."""
    if not isinstance(node.op, ops.Softmax) or graph.targets(node.name) != (graph.output.name,):
        return None
    own = _is_own_layer(graph, node)
    what = surgery.named(node) if own else f"softmax of {node.origin}"
    return surgery.note_dropped(surgery.replace_op(graph, node, ops.Identity()), what)


def hoist_activation(graph: Graph, node: Node) -> Graph | None:
    """Put a ReLU in front of ops that only move values or add zeros."""
    before = surgery.leader(graph, node)
    alike = isinstance(node.op, ops.ReLU) and node.op.negative_slope.ndim == 0  # everywhere the same function
    if alike and before is not None and isinstance(before.op, (*MOVES, ops.Pad)):
        return surgery.swap(graph, before, node)
    return None


def fold_moves_into_input(graph: Graph, node: Node) -> Graph | None:
    """Let the input itself take the shape that a reshape or transposition gives it."""
    entry = surgery.leader(graph, node)
    if entry is None or not isinstance(entry.op, ops.Input) or len(graph.shapes[node.name]) > 3:
        return None
    axes = entry.op.axes
    if isinstance(node.op, ops.Transpose):
        axes = tuple(axes[a] for a in node.op.axes)
        op = ops.Input(graph.shapes[node.name], entry.op.sample_shape, axes)
    elif isinstance(node.op, ops.Reshape) and axes == tuple(range(len(axes))):
        op = ops.Input(node.op.shape, node.op.shape)
    else:
        return None
    return surgery.absorb(graph, entry, node, op)


def fold_moves_into_affine(graph: Graph, node: Node) -> Graph | None:
    """Permute the columns of an affine op instead of the values in front of it."""
    if not isinstance(node.op, ops.Affine) or len(graph.shapes[graph.sources(node.name)[0]]) != 1:
        return None
    chain: list[Node] = []
    while (before := surgery.leader(graph, chain[0] if chain else node)) and isinstance(before.op, MOVES):
        chain.insert(0, before)
    if not any(isinstance(link.op, ops.Transpose | ops.Reshape) for link in chain):
        return None
    if len(graph.sources(chain[0].name)) != 1:
        return None
    (source,) = graph.sources(chain[0].name)
    places = np.arange(graph.size(source), dtype=np.float64).reshape(1, *graph.shapes[source])
    for link in chain:
        places = apply(link.op, places, dt=graph.dt)
    weight = np.empty_like(node.op.weight)
    weight[:, places.ravel().astype(np.int64)] = node.op.weight
    graph = surgery.replace_op(graph, node, dataclasses.replace(node.op, weight=weight))
    for link in chain[:-1]:
        graph = surgery.absorb(graph, graph[node.name], link, graph[node.name].op)
    return surgery.replace_op(graph, chain[-1], ops.Flatten())


RULES: tuple[Rule, ...] = (
    drop_softmax, drop_inert, join_double_edges, hoist_activation, fold_moves_into_input,
    fold_moves_into_affine, fold_batch_norm, fold_crop, fold_pad, fold_scale, merge_affine,
)  # fmt: skip
