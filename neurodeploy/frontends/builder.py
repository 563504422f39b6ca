"""A rate graph while it is being read: every reader of trained models appends its nodes here."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from neurodeploy.errors import LoadError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Edge, Graph, Node
from neurodeploy.ir.ops import Op, Shape
from neurodeploy.ir.values import printable

MAX_VALUES = 1 << 26
"""Largest map, so that a faulty file cannot ask for all memory; far above any chip."""
MAX_NODES = 1 << 16
"""Most nodes; a model of a few kilobytes can call a nested model in itself many times over."""


@dataclass(frozen=True)
class Value:
    """What one node puts out: its name and its shape without the batch axis."""

    node: str
    shape: Shape


@dataclass
class Builder:
    """Nodes and edges so far, in execution order."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    _count: dict[str, int] = field(default_factory=dict)

    def add(self, op: Op, *sources: Value, origin: str, layer: str, name: str = "") -> Value:
        """Append a node that sums its sources and return what it puts out.

        Parameters
        ----------
        op : Op
        *sources : Value
        origin, layer : str
            The layer's name and kind in the user's model.
        name : str
            Of the node, as far as it is free; `origin` by default.

        Raises
        ------
        ValueError
            If the op does not fit its input, or the result is larger than any model here.
        """
        shape = op.out_shape(sources[0].shape if sources else ())
        if math.prod(shape) > MAX_VALUES:
            raise ValueError(f"a map of shape {shape} is larger than the {MAX_VALUES} values taken")
        if len(self.nodes) >= MAX_NODES:
            raise ValueError(f"the model has more than {MAX_NODES} operations")
        unique = self._free((name or origin).replace("/", "_"))
        self.nodes.append(Node(unique, op, origin, layer))
        self.edges += [(source.node, unique) for source in sources]
        return Value(unique, shape)

    def replace(self, name: str, op: Op) -> None:
        """Give a node another op."""
        at = next(i for i, node in enumerate(self.nodes) if node.name == name)
        self.nodes[at] = dataclasses.replace(self.nodes[at], op=op)

    def _free(self, name: str) -> str:
        if name not in self._count:
            self._count[name] = 0
            return name
        for number in itertools.count(self._count[name] + 1):
            if (unique := f"{name}.{number}") not in self._count:
                self._count |= {name: number, unique: 0}
                return unique
        raise AssertionError("there are endlessly many numbers")

    def finish(self, result: Value, *, name: str, meta: Mapping[str, float | str]) -> Graph:
        """Return the graph that ends in a value, without the nodes that do not reach it.

        Raises
        ------
        LoadError
            If the value does not depend on the input, or a layer's name cannot be printed.
        """
        for text in (text for node in self.nodes for text in (node.origin, node.layer)):
            if printable(text) != text:
                raise LoadError(
                    f"'{name}': a layer is called {text!a}, with characters that cannot be printed; "
                    "rename it and export the model again"
                )
        end = self.add(ops.Output(result.shape), result, origin="output", layer="Output")
        feeds: dict[str, list[str]] = {}
        for src, dst in self.edges:
            feeds.setdefault(dst, []).append(src)
        live, stack = {end.node}, [end.node]
        while stack:
            fresh = [src for src in feeds.get(stack.pop(), ()) if src not in live]
            live |= set(fresh)
            stack += fresh
        nodes = tuple(node for node in self.nodes if node.name in live)
        if not any(isinstance(node.op, ops.Input) for node in nodes):
            raise LoadError(f"'{name}': the output does not depend on the input")
        edges = tuple(edge for edge in self.edges if edge[1] in live)
        meta = {k: printable(v) if isinstance(v, str) else v for k, v in meta.items()}
        return Graph(nodes, edges, name=printable(name), meta=meta)


SOFTMAX = "softmax is taken as the last operation only"


def early_softmax(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes with a softmax that more than the output depends on."""

    def is_last(name: str) -> bool:
        followers = [graph[target] for target in graph.targets(name)]
        passes = (ops.Output, ops.Identity)
        return all(isinstance(n.op, passes) and is_last(n.name) for n in followers)

    return tuple(n for n in graph if isinstance(n.op, ops.Softmax) and not is_last(n.name))
