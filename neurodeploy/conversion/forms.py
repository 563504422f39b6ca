"""Spiking forms of what is no plain rectification: capped and leaky activations, and maxima.

Each rule looks at one node of a rate graph and returns a graph that computes the same in plain ReLUs and
sums, which become populations. All are exact; `FORMS` says what they cost. A rectification in front of a
maximum goes behind it where windows do not overlap, for it never falls: the four neurons of a window of 2 x 2
that would rectify compute its maximum.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurodeploy.conversion import surgery
from neurodeploy.conversion.linear import depthwise, follow, is_conv, pad_conv
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Edge, Graph, Node

Rule = Callable[[Graph, Node], Graph | None]

FORMS: tuple[tuple[str, str, str], ...] = (
    ("ReLU6, ReLU(max)", "a threshold of at most the cap: one spike in every step is the cap",
     "nothing, with `if-soft`"),
    ("the same, other neurons", "relu(x) - relu(x - max)", "twice the neurons and synapses"),
    ("LeakyReLU, PReLU, abs", "relu(x) - slope relu(-x)", "twice the neurons and synapses"),
    ("max pooling, windows apart, behind a ReLU or in front",
     "b + relu(a - b), in a tree over rows and columns of a window, before the ReLU",
     "no neuron: those of the ReLU become the tree; kernels one tap wider; a step for every doubling"),
    ("max pooling, windows that overlap", "the same, behind the ReLU",
     "at most a neuron less than a window has values, and one that sums; a step for every doubling, and one"),
    ("max pooling of signed values", "the same, its parts summed by what follows",
     "at most a neuron less than a window has values; twice the synapses behind it, or more"),
    ("cropping, padding", "synapses elsewhere", "nothing"),
    ("layers without an activation, sums", "one matrix with what follows", "its synapses"),
    ("permuting, reshaping", "synapses elsewhere",
     "nothing; kernels beside them are not shared"),
    ("transposed convolution, upsampling", "zeros between values, and the kernel",
     "its synapses; kernels are not shared"),
)  # fmt: skip
"""Layers that are no plain ReLU, how they spike, and what it costs; each equals its source in rates."""

POOL = "pool"
"""Note of the populations that together take one maximum; they share their thresholds."""


def with_forms(graph: Graph, *, capped: bool) -> Graph:
    """Write activations and maxima in forms that spiking neurons have.

    Parameters
    ----------
    graph : Graph
        In rate form, folded.
    capped : bool
        Whether the populations to come spike in every step at most, and lose nothing, so that a cap is
        their threshold; such caps stay where they are.

    Returns
    -------
    Graph
        Equal to the source in ``evaluate(..., logits=True)``. Nodes keep their names where their value is
        still there.
    """
    rules: tuple[Rule, ...] = (pool_before_activation, maximum, pick_while_convolving, negative_part)
    for rule in rules if capped else (*rules, capped_part):
        for name in [node.name for node in graph]:
            if name in graph:
                graph = rule(graph, graph[name]) or graph
    return graph


# --- activations -------------------------------------------------------------------------------------------


def negative_part(graph: Graph, node: Node) -> Graph | None:
    """Let a second rectification carry what a leaky one lets through below zero."""
    if not isinstance(node.op, ops.ReLU) or not node.op.negative_slope.any():
        return None
    entry, graph = _junction(graph, node)
    ndim = len(graph.shapes[node.name])
    slope = node.op.negative_slope
    graph = surgery.replace_op(graph, node, ops.ReLU(node.op.max_value))
    turned = _new(graph, node, "turned", ops.Scale(np.full((1,) * ndim, -1.0)))
    below = _new(graph, node, "below", ops.ReLU())
    back = _new(graph, node, "back", ops.Scale(-slope.reshape(slope.shape or (1,) * ndim)))
    return _beside(graph, node, entry, (turned, below, back))


def capped_part(graph: Graph, node: Node) -> Graph | None:
    """Take off again what a rectification without a cap has too much."""
    if not isinstance(node.op, ops.ReLU) or math.isinf(node.op.max_value):
        return None
    entry, graph = _junction(graph, node)
    shape = graph.shapes[node.name]
    if len(shape) > 3:
        return None
    less = depthwise(np.ones(shape[0]), np.full(shape[0], -node.op.max_value), len(shape))
    graph = surgery.replace_op(graph, node, ops.ReLU())
    shifted = _new(graph, node, "shifted", less)
    above = _new(graph, node, "above", ops.ReLU())
    back = _new(graph, node, "over", ops.Scale(np.full((1,) * len(shape), -1.0)))
    return _beside(graph, node, entry, (shifted, above, back))


def _new(graph: Graph, node: Node, what: str, op: ops.Op) -> Node:
    return Node(surgery.fresh(graph, f"{node.name}.{what}"), op, node.origin)


def _beside(graph: Graph, node: Node, entry: str, chain: tuple[Node, ...]) -> Graph:
    """Put a chain beside a node: from where its input comes to where its output goes."""
    names = [entry, *(link.name for link in chain)]
    edges = [*itertools.pairwise(names), *((names[-1], dst) for dst in graph.targets(node.name))]
    return _with(graph, node.name, chain, edges)


def _with(graph: Graph, before: str, new: tuple[Node, ...], edges: list[Edge]) -> Graph:
    """Put nodes behind another one in the order of execution, and add edges."""
    place = next(i for i, n in enumerate(graph) if n.name == before) + 1
    nodes = (*graph.nodes[:place], *new, *graph.nodes[place:])
    return dataclasses.replace(graph, nodes=nodes, edges=surgery.in_order(nodes, [*graph.edges, *edges]))


def _junction(graph: Graph, node: Node) -> tuple[str, Graph]:
    """Return the one node that a node gets its input from; a sum of several gets a name."""
    sources = graph.sources(node.name)
    if len(sources) == 1:
        return sources[0], graph
    one = ops.Scale(np.ones((1,) * len(graph.shapes[sources[0]])))
    total = _new(graph, node, "sum", one)
    return total.name, surgery.insert_before(graph, node.name, total)


# --- maxima ------------------------------------------------------------------------------------------------


def pool_before_activation(graph: Graph, node: Node) -> Graph | None:
    """Take the largest value first, then rectify it, where windows do not overlap.

    Behind windows that do, one activation is read several times, and costs less than to be computed anew.
    """
    before = surgery.leader(graph, node)
    if before is None or not isinstance(node.op, ops.MaxPool) or not isinstance(before.op, ops.ReLU):
        return None
    slope = before.op.negative_slope
    even = slope.ndim == 0 or math.prod(slope.shape[-len(node.op.kernel_size) :]) == 1
    apart = all(s >= k for s, k in zip(node.op.stride, node.op.kernel_size, strict=True))
    if np.any(node.op.pads) or not apart or not even or (slope < 0).any():
        return None
    # the pool's name goes to the rectification behind it, whose value is that of the pool
    raw = dataclasses.replace(node, name=surgery.fresh(graph, f"{node.name}.raw"))
    nodes = tuple(
        raw if n is before else dataclasses.replace(node, op=before.op) if n is node else n for n in graph
    )
    edges = [(src, raw.name if dst == before.name else dst) for src, dst in graph.edges]
    edges = [(raw.name if src == before.name else src, dst) for src, dst in edges]
    return dataclasses.replace(graph, nodes=nodes, edges=tuple(edges))


@dataclass(frozen=True)
class _Windows:
    """Windows along one axis of a map."""

    axis: int
    kernel: int
    stride: int
    pads: tuple[int, int]

    def pick(self, shape: ops.Shape, plus: int, minus: int | None = None) -> ops.Op:
        """Return the op that takes one value of each window, or the difference of two."""
        count = len(shape) - 1
        weight = np.zeros((shape[0], 1, *(self.kernel if a == self.axis else 1 for a in range(count))))
        along = np.moveaxis(weight, 2 + self.axis, 0)
        along[plus] += 1.0
        if minus is not None:
            along[minus] -= 1.0
        stride = tuple(self.stride if a == self.axis else 1 for a in range(count))
        pads = tuple(self.pads if a == self.axis else (0, 0) for a in range(count))
        if count == 1:
            return pad_conv(ops.Conv1d(weight, np.zeros(shape[0]), stride[0], groups=shape[0]), pads)
        return pad_conv(ops.Conv2d(weight, np.zeros(shape[0]), ops.pair(stride), groups=shape[0]), pads)


@dataclass(frozen=True)
class _Most:
    """The largest of some places of a window: the value at one of them, and rectified differences on top."""

    place: int
    above: tuple[str, ...] = ()


@dataclass
class _Tree:
    """A max pool while it is written as sums and rectified differences."""

    graph: Graph
    pool: Node
    signal: tuple[str, ...]
    """Nodes whose sum is what is still to be pooled."""

    def add(self, what: str, op: ops.Op, *sources: str) -> str:
        """Put a node in front of the pool and return its name."""
        node = _new(self.graph, self.pool, what, op)
        place = next(i for i, n in enumerate(self.graph) if n.name == self.pool.name)
        nodes = (*self.graph.nodes[:place], node, *self.graph.nodes[place:])
        edges = [*self.graph.edges, *((source, node.name) for source in sources)]
        self.graph = dataclasses.replace(self.graph, nodes=nodes, edges=surgery.in_order(nodes, edges))
        return node.name

    def pick(self, windows: _Windows, plus: int, minus: int | None = None) -> tuple[str, ...]:
        """Take one value of each window, or the difference of two, of every part of the signal."""
        shape = self.graph.shapes[self.signal[0]]
        return tuple(self.add("pick", windows.pick(shape, plus, minus), part) for part in self.signal)

    def along(self, windows: _Windows) -> None:
        """Pool along one axis."""
        most = [_Most(place) for place in range(windows.kernel)]
        while len(most) > 1:
            pairs = zip(most[::2], most[1::2], strict=False)
            rest = most[-1:] if len(most) % 2 else []
            most = [self.larger(windows, a, b) for a, b in pairs] + rest
        self.signal = (*self.pick(windows, most[0].place), *most[0].above)

    def larger(self, windows: _Windows, a: _Most, b: _Most) -> _Most:
        """Return ``b + relu(a - b)``, where b has the fewer parts."""
        a, b = (a, b) if len(b.above) <= len(a.above) else (b, a)
        difference = self.pick(windows, a.place, b.place)
        turned = (self.add("turned", _times(self.graph, name, -1.0), name) for name in b.above)
        name = self.add("larger", ops.ReLU(), *difference, *a.above, *turned)
        self.graph = self.graph.with_node(name, notes={POOL: self.pool.name})
        return _Most(b.place, (*b.above, name))

    def repeat_ends(self, axis: int, pads: tuple[int, int]) -> None:
        """Lay the first and the last value around the signal; twice the same is no larger than once."""
        shape = self.graph.shapes[self.signal[0]]
        size, wide = shape[1 + axis], shape[1 + axis] + sum(pads)
        parts = []
        for part in self.signal:
            parts.append(self.add("padded", ops.Pad(_on(shape, axis, pads)), part))
            for place in (*range(pads[0]), *range(wide - pads[1], wide)):
                cut = (0, size - 1) if place < pads[0] else (size - 1, 0)
                end = self.add("end", ops.Crop(_on(shape, axis, cut)), part)
                around = _on(shape, axis, (place, wide - 1 - place))
                parts.append(self.add("padded", ops.Pad(around), end))
        self.signal = tuple(parts)


def _on(shape: ops.Shape, axis: int, pair: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return a pair of numbers for one axis behind the channels, and zeros for the others."""
    return tuple(pair if a == 1 + axis else (0, 0) for a in range(len(shape)))


