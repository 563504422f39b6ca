"""Operators with weights or windows: convolutions, products, norms, pooling, resizing."""

from __future__ import annotations

import math

import numpy as np

from neurodeploy.frontends import steps as recipes
from neurodeploy.frontends.builder import Value
from neurodeploy.frontends.onnx.calls import Call
from neurodeploy.frontends.steps import Pads
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Shape


def conv(call: Call) -> Value:
    """Convolve; ONNX keeps images and kernels as we do."""
    weight = call.floats(1)
    kernel, strides, dilations = _window(call, weight.shape[2:])
    bias = call.floats(2, np.zeros(len(weight)))
    pads = _pads(call, call.value().shape[1:], kernel, strides, dilations)
    groups = int(call.attributes.get("group", 1))
    return call.chain([("", recipes.conv(weight, bias, strides, pads, dilations, groups))])


def conv_transpose(call: Call) -> Value:
    """Convolve transposed; ONNX keeps the kernel as (I, O/groups, *size)."""
    weight, sizes = call.floats(1), call.value().shape[1:]
    kernel, strides, dilations = _window(call, weight.shape[2:])
    groups = int(call.attributes.get("group", 1))
    extra = call.ints("output_padding", (0,) * len(kernel))
    bias = call.floats(2, np.zeros(weight.shape[1] * groups))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    lengths = [(n - 1) * s + e + x for n, s, e, x in zip(sizes, strides, extents, extra, strict=True)]
    auto = call.attributes.get("auto_pad", "NOTSET")
    wanted = call.attributes.get("output_shape")
    if auto.startswith("SAME"):
        wanted = wanted or [n * s for n, s in zip(sizes, strides, strict=True)]
    if wanted is None:
        pads: Pads = _listed_pads(call, len(kernel))
    else:
        totals = [n - int(w) for n, w in zip(lengths, wanted[-len(lengths) :], strict=True)]
        if min(totals) < 0:
            call.refuse(f"output_shape {wanted} is longer than the {lengths} values there are")
        upper = auto != "SAME_UPPER"  # the odd value comes off the beginning, but for SAME_UPPER
        pads = [(t - t // 2, t // 2) if upper else (t // 2, t - t // 2) for t in totals]
    steps = recipes.transposed(
        weight, bias, stride=strides, pads=pads, output_padding=extra, dilation=dilations, groups=groups
    )
    return call.chain(steps)


def gemm(call: Call) -> Value:
    """Multiply by a matrix and add a bias."""
    if call.flag("transA"):
        call.refuse("transA = 1 mixes samples of a batch")
    weight = call.floats(1) * float(call.attributes.get("alpha", 1.0))
    weight = weight if call.flag("transB") else weight.T
    bias = call.floats(2, np.zeros(1)) * float(call.attributes.get("beta", 1.0))
    if bias.size not in (1, len(weight)):
        call.refuse(f"its bias of shape {bias.shape} differs between samples")
    return call.add(ops.Affine(weight, np.broadcast_to(bias.reshape(-1), len(weight))), call.value())


def matmul(call: Call) -> Value:
    """Multiply the last axis by a matrix."""
    if call.is_value(0) and call.is_value(1):
        call.refuse("it multiplies two values; rates add, they do not multiply")
    weight = call.floats(1)
    if weight.ndim != 2:
        call.refuse(f"a product with a constant of {weight.ndim} axes; 2 are taken")
    return call.add(ops.Affine(weight.T, np.zeros(weight.shape[1])), call.value())


def batch_norm(call: Call) -> Value:
    """Normalise channels by the stored mean and variance."""
    if call.flag("training_mode"):
        call.refuse("training_mode = 1: it normalises by the batch; export the model in eval mode")
    gamma, beta, mean, variance = (call.floats(i) for i in range(1, 5))
    epsilon = float(call.attributes.get("epsilon", 1e-5))
    if (variance + epsilon <= 0).any():
        call.refuse("its variance is negative")
    return call.add(ops.BatchNorm(gamma, beta, mean, variance, epsilon, 0), call.value())


# --- pooling ----------------------------------------------------------------------------------------------


def average_pool(call: Call) -> Value:
    """Average over windows."""
    kernel, strides, pads = _pool(call)
    shape, counted = call.value().shape, call.flag("count_include_pad")
    if counted and pads != (own := _pads(call, shape[1:], kernel, strides, (1,) * len(kernel))):
        call.refuse(f"ceil_mode adds {pads} where {own} are counted")
    return call.chain(recipes.averaged(shape, kernel, strides, pads, count_pads=counted))


def max_pool(call: Call) -> Value:
    """Take the largest value of each window."""
    kernel, strides, pads = _pool(call)
    return call.chain(recipes.largest(kernel, strides, pads))


def _pool(call: Call) -> tuple[Shape, Shape, Pads]:
    kernel, strides, dilations = _window(call, call.ints("kernel_shape", ()))
    if max(dilations) > 1:
        call.refuse(f"its windows have gaps (dilations {dilations})")
    sizes = call.value().shape[1:]
    pads = list(_pads(call, sizes, kernel, strides, dilations))
    if call.flag("ceil_mode"):
        for i, (n, k, s) in enumerate(zip(sizes, kernel, strides, strict=True)):
            before, after = pads[i]
            count = -(-(n + before + after - k) // s) + 1
            count -= (count - 1) * s >= n + before  # a window must begin inside
            pads[i] = (before, max((count - 1) * s + k - n - before, after))
    return kernel, strides, pads


def global_average(call: Call) -> Value:
    """Average over the whole map, whose axes stay, 1 long."""
    return call.chain(recipes.whole_average(_map(call), keep=True))


def global_max(call: Call) -> Value:
    """Take the largest value of the whole map, whose axes stay, 1 long."""
    return call.chain(recipes.whole_maximum(_map(call), keep=True))


def reduce_mean(call: Call) -> Value:
    """Average over all axes but the channels'."""
    _spatial_only(call)
    return call.chain(recipes.whole_average(_map(call), keep=call.flag("keepdims", 1)))


def reduce_max(call: Call) -> Value:
    """Take the maximum over all axes but the channels'."""
    _spatial_only(call)
    return call.chain(recipes.whole_maximum(_map(call), keep=call.flag("keepdims", 1)))


def _map(call: Call) -> Shape:
    shape = call.value().shape
    if len(shape) not in (2, 3):
        call.refuse(f"over values of shape {shape}; sequences (C, N) and images (C, H, W) are taken")
    return shape


def _spatial_only(call: Call) -> None:
    axes, rank = call.axes() or (), len(call.value().shape)
    if sorted(axes) != list(range(2, rank + 1)):
        call.refuse(f"over axes {axes} of {rank + 1}; all but the first two are taken")


# --- windows ----------------------------------------------------------------------------------------------


def _window(call: Call, kernel: Shape) -> tuple[Shape, Shape, Shape]:
    """Return kernel size, strides and dilations."""
    count = len(kernel)
    if count not in (1, 2) or len(call.value().shape) != count + 1:
        call.refuse(f"windows over {count} axes of values of shape {call.value().shape}; 1 and 2 are taken")
    strides, dilations = call.ints("strides", (1,) * count), call.ints("dilations", (1,) * count)
    if len(strides) != count or len(dilations) != count or min(*strides, *dilations, *kernel) < 1:
        call.refuse(f"kernel {kernel} with strides {strides} and dilations {dilations}")
    return tuple(int(k) for k in kernel), strides, dilations


def _pads(call: Call, sizes: Shape, kernel: Shape, strides: Shape, dilations: Shape) -> Pads:
    auto = call.attributes.get("auto_pad", "NOTSET")
    if auto == "VALID":
        return [(0, 0)] * len(kernel)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return recipes.same_pads(sizes, kernel, strides, dilations, more_after=auto == "SAME_UPPER")
    return _listed_pads(call, len(kernel))


def _listed_pads(call: Call, count: int) -> Pads:
    flat = call.ints("pads", (0,) * (2 * count))
    if len(flat) != 2 * count or min(flat) < 0:
        call.refuse(f"pads {flat}")
    return list(zip(flat[:count], flat[count:], strict=True))


# --- resizing ---------------------------------------------------------------------------------------------


def resize(call: Call) -> Value:
    """Repeat every value, by whole factors."""
    shape = call.value().shape
    scales, sizes = call.inputs[2:3], call.inputs[3:4]
    if sizes and isinstance(sizes[0], np.ndarray) and sizes[0].size:
        wanted = [int(n) for n in sizes[0]][1:]
    elif scales and isinstance(scales[0], np.ndarray) and scales[0].size:
        wanted = [math.floor(n * float(f)) for n, f in zip(shape, scales[0][1:].tolist(), strict=True)]
    else:
        call.refuse("neither scales nor sizes are constants")
    factors = tuple(w // n for w, n in zip(wanted, shape, strict=True))
    whole = all(f >= 1 and f * n == w for f, n, w in zip(factors, shape, wanted, strict=True))
    if call.attributes.get("mode", "nearest") != "nearest" or not whole or factors[0] != 1:
        mode = call.attributes.get("mode", "nearest")
        call.refuse(f"from {shape} to {tuple(wanted)} by mode {mode}; whole factors, nearest, are taken")
    if any(
        _nearest(call, n, f) != [i // f for i in range(n * f)] for n, f in zip(shape, factors, strict=True)
    ):
        call.refuse("its rounding picks other values than the nearest before")
    return call.chain(recipes.upsampled(shape[0], factors[1:]))


def _nearest(call: Call, size: int, factor: int) -> list[int]:
    """Return which value each place takes, by ONNX's formulas."""
    i = np.arange(size * factor)
    mode = call.attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode == "asymmetric":
        x = i / factor
    elif mode in ("half_pixel", "pytorch_half_pixel") or size * factor == 1:
        x = (i + 0.5) / factor - 0.5
    elif mode == "align_corners":
        x = i * (size - 1) / max(size * factor - 1, 1)
    else:
        call.refuse(f"coordinate_transformation_mode {mode}")
    roundings = {
        "round_prefer_floor": np.ceil(x - 0.5), "round_prefer_ceil": np.floor(x + 0.5),
        "floor": np.floor(x), "ceil": np.ceil(x),
    }  # fmt: skip
    nearest = roundings[call.attributes.get("nearest_mode", "round_prefer_floor")]
    return [int(v) for v in np.clip(nearest, 0, size - 1)]
