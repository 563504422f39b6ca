"""Operators with weights or windows: convolutions, products, norms, pooling, upsampling."""

from __future__ import annotations

import numpy as np

from neurodeploy.frontends import steps as recipes
from neurodeploy.frontends.builder import Value
from neurodeploy.frontends.steps import Pads
from neurodeploy.frontends.torch.calls import Call
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Shape


def _spatial(call: Call, count: int) -> Shape:
    shape = call.value().shape
    if count not in (1, 2) or len(shape) != count + 1:
        call.refuse(
            f"over {count} axes of samples of shape {shape}; sequences (C, N) and images (C, H, W) are taken"
        )
    return shape


def conv(call: Call) -> Value:
    """Convolve; PyTorch keeps images and kernels as we do."""
    weight = call.constant("weight")
    count = weight.ndim - 2
    _spatial(call, count)
    stride, dilation = call.ints("stride", count, 1), call.ints("dilation", count, 1)
    kernel = weight.shape[2:]
    if call.get("padding") == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        pads: Pads = [(t // 2, t - t // 2) for t in totals]
    elif call.get("padding") == "valid":
        pads = [(0, 0)] * count
    else:
        pads = [(p, p) for p in call.ints("padding", count, 0)]
    bias = call.constant("bias", np.zeros(len(weight)))
    groups = int(call.get("groups", default=1))
    return call.chain([("", recipes.conv(weight, bias, stride, pads, dilation, groups))])


def conv_transpose(call: Call) -> Value:
    """Convolve transposed; PyTorch keeps the kernel as (I, O/groups, *size)."""
    weight = call.constant("weight")
    count, groups = weight.ndim - 2, int(call.get("groups", default=1))
    _spatial(call, count)
    bias = call.constant("bias", np.zeros(weight.shape[1] * groups))
    steps = recipes.transposed(
        weight, bias, stride=call.ints("stride", count, 1),
        pads=[(p, p) for p in call.ints("padding", count, 0)],
        output_padding=call.ints("output_padding", count, 0), dilation=call.ints("dilation", count, 1),
        groups=groups,
    )  # fmt: skip
    return call.chain(steps)


def convolution(call: Call) -> Value:
    """Convolve either way, as decomposed programs write it."""
    return conv_transpose(call) if call.get("transposed") else conv(call)


def linear(call: Call) -> Value:
    """Multiply the last axis by a matrix (O, I) and add a bias."""
    weight = call.constant("weight")
    return call.add(ops.Affine(weight, call.constant("bias", np.zeros(len(weight)))))


def matmul(call: Call) -> Value:
    """Multiply the last axis by a matrix (I, O)."""
    if isinstance(call.get("mat2", "other"), Value):
        call.refuse("it multiplies two values; rates add, they do not multiply")
    weight = call.constant("mat2" if call.get("mat2") is not None else "other")
    if weight.ndim != 2:
        call.refuse(f"a product with a constant of {weight.ndim} axes; 2 are taken")
    return call.add(ops.Affine(weight.T, np.zeros(weight.shape[1])))


def addmm(call: Call) -> Value:
    """Multiply by a matrix (I, O) and add a bias, as decomposed programs write a linear layer."""
    weight = call.constant("mat2") * float(call.get("alpha", default=1))
    bias = call.constant("self") * float(call.get("beta", default=1))
    return call.add(
        ops.Affine(weight.T, np.broadcast_to(bias.reshape(-1), weight.shape[1])), call.value("mat1")
    )


def batch_norm(call: Call) -> Value:
    """Normalise channels by the stored mean and variance."""
    if call.get("training", default=False) or call.get("running_mean") is None:
        call.refuse("it normalises by the batch; export the model in eval mode, with running statistics")
    mean, variance = call.constant("running_mean"), call.constant("running_var")
    gamma, beta = call.constant("weight", np.ones(len(mean))), call.constant("bias", np.zeros(len(mean)))
    epsilon = float(call.get("eps", default=1e-5))
    if (variance + epsilon <= 0).any():
        call.refuse("its variance is negative")
    return call.add(ops.BatchNorm(gamma, beta, mean, variance, epsilon, 0))


# --- pooling ----------------------------------------------------------------------------------------------


def _pool(call: Call, count: int) -> tuple[Shape, Shape, Pads, bool]:
    """Return windows, strides, pads, and whether ceil_mode made the last window reach out."""
    sizes = _spatial(call, count)[1:]
    kernel = call.ints("kernel_size", count)
    stride, padding = call.ints("stride", count, kernel), call.ints("padding", count, 0)
    if max(call.ints("dilation", count, 1)) > 1:
        call.refuse("its windows have gaps (dilation)")
    pads, reaches = [(p, p) for p in padding], False
    if call.get("ceil_mode", default=False):
        for i, (n, k, s, p) in enumerate(zip(sizes, kernel, stride, padding, strict=True)):
            many = -(-(n + 2 * p - k) // s) + 1
            many -= (many - 1) * s >= n + p  # a window must begin inside
            pads[i] = (p, max((many - 1) * s + k - n - p, p))
            reaches = reaches or pads[i][1] > p
    return kernel, stride, pads, reaches


def _count(call: Call) -> int:
    return 1 if "1d" in call.kind else 2


def average_pool(call: Call) -> Value:
    """Average over windows."""
    kernel, stride, pads, reaches = _pool(call, _count(call))
    counted = bool(call.get("count_include_pad", default=True)) and bool(np.any(pads))
    if call.get("divisor_override") is not None:
        call.refuse("divisor_override is set")
    if counted and reaches:
        call.refuse("ceil_mode and counted padding do not go together")
    return call.chain(recipes.averaged(call.value().shape, kernel, stride, pads, count_pads=counted))


def max_pool(call: Call) -> Value:
    """Take the largest value of each window."""
    kernel, stride, pads, _ = _pool(call, _count(call))
    return call.chain(recipes.largest(kernel, stride, pads))


def _adaptive(call: Call) -> tuple[Shape, Shape]:
    count = _count(call)
    sizes, wanted = _spatial(call, count)[1:], call.ints("output_size", count)
    if any(n % w for n, w in zip(sizes, wanted, strict=True)):
        call.refuse(f"from {sizes} to {wanted} values its windows differ in size; whole fractions are taken")
    kernel = tuple(n // w for n, w in zip(sizes, wanted, strict=True))
    return kernel, kernel


def adaptive_average(call: Call) -> Value:
    """Average over windows of which a given number fits."""
    kernel, stride = _adaptive(call)
    pads: Pads = [(0, 0)] * len(kernel)
    return call.chain(recipes.averaged(call.value().shape, kernel, stride, pads, count_pads=True))


def adaptive_max(call: Call) -> Value:
    """Take the largest value of windows of which a given number fits."""
    kernel, stride = _adaptive(call)
    return call.chain(recipes.largest(kernel, stride, [(0, 0)] * len(kernel)))


def mean(call: Call) -> Value:
    """Average over all axes but the channels'."""
    return call.chain(recipes.whole_average(_whole(call), keep=bool(call.get("keepdim", default=False))))


def maximum_over(call: Call) -> Value:
    """Take the maximum over all axes but the channels'."""
    return call.chain(recipes.whole_maximum(_whole(call), keep=bool(call.get("keepdim", default=False))))


def _whole(call: Call) -> Shape:
    shape = call.value().shape
    axes = sorted(call.axis(int(d)) for d in call.get("dim", default=[]))
    if len(shape) not in (2, 3) or axes != list(range(1, len(shape))):
        call.refuse(
            f"over dimensions {call.get('dim')} of samples of shape {shape}; all but the channels' are taken"
        )
    return shape


def upsample(call: Call) -> Value:
    """Repeat every value, by whole factors."""
    count = _count(call)
    size, *sizes = _spatial(call, count)
    wanted = call.get("output_size")
    if wanted:
        factors = [w // n if n else 0 for w, n in zip(wanted, sizes, strict=True)]
        whole = all(f * n == w for f, n, w in zip(factors, sizes, wanted, strict=True))
    else:
        scales = [float(s) for s in call.get("scale_factors", default=[])]
        factors, whole = [int(s) for s in scales], all(s == int(s) for s in scales)
    if not whole or len(factors) != count or min(factors) < 1:
        call.refuse(f"from {sizes} to {wanted or call.get('scale_factors')}; whole factors are taken")
    return call.chain(recipes.upsampled(size, tuple(factors)))
