"""Every operator of PyTorch that is known: which function takes it, what it becomes, or why it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neurodeploy.frontends.builder import Value
from neurodeploy.frontends.torch import elementwise, layers, moves
from neurodeploy.frontends.torch.calls import Call


@dataclass(frozen=True)
class Handler:
    """How operators are taken; names are PyTorch's (aten), and those with ``_`` at the end work in place.

    Parameters
    ----------
    names : tuple of str
    status : {"native", "rewritten", "dropped"}
    how : str
        Which ops they become.
    build : callable
        Appends the ops and returns the operator's output, or all its outputs.
    note : str
        What else a user should know.
    """

    names: tuple[str, ...]
    status: str
    how: str
    build: Callable[[Call], Value | list[Value]]
    note: str = ""


_CONSTANT = "a constant on one side, or values of one shape"
_FINAL = "over the last dimension, as the last operation only"
_BATCH = "the batch stays in front"
ROWS: tuple[Handler, ...] = (
    Handler(("conv1d", "conv2d"), "native", "Conv1d, Conv2d", layers.conv, "padding by zeros"),
    Handler(("convolution",), "native", "Conv1d, Conv2d", layers.convolution, "decomposed programs"),
    Handler(("conv_transpose1d", "conv_transpose2d"), "rewritten", "Stretch, Conv", layers.conv_transpose),
    Handler(("linear",), "native", "Affine", layers.linear),
    Handler(("matmul", "mm"), "native", "Affine", layers.matmul, "a constant matrix behind"),
    Handler(("addmm",), "native", "Affine", layers.addmm, "decomposed programs"),
    Handler(
        ("batch_norm", "_native_batch_norm_legit_no_training"), "rewritten", "BatchNorm", layers.batch_norm,
        "folded into a neighbour; in eval mode",
    ),
    Handler(("avg_pool1d", "avg_pool2d"), "native", "AvgPool2d", layers.average_pool),
    Handler(
        ("max_pool1d", "max_pool2d", "max_pool2d_with_indices"), "native", "MaxPool", layers.max_pool,
        "without dilation",
    ),
    Handler(
        ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d"), "native", "AvgPool2d",
        layers.adaptive_average, "to a whole fraction of the size",
    ),
    Handler(
        ("adaptive_max_pool1d", "adaptive_max_pool2d"), "native", "MaxPool", layers.adaptive_max,
        "to a whole fraction of the size",
    ),
    Handler(("mean",), "rewritten", "AvgPool2d", layers.mean, "over all dimensions but channels"),
    Handler(("amax",), "rewritten", "MaxPool", layers.maximum_over, "over all dimensions but channels"),
    Handler(
        ("upsample_nearest1d", "upsample_nearest2d"), "rewritten", "Stretch, Conv of ones", layers.upsample,
        "by whole factors",
    ),
    Handler(("relu",), "native", "ReLU", elementwise.relu),
    Handler(("relu6",), "native", "ReLU", elementwise.relu6),
    Handler(("leaky_relu",), "native", "ReLU", elementwise.leaky_relu),
    Handler(("prelu", "_prelu_kernel"), "native", "ReLU", elementwise.prelu),
    Handler(("clamp", "clamp_min", "clamp_max"), "rewritten", "ReLU between two shifts", elementwise.clamp),
    Handler(("hardtanh",), "rewritten", "ReLU between two shifts", elementwise.hardtanh),
    Handler(("hardsigmoid",), "rewritten", "Scale, shift, ReLU", elementwise.hardsigmoid),
    Handler(("threshold",), "native", "ReLU", elementwise.threshold, "threshold 0 and value 0"),
    Handler(
        ("softmax", "_softmax", "log_softmax", "_log_softmax"), "native", "Softmax", elementwise.softmax,
        _FINAL,
    ),
    Handler(("add",), "native", "a sum, or BatchNorm", elementwise.add, _CONSTANT),
    Handler(("sub",), "rewritten", "a sum and Scale, or BatchNorm", elementwise.subtract, _CONSTANT),
    Handler(("rsub",), "rewritten", "Scale, BatchNorm", elementwise.subtract_from),
    Handler(("mul",), "rewritten", "Scale", elementwise.multiply, "a constant on one side"),
    Handler(("div",), "rewritten", "Scale", elementwise.divide, "a constant divisor"),
    Handler(("neg",), "rewritten", "Scale", elementwise.negate),
    Handler(("abs",), "native", "ReLU", elementwise.absolute),
    Handler(("maximum",), "rewritten", "ReLU of the difference, and a sum", elementwise.maximum),
    Handler(("minimum",), "rewritten", "ReLU of the difference, and a sum", elementwise.minimum),
    Handler(("cat", "concat"), "rewritten", "Pad, summed", moves.cat),
    Handler(("pad", "constant_pad_nd"), "rewritten", "Pad, Crop", moves.pad, "with zeros"),
    Handler(("flatten",), "native", "Flatten", moves.flatten, _BATCH),
    Handler(("view", "reshape", "_unsafe_view"), "native", "Reshape", moves.reshape, _BATCH),
    Handler(("unflatten",), "rewritten", "Reshape", moves.unflatten),
    Handler(("squeeze",), "rewritten", "Reshape", moves.squeeze, "named dimensions"),
    Handler(("unsqueeze",), "rewritten", "Reshape", moves.unsqueeze),
    Handler(("permute",), "native", "Transpose", moves.permute, _BATCH),
    Handler(("transpose",), "native", "Transpose", moves.transpose, _BATCH),
    Handler(("slice",), "rewritten", "Crop", moves.slices, "without gaps"),
    Handler(("select",), "rewritten", "Crop", moves.select),
    Handler(("split", "split_with_sizes", "chunk"), "rewritten", "Crop", moves.split),
    Handler(
        ("dropout", "feature_dropout", "alpha_dropout"), "dropped", "nothing", elementwise.dropout,
        "in eval mode",
    ),
    Handler(("to", "_to_copy"), "dropped", "nothing", elementwise.cast, "between kinds of floats"),
    Handler(
        ("alias", "clone", "contiguous", "detach", "identity", "lift_fresh_copy"), "dropped", "nothing",
        elementwise.same,
    ),
)  # fmt: skip
HANDLERS: dict[str, Handler] = {name: row for row in ROWS for name in row.names}
"""Operators on values that depend on the samples."""

_PLAIN = "use relu, which a firing rate can follow"
_NORM = "use batch_norm, which folds into the weights"
_GATED = "its gates multiply, which rates do not"
REFUSED: dict[str, str] = {
    "elu": _PLAIN,
    "gelu": _PLAIN,
    "hardswish": _PLAIN,
    "mish": _PLAIN,
    "selu": _PLAIN,
    "sigmoid": _PLAIN,
    "silu": _PLAIN,
    "softplus": _PLAIN,
    "tanh": _PLAIN,
    "group_norm": _NORM,
    "instance_norm": _NORM,
    "layer_norm": _NORM,
    "gru": _GATED,
    "lstm": _GATED,
    "rnn_relu": "it runs over a sequence; use NIR for recurrent spiking networks",
    "rnn_tanh": "it runs over a sequence; use NIR for recurrent spiking networks",
    "bmm": "it multiplies two values; rates add, they do not multiply",
    "scaled_dot_product_attention": "it multiplies values; rates add, they do not multiply",
    "embedding": "samples are real numbers here, not indices",
    "upsample_bilinear2d": "use nearest, which repeats values",
}
"""Operators that are refused with advice; one in no table is refused without."""