def _times(graph: Graph, name: str, factor: float) -> ops.Scale:
    return ops.Scale(np.full((1,) * len(graph.shapes[name]), factor))


def maximum(graph: Graph, node: Node) -> Graph | None:
    """Write a max pool as sums and rectified differences, one axis after the other."""
    op = node.op
    if not isinstance(op, ops.MaxPool):
        return None
    sources = graph.sources(node.name)
    rectified = all(_is_rectified(graph, source) for source in sources)
    behind = surgery.follower(graph, node)
    zeros_lose = rectified or (behind is not None and _is_rectification(behind.op))
    tree = _Tree(graph, node, sources)
    for axis, kernel in enumerate(op.kernel_size):
        pads = op.pads[axis]
        if any(pads) and not zeros_lose:
            tree.repeat_ends(axis, pads)
            pads = (0, 0)
        if (kernel, op.stride[axis]) != (1, 1):
            tree.along(_Windows(axis, kernel, op.stride[axis], pads))
    edges = [edge for edge in tree.graph.edges if edge[1] != node.name]
    edges += [(part, node.name) for part in tree.signal]
    pooled = dataclasses.replace(tree.graph, edges=surgery.in_order(tree.graph.nodes, edges))
    if rectified:  # one neuron sums the parts, so that what follows reads one map
        return pooled.with_node(node.name, op=ops.ReLU(), notes={**node.notes, POOL: node.name})
    return surgery.replace_op(_noted_behind(pooled, node), node, ops.Identity())


