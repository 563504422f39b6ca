"""What layers of other libraries are made of here: chains of ops, exact, on maps that lie channels first.

Every function takes the shape it starts from where that matters and returns `Steps`. Readers only say which
parameters a layer has; how it is written in our few ops stands here once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op, Shape
from neurodeploy.numerics.layers import conv2d

Floats = npt.NDArray[np.float64]
Step = tuple[str, Op]
"""Suffix of the node's name ("" for the layer's main op) and the op."""
Steps = list[Step]
Pads = Sequence[tuple[int, int]]
"""Values (before, after) per spatial axis."""
MAX_EXTENT = 4096
"""Longest window, so that a faulty file cannot ask for all memory."""


def result(steps: Steps, shape: Shape) -> Shape:
    """Return the shape that a chain makes of a shape."""
    for _, op in steps:
        shape = op.out_shape(shape)
    return shape


def same_pads(
    sizes: Shape, kernel: Shape, stride: Shape, dilation: Shape, *, more_after: bool = True
) -> Pads:
    """Return the zeros that make ``ceil(size / stride)`` windows; an odd one goes to the end."""
    extents = (d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    totals = [max((-(-n // s) - 1) * s + e - n, 0) for n, s, e in zip(sizes, stride, extents, strict=True)]
    less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return list(zip(less, more, strict=True) if more_after else zip(more, less, strict=True))


# --- convolutions -----------------------------------------------------------------------------------------


def conv(weight: Floats, bias: Floats, stride: Shape, pads: Pads, dilation: Shape, groups: int) -> Op:
    """Return a convolution over one or two axes; weight (O, I/groups, *kernel)."""
    extent = max((k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True))
    if extent + max(max(pair) for pair in pads) > MAX_EXTENT:
        raise ValueError(f"a window spans {extent} values; up to {MAX_EXTENT} are taken")
    weight, padding, dilation = even_pads(weight, pads, dilation)
    if len(stride) == 1:
        return ops.Conv1d(weight, bias, stride[0], padding[0], dilation[0], groups)
    return ops.Conv2d(weight, bias, ops.pair(stride), ops.pair(padding), ops.pair(dilation), groups)


def even_pads(weight: Floats, pads: Pads, dilation: Shape) -> tuple[Floats, Shape, Shape]:
    """Grow a kernel with zeros so that equal padding on both sides gives the same result.

    Returns
    -------
    weight : ndarray, shape (O, I/groups, *kernel)
    padding, dilation : tuple of int
    """
    padding, steps = [], []
    for axis, ((before, after), step) in enumerate(zip(pads, dilation, strict=True), start=2):
        grow = abs(after - before)
        if grow % step:  # write the gaps out as zeros, so that any number of taps can be added
            wide = np.zeros(
                (*weight.shape[:axis], step * (weight.shape[axis] - 1) + 1, *weight.shape[axis + 1 :])
            )
            wide[(slice(None),) * axis + (slice(None, None, step),)] = weight
            weight, step = wide, 1
        taps = (grow // step, 0) if before < after else (0, grow // step)
        weight = np.pad(weight, [taps if a == axis else (0, 0) for a in range(weight.ndim)])
        padding.append(max(before, after))
        steps.append(step)
    return weight, tuple(padding), tuple(steps)


def transposed(
    weight: Floats,
    bias: Floats,
    *,
    stride: Shape,
    pads: Pads,
    output_padding: Shape,
    dilation: Shape,
    groups: int,
) -> Steps:
    """Return a transposed convolution; weight (I, O/groups, *kernel), as PyTorch and ONNX store it.

    `pads` takes values off the result, `output_padding` adds some at its end.
    """
    into, per_group, *kernel = weight.shape
    if max((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)) > MAX_EXTENT:
        raise ValueError(f"a window of {kernel} spans more than the {MAX_EXTENT} values taken")
    spatial = tuple(range(3, 3 + len(kernel)))
    turned = np.flip(weight.reshape(groups, into // groups, per_group, *kernel), spatial)
    turned = turned.swapaxes(1, 2).reshape(groups * per_group, into // groups, *kernel)
    extents = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    around = [
        (extent - before, extent - after + more)
        for extent, (before, after), more in zip(extents, pads, output_padding, strict=True)
    ]
    steps: Steps = [("stretch", ops.Stretch((1, *stride)))] if max(stride) > 1 else []
    cut = tuple((max(-before, 0), max(-after, 0)) for before, after in around)
    if np.any(cut):
        steps.append(("cut", ops.Crop(((0, 0), *cut))))
    kept = [(max(before, 0), max(after, 0)) for before, after in around]
    return [*steps, ("", conv(turned, bias, (1,) * len(kernel), kept, dilation, groups))]


def upsampled(channels: int, factors: Shape) -> Steps:
    """Repeat every value `factors` times along the spatial axes (nearest neighbour)."""
    ones = np.ones((channels, 1, *factors))
    around = [(f - 1, f - 1) for f in factors]
    spread = conv(ones, np.zeros(channels), (1,) * len(factors), around, (1,) * len(factors), channels)
    return [("stretch", ops.Stretch((1, *factors))), ("", spread)]


# --- pooling ----------------------------------------------------------------------------------------------


def averaged(shape: Shape, pool: Shape, stride: Shape, pads: Pads, *, count_pads: bool) -> Steps:
    """Average over windows; padding counts as zeros, or is left out of the count."""
    size, *sizes = shape
    count = len(pool)
    if np.any(pads) and not count_pads:
        ones = conv(np.ones((size, 1, *pool)), np.zeros(size), stride, pads, (1,) * count, size)
        counts = inside(tuple(sizes), pool, stride, pads)
        return [("", ones), ("share", ops.Scale(np.broadcast_to(1 / counts, (size, *counts.shape))))]
    if count == 2 and all(before == after for before, after in pads):
        return [("", ops.AvgPool2d(ops.pair(pool), ops.pair(stride), ops.pair([p[0] for p in pads])))]
    share = np.full((size, 1, *pool), 1 / math.prod(pool))
    return [("", conv(share, np.zeros(size), stride, pads, (1,) * count, size))]


def inside(sizes: Shape, pool: Shape, stride: Shape, pads: Pads) -> Floats:
    """Count the values inside each window, padding left out."""
    lift = (1,) * (2 - len(sizes))
    image = np.pad(np.ones(sizes), pads).reshape(
        1, 1, *lift, *(n + b + a for n, (b, a) in zip(sizes, pads, strict=True))
    )
    counts = conv2d(image, np.ones((1, 1, *lift, *pool)), stride=ops.pair((*lift, *stride)))[0, 0]
    return np.asarray(counts if not lift else counts[0])


def whole_average(shape: Shape, *, keep: bool) -> Steps:
    """Average over all of a map; one value per channel is left."""
    sizes = shape[1:]
    steps = averaged(shape, sizes, sizes, [(0, 0)] * len(sizes), count_pads=True)
    return steps if keep else [*steps, ("flatten", ops.Flatten())]


def largest(pool: Shape, stride: Shape, pads: Pads) -> Steps:
    """Take the largest value of each window."""
    return [("", ops.MaxPool(tuple(pool), tuple(stride), tuple(pads)))]


def whole_maximum(shape: Shape, *, keep: bool) -> Steps:
    """Take the largest value of each map."""
    steps = largest(shape[1:], shape[1:], [(0, 0)] * (len(shape) - 1))
    return steps if keep else [*steps, ("flatten", ops.Flatten())]


# --- elementwise ------------------------------------------------------------------------------------------


def scaled(factor: npt.ArrayLike, shape: Shape) -> Steps:
    """Multiply by a constant that broadcasts to the shape."""
    values = fitted(factor, shape)
    return [] if np.all(values == 1) else [("scale", ops.Scale(values))]


def shifted(shift: npt.ArrayLike, shape: Shape) -> Steps:
    """Add a constant that broadcasts to the shape: per channel where that will do, else per value."""
    values = fitted(shift, shape)
    if not values.any():
        return []
    long = [axis for axis, n in enumerate(values.shape) if n > 1]
    if len(long) <= 1:
        axis = long[0] if long else 0
        return [("shift", _shift(np.broadcast_to(values.ravel(), shape[axis]), axis))]
    flat = np.broadcast_to(values, shape).ravel()
    return [("flat", ops.Reshape((flat.size,))), ("shift", _shift(flat, 0)), ("shape", ops.Reshape(shape))]


def _shift(values: Floats, axis: int) -> Op:
    one, zero = np.ones(len(values)), np.zeros(len(values))
    return ops.BatchNorm(one, values, zero, one, 0.0, axis)


def fitted(constant: npt.ArrayLike, shape: Shape) -> Floats:
    """Bring a constant that broadcasts to a sample, or to a batch of them, to the rank of the sample.

    Raises
    ------
    ValueError
        If it does not broadcast, differs between samples, or holds what is no finite number.
    """
    values = np.asarray(constant, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a constant is NaN or infinite")
    extra = values.ndim - len(shape)
    if extra > 0:
        if any(n != 1 for n in values.shape[:extra]):
            raise ValueError(f"a constant of shape {values.shape} differs between samples of shape {shape}")
        values = values.reshape(values.shape[extra:])
    values = values.reshape((1,) * -min(extra, 0) + values.shape)
    if any(n not in (1, m) for n, m in zip(values.shape, shape, strict=True)):
        raise ValueError(f"a constant of shape {values.shape} does not fit values of shape {shape}")
    return values


def clipped(low: float, high: float, shape: Shape) -> Steps:
    """Return ``min(max(x, low), high)``; either bound may be infinite."""
    if math.isnan(low) or math.isnan(high) or not low < high:
        raise ValueError(f"clips to [{low}, {high}]")
    if math.isinf(low) and math.isinf(high):
        return [("", ops.Identity())]
    if math.isinf(low):
        mirrored = clipped(-high, math.inf, shape)
        minus = ops.Scale(-np.ones((1,) * len(shape)))
        return [("minus", minus), *mirrored, ("minus", minus)]
    return [*shifted(-low, shape), ("", ops.ReLU(high - low)), *shifted(low, shape)]


def leaky(slope: npt.ArrayLike, shape: Shape) -> Steps:
    """Return ``x`` above zero and ``slope * x`` below; the slope broadcasts to the shape."""
    slopes = np.asarray(slope, np.float64)
    return [("", ops.ReLU(negative_slope=slopes if slopes.ndim == 0 else fitted(slopes, shape)))]


def hard_sigmoid(alpha: float, beta: float, shape: Shape) -> Steps:
    """Return ``min(max(alpha x + beta, 0), 1)``."""
    return [*scaled(alpha, shape), *shifted(beta, shape), ("", ops.ReLU(1.0))]
