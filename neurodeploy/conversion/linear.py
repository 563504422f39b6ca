"""Rules of folding that do arithmetic: batch normalisation, padding, scales and products of affine ops."""

from __future__ import annotations

import dataclasses
import math
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from neurodeploy.conversion import surgery
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import apply, channelwise
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Op, Shape

Floats = npt.NDArray[np.float64]
Conv = ops.Conv1d | ops.Conv2d
Weighted = ops.Affine | Conv


MOST_PICKED = 4096
"""Most values of a vector that a crop takes a part of by a full matrix; beyond, it stays a move."""


def is_conv(op: Op) -> TypeGuard[Conv]:
    """Whether an op is a convolution."""
    return isinstance(op, ops.Conv1d | ops.Conv2d)


def is_weighted(op: Op) -> TypeGuard[Weighted]:
    """Whether an op has weights and a bias."""
    return isinstance(op, ops.Affine | ops.Conv1d | ops.Conv2d)


def scale_outputs(op: Weighted, scale: Floats, shift: Floats | float = 0.0) -> Weighted:
    """Return ``scale * op + shift``, with one value per output channel or unit."""
    rows = scale.reshape(-1, *(1,) * (op.weight.ndim - 1))
    return dataclasses.replace(op, weight=op.weight * rows, bias=op.bias * scale + shift)


