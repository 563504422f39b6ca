"""The op vocabulary: NIR's primitives under NIR's names, and the few ops that only rate networks have.

Each op is a frozen value that knows the shape it produces. Shapes carry no batch axis, images are channels-
first (C, H, W), weights are (O, I). Several edges into one op are summed, as in NIR.

Time: ops of NIR are continuous. One step lasts ``Graph.dt`` seconds and a spike is 1 for one step, so with
``r = 1/dt`` an `IF` adds its weighted input to the membrane at every step (`numerics.neurons` is normative).
"""

from __future__ import annotations

# ruff: noqa: D102 - every `out_shape` keeps the contract of `Op.out_shape`
import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Shape = tuple[int, ...]


def frozen(values: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Return a read-only C-contiguous copy."""
    array = np.array(values, dtype=dtype, order="C")
    array.setflags(write=False)
    return array


def pair(value: int | tuple[int, ...] | npt.ArrayLike) -> tuple[int, int]:
    """Return one value for height and one for width."""
    values = np.atleast_1d(np.asarray(value)).astype(int).tolist()
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


@dataclass(frozen=True, eq=False)
class Op:
    """Base of all ops; every array field becomes read-only."""

    spiking: ClassVar[bool] = False
    """Whether the output is a train of spikes."""
    stateful: ClassVar[bool] = False
    """Whether the op keeps a membrane."""
    linear: ClassVar[bool] = False
    """Whether the output is linear (affine) in the input."""
    nir: ClassVar[bool] = True
    """Whether NIR has this primitive."""

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, spec.name, frozen(value))

    @property
    def kind(self) -> str:
        """Name of the op."""
        return type(self).__name__

    def out_shape(self, shape: Shape) -> Shape:
        """Shape of the output for an input of the given shape; ValueError if it does not fit."""
        return shape


# --- ends ---


@dataclass(frozen=True, eq=False)
class Input(Op):
    """Where samples enter.

    Parameters
    ----------
    shape : tuple of int
        Our shape, channels first.
    sample_shape : tuple of int
        Shape of one sample as the user's model takes it.
    axes : tuple of int
        Transposition from the user's axes to ours.
    """

    shape: Shape
    sample_shape: Shape = ()
    axes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "sample_shape", self.sample_shape or self.shape)
        object.__setattr__(self, "axes", self.axes or tuple(range(len(self.sample_shape))))

    def out_shape(self, shape: Shape) -> Shape:
        return self.shape


@dataclass(frozen=True, eq=False)
class Output(Op):
    """Where results leave."""

    shape: Shape
    linear: ClassVar[bool] = True


# --- linear ---


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """``W x + b`` over the last axis; weight (O, I), bias (O,)."""

    weight: Array
    bias: Array
    linear: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        if not shape or shape[-1] != self.weight.shape[1]:
            raise ValueError(f"takes {self.weight.shape[1]} values on the last axis, gets shape {shape}")
        return (*shape[:-1], self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class Conv1d(Op):
    """One-dimensional cross-correlation; weight (O, I/groups, K), bias (O,), input (I, N)."""

    weight: Array
    bias: Array
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    linear: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        _check_channels(shape, 2, self.weight.shape[1] * self.groups)
        return (
            self.weight.shape[0],
            _windows(shape[1], self.weight.shape[2], self.stride, self.padding, self.dilation),
        )


@dataclass(frozen=True, eq=False)
class Conv2d(Op):
    """Two-dimensional cross-correlation; weight (O, I/groups, KH, KW), bias (O,), input (I, H, W)."""

    weight: Array
    bias: Array
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    linear: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        _check_channels(shape, 3, self.weight.shape[1] * self.groups)
        kernel = self.weight.shape[2:]
        sizes = (
            _windows(shape[1 + i], kernel[i], self.stride[i], self.padding[i], self.dilation[i])
            for i in (0, 1)
        )
        return (self.weight.shape[0], *sizes)


@dataclass(frozen=True, eq=False)
class SumPool2d(Op):
    """Sum over windows of (H, W)."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    linear: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        _check_channels(shape, 3, None)
        sizes = (
            _windows(shape[1 + i], self.kernel_size[i], self.stride[i], self.padding[i], 1) for i in (0, 1)
        )
        return (shape[0], *sizes)


@dataclass(frozen=True, eq=False)
class AvgPool2d(SumPool2d):
    """Mean over windows of (H, W); padding counts as zeros (no padding is the common case)."""


@dataclass(frozen=True, eq=False)
class Scale(Op):
    """Elementwise product with an array that broadcasts to the input."""

    scale: Array
    linear: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        if np.broadcast_shapes(shape, self.scale.shape) != shape:
            raise ValueError(f"scale of shape {self.scale.shape} does not fit input of shape {shape}")
        return shape


@dataclass(frozen=True, eq=False)
class Flatten(Op):
    """Merge all axes into one (C order)."""

    linear: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


# --- only in rate graphs; conversion removes or rewrites them ---


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """Give the same values another shape (C order)."""

    shape: Shape
    linear: ClassVar[bool] = True
    nir: ClassVar[bool] = False

    def out_shape(self, shape: Shape) -> Shape:
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"cannot reshape {shape} to {self.shape}")
        return self.shape


