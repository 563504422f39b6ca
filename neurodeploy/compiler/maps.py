"""Maps between populations: the linear ops on a way, composed into dense, convolutional or sparse weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neurodeploy.ir import ops, paths
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.ops import Shape
from neurodeploy.program import ConvMap, DenseMap, Map, SparseMap

Sparse: TypeAlias = Any  # scipy.sparse.csr_array, which has no type information
Pair = tuple[int, int]

DENSE_FROM = 0.5
"""Share of weights that are not zero above which a matrix is kept dense."""


def compose(graph: Graph, source: str, target: str, chain: Sequence[str]) -> Map:
    """Multiply out the linear ops on one way from a population to another, exactly and without their biases.

    Parameters
    ----------
    graph : Graph
    source, target : str
        Populations.
    chain : sequence of str
        Linear nodes between them, in order; empty for a direct edge.

    Returns
    -------
    Map
        A convolution where the product is one, else a dense or sparse matrix.
    """
    conv = _as_conv(graph, source, chain)
    if conv is not None:
        # one output pixel shares nothing; single axons are cheaper
        return conv if math.prod(conv.target_shape[1:]) > 1 else from_matrix(as_matrix(conv))
    last = graph[chain[-1]].op if chain else None
    if isinstance(last, ops.Affine) and len(graph.shapes[chain[-1]]) == 1:
        before = paths.matrix(graph, source, graph.sources(chain[-1])[0], (tuple(chain[:-1]),))
        return from_dense(last.weight if _is_identity(before) else np.asarray((before.T @ last.weight.T).T))
    return from_matrix(paths.matrix(graph, source, target, (tuple(chain),)))


def _is_identity(matrix: Sparse) -> bool:
    size = matrix.shape[0]
    return bool(
        matrix.shape == (size, size)
        and matrix.nnz == size
        and (matrix.indices == np.arange(size)).all()
        and (matrix.data == 1).all()
    )


def from_dense(weight: npt.NDArray[Any]) -> DenseMap | SparseMap:
    """Keep a full matrix (N_target, N_source) as it is, or sparse if that is smaller."""
    from scipy import sparse

    if np.count_nonzero(weight) >= DENSE_FROM * weight.size:
        return DenseMap(locked(weight))
    return from_matrix(sparse.csr_array(weight))


def as_matrix(map_: Map) -> Sparse:
    """Write a map as a sparse matrix of shape (N_target, N_source)."""
    from scipy import sparse

    match map_:
        case DenseMap():
            return sparse.csr_array(map_.weight)
        case ConvMap():
            return paths.windows(
                map_.source_shape, map_.weight, map_.stride, map_.padding, map_.dilation, map_.groups
            )
        case SparseMap():
            parts = (map_.weight, map_.column, map_.row_start)
            return sparse.csr_array(parts, shape=map_.shape, copy=True)


def from_matrix(matrix: Sparse) -> DenseMap | SparseMap:
    """Keep a matrix (N_target, N_source) dense or sparse, whichever is smaller."""
    from scipy import sparse

    rows, columns = matrix.shape
    if matrix.nnz >= DENSE_FROM * rows * columns:
        return DenseMap(locked(matrix.toarray()))
    csr = sparse.csr_array(matrix, copy=True)
    csr.eliminate_zeros()
    csr.sort_indices()
    start, column = locked(csr.indptr.astype(np.int64)), locked(csr.indices.astype(np.int32))
    return SparseMap(start, column, locked(csr.data), (rows, columns))


def locked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Make an array of ours read-only."""
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array


def scale_rows(map_: Map, factor: npt.NDArray[np.float64]) -> Map:
    """Multiply the weights of every target neuron by its factor, shape () or (N_target,)."""
    if np.all(factor == factor.flat[0]):
        return with_weight(map_, map_.weight * factor.flat[0])
    flat = factor.ravel()
    match map_:
        case DenseMap():
            return DenseMap(map_.weight * flat[:, None])
        case SparseMap():
            return with_weight(map_, map_.weight * np.repeat(flat, np.diff(map_.row_start)))
        case ConvMap():
            per_channel = flat.reshape(map_.target_shape[0], -1)
            if (per_channel == per_channel[:, :1]).all():
                return with_weight(map_, map_.weight * per_channel[:, 0, None, None, None])
            return scale_rows(from_matrix(as_matrix(map_)), factor)