def scale_inputs(op: Weighted, scale: Floats, shift: Floats | None = None) -> Weighted:
    """Return ``op(scale * x + shift)``, one value per input channel or unit; a shift asks for no padding."""
    groups = 1 if isinstance(op, ops.Affine) else op.groups
    out, per_group = op.weight.shape[:2]

    def columns(vector: Floats) -> Floats:
        """Arrange one value per input as the weight array does, group by group."""
        table = np.repeat(vector.reshape(groups, per_group), out // groups, axis=0)
        return table.reshape(out, per_group, *(1,) * (op.weight.ndim - 2))

    bias = op.bias
    if shift is not None:
        bias = bias + (op.weight * columns(shift)).reshape(out, -1).sum(axis=1)
    return dataclasses.replace(op, weight=op.weight * columns(scale), bias=bias)


def depthwise(scale: Floats, shift: Floats, ndim: int) -> Weighted:
    """Return ``scale * x + shift`` over axis 0 of a shape with `ndim` axes as a convolution or affine op."""
    if ndim == 1:
        return ops.Affine(np.diag(scale), shift)
    kind = ops.Conv1d if ndim == 2 else ops.Conv2d
    return kind(scale.reshape(-1, *(1,) * ndim), shift, groups=len(scale))


# --- batch normalisation -----------------------------------------------------------------------------------


def fold_batch_norm(graph: Graph, node: Node) -> Graph | None:
    """Fold batch normalisation into the op before it or behind it, or else write it as a convolution."""
    if not isinstance(node.op, ops.BatchNorm):
        return None
    ndim = len(graph.shapes[node.name])
    axis = node.op.axis % ndim
    scale, shift = node.op.scale_shift()
    host = surgery.leader(graph, node)
    if host is not None and is_weighted(host.op):
        own_axis = ndim - 1 if isinstance(host.op, ops.Affine) else 0
        if axis == own_axis:
            return surgery.absorb(graph, host, node, scale_outputs(host.op, scale, shift))
    shape = graph.shapes[node.name]
    full = np.broadcast_to(channelwise(scale, ndim, axis), shape)
    ahead = _fold_ahead(graph, node, full, np.broadcast_to(channelwise(shift, ndim, axis), shape))
    if ahead is not None:
        return ahead
    if axis == 0 and ndim <= 3:
        return surgery.replace_op(graph, node, depthwise(scale, shift, ndim))
    return None


def _fold_ahead(graph: Graph, node: Node, scale: Floats, shift: Floats | None) -> Graph | None:
    """Fold ``scale * x + shift`` (arrays of the node's shape) into the next op with weights, if possible."""
    here = node
    while (host := surgery.follower(graph, here)) is not None:
        if isinstance(host.op, ops.Affine) and scale.ndim == 1:
            return surgery.absorb(graph, host, node, scale_inputs(host.op, scale, shift))
        if is_conv(host.op):
            s, t = _per_channel(scale), None if shift is None else _per_channel(shift)
            if s is None or (shift is not None and (t is None or np.any(host.op.padding))):
                return None
            return surgery.absorb(graph, host, node, scale_inputs(host.op, s, t))
        if isinstance(host.op, ops.Flatten | ops.Reshape | ops.Transpose):
            scale = apply(host.op, scale[None], dt=graph.dt)[0]
            shift = None if shift is None else apply(host.op, shift[None], dt=graph.dt)[0]
        elif isinstance(host.op, ops.SumPool2d):
            s = _per_channel(scale)
            if s is None or (shift is not None and np.any(host.op.padding)):
                return None
            scale = np.broadcast_to(s[:, None, None], graph.shapes[host.name])
            shift = None if shift is None else apply(host.op, shift[None], dt=graph.dt)[0]
        else:
            return None
        here = host
    return None


def _per_channel(array: Floats) -> Floats | None:
    """Return the value per channel of an array that is constant over all axes but the first."""
    flat = array.reshape(len(array), -1)
    return flat[:, 0].copy() if (flat == flat[:, :1]).all() else None


# --- padding -----------------------------------------------------------------------------------------------


def fold_pad(graph: Graph, node: Node) -> Graph | None:
    """Fold zeros around an image or a sequence into the convolution or pooling behind it."""
    if not isinstance(node.op, ops.Pad):
        return None
    host = surgery.follower(graph, node)
    if np.any(node.op.pads[0]):
        return _drop_columns(graph, node)
    if host is not None and isinstance(host.op, ops.Pad):
        pads = tuple((a + c, b + d) for (a, b), (c, d) in zip(node.op.pads, host.op.pads, strict=True))
        return surgery.absorb(graph, host, node, ops.Pad(pads))
    if host is not None and is_conv(host.op):
        return surgery.absorb(graph, host, node, pad_conv(host.op, node.op.pads[1:]))
    if host is not None and isinstance(host.op, ops.SumPool2d):
        return surgery.absorb(
            graph, host, node, _pad_pool(host.op, node.op.pads[1:], graph.shapes[node.name][0])
        )
    shape = graph.shapes[node.name]
    if 2 <= len(shape) <= 3:
        same = depthwise(np.ones(shape[0]), np.zeros(shape[0]), len(shape))
        assert is_conv(same)
        return surgery.replace_op(graph, node, pad_conv(same, node.op.pads[1:]))
    return _drop_columns(graph, node)


def pad_conv(op: Conv, pads: tuple[tuple[int, int], ...]) -> Conv:
    """Return the convolution that reads its input with zeros around it.

    Convolutions of NIR pad both ends alike, so the kernel gets zeros on the side that would read too much.
    """
    dilation = (op.dilation,) if isinstance(op, ops.Conv1d) else op.dilation
    padding = (op.padding,) if isinstance(op, ops.Conv1d) else op.padding
    weight, new_dilation, new_padding = op.weight, list(dilation), list(padding)
    for i, (before, after) in enumerate(pads):
        gap, axis = abs(before - after), weight.ndim - len(pads) + i
        if gap % dilation[i]:
            weight, new_dilation[i] = _dilate(weight, axis, dilation[i]), 1
        extra = [(0, 0)] * weight.ndim
        extra[axis] = (gap // new_dilation[i], 0) if before < after else (0, gap // new_dilation[i])
        weight = np.pad(weight, extra)
        new_padding[i] += max(before, after)
    if isinstance(op, ops.Conv1d):
        return dataclasses.replace(op, weight=weight, padding=new_padding[0], dilation=new_dilation[0])
    return dataclasses.replace(
        op, weight=weight, padding=ops.pair(new_padding), dilation=ops.pair(new_dilation)
    )


def _dilate(weight: Floats, axis: int, dilation: int) -> Floats:
    """Write the gaps of a dilated kernel as zeros."""
    shape = list(weight.shape)
    shape[axis] = dilation * (shape[axis] - 1) + 1
    wide = np.zeros(shape)
    place = [slice(None)] * weight.ndim
    place[axis] = slice(None, None, dilation)
    wide[tuple(place)] = weight
    return wide


def _pad_pool(op: ops.SumPool2d, pads: tuple[tuple[int, int], ...], channels: int) -> Op:
    if all(before == after for before, after in pads):
        padding = (op.padding[0] + pads[0][0], op.padding[1] + pads[1][0])
        return dataclasses.replace(op, padding=padding)
    value = 1 / math.prod(op.kernel_size) if isinstance(op, ops.AvgPool2d) else 1.0
    kernel = np.full((channels, 1, *op.kernel_size), value)
    conv = ops.Conv2d(kernel, np.zeros(channels), op.stride, op.padding, groups=channels)
    return pad_conv(conv, pads)


def follow(first: Conv, pick: Conv) -> Conv:
    """Return the convolution that does both: `first`, then a depthwise one without padding or dilation."""
    dilated = first.weight
    for axis, gap in enumerate(np.atleast_1d(first.dilation), start=2):
        dilated = _dilate(dilated, axis, int(gap))
    strides = tuple(int(s) for s in np.atleast_1d(first.stride))
    taps = pick.weight.shape[2:]
    size = [n + (k - 1) * s for n, k, s in zip(dilated.shape[2:], taps, strides, strict=True)]
    weight = np.zeros((*dilated.shape[:2], *size))
    factors = pick.weight.reshape(len(pick.weight), -1)
    for factor, tap in zip(factors.T, np.ndindex(*taps), strict=True):
        here = [slice(t * s, t * s + n) for t, s, n in zip(tap, strides, dilated.shape[2:], strict=True)]
        weight[(slice(None), slice(None), *here)] += factor.reshape(-1, *(1,) * (dilated.ndim - 1)) * dilated
    total = factors.sum(axis=1)
    stride = tuple(a * int(b) for a, b in zip(strides, np.atleast_1d(pick.stride), strict=True))
    told = {"weight": weight, "bias": first.bias * total + pick.bias, "groups": first.groups}
    if isinstance(first, ops.Conv1d):
        return ops.Conv1d(stride=stride[0], padding=first.padding, **told)
    return ops.Conv2d(stride=ops.pair(stride), padding=first.padding, **told)


def _drop_columns(graph: Graph, node: Node) -> Graph | None:
    """Fold any padding into an affine op behind it: the columns that would read zeros go."""
    assert isinstance(node.op, ops.Pad)
    (source, *more) = graph.sources(node.name)
    keep = np.pad(np.ones(graph.shapes[source]), node.op.pads)
    here = node
    while (host := surgery.follower(graph, here)) is not None and not more:
        if isinstance(host.op, ops.Affine) and keep.ndim == 1:
            op = dataclasses.replace(host.op, weight=host.op.weight[:, keep > 0])
            return surgery.absorb(graph, host, node, op)
        if not isinstance(host.op, ops.Flatten):
            return None
        keep = keep.ravel()
        here = host
    return None


def fold_crop(graph: Graph, node: Node) -> Graph | None:
    """Write a crop as the convolution, or affine op, whose windows see one value each."""
    if not isinstance(node.op, ops.Crop):
        return None
    shape, ((first, last), *around) = _shape_before(graph, node), node.op.crops
    if len(shape) > 3 or (len(shape) == 1 and shape[0] > MOST_PICKED):
        return None
    channels = np.eye(shape[0])[first : shape[0] - last]
    if not around:
        return surgery.replace_op(graph, node, ops.Affine(channels, np.zeros(len(channels))))
    kernel = np.zeros([before + after + 1 for before, after in around])
    kernel[tuple(before for before, _ in around)] = 1.0
    kind = ops.Conv1d if len(shape) == 2 else ops.Conv2d
    if (first, last) == (0, 0):
        weight = np.broadcast_to(kernel, (shape[0], 1, *kernel.shape))
        return surgery.replace_op(graph, node, kind(weight, np.zeros(shape[0]), groups=shape[0]))
    weight = np.multiply.outer(channels, kernel)
    return surgery.replace_op(graph, node, kind(weight, np.zeros(len(channels))))


# --- scales and products -----------------------------------------------------------------------------------


def fold_scale(graph: Graph, node: Node) -> Graph | None:
    """Fold an elementwise product into the weights behind it, else into the weights in front of it."""
    if not isinstance(node.op, ops.Scale):
        return None
    host = surgery.leader(graph, node)
    if host is not None and isinstance(host.op, ops.Scale):
        return surgery.absorb(graph, host, node, ops.Scale(host.op.scale * node.op.scale))
    scale = np.broadcast_to(node.op.scale, graph.shapes[node.name])
    return _fold_ahead(graph, node, scale, None) or _fold_back(graph, node, scale)


def _fold_back(graph: Graph, node: Node, scale: Floats) -> Graph | None:
    here = node
    while (host := surgery.leader(graph, here)) is not None:
        channels = _per_channel(scale)
        if isinstance(host.op, ops.Affine) and scale.ndim == 1:
            return surgery.absorb(graph, host, node, scale_outputs(host.op, scale))
        if is_conv(host.op) and channels is not None:
            return surgery.absorb(graph, host, node, scale_outputs(host.op, channels))
        if isinstance(host.op, ops.SumPool2d) and channels is not None:
            scale = np.broadcast_to(channels[:, None, None], _shape_before(graph, host))
        elif isinstance(host.op, ops.Flatten | ops.Reshape):
            scale = scale.reshape(_shape_before(graph, host))
        else:
            return None
        here = host
    return None


def _shape_before(graph: Graph, node: Node) -> Shape:
    return graph.shapes[graph.sources(node.name)[0]]


def merge_affine(graph: Graph, node: Node) -> Graph | None:
    """Multiply two affine ops in a row where the product has no more weights than the two."""
    host = surgery.leader(graph, node)
    if host is None or not isinstance(node.op, ops.Affine) or not isinstance(host.op, ops.Affine):
        return None
    (out, mid), (_, into) = node.op.weight.shape, host.op.weight.shape
    if out * into > out * mid + mid * into:
        return None
    weight = node.op.weight @ host.op.weight
    product = ops.Affine(weight, node.op.weight @ host.op.bias + node.op.bias)
    kept, gone = (node, host) if node.layer and not host.layer else (host, node)  # the user's name, if any
    return surgery.absorb(graph, kept, gone, product)
