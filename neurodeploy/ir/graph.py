"""Graph: the network as a frozen value.

One graph type serves the rate and the spiking form: conversion replaces an activation by a neuron under the
same name. Nodes are listed in execution order; an edge that points backwards costs one step, so recurrent
nets and feedback are ordinary.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import DataError, VerifyError
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op, Shape

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Node:
    """One op under a name.

    Parameters
    ----------
    name : str
        Unique in the graph.
    op : Op
    origin : str
        The layer's name in the user's model: the source line of every diagnostic.
    layer : str
        The layer's kind there, as ``Conv2D``.
    unit : float or ndarray of float64
        What one unit of the output (a rate of one spike per step, or a membrane grown by 1 in one step)
        stands for in the source model's activation; broadcasts to the output's shape. 1 in rate graphs.
    notes : mapping of str to number or str
        What conversion wants later stages to know, as ``peak_drive``; kept in files.
    """

    name: str
    op: Op
    origin: str = ""
    layer: str = ""
    unit: float | Floats = 1.0
    notes: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", self.origin or self.name)
        unit = np.asarray(self.unit, np.float64)
        object.__setattr__(self, "unit", ops.frozen(unit) if unit.ndim else float(unit))
        object.__setattr__(self, "notes", _plain(self.notes))


def _plain(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make numbers of NumPy into Python's own, so that they read the same from a file."""
    return MappingProxyType({k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()})


Edge = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Graph:
    """A network.

    Parameters
    ----------
    nodes : tuple of Node
        In execution order, one `Input` and one `Output` among them.
    edges : tuple of (str, str)
        Source and target names. Several edges into one node are summed.
    dt : float
        Length of a step, in seconds.
    name : str
        Of the model, for reports.
    meta : mapping of str to number or str
        Where the graph came from and how it was converted; kept in files.
    source : Graph, optional
        The rate network that a spiking one was converted from, to measure it against; kept in files, and no
        part of the digest.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    dt: float = 1e-3
    name: str = "model"
    meta: Mapping[str, float | str] = field(default_factory=dict)
    source: Graph | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "edges", tuple(self.edges))
        object.__setattr__(self, "dt", float(self.dt))
        object.__setattr__(self, "meta", _plain(self.meta))

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @functools.cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def _order(self) -> dict[str, int]:
        return {node.name: i for i, node in enumerate(self.nodes)}

    def sources(self, name: str) -> tuple[str, ...]:
        """Names of the nodes that feed a node, in the order of the edges."""
        return tuple(src for src, dst in self.edges if dst == name)

    def targets(self, name: str) -> tuple[str, ...]:
        """Names of the nodes that a node feeds."""
        return tuple(dst for src, dst in self.edges if src == name)

    def is_back_edge(self, edge: Edge) -> bool:
        """Whether an edge points backwards in execution order and so costs one step."""
        return self._order[edge[0]] >= self._order[edge[1]]

    @property
    def input(self) -> Node:
        """The node where samples enter."""
        return next(node for node in self.nodes if isinstance(node.op, ops.Input))

    @property
    def output(self) -> Node:
        """The node where results leave."""
        return next(node for node in self.nodes if isinstance(node.op, ops.Output))

    @property
    def is_spiking(self) -> bool:
        """Whether any node emits spikes."""
        return any(node.op.spiking for node in self.nodes)

    @property
    def neurons(self) -> tuple[Node, ...]:
        """The nodes that keep a membrane, in execution order."""
        return tuple(node for node in self.nodes if node.op.stateful)

    @functools.cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Output shape of every node.

        Raises
        ------
        VerifyError
            If an op does not fit its input; frontends check their own layers first and say so in the user's
            words.
        """
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            known = [shapes[s] for s in self.sources(node.name) if s in shapes]
            if not known and not isinstance(node.op, ops.Input):
                raise VerifyError(f"node '{node.name}' has no input that comes before it")
            try:
                shapes[node.name] = node.op.out_shape(known[0] if known else ())
            except (ArithmeticError, IndexError, TypeError, ValueError) as error:
                raise VerifyError(f"node '{node.name}' ({node.op.kind}): {error}") from error
        return MappingProxyType(shapes)

    def size(self, name: str) -> int:
        """Return the number of values a node puts out."""
        return int(np.prod(self.shapes[name], dtype=np.int64))

    def with_node(self, name: str, **changes: Any) -> Graph:
        """Return a graph in which fields of one node are replaced."""
        nodes = tuple(dataclasses.replace(n, **changes) if n.name == name else n for n in self.nodes)
        return dataclasses.replace(self, nodes=nodes)

    def without_node(self, name: str) -> Graph:
        """Return a graph without a node; its sources feed its targets."""
        before = self.sources(name)
        edges: list[Edge] = []
        for edge in self.edges:
            if edge[0] == name:
                edges += [(src, edge[1]) for src in before]
            elif edge[1] != name:
                edges.append(edge)
        return dataclasses.replace(
            self, nodes=tuple(n for n in self.nodes if n.name != name), edges=tuple(edges)
        )

    def with_meta(self, **meta: float | str) -> Graph:
        """Return a graph with more said about where it came from."""
        return dataclasses.replace(self, meta={**self.meta, **meta})

    def digest(self) -> str:
        """SHA-256 over ops, parameters, names and edges, as hexadecimal text."""
        from neurodeploy.ir.text import digest

        return digest(self)

    def prepare(self, samples: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Bring samples from the user's layout into ours.

        Parameters
        ----------
        samples : array_like, shape (B, ...)
            Reshaped to the model's input where the size allows it and no axes would be taken for others.

        Returns
        -------
        ndarray of float64, shape (B, *input shape)

        Raises
        ------
        DataError
            If size or axes do not fit, a value is not a finite number, or there are no samples.
        """
        entry = self.input.op
        assert isinstance(entry, ops.Input)
        array = np.asarray(samples)
        if array.dtype.kind not in "biuf":
            raise DataError(f"samples are {array.dtype}, not numbers")
        if array.ndim == 0 or len(array) == 0:
            raise DataError("there are no samples")
        want = int(np.prod(entry.sample_shape, dtype=np.int64))
        have = int(np.prod(array.shape[1:], dtype=np.int64))
        if want != have:
            raise DataError(
                f"a sample of shape {tuple(array.shape[1:])} has {have} values; "
                f"the model '{self.name}' takes {want} {tuple(entry.sample_shape)}"
            )
        given, taken = ([n for n in s if n > 1] for s in (array.shape[1:], entry.sample_shape))
        if len(given) == len(taken) and given != taken:
            raise DataError(
                f"a sample of shape {tuple(array.shape[1:])} has its axes in another order than "
                f"{tuple(entry.sample_shape)}, which the model '{self.name}' takes; move them, as "
                "x.transpose(0, 3, 1, 2) does for images with channels last"
            )
        array = array.astype(np.float64).reshape((len(array), *entry.sample_shape))
        if not np.isfinite(array).all():
            raise DataError("samples hold values that are not finite (NaN or infinity)")
        return np.ascontiguousarray(array.transpose((0, *(a + 1 for a in entry.axes))))