def with_weight(map_: Map, weight: npt.NDArray[Any]) -> Map:
    """Return the same map with other weights."""
    weight = locked(weight)
    match map_:
        case DenseMap():
            return DenseMap(weight)
        case SparseMap():
            return SparseMap(map_.row_start, map_.column, weight, map_.shape)
        case ConvMap():
            return ConvMap(
                weight,
                map_.source_shape,
                map_.target_shape,
                map_.stride,
                map_.padding,
                map_.dilation,
                map_.groups,
            )


def shape_of(map_: Map) -> tuple[int, int]:
    """Numbers of target and source neurons."""
    match map_:
        case DenseMap():
            return map_.weight.shape[0], map_.weight.shape[1]
        case SparseMap():
            return map_.shape
        case ConvMap():
            return math.prod(map_.target_shape), math.prod(map_.source_shape)


def synapse_count(map_: Map) -> int:
    """Count the synapses, those of a convolution at every place."""
    match map_:
        case ConvMap():
            # taps that fall on the image, over all places of one axis
            inside = [int((windows_of(map_, axis) >= 0).sum()) for axis in (0, 1)]
            return map_.weight.shape[0] * map_.weight.shape[1] * inside[0] * inside[1]
        case _:
            return int(map_.weight.size)


def windows_of(map_: ConvMap, axis: int) -> npt.NDArray[np.int64]:
    """Source row (or column) under each tap at each target row (or column), -1 outside.

    Returns
    -------
    ndarray of int64, shape (targets on this axis, taps)
    """
    places = np.arange(map_.target_shape[1 + axis])[:, None]
    taps = np.arange(map_.weight.shape[2 + axis])[None]
    at = places * map_.stride[axis] + taps * map_.dilation[axis] - map_.padding[axis]
    return np.where((at >= 0) & (at < map_.source_shape[1 + axis]), at, -1)


# --- convolutions ------------------------------------------------------------------------------------------


def _as_conv(graph: Graph, source: str, chain: Sequence[str]) -> ConvMap | None:
    product: ConvMap | None = None
    ahead: npt.NDArray[np.float64] | None = None
    shape = graph.shapes[source]
    for name in chain:
        op = graph[name].op
        if isinstance(op, ops.Flatten):
            shape = graph.shapes[name]
            continue
        if product is None and (factor := _per_channel(op, shape)) is not None:
            ahead = factor if ahead is None else ahead * factor
            continue
        step = _conv_of(op, shape)
        if step is not None and product is None and ahead is not None:
            step = _scaled_inputs(step, ahead)
        if step is None:
            product = _scaled(product, op)
        elif product is None:
            product = step
        elif step.source_shape == product.target_shape:
            product = _convolve(product, step)
        else:
            return None
        if product is None:
            return None
        shape = graph.shapes[name]
    return product


def _conv_of(op: ops.Op, shape: Shape) -> ConvMap | None:
    """Write one op as a convolution, if it is one."""
    match op:
        case ops.Conv2d():
            return _conv(op.weight, shape, op.stride, op.padding, op.dilation, op.groups)
        case ops.Conv1d():
            weight = op.weight[:, :, None]
            return _conv(
                weight, (shape[0], 1, shape[1]), (1, op.stride), (0, op.padding), (1, op.dilation), op.groups
            )
        case ops.AvgPool2d():
            ones = np.ones((shape[0], 1, *op.kernel_size)) / math.prod(op.kernel_size)
            return _conv(ones, shape, op.stride, op.padding, (1, 1), shape[0])
        case ops.SumPool2d():
            ones = np.ones((shape[0], 1, *op.kernel_size))
            return _conv(ones, shape, op.stride, op.padding, (1, 1), shape[0])
    return None


