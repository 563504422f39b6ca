"""One handler per Keras layer, in one table.

A handler is a pure function from the layer and the `View` of its input to ops of ours. To take one more
layer: write its function, add its line to `HANDLERS`, test it against Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurodeploy.errors import LoadError
from neurodeploy.frontends.keras.geometry import (
    Floats,
    View,
    any_order,
    as_written,
    channels,
    conv,
    flat_order,
    inside,
    last_first,
    normalised,
    pads_of,
    several,
    user_order,
)
from neurodeploy.frontends.keras.source import Layer
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op, Shape

Step = tuple[str, Op]
"""Suffix of the node's name ("" for the layer's main op) and the op."""
Built = tuple[list[Step], View]
Build = Callable[[Layer, View], Built]


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


def dense(layer: Layer, view: View) -> Built:
    """Weights on the user's last axis: on vectors an affine op, elsewhere a convolution of size 1."""
    units, inputs, rest = int(layer.config["units"]), view.shape[-1], view.shape[:-1]
    w = take(layer, {"kernel": (inputs, units), **_bias(layer, units)})
    weight, bias = w["kernel"].T, w.get("bias", np.zeros(units))
    result = View((*rest, units), view.axes)
    if not rest:
        return [("", ops.Affine(weight, bias))], result
    count = len(rest) if len(rest) < 3 else 1
    main: Step = (
        "",
        conv(weight[(..., *(None,) * count)], bias, (1,) * count, [(0, 0)] * count, (1,) * count, 1),
    )
    if len(rest) == count:
        return [main], result
    flat, back = ops.Reshape((inputs, math.prod(rest))), ops.Reshape(result.ours)
    return [("merge", flat), main, ("split", back)], result


