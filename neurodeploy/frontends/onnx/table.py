"""Every operator that is known: which function takes it, what it becomes, or why it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neurodeploy.frontends.builder import Value
from neurodeploy.frontends.onnx import elementwise, layers, moves
from neurodeploy.frontends.onnx.calls import Call


@dataclass(frozen=True)
class Handler:
    """How an operator is taken.

    Parameters
    ----------
    status : {"native", "rewritten", "dropped"}
    how : str
        Which ops it becomes.
    build : callable
        Appends the ops and returns the operator's output, or all its outputs.
    note : str
        What else a user should know.
    """

    status: str
    how: str
    build: Callable[[Call], Value | list[Value]]
    note: str = ""


_CONSTANT = "a constant on one side, or values of one shape"
_FINAL = "over the last axis, as the last operation only"
HANDLERS: dict[str, Handler] = {
    "Add": Handler("native", "a sum, or BatchNorm", elementwise.add, _CONSTANT),
    "AveragePool": Handler(
        "native", "AvgPool2d", layers.average_pool, "uneven padding: Conv of ones and Scale"
    ),
    "BatchNormalization": Handler("rewritten", "BatchNorm", layers.batch_norm, "folded into a neighbour"),
    "Cast": Handler("dropped", "nothing", elementwise.cast, "between kinds of floats"),
    "Clip": Handler("rewritten", "ReLU between two shifts", elementwise.clip, "either bound may be missing"),
    "Concat": Handler("rewritten", "Pad, summed", moves.concat),
    "Conv": Handler("native", "Conv1d, Conv2d", layers.conv, "uneven padding becomes zeros in the kernel"),
    "ConvTranspose": Handler("rewritten", "Stretch, Conv", layers.conv_transpose),
    "Div": Handler("rewritten", "Scale", elementwise.divide, "a constant divisor"),
    "Dropout": Handler("dropped", "nothing", elementwise.dropout, "acts in training only"),
    "Flatten": Handler("native", "Flatten", moves.flatten),
    "Gather": Handler("rewritten", "Crop", moves.gather, "one index, or several in a row"),
    "Gemm": Handler("native", "Affine", layers.gemm),
    "GlobalAveragePool": Handler("native", "AvgPool2d", layers.global_average),
    "GlobalMaxPool": Handler("native", "MaxPool", layers.global_max),
    "HardSigmoid": Handler("rewritten", "Scale, shift, ReLU", elementwise.hard_sigmoid),
    "Identity": Handler("dropped", "nothing", elementwise.same),
    "LeakyRelu": Handler("native", "ReLU", elementwise.leaky_relu),
    "LogSoftmax": Handler("native", "Softmax", elementwise.softmax, _FINAL),
    "MatMul": Handler("native", "Affine", layers.matmul, "a constant matrix behind"),
    "Max": Handler("rewritten", "ReLU of the difference, and a sum", elementwise.maximum),
    "MaxPool": Handler("native", "MaxPool", layers.max_pool, "without dilation"),
    "Mean": Handler("rewritten", "a sum and Scale", elementwise.mean),
    "Min": Handler("rewritten", "ReLU of the difference, and a sum", elementwise.minimum),
    "Mul": Handler("rewritten", "Scale", elementwise.multiply, "a constant on one side"),
    "Neg": Handler("rewritten", "Scale", elementwise.negate),
    "PRelu": Handler("native", "ReLU", elementwise.prelu),
    "Pad": Handler("rewritten", "Pad, Crop", moves.pad, "with zeros"),
    "ReduceMax": Handler("rewritten", "MaxPool", layers.reduce_max, "over all axes but channels"),
    "ReduceMean": Handler("rewritten", "AvgPool2d", layers.reduce_mean, "over all axes but channels"),
    "Relu": Handler("native", "ReLU", elementwise.relu),
    "Reshape": Handler("native", "Reshape", moves.reshape, "the batch axis stays in front"),
    "Resize": Handler("rewritten", "Stretch, Conv of ones", layers.resize, "nearest, by whole factors"),
    "Slice": Handler("rewritten", "Crop", moves.slices, "without gaps"),
    "Softmax": Handler("native", "Softmax", elementwise.softmax, _FINAL),
    "Split": Handler("rewritten", "Crop", moves.split),
    "Squeeze": Handler("rewritten", "Reshape", moves.squeeze),
    "Sub": Handler("rewritten", "a sum and Scale, or BatchNorm", elementwise.subtract, _CONSTANT),
    "Sum": Handler("native", "a sum", elementwise.total, "values of one shape"),
    "Transpose": Handler("native", "Transpose", moves.transpose, "the batch axis stays in front"),
    "Unsqueeze": Handler("rewritten", "Reshape", moves.unsqueeze),
}
"""Operators on values that depend on the samples; on constants, those of `constants.py` are computed."""

_PLAIN = "use Relu, which a firing rate can follow"
_GATED = "its gates multiply, which rates do not"
_NORM = "use BatchNormalization, which folds into the weights"
REFUSED: dict[str, str] = {
    "Elu": _PLAIN,
    "Erf": _PLAIN,
    "Gelu": _PLAIN,
    "HardSwish": _PLAIN,
    "Sigmoid": _PLAIN,
    "Softplus": _PLAIN,
    "Tanh": _PLAIN,
    "ThresholdedRelu": _PLAIN,
    "InstanceNormalization": _NORM,
    "LayerNormalization": _NORM,
    "GRU": _GATED,
    "LSTM": _GATED,
    "RNN": "it runs over a sequence; export one step, or use NIR for recurrent spiking networks",
    "If": "the way through the network must not depend on the samples",
    "Loop": "the way through the network must not depend on the samples",
    "QuantizeLinear": "it is quantised already; export the model before quantisation",
    "DequantizeLinear": "it is quantised already; export the model before quantisation",
}
"""Operators that are refused with advice; one in no table is refused without."""