def _conv(
    weight: npt.NDArray[np.float64], shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> ConvMap:
    height, width = (
        (shape[1 + i] + 2 * padding[i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i] + 1
        for i in (0, 1)
    )
    return ConvMap(
        weight,
        (shape[0], shape[1], shape[2]),
        (weight.shape[0], height, width),
        stride,
        padding,
        dilation,
        groups,
    )


def _scaled(product: ConvMap | None, op: ops.Op) -> ConvMap | None:
    """Follow a convolution by a factor per channel."""
    if product is None or not isinstance(op, ops.Scale) or math.prod(op.scale.shape[1:]) > 1:
        return None
    if op.scale.ndim and op.scale.shape[0] not in (1, product.target_shape[0]):
        return None
    factor = np.broadcast_to(op.scale.reshape(-1), (product.target_shape[0],))
    scaled = with_weight(product, product.weight * factor[:, None, None, None])
    assert isinstance(scaled, ConvMap)
    return scaled


def _per_channel(op: ops.Op, shape: Shape) -> npt.NDArray[np.float64] | None:
    """Return the factor of every channel of a map, where an op is nothing else."""
    if not isinstance(op, ops.Scale) or len(shape) == 1 or math.prod(op.scale.shape[1:]) > 1:
        return None
    return np.broadcast_to(op.scale.reshape(-1), (shape[0],))


def _scaled_inputs(step: ConvMap, factor: npt.NDArray[np.float64]) -> ConvMap:
    """Multiply the channels that a convolution sees by factors."""
    out, per_group = step.weight.shape[:2]
    of_group = np.repeat(factor.reshape(step.groups, per_group), out // step.groups, axis=0)
    scaled = with_weight(step, step.weight * of_group[:, :, None, None])
    assert isinstance(scaled, ConvMap)
    return scaled


def _convolve(first: ConvMap, second: ConvMap) -> ConvMap | None:
    """Follow a convolution by another where the product is a convolution for every input, else None."""
    if not all(_composes(first, second, axis) for axis in (0, 1)):
        return None
    groups = math.gcd(first.groups, second.groups)
    a, b = _by_group(first, groups), _by_group(second, groups)  # (g, M/g, I/g, k, k), (g, O/g, M/g, k, k)
    size = [a.shape[3 + i] + (b.shape[3 + i] - 1) * first.stride[i] for i in (0, 1)]
    product = np.zeros((groups, b.shape[1], a.shape[2], *size))
    for y in range(b.shape[3]):
        for x in range(b.shape[4]):
            top, left = y * first.stride[0], x * first.stride[1]
            here = product[:, :, :, top : top + a.shape[3], left : left + a.shape[4]]
            here += np.einsum("gom,gmiyx->goiyx", b[:, :, :, y, x], a)
    return ConvMap(
        product.reshape(second.weight.shape[0], -1, *size),
        first.source_shape,
        second.target_shape,
        (first.stride[0] * second.stride[0], first.stride[1] * second.stride[1]),
        (
            first.padding[0] + first.stride[0] * second.padding[0],
            first.padding[1] + first.stride[1] * second.padding[1],
        ),
        (1, 1),
        groups,
    )


def _composes(first: ConvMap, second: ConvMap, axis: int) -> bool:
    """Whether the product of two convolutions sees zeros wherever the second one sees its own padding.

    A padded place of the second lies at the row -n or H + n of the first one's output; were the first one's
    window there to touch its input, the product would differ at the border.
    """
    extent = first.dilation[axis] * (first.weight.shape[2 + axis] - 1) + 1
    stride, padding, size = first.stride[axis], first.padding[axis], first.target_shape[1 + axis]
    if second.padding[axis]:
        before = -stride - padding + extent - 1  # last row under the window at place -1
        after = size * stride - padding  # first row under the window at place H
        if before >= 0 or after < first.source_shape[1 + axis]:
            return False
    reach = extent + (second.dilation[axis] * (second.weight.shape[2 + axis] - 1)) * stride
    total = first.source_shape[1 + axis] + 2 * (padding + stride * second.padding[axis])
    return (total - reach) // (stride * second.stride[axis]) + 1 == second.target_shape[1 + axis]


def _by_group(map_: ConvMap, groups: int) -> npt.NDArray[np.float64]:
    """Weights as (groups, O/groups, I/groups, KH, KW), dilation written out and finer groups merged."""
    out, per_group, kh, kw = map_.weight.shape
    dense = np.zeros(
        (out, per_group, map_.dilation[0] * (kh - 1) + 1, map_.dilation[1] * (kw - 1) + 1), np.float64
    )
    dense[:, :, :: map_.dilation[0], :: map_.dilation[1]] = map_.weight
    merged = map_.groups // groups
    wide = np.zeros((out, per_group * merged, *dense.shape[2:]))
    for part in range(merged):
        rows = (np.arange(out) // (out // map_.groups)) % merged == part
        wide[rows, part * per_group : (part + 1) * per_group] = dense[rows]
    return wide.reshape(groups, out // groups, per_group * merged, *dense.shape[2:])
