"""One function per kind of Keras layer with one input: from layer and view of its input to ops of ours.

Which layer is taken by which function, and with which limits, is in `table.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from neurodeploy.errors import LoadError
from neurodeploy.frontends import steps as recipes
from neurodeploy.frontends.keras.geometry import View, as_written, pads_of, pairs, several, user_axis
from neurodeploy.frontends.keras.source import Layer
from neurodeploy.frontends.steps import Floats, Step, Steps, result
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Shape

Built = tuple[Steps, View]


def take(layer: Layer, want: Mapping[str, Shape]) -> dict[str, Floats]:
    """Return the layer's weights by name, checked against what its configuration asks for."""
    names = ", ".join(f"{name} {shape}" for name, shape in want.items())
    if len(layer.weights) != len(want):
        have = ", ".join(str(value.shape) for _, value in layer.weights) or "none"
        raise LoadError(f"{layer.place}: weights found: {have}; the configuration asks for {names}")
    known = dict(layer.weights)
    found: dict[str, Floats] = {}
    for (name, shape), (_, value) in zip(want.items(), layer.weights, strict=True):
        value = known[name] if known.keys() == want.keys() else value
        if value.shape != shape:
            raise LoadError(
                f"{layer.place}: {name} has shape {value.shape}; the configuration asks for {shape}"
            )
        if value.dtype.kind not in "fiu":
            raise LoadError(f"{layer.place}: {name} holds {value.dtype}, not numbers")
        found[name] = value.astype(np.float64)
        if not np.isfinite(found[name]).all():
            bad = int((~np.isfinite(found[name])).sum())
            raise LoadError(f"{layer.place}: {bad} of {value.size} values of {name} are NaN or infinite")
    return found


def _after(steps: Steps, view: View) -> Built:
    return steps, view.after(result(steps, view.ours))


def _spatial(layer: Layer, view: View) -> tuple[int, Shape]:
    """Return channels and sizes of a map, for layers whose kind says over how many axes they move."""
    size, *sizes = view.ours
    count = 1 if "1D" in layer.kind else 2
    if len(sizes) != count:
        raise LoadError(f"{layer.place}: takes {count + 1} axes, gets {view.shape}")
    return size, tuple(sizes)


def _bias(layer: Layer, size: int) -> dict[str, Shape]:
    return {"bias": (size,)} if layer.config.get("use_bias", True) else {}


# --- weights ----------------------------------------------------------------------------------------------


def dense(layer: Layer, view: View) -> Built:
    """Weights on the user's last axis: on vectors an affine op, elsewhere a convolution of size 1."""
    units, inputs, rest = int(layer.config["units"]), view.shape[-1], view.shape[:-1]
    w = take(layer, {"kernel": (inputs, units), **_bias(layer, units)})
    weight, bias = w["kernel"].T, w.get("bias", np.zeros(units))
    after = View((*rest, units), view.axes)
    if not rest:
        return [("", ops.Affine(weight, bias))], after
    count = len(rest) if len(rest) < 3 else 1
    main = recipes.conv(
        weight[(..., *(None,) * count)], bias, (1,) * count, [(0, 0)] * count, (1,) * count, 1
    )
    if len(rest) == count:
        return [("", main)], after
    flat, back = ops.Reshape((inputs, math.prod(rest))), ops.Reshape(after.ours)
    return [("merge", flat), ("", main), ("split", back)], after


