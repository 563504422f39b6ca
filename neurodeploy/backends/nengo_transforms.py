"""What lies between two populations, as Nengo's transforms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.adapter import nengo_module
from neurodeploy.ir import ops, paths
from neurodeploy.ir.delays import delay_steps
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Shape

nengo: Any = nengo_module()
Transform: TypeAlias = Any
Longs = npt.NDArray[np.int64]

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
    delay : ndarray of int64, shape (N_target,), optional
        Steps that values take to leave the node behind it.
    """

    weights: paths.Sparse
    op: ops.Op | None = None
    shape: Shape = ()
    label: str = ""
    delay: Longs | None = None

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
        if isinstance(node.op, ops.Delay):
            stages.append(_late(node, shape, graph.dt))
        elif not isinstance(node.op, _SHAPE_ONLY):
            stage = Stage(paths.op_matrix(node.op, shape), node.op, shape, node.origin)
            if stages and (product := _product(stages[-1], stage)):
                stages[-1] = product
            else:
                stages.append(stage)
        shape = graph.shapes[name]
    if stages and stages[-1].delay is not None:
        stages.append(Stage(paths.identity(graph.size(target)), ops.Identity()))
    return stages or [Stage(paths.identity(graph.size(source)), ops.Identity())]


def _late(node: Node, shape: Shape, dt: float) -> Stage:
    assert isinstance(node.op, ops.Delay)
    steps = np.broadcast_to(delay_steps(node.op, dt), shape).ravel()
    return Stage(paths.identity(len(steps)), ops.Identity(), shape, node.origin, steps)


class Late(nengo.Process):  # type: ignore[misc]
    """Values that come out a number of steps after they went in, each after its own."""

    def __init__(self, steps: Longs) -> None:
        super().__init__(default_size_in=len(steps), default_size_out=len(steps))
        self.steps = tuple(steps.tolist())

    def make_state(self, shape_in: Shape, shape_out: Shape, dt: float, dtype: Any = None) -> dict[str, Any]:
        """Return what went in before: nothing."""
        return {"past": np.zeros((max(self.steps) + 1, *shape_in))}

    def make_step(self, shape_in: Shape, shape_out: Shape, dt: float, rng: Any, state: Any) -> Any:
        """Return the function of a step."""
        past, steps, places = state["past"], np.asarray(self.steps), np.arange(len(self.steps))

        def late(t: float, x: Any) -> Any:
            past[1:] = past[:-1].copy()
            past[0] = x
            return past[steps, places].copy()

        return late


def _product(first: Stage, second: Stage) -> Stage | None:
    if first.delay is not None:
        return None
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