@dataclass(frozen=True, eq=False)
class Transpose(Op):
    """Permute axes."""

    axes: tuple[int, ...]
    linear: ClassVar[bool] = True
    nir: ClassVar[bool] = False

    def out_shape(self, shape: Shape) -> Shape:
        if sorted(self.axes) != list(range(len(shape))):
            raise ValueError(f"axes {self.axes} do not permute shape {shape}")
        return tuple(shape[a] for a in self.axes)


@dataclass(frozen=True, eq=False)
class Pad(Op):
    """Zeros around the trailing axes: one (before, after) pair per axis of the input."""

    pads: tuple[tuple[int, int], ...]
    linear: ClassVar[bool] = True
    nir: ClassVar[bool] = False

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != len(self.pads):
            raise ValueError(f"{len(self.pads)} pads do not fit shape {shape}")
        return tuple(n + before + after for n, (before, after) in zip(shape, self.pads, strict=True))


@dataclass(frozen=True, eq=False)
class BatchNorm(Op):
    """``gamma (x - mean) / sqrt(variance + epsilon) + beta`` over one axis of our layout."""

    gamma: Array
    beta: Array
    mean: Array
    variance: Array
    epsilon: float = 1e-3
    axis: int = 0
    linear: ClassVar[bool] = True
    nir: ClassVar[bool] = False

    def out_shape(self, shape: Shape) -> Shape:
        if shape[self.axis] != len(self.gamma):
            raise ValueError(f"normalises {len(self.gamma)} channels, gets shape {shape}")
        return shape

    def scale_shift(self) -> tuple[Array, Array]:
        """Return the equivalent ``scale * x + shift``, each of shape (channels,)."""
        scale = self.gamma / np.sqrt(self.variance + self.epsilon)
        return scale, self.beta - self.mean * scale


@dataclass(frozen=True, eq=False)
class Identity(Op):
    """Does nothing at inference: dropout, linear activation, an empty layer."""

    linear: ClassVar[bool] = True
    nir: ClassVar[bool] = False


@dataclass(frozen=True, eq=False)
class ReLU(Op):
    """``max(x, 0)``."""

    nir: ClassVar[bool] = False


@dataclass(frozen=True, eq=False)
class Softmax(Op):
    """Softmax over the last axis; only at the end, where it does not change the decision."""

    nir: ClassVar[bool] = False


# --- neurons ---


@dataclass(frozen=True, eq=False)
class Neuron(Op):
    """Base of neurons: one membrane per value of the input; parameters broadcast to its shape."""

    stateful: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and np.broadcast_shapes(shape, value.shape) != shape:
                raise ValueError(f"{name} of shape {value.shape} does not fit input of shape {shape}")
        return shape


@dataclass(frozen=True, eq=False)
class IF(Neuron):
    """Integrate and fire: ``dv/dt = r I``; a spike where v exceeds `v_threshold`.

    `reset` says what follows a spike, which NIR leaves open: ``"zero"`` sets v to `v_reset`, ``"subtract"``
    takes `v_threshold` off. `refractory` counts the steps after a spike in which v is held at `v_reset`.
    """

    r: Array
    v_threshold: Array
    v_reset: Array = field(default_factory=lambda: np.zeros(()))
    reset: str = "zero"
    refractory: int = 0
    spiking: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class LIF(Neuron):
    """Leaky integrate and fire: ``tau dv/dt = v_leak - v + r I``."""

    tau: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array = field(default_factory=lambda: np.zeros(()))
    reset: str = "zero"
    refractory: int = 0
    spiking: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class CubaLIF(Neuron):
    """Current-based LIF: ``tau_syn du/dt = -u + w_in I``, ``tau_mem dv/dt = v_leak - v + r u``."""

    tau_syn: Array
    tau_mem: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    w_in: Array
    v_reset: Array = field(default_factory=lambda: np.zeros(()))
    reset: str = "zero"
    refractory: int = 0
    spiking: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class I(Neuron):  # noqa: E742 - NIR's name
    """Integrator without threshold: ``dv/dt = r I``; the output is v."""

    r: Array


@dataclass(frozen=True, eq=False)
class LI(Neuron):
    """Leaky integrator: ``tau dv/dt = v_leak - v + r I``; the output is v."""

    tau: Array
    r: Array
    v_leak: Array


NEURONS: tuple[type[Neuron], ...] = (IF, LIF, CubaLIF, I, LI)
OPS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        Input, Output, Affine, Conv1d, Conv2d, SumPool2d, AvgPool2d, Scale, Flatten, Reshape, Transpose, Pad,
        BatchNorm, Identity, ReLU, Softmax, *NEURONS,
    )
}  # fmt: skip
"""Every op by name; the reader and writer of files, and the table of ops, are made from it."""


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if count < 1:
        raise ValueError(f"a window of {kernel} does not fit {size} values with padding {padding}")
    return count


def _check_channels(shape: Shape, ndim: int, channels: int | None) -> None:
    if len(shape) != ndim:
        raise ValueError(f"takes {ndim} axes, gets shape {shape}")
    if channels is not None and shape[0] != channels:
        raise ValueError(f"takes {channels} channels, gets shape {shape}")