def convolution(layer: Layer, view: View) -> Built:
    """Kernel (*size, I/groups, O) in Keras, (O, I/groups, *size) here."""
    c = layer.config
    inputs, *sizes = view.ours
    count = 1 if layer.kind == "Conv1D" else 2
    if len(sizes) != count:
        raise LoadError(f"{layer.place}: takes {count + 1} axes, gets {view.shape}")
    kernel, stride = several(c["kernel_size"], count), several(c["strides"], count)
    dilation, groups = several(c.get("dilation_rate", 1), count), int(c.get("groups", 1))
    filters = int(c["filters"])
    w = take(layer, {"kernel": (*kernel, inputs // groups, filters), **_bias(layer, filters)})
    weight = w["kernel"].transpose((count + 1, count, *range(count)))
    pads = pads_of(c["padding"], tuple(sizes), kernel, stride, dilation)
    op = conv(weight, w.get("bias", np.zeros(filters)), stride, pads, dilation, groups)
    return [("", op)], view.after(op.out_shape(view.ours))


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


def average_pooling(layer: Layer, view: View) -> Built:
    """Average over windows; with 'same' padding over the values that lie inside."""
    size, *sizes = view.ours
    count = 1 if layer.kind.endswith("1D") else 2
    pool = several(layer.config["pool_size"], count)
    stride = several(layer.config.get("strides") or pool, count)
    if len(sizes) != count:
        raise LoadError(f"{layer.place}: takes {count + 1} axes, gets {view.shape}")
    pads = pads_of(layer.config["padding"], tuple(sizes), pool, stride, (1,) * count)
    if np.any(pads):
        ones = conv(np.ones((size, 1, *pool)), np.zeros(size), stride, pads, (1,) * count, size)
        counts = inside(tuple(sizes), pool, stride, pads)
        share = ops.Scale(np.broadcast_to(1 / counts, (size, *counts.shape)))
        return [("", ones), ("share", share)], view.after(share.scale.shape)
    op: Op = ops.AvgPool2d(ops.pair(pool), ops.pair(stride))
    if count == 1:
        op = conv(np.full((size, 1, *pool), 1 / pool[0]), np.zeros(size), stride, pads, (1,), size)
    return [("", op)], view.after(op.out_shape(view.ours))


def global_average(layer: Layer, view: View) -> Built:
    """One window over the whole map."""
    size, *sizes = view.ours
    count = 1 if layer.kind.endswith("1D") else 2
    if len(sizes) != count:
        raise LoadError(f"{layer.place}: takes {count + 1} axes, gets {view.shape}")
    whole = tuple(sizes)
    op: Op = ops.AvgPool2d(ops.pair(whole), ops.pair(whole))
    if count == 1:
        op = conv(np.full((size, 1, *whole), 1 / whole[0]), np.zeros(size), whole, [(0, 0)], (1,), size)
    if layer.config.get("keepdims"):
        return [("", op)], view.after((size, *(1,) * count))
    return [("", op), ("flatten", ops.Flatten())], as_written((size,))


def flatten(layer: Layer, view: View) -> Built:
    """Merge all axes."""
    return [("", ops.Flatten())], as_written((math.prod(view.shape),))


def reshape(layer: Layer, view: View) -> Built:
    """Give the values another shape, one axis of which may be -1."""
    target = [int(n) for n in layer.config["target_shape"]]
    if -1 in target:
        rest = math.prod(n for n in target if n != -1)
        target[target.index(-1)] = math.prod(view.shape) // max(rest, 1)
    op = ops.Reshape(tuple(target))
    op.out_shape(view.ours)
    return [("", op)], as_written(tuple(target))


def zero_padding(layer: Layer, view: View) -> Built:
    """Zeros around the map: one number, one per axis, or two per axis."""
    count = 1 if layer.kind.endswith("1D") else 2
    padding = layer.config["padding"]
    if count == 1 and not isinstance(padding, int):
        padding = [padding]
    each = padding if isinstance(padding, list | tuple) else [padding] * count
    pairs = [(int(p), int(p)) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in each]
    if np.min(pairs) < 0:
        raise ValueError(f"padding {padding} is negative")
    op = ops.Pad(((0, 0), *pairs))
    return [("", op)], view.after(op.out_shape(view.ours))


def nothing(layer: Layer, view: View) -> Built:
    """Do nothing: the layer acts in training only."""
    return [("", ops.Identity())], view


def relu(layer: Layer, view: View) -> Built:
    """Return ``max(x, 0)``."""
    return [("", ops.ReLU())], view


def softmax(layer: Layer, view: View) -> Built:
    """Softmax over the user's last axis."""
    return [("", ops.Softmax())], view


def _bias(layer: Layer, size: int) -> dict[str, Shape]:
    return {"bias": (size,)} if layer.config.get("use_bias", True) else {}


# --- the table --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Handler:
    """How a layer is taken.

    Parameters
    ----------
    status : {"native", "rewritten", "dropped"}
        One op of ours, several or others, or nothing at inference.
    how : str
        Which ops it becomes.
    build : callable
        The layer's ops and the view of its result.
    layout : callable
        The order of axes that `build` wants.
    only : mapping of str to tuple
        Parameters with few values taken; others are refused by name.
    note : str
        What else a user should know.
    """

    status: str
    how: str
    build: Build
    layout: Callable[[Layer, View], tuple[int, ...]] = any_order
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    note: str = ""


SAME_OR_VALID = {"padding": ("valid", "same")}
PLAIN_RELU = {"max_value": (None,), "negative_slope": (0, None), "threshold": (0, None)}
FINAL = "as the last operation only"
DROPPED = Handler("dropped", "nothing", nothing, note="acts in training only")
NORM = Handler(
    "rewritten", "BatchNorm", batch_norm, normalised, note="folded into the layer before or after it"
)

HANDLERS: dict[str, Handler] = {
    "Dense": Handler("native", "Affine; on maps Conv1d, Conv2d of size 1", dense, last_first),
    "Conv1D": Handler(
        "native", "Conv1d", convolution, channels, {"padding": ("valid", "same", "causal")},
        "strides, dilation, groups; uneven padding becomes zeros in the kernel",
    ),
    "Conv2D": Handler(
        "native", "Conv2d", convolution, channels, SAME_OR_VALID,
        "strides, dilation, groups; uneven padding becomes zeros in the kernel",
    ),
    "BatchNormalization": NORM,
    "BatchNormalizationV1": NORM,
    "BatchNormalizationV2": NORM,
    "SyncBatchNormalization": NORM,
    "ReLU": Handler("native", "ReLU", relu, only=PLAIN_RELU),
    "Activation": Handler("native", "ReLU, Softmax or nothing", nothing, note="relu, linear, final softmax"),
    "Softmax": Handler("native", "Softmax", softmax, user_order, {"axis": (-1,)}, FINAL),
    "AveragePooling1D": Handler("rewritten", "Conv1d per channel", average_pooling, channels, SAME_OR_VALID),
    "AveragePooling2D": Handler(
        "native", "AvgPool2d", average_pooling, channels, SAME_OR_VALID,
        "where 'same' pads: Conv2d of ones per channel and Scale",
    ),
    "GlobalAveragePooling1D": Handler("rewritten", "Conv1d per channel, Flatten", global_average, channels),
    "GlobalAveragePooling2D": Handler("rewritten", "AvgPool2d, Flatten", global_average, channels),
    "Flatten": Handler("native", "Flatten", flatten, flat_order, note="a Transpose keeps Keras' order"),
    "Reshape": Handler("native", "Reshape", reshape, user_order),
    "ZeroPadding1D": Handler("rewritten", "Pad", zero_padding, channels, note="folded into the next layer"),
    "ZeroPadding2D": Handler("rewritten", "Pad", zero_padding, channels, note="folded into the next layer"),
    "Identity": Handler("dropped", "nothing", nothing),
    "Dropout": DROPPED,
    "SpatialDropout1D": DROPPED,
    "SpatialDropout2D": DROPPED,
    "AlphaDropout": DROPPED,
    "GaussianDropout": DROPPED,
    "GaussianNoise": DROPPED,
    "ActivityRegularization": DROPPED,
}  # fmt: skip
"""Every layer that is taken; `InputLayer` is where the graph starts."""

_AVERAGE = "use AveragePooling or strides, which spikes can add up"
_PLAIN = "use ReLU, which a firing rate can follow"
_RECURRENT = "recurrent layers of Keras have no spiking form here"
_BRANCH = "models with branches are not taken; build one chain of layers"
_WIDE = "use Conv2D"
_NORM = "use BatchNormalization, which folds into the weights"
REFUSED: dict[str, str] = {
    "Lambda": "it holds Python code, which is never run; use a layer in its place",
    "MaxPooling1D": _AVERAGE,
    "MaxPooling2D": _AVERAGE,
    "GlobalMaxPooling1D": _AVERAGE,
    "GlobalMaxPooling2D": _AVERAGE,
    "LeakyReLU": _PLAIN,
    "PReLU": _PLAIN,
    "ELU": _PLAIN,
    "DepthwiseConv1D": "use Conv1D with groups",
    "DepthwiseConv2D": "use Conv2D with groups",
    "SeparableConv1D": _WIDE.replace("2", "1"),
    "SeparableConv2D": _WIDE,
    "Conv2DTranspose": _WIDE,
    "UpSampling2D": _WIDE,
    "LayerNormalization": _NORM,
    "GroupNormalization": _NORM,
    "Add": _BRANCH,
    "Concatenate": _BRANCH,
    "Multiply": _BRANCH,
    "SimpleRNN": _RECURRENT,
    "GRU": _RECURRENT,
    "LSTM": _RECURRENT,
    "Bidirectional": _RECURRENT,
    "Sequential": "a model inside a model; put its layers into the outer one",
    "Functional": "a model inside a model; put its layers into the outer one",
    "Rescaling": "scale the data instead (option --divide-by)",
    "Embedding": "samples are real numbers here, not indices",
}
"""Layers that are refused with advice; a layer in neither table is refused without."""
ACTIVATIONS: dict[str, Build] = {"linear": nothing, "relu": relu, "softmax": softmax}