def convolution(layer: Layer, view: View) -> Built:
    """Kernel (*size, I/groups, O) in Keras, (O, I/groups, *size) here."""
    inputs, sizes = _spatial(layer, view)
    filters, groups = int(layer.config["filters"]), int(layer.config.get("groups", 1))
    kernel, *_ = _window(layer, sizes)
    w = take(layer, {"kernel": (*kernel, inputs // groups, filters), **_bias(layer, filters)})
    weight = w["kernel"].transpose((len(sizes) + 1, len(sizes), *range(len(sizes))))
    return _after([_convolve(layer, sizes, weight, w.get("bias", np.zeros(filters)), groups)], view)


def depthwise(layer: Layer, view: View) -> Built:
    """Kernel (*size, I, M) in Keras: M maps of every channel."""
    inputs, sizes = _spatial(layer, view)
    kernel, *_ = _window(layer, sizes)
    many = int(layer.config["depth_multiplier"])
    out = inputs * many
    w = take(layer, {_first_name(layer): (*kernel, inputs, many), **_bias(layer, out)})
    weight = _per_channel(w[_first_name(layer)])
    return _after([_convolve(layer, sizes, weight, w.get("bias", np.zeros(out)), inputs)], view)


def separable(layer: Layer, view: View) -> Built:
    """Convolve each channel without bias, then mix with a convolution of size 1."""
    inputs, sizes = _spatial(layer, view)
    kernel, *_ = _window(layer, sizes)
    many, filters, ones = (
        int(layer.config["depth_multiplier"]),
        int(layer.config["filters"]),
        (1,) * len(sizes),
    )
    w = take(
        layer,
        {
            "depthwise_kernel": (*kernel, inputs, many),
            "pointwise_kernel": (*ones, inputs * many, filters),
            **_bias(layer, filters),
        },
    )
    spread = _convolve(layer, sizes, _per_channel(w["depthwise_kernel"]), np.zeros(inputs * many), inputs)
    weight = w["pointwise_kernel"].transpose((len(sizes) + 1, len(sizes), *range(len(sizes))))
    mix = recipes.conv(weight, w.get("bias", np.zeros(filters)), ones, [(0, 0)] * len(sizes), ones, 1)
    return _after([("depthwise", spread[1]), ("", mix)], view)


def transposed(layer: Layer, view: View) -> Built:
    """Kernel (*size, O, I) in Keras; the result is as long as a convolution with that padding would need."""
    inputs, sizes = _spatial(layer, view)
    filters, count = int(layer.config["filters"]), len(sizes)
    kernel, stride, dilation = _window(layer, sizes)
    w = take(layer, {"kernel": (*kernel, filters, inputs), **_bias(layer, filters)})
    more = layer.config.get("output_padding")
    longer = (
        [None] * count
        if more is None
        else [int(v) for v in (more if isinstance(more, list) else [more] * count)]
    )
    pads, extra = [], []
    for n, k, s, d, add in zip(sizes, kernel, stride, dilation, longer, strict=True):
        extent = d * (k - 1) + 1
        length = _transposed_length(n, extent, s, add, layer.config["padding"])
        ahead = pads_of(layer.config["padding"], (length,), (k,), (s,), (d,))[0][0]
        behind = (n - 1) * s + extent - ahead - length
        pads.append((ahead, max(behind, 0)))
        extra.append(max(-behind, 0))
    steps = recipes.transposed(
        w["kernel"].transpose((count + 1, count, *range(count))), w.get("bias", np.zeros(filters)),
        stride=stride, pads=pads, output_padding=tuple(extra), dilation=dilation, groups=1,
    )  # fmt: skip
    return _after(steps, view)


def _transposed_length(n: int, extent: int, stride: int, add: int | None, padding: str) -> int:
    if add is None:
        return n * stride + (max(extent - stride, 0) if padding == "valid" else 0)
    return (n - 1) * stride + extent - (0 if padding == "valid" else 2 * (extent // 2)) + add


def _window(layer: Layer, sizes: Shape) -> tuple[Shape, Shape, Shape]:
    """Return kernel size, strides and dilation."""
    c, count = layer.config, len(sizes)
    kernel, stride = several(c["kernel_size"], count), several(c.get("strides", 1), count)
    return kernel, stride, several(c.get("dilation_rate", 1), count)


def _convolve(layer: Layer, sizes: Shape, weight: Floats, bias: Floats, groups: int) -> Step:
    kernel, stride, dilation = _window(layer, sizes)
    pads = pads_of(layer.config["padding"], sizes, kernel, stride, dilation)
    return "", recipes.conv(weight, bias, stride, pads, dilation, groups)


def _per_channel(kernel: Floats) -> Floats:
    """Bring (*size, I, M) to (I * M, 1, *size)."""
    *size, inputs, many = kernel.shape
    return np.moveaxis(kernel, (-2, -1), (0, 1)).reshape(inputs * many, 1, *size)


def _first_name(layer: Layer) -> str:
    """Keras 2 calls it `depthwise_kernel`, Keras 3 `kernel`."""
    return layer.weights[0][0] or "kernel" if layer.weights else "kernel"


def batch_norm(layer: Layer, view: View) -> Built:
    """Use the moving mean and variance, not the batch's."""
    size = (view.ours[0],)
    scale = {"gamma": size} if layer.config.get("scale", True) else {}
    centre = {"beta": size} if layer.config.get("center", True) else {}
    w = take(layer, {**scale, **centre, "moving_mean": size, "moving_variance": size})
    gamma, beta = w.get("gamma", np.ones(size)), w.get("beta", np.zeros(size))
    epsilon = float(layer.config["epsilon"])
    if (w["moving_variance"] + epsilon <= 0).any():
        raise LoadError(f"{layer.place}: moving_variance is negative")
    return [("", ops.BatchNorm(gamma, beta, w["moving_mean"], w["moving_variance"], epsilon))], view


# --- pooling ----------------------------------------------------------------------------------------------


def pooling(layer: Layer, view: View) -> Built:
    """Average or maximum over windows; padding is neither counted nor ever the largest."""
    _, sizes = _spatial(layer, view)
    count = len(sizes)
    pool = several(layer.config["pool_size"], count)
    stride = several(layer.config.get("strides") or pool, count)
    pads = pads_of(layer.config["padding"], sizes, pool, stride, (1,) * count)
    if layer.kind.startswith("Max"):
        return _after(recipes.largest(pool, stride, pads), view)
    return _after(recipes.averaged(view.ours, pool, stride, pads, count_pads=False), view)


def global_pooling(layer: Layer, view: View) -> Built:
    """One window over the whole map."""
    _spatial(layer, view)
    keep = bool(layer.config.get("keepdims"))
    whole = recipes.whole_maximum if "Max" in layer.kind else recipes.whole_average
    steps = whole(view.ours, keep=keep)
    return _after(steps, view) if keep else (steps, as_written(view.ours[:1]))


# --- the same values elsewhere ----------------------------------------------------------------------------


def flatten(layer: Layer, view: View) -> Built:
    """Merge all axes."""
    return [("", ops.Flatten())], as_written((math.prod(view.shape),))


def reshape(layer: Layer, view: View) -> Built:
    """Give the values another shape, one axis of which may be -1."""
    return reshaped(view, [int(n) for n in layer.config["target_shape"]])


def reshaped(view: View, target: list[int]) -> Built:
    """Give values in the user's order another shape, one axis of which may be -1."""
    if -1 in target:
        rest = math.prod(n for n in target if n != -1)
        target[target.index(-1)] = math.prod(view.shape) // max(rest, 1)
    op = ops.Reshape(tuple(target))
    op.out_shape(view.ours)
    return [("", op)], as_written(tuple(target))


def permute(layer: Layer, view: View) -> Built:
    """Call the axes by other numbers; the values stay where they are."""
    return permuted(view, tuple(int(d) - 1 for d in layer.config["dims"]))


def permuted(view: View, order: tuple[int, ...]) -> Built:
    """Return the view after the user's axes were permuted."""
    if sorted(order) != list(range(len(view.shape))):
        raise ValueError(f"axes {order} do not permute {view.shape}")
    shape = tuple(view.shape[a] for a in order)
    return [("", ops.Identity())], View(shape, tuple(order.index(a) for a in view.axes))


def zero_padding(layer: Layer, view: View) -> Built:
    """Zeros around the map."""
    _, sizes = _spatial(layer, view)
    return _after([("", ops.Pad(((0, 0), *pairs(layer.config["padding"], len(sizes)))))], view)


def cropping(layer: Layer, view: View) -> Built:
    """Leave off the rim of the map."""
    _, sizes = _spatial(layer, view)
    return _after([("", ops.Crop(((0, 0), *pairs(layer.config["cropping"], len(sizes)))))], view)


def upsampling(layer: Layer, view: View) -> Built:
    """Repeat every value."""
    inputs, sizes = _spatial(layer, view)
    return _after(recipes.upsampled(inputs, several(layer.config["size"], len(sizes))), view)


# --- elementwise ------------------------------------------------------------------------------------------


def nothing(layer: Layer, view: View) -> Built:
    """Do nothing: the layer acts in training only."""
    return [("", ops.Identity())], view


def relu(layer: Layer, view: View) -> Built:
    """Return ``max(x, 0)``, perhaps capped, perhaps with a slope below zero; Keras 2 calls it `alpha`."""
    slopes = (layer.config.get(key) for key in ("negative_slope", "alpha"))
    slope = float(next((s for s in slopes if s is not None), 0.3 if layer.kind == "LeakyReLU" else 0.0))
    cap = layer.config.get("max_value")
    cap = math.inf if cap is None else float(cap)
    if not cap > 0 or not math.isfinite(slope):
        raise ValueError(f"max_value {cap} and negative_slope {slope}")
    return [("", ops.ReLU(cap, np.array(slope)))], view


def relu6(layer: Layer, view: View) -> Built:
    """Return ``min(max(x, 0), 6)``."""
    return [("", ops.ReLU(6.0))], view


def leaky_relu(layer: Layer, view: View) -> Built:
    """Return ``max(x, 0.2 x)``, the function's own slope in both generations."""
    return [("", ops.ReLU(negative_slope=np.array(0.2)))], view


def prelu(layer: Layer, view: View) -> Built:
    """Slopes below zero per value, the same along `shared_axes`."""
    shared = [int(a) - 1 for a in layer.config.get("shared_axes") or ()]
    shape = tuple(1 if i in shared else n for i, n in enumerate(view.shape))
    return recipes.leaky(view.constant(take(layer, {"alpha": shape})["alpha"]), view.ours), view


def softmax(layer: Layer, view: View) -> Built:
    """Softmax over the user's last axis."""
    return [("", ops.Softmax())], view


def log_softmax(layer: Layer, view: View) -> Built:
    """Logarithm of the softmax over the user's last axis."""
    return [("", ops.Softmax(log=True))], view


def rescaling(layer: Layer, view: View) -> Built:
    """Return ``scale x + offset``."""
    scale, offset = view.constant(layer.config["scale"]), view.constant(layer.config.get("offset", 0.0))
    return [*recipes.scaled(scale, view.ours), *recipes.shifted(offset, view.ours)], view


def normalization(layer: Layer, view: View) -> Built:
    """Return ``(x - mean) / sqrt(variance)`` with what `adapt` found, or what the configuration says."""
    axis, kept = layer.config.get("axis", -1), []
    for a in [] if axis is None else axis if isinstance(axis, list) else [axis]:
        index = user_axis(a, view)
        if index is None:
            raise LoadError(f"{layer.place}: axis {axis} is not an axis of its input {view.shape}")
        kept.append(index)
    shape = tuple(view.shape[i] for i in sorted(kept))
    if layer.config.get("mean") is not None:
        mean, variance = (np.asarray(layer.config[key], np.float64) for key in ("mean", "variance"))
    else:
        w = take(
            layer, {"mean": shape, "variance": shape, **({"count": ()} if len(layer.weights) > 2 else {})}
        )
        mean, variance = w["mean"], w["variance"]
    full = tuple(n if i in kept else 1 for i, n in enumerate(view.shape))
    mean, variance = (v.reshape(full) if v.size == math.prod(full) else v for v in (mean, variance))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    steps = [
        *recipes.shifted(view.constant(-mean), view.ours),
        *recipes.scaled(view.constant(1 / deviation), view.ours),
    ]
    return steps, view