def _noted_behind(graph: Graph, node: Node) -> Graph:
    """Count the activation behind a pool as part of it."""
    behind = surgery.follower(graph, node)
    if behind is None or not isinstance(behind.op, ops.ReLU):
        return graph
    return graph.with_node(behind.name, notes={**behind.notes, POOL: node.name})


def _is_rectification(op: ops.Op) -> bool:
    return isinstance(op, ops.ReLU) and not (op.negative_slope > 0).any()


def _is_rectified(graph: Graph, name: str) -> bool:
    """Whether nothing that a node puts out can be negative, by the ops before it."""
    op = graph[name].op
    if _is_rectification(op):
        return True
    keeps = isinstance(op, ops.MaxPool | ops.SumPool2d | ops.Flatten | ops.Identity) or op.moves
    return keeps and all(_is_rectified(graph, source) for source in graph.sources(name))


def pick_while_convolving(graph: Graph, node: Node) -> Graph | None:
    """Compute a convolution only where its values are picked."""
    targets = [graph[name] for name in graph.targets(node.name)]
    if not is_conv(node.op) or not targets or not all(_picks(graph, t) for t in targets):
        return None
    for number, target in enumerate(targets):
        assert is_conv(target.op)
        edges = [(source, target.name) for source in graph.sources(node.name)]
        edges += [edge for edge in graph.edges if edge != (node.name, target.name)]
        graph = dataclasses.replace(graph, edges=surgery.in_order(graph.nodes, edges))
        told = {} if number else node.notes  # what was folded into the convolution is said once
        op = follow(node.op, target.op)
        graph = graph.with_node(target.name, op=op, origin=node.origin, layer=node.layer, notes=told)
    return graph.without_node(node.name)


def _picks(graph: Graph, node: Node) -> bool:
    """Whether a node is a depthwise convolution of one map, without padding or dilation."""
    op = node.op
    if not is_conv(op) or len(graph.sources(node.name)) != 1 or np.any(op.padding):
        return False
    return op.groups == len(op.weight) == op.weight.shape[1] * op.groups and not np.any(
        np.subtract(op.dilation, 1)
    )
