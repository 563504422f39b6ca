"""The op vocabulary: NIR's primitives under NIR's names, and the few ops that only rate networks have.

Each op is a frozen value that knows the shape it produces. Shapes carry no batch axis, images are channels-
first (C, H, W), weights are (O, I). Several edges into one op are summed, as in NIR.

Time: ops of NIR are continuous. One step lasts ``Graph.dt`` seconds and a spike is 1 for one step, so with
``r = 1/dt`` an `IF` adds its weighted input to the membrane at every step (`numerics.neurons` is normative).
"""

from neurodeploy.ir.ops.base import Array, Input, Op, Output, Shape, frozen, pair
from neurodeploy.ir.ops.linear import Affine, AvgPool2d, Conv1d, Conv2d, Flatten, Scale, SumPool2d
from neurodeploy.ir.ops.neurons import IF, LI, LIF, CubaLI, CubaLIF, Delay, I, Neuron
from neurodeploy.ir.ops.rate import (
    BatchNorm,
    Crop,
    Identity,
    MaxPool,
    Pad,
    ReLU,
    Reshape,
    Softmax,
    Stretch,
    Transpose,
)

__all__ = [
    "IF", "LI", "LIF", "NEURONS", "OPS", "Affine", "Array", "AvgPool2d", "BatchNorm", "Conv1d", "Conv2d",
    "Crop", "CubaLI", "CubaLIF", "Delay", "Flatten", "I", "Identity", "Input", "MaxPool", "Neuron", "Op",
    "Output", "Pad", "ReLU", "Reshape", "Scale", "Shape", "Softmax", "Stretch", "SumPool2d", "Transpose",
    "frozen", "pair",
]  # fmt: skip

NEURONS: tuple[type[Neuron], ...] = (IF, LIF, CubaLIF, I, LI, CubaLI)
OPS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        Input, Output, Affine, Conv1d, Conv2d, SumPool2d, AvgPool2d, Scale, Flatten, Reshape, Transpose, Pad,
        Crop, Stretch, BatchNorm, Identity, ReLU, MaxPool, Softmax, *NEURONS, Delay,
    )
}  # fmt: skip
"""Every op by name; the reader and writer of files, and the table of ops, are made from it."""
