"""NIR files to spiking graphs: the public functions of the folder."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.builder import MAX_VALUES
from neurodeploy.frontends.nir.dialect import save_nir
from neurodeploy.frontends.nir.order import in_order, instant_loop
from neurodeploy.frontends.nir.primitives import Primitive
from neurodeploy.frontends.nir.reading import Reading, reading_of
from neurodeploy.frontends.nir.source import Edge, Fields, Source, read, without_ports
from neurodeploy.frontends.nir.table import HANDLERS, RESETTING, STRUCTURE
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Op, Shape
from neurodeploy.ir.values import printable
from neurodeploy.ir.verify import verify

__all__ = ["SUFFIXES", "load_nir", "primitive_table", "save_nir"]

SUFFIXES = (".nir",)


def load_nir(path: str | os.PathLike[str], name: str | None = None, **told: Any) -> Graph:
    """Read a spiking network from a NIR file.

    Parameters
    ----------
    path : path-like
    name : str, optional
        Of the graph; the file's stem by default.
    **told
        What the file leaves open: ``dt``, ``reset``, ``decay``, ``time_unit``, ``written_by``, as
        `frontends.nir.reading` has them.

    Returns
    -------
    Graph
        Every node's `origin` is its name in the file, with a dot between a subgraph's name and its node's.

    Raises
    ------
    LoadError
        If the file is not NIR, is damaged, or does not say something that was not told either.
    UnsupportedLayer
        Naming every node that is refused, and why.
    """
    path = Path(path)
    source = read(path)
    kinds = {fields["type"] for fields in source.nodes.values()}
    reading = reading_of(str(path), resets=bool(kinds & set(RESETTING)), **told)
    edges = without_ports(source)
    graph = _Draft(source, edges, reading, str(path)).graph(name or printable(path.stem))
    writer = told.get("written_by") or "unknown"
    return graph.with_meta(
        framework=f"NIR {source.version}", source=printable(path.name), written_by=writer,
        reset=reading.reset, decay=reading.decay, time_unit=reading.time_unit,
    )  # fmt: skip


def primitive_table() -> list[tuple[str, str, str, str]]:
    """Return every primitive with its status, what it becomes, and its limits."""
    rows = [(kind, *row) for kind, row in STRUCTURE.items()]
    return rows + [(kind, h.status, h.how, h.note) for kind, h in HANDLERS.items()]


class _Draft:
    """A graph while its nodes become ops."""

    def __init__(self, source: Source, edges: Sequence[Edge], reading: Reading, label: str) -> None:
        self.source, self.edges, self.reading, self.label = source, edges, reading, label
        self.start, self.end = self._only("Input"), self._only("Output")

    def graph(self, name: str) -> Graph:
        order = in_order(self.start, self.edges)
        if lost := [node for node in self.source.nodes if node not in set(order)]:
            raise LoadError(f"'{self.label}': nothing leads from '{self.start}' to '{lost[0]}'")
        made = self._ops(order)
        self._check_loops(made)
        nodes = tuple(Node(n, made[n], n, str(self.source.nodes[n]["type"])) for n in order)
        return verify(Graph(nodes, tuple(self.edges), self.reading.dt, name))

    def _only(self, kind: str) -> str:
        found = [name for name, fields in self.source.nodes.items() if fields["type"] == kind]
        if len(found) != 1:
            named = f" ({', '.join(found[:4])})" if found else ""
            raise LoadError(f"'{self.label}' has {len(found)} {kind} nodes{named}; one is taken")
        return found[0]

    def _ops(self, order: Sequence[str]) -> dict[str, Op]:
        before: dict[str, list[str]] = {}
        for src, dst in self.edges:
            before.setdefault(dst, []).append(src)
        made: dict[str, Op] = {}
        shapes: dict[str, Shape] = {}
        refused: list[str] = []
        for name in order:
            known = [shapes[src] for src in before.get(name, ()) if src in shapes]
            if name != self.start and not known:
                continue  # behind a node that is refused
            fields = self.source.nodes[name]
            try:
                if name == self.start:
                    fields = self._without_batch(fields)
                made[name] = _op(fields, known[0] if known else (), self.reading)
                shapes[name] = _checked(made[name].out_shape(known[0] if known else ()))
            except (ArithmeticError, LookupError, TypeError, ValueError) as why:
                refused.append(f"'{name}' ({fields['type']}): {why}")
        if refused:
            raise UnsupportedLayer(
                f"'{self.label}': {len(refused)} node{'s are' if len(refused) > 1 else ' is'} not taken: "
                f"{'; '.join(refused[:20])}. `neurodeploy layers` lists what is taken, with its limits"
            )
        self._check_sums(before, shapes)
        return made

    def _without_batch(self, fields: Fields) -> Fields:
        """Drop axes of size 1 in front of what a matrix takes: Rockpool writes batch and time down."""
        fed = {self.source.nodes[dst]["type"] for src, dst in self.edges if src == self.start}
        shape = np.atleast_1d(np.asarray(fields["shape"]))
        if fed <= {"Affine", "Linear"} and shape.ndim == 1 and (shape[:-1] == 1).all():
            return {**fields, "shape": shape[-1:]}
        return fields

    def _check_sums(self, before: dict[str, list[str]], shapes: dict[str, Shape]) -> None:
        for name, sources in before.items():
            wide = {src: shapes[src] for src in sources}
            if len(set(wide.values())) > 1:
                raise LoadError(f"'{self.label}': '{name}' sums inputs of different shapes, {wide}")

    def _check_loops(self, made: dict[str, Op]) -> None:
        instant = [n for n, op in made.items() if not op.stateful and not isinstance(op, ops.Delay)]
        if loop := instant_loop(instant, self.edges):
            raise LoadError(
                f"'{self.label}': {', '.join(loop[:6])} feed each other in a circle without a neuron or a "
                "delay between, so there is no step in which one of them comes first"
            )


def _checked(shape: Shape) -> Shape:
    if math.prod(shape) > MAX_VALUES:
        raise ValueError(f"a map of shape {shape} is larger than the {MAX_VALUES} values taken")
    return shape


def _op(fields: Fields, shape: Shape, reading: Reading) -> Op:
    kind = fields["type"]
    if kind == "Input":
        return ops.Input(_declared(fields))
    if kind == "Output":
        declared = _declared(fields)
        if math.prod(declared) != math.prod(shape):
            raise ValueError(f"it declares shape {declared}, and {shape} arrives")
        return ops.Output(shape)
    handler = HANDLERS.get(kind)
    if handler is None:
        raise ValueError("NIR has no such primitive")
    if more := sorted(set(fields) - {"type", *handler.fields}):
        raise ValueError(f"NIR does not give it '{more[0]}', and what is not read could matter")
    return handler.build(Primitive(fields, shape, reading))


def _declared(fields: Fields) -> Shape:
    value = np.atleast_1d(np.asarray(fields["shape"]))
    if value.dtype.kind not in "iu" or value.ndim != 1 or not value.size or len(value) > 8:
        raise ValueError(f"'shape' is {fields['shape']!r}")
    shape = tuple(int(v) for v in value.tolist())
    if min(shape) < 1 or max(shape) > MAX_VALUES:
        raise ValueError(f"a map of shape {shape} is not taken")
    return _checked(shape)
