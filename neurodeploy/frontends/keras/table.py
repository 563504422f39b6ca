"""Every layer that is known: which function takes it and with which limits, or why it is refused.

To take one more layer: write its function in `layers.py`, add its line here, test it against Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurodeploy.frontends.keras import joins, layers, lmu, recurrent
from neurodeploy.frontends.keras.geometry import (
    View,
    any_order,
    channels,
    flat_order,
    last_first,
    normalised,
    user_order,
)
from neurodeploy.frontends.keras.source import Layer

Build = Callable[[Layer, View], layers.Built]


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


@dataclass(frozen=True)
class Joint:
    """How a layer that joins branches is taken; fields as in `Handler`."""

    status: str
    how: str
    join: joins.Join
    note: str = "tensors of one shape"


SAME_OR_VALID = {"padding": ("valid", "same")}
FINAL = "as the last operation only"
DROPPED = Handler("dropped", "nothing", layers.nothing, note="acts in training only")
NORM = Handler(
    "rewritten", "BatchNorm", layers.batch_norm, normalised, note="folded into the layer before or after it"
)
_WINDOWS = "strides, dilation, groups; uneven padding becomes zeros in the kernel"
_TRANSPOSED = Handler(
    "rewritten",
    "Stretch, Conv",
    layers.transposed,
    channels,
    SAME_OR_VALID,
    "strides, dilation, output_padding",
)

HANDLERS: dict[str, Handler] = {
    "Dense": Handler("native", "Affine; on maps Conv1d, Conv2d of size 1", layers.dense, last_first),
    "Conv1D": Handler(
        "native", "Conv1d", layers.convolution, channels, {"padding": ("valid", "same", "causal")}, _WINDOWS
    ),
    "Conv2D": Handler("native", "Conv2d", layers.convolution, channels, SAME_OR_VALID, _WINDOWS),
    "DepthwiseConv1D": Handler("native", "Conv1d", layers.depthwise, channels, SAME_OR_VALID),
    "DepthwiseConv2D": Handler("native", "Conv2d", layers.depthwise, channels, SAME_OR_VALID),
    "SeparableConv1D": Handler(
        "rewritten", "two Conv1d", layers.separable, channels, {"padding": ("valid", "same", "causal")}
    ),
    "SeparableConv2D": Handler("rewritten", "two Conv2d", layers.separable, channels, SAME_OR_VALID),
    "Conv1DTranspose": _TRANSPOSED,
    "Conv2DTranspose": _TRANSPOSED,
    "BatchNormalization": NORM,
    "BatchNormalizationV1": NORM,
    "BatchNormalizationV2": NORM,
    "SyncBatchNormalization": NORM,
    "ReLU": Handler(
        "native", "ReLU", layers.relu, only={"threshold": (0, None)}, note="max_value, negative_slope"
    ),
    "LeakyReLU": Handler("native", "ReLU", layers.relu),
    "PReLU": Handler("native", "ReLU", layers.prelu),
    "Activation": Handler(
        "native", "ReLU, Softmax or nothing", layers.nothing,
        note="relu, relu6, leaky_relu, linear, final softmax or log_softmax",
    ),
    "Softmax": Handler("native", "Softmax", layers.softmax, user_order, {"axis": (-1,)}, FINAL),
    "AveragePooling1D": Handler(
        "rewritten", "Conv1d per channel", layers.pooling, channels, SAME_OR_VALID
    ),
    "AveragePooling2D": Handler(
        "native", "AvgPool2d", layers.pooling, channels, SAME_OR_VALID,
        "where 'same' pads: Conv2d of ones per channel and Scale",
    ),
    "MaxPooling1D": Handler("native", "MaxPool", layers.pooling, channels, SAME_OR_VALID),
    "MaxPooling2D": Handler("native", "MaxPool", layers.pooling, channels, SAME_OR_VALID),
    "GlobalAveragePooling1D": Handler(
        "rewritten", "Conv1d per channel, Flatten", layers.global_pooling, channels
    ),
    "GlobalAveragePooling2D": Handler("rewritten", "AvgPool2d, Flatten", layers.global_pooling, channels),
    "GlobalMaxPooling1D": Handler("rewritten", "MaxPool, Flatten", layers.global_pooling, channels),
    "GlobalMaxPooling2D": Handler("rewritten", "MaxPool, Flatten", layers.global_pooling, channels),
    "Flatten": Handler("native", "Flatten", layers.flatten, flat_order, note="Keras' order by a Transpose"),
    "Reshape": Handler("native", "Reshape", layers.reshape, user_order),
    "Permute": Handler("rewritten", "the order of axes", layers.permute),
    "ZeroPadding1D": Handler(
        "rewritten", "Pad", layers.zero_padding, channels, note="folded into the next layer"
    ),
    "ZeroPadding2D": Handler(
        "rewritten", "Pad", layers.zero_padding, channels, note="folded into the next layer"
    ),
    "Cropping1D": Handler("native", "Crop", layers.cropping, channels),
    "Cropping2D": Handler("native", "Crop", layers.cropping, channels),
    "UpSampling1D": Handler("rewritten", "Stretch, Conv1d of ones", layers.upsampling, channels),
    "UpSampling2D": Handler(
        "rewritten", "Stretch, Conv2d of ones", layers.upsampling, channels, {"interpolation": ("nearest",)}
    ),
    "Rescaling": Handler("rewritten", "Scale, BatchNorm", layers.rescaling),
    "Normalization": Handler(
        "rewritten", "BatchNorm, Scale", layers.normalization, only={"invert": (False, None)}
    ),
    "Identity": Handler("dropped", "nothing", layers.nothing),
    "Dropout": DROPPED,
    "SpatialDropout1D": DROPPED,
    "SpatialDropout2D": DROPPED,
    "AlphaDropout": DROPPED,
    "GaussianDropout": DROPPED,
    "GaussianNoise": DROPPED,
    "ActivityRegularization": DROPPED,
}  # fmt: skip
"""Layers with one input; `InputLayer` is where the graph starts."""

JOINTS: dict[str, Joint] = {
    "Add": Joint("native", "a sum", joins.add),
    "Subtract": Joint("rewritten", "a sum and Scale", joins.subtract),
    "Average": Joint("rewritten", "a sum and Scale", joins.average),
    "Maximum": Joint("rewritten", "ReLU of the difference, and a sum", joins.maximum),
    "Minimum": Joint("rewritten", "ReLU of the difference, and a sum", joins.minimum),
    "Concatenate": Joint("rewritten", "Pad, summed", joins.concatenate, "any axis but the batch's"),
    "SimpleRNN": Joint(
        "rewritten", "Affine and ReLU, a copy of the cell per step", recurrent.simple_rnn,
        f"relu or linear, up to {recurrent.MAX_STEPS} steps",
    ),
    "LMU": Joint(
        "rewritten", "Affine over the past and ReLU, a copy of the hidden cell per step", lmu.lmu,
        "of keras-lmu; hidden cell SimpleRNNCell or Dense (relu or linear) or none; theta fixed; up to "
        f"{recurrent.MAX_STEPS} steps",
    ),
}  # fmt: skip
"""Layers that join branches, and those that run over sequences."""


def _function(build: Build, layout: Callable[[Layer, View], tuple[int, ...]] = any_order) -> Handler:
    return Handler("native", "", build, layout)


ACTIVATIONS: dict[str, Handler] = {
    "linear": _function(layers.nothing),
    "relu": _function(layers.relu),
    "relu6": _function(layers.relu6),
    "leaky_relu": _function(layers.leaky_relu),
    "softmax": _function(layers.softmax, user_order),
    "log_softmax": _function(layers.log_softmax, user_order),
}
"""Activations by the name of a function; the layers in `ACTIVATING` may stand in their place."""
ACTIVATING = ("ReLU", "LeakyReLU", "Softmax")

MODELS = ("Sequential", "Functional", "Model")
"""Models inside a model; their layers take their place, under names as ``inner/layer``."""

_PLAIN = "use ReLU, which a firing rate can follow"
_GATED = "its gates multiply, which rates do not; use SimpleRNN with relu"
_NORM = "use BatchNormalization, which folds into the weights"
_PRODUCT = "rates add, they do not multiply; multiply by constants only"
_VOLUME = "convolutions over one or two axes are taken"
REFUSED: dict[str, str] = {
    "Lambda": "it holds Python code, which is never run; use a layer in its place",
    "ELU": _PLAIN,
    "ThresholdedReLU": _PLAIN,
    "LayerNormalization": _NORM,
    "GroupNormalization": _NORM,
    "UnitNormalization": _NORM,
    "Multiply": _PRODUCT,
    "Dot": _PRODUCT,
    "Conv3D": _VOLUME,
    "MaxPooling3D": _VOLUME,
    "AveragePooling3D": _VOLUME,
    "GRU": _GATED,
    "LSTM": _GATED,
    "ConvLSTM2D": _GATED,
    "Bidirectional": "it reads a sequence from its end, which no chip has seen yet at that time",
    "MultiHeadAttention": _PRODUCT,
    "Embedding": "samples are real numbers here, not indices",
}
"""Layers that are refused with advice; a layer in no table is refused without."""
