"""What lies between two populations, as Nengo's transforms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from neurodeploy.backends.adapter import nengo_module
from neurodeploy.ir import ops, paths
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.ops import Shape

nengo: Any = nengo_module()
Transform: TypeAlias = Any

DENSE_FROM = 0.25
"""Share of non-zero weights from which a matrix is stored dense."""
CHEAP = 10_000
"""Weights that take as long as another connection does."""

_SHAPE_ONLY = (ops.Flatten, ops.Reshape, ops.Identity)


@dataclass(frozen=True, eq=False)
class Stage:
    """One connection.

    Parameters
    ----------
    weights : scipy.sparse.csr_array, shape (N_target, N_source)
    op : Op, optional
        The single op that this is.
    shape : tuple of int
        Of the source.
    label : str
        The user's name of the layer that ends here.
    """

    weights: paths.Sparse
    op: ops.Op | None = None
    shape: Shape = ()
    label: str = ""

    def scaled(self, factors: Any) -> Stage:
        """Return the stage with each of its outputs times a factor."""
        return Stage(paths.diagonal(factors) @ self.weights, None, self.shape, self.label)


def between(graph: Graph, source: str, target: str, chains: paths.Chains) -> list[Stage]:
    """Divide what lies between two populations into connections.

    Two ops become one where their product has few more weights than the two have, as an average pool before a
    dense layer; a convolution behind a pool would have many more.
    """
    if len(chains) != 1:
        return [Stage(paths.matrix(graph, source, target, chains))]
    stages: list[Stage] = []
    shape = graph.shapes[source]
    for name in chains[0]:
        node = graph[name]
        if not isinstance(node.op, _SHAPE_ONLY):
            stage = Stage(paths.op_matrix(node.op, shape), node.op, shape, node.origin)
            if stages and (product := _product(stages[-1], stage)):
                stages[-1] = product
            else:
                stages.append(stage)
        shape = graph.shapes[name]
    return stages or [Stage(paths.identity(graph.size(source)), ops.Identity())]


def _product(first: Stage, second: Stage) -> Stage | None:
    weights = second.weights @ first.weights
    if weights.nnz > first.weights.nnz + second.weights.nnz + CHEAP:
        return None
    return Stage(weights, None, first.shape, second.label)


def transform(stage: Stage, *, plain: bool = False) -> Transform:
    """Write a connection as Nengo's transform: none, a convolution, a dense or a sparse matrix.

    Parameters
    ----------
    stage : Stage
    plain : bool
        Write convolutions as matrices too, which Nengo's own simulator multiplies faster than it convolves.
    """
    from scipy import sparse

    op, weights = stage.op, stage.weights
    if isinstance(op, ops.Identity):
        return nengo.transforms.NoTransform(weights.shape[0])
    if isinstance(op, ops.Conv2d) and not plain and (padding := _padding(op, stage.shape)):
        return _convolution(op, stage.shape, padding)
    if weights.nnz >= DENSE_FROM * math.prod(weights.shape):
        return nengo.Dense(weights.shape, init=weights.toarray())
    return nengo.Sparse(weights.shape, init=sparse.csr_matrix(weights))  # Nengo knows the old class only


def _convolution(op: ops.Conv2d, shape: Shape, padding: str) -> Transform:
    return nengo.Convolution(
        len(op.weight),
        shape,
        kernel_size=op.weight.shape[2:],
        strides=op.stride,
        padding=padding,
        channels_last=False,
        init=op.weight.transpose(2, 3, 1, 0),
    )


def _padding(op: ops.Conv2d, shape: Shape) -> str | None:
    """Nengo's word for the padding of a convolution, if it has one."""
    if op.dilation != (1, 1) or op.groups != 1:  # nengo-dl convolves all channels, whatever the groups
        return None
    if op.padding == (0, 0):
        return "valid"
    for size, kernel, stride, before in zip(
        shape[1:], op.weight.shape[2:], op.stride, op.padding, strict=True
    ):
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        if total != 2 * before:
            return None
    return "same"
