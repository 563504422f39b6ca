"""Ops that NIR lacks. Conversion rewrites them, but for those that only move values, which may stay."""

from __future__ import annotations

# ruff: noqa: D102 - every `out_shape` keeps the contract of `Op.out_shape`
import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from neurodeploy.ir.ops.base import Array, Op, Shape, windows


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """Give the same values another shape (C order)."""

    shape: Shape
    linear: ClassVar[bool] = True
    nir: ClassVar[bool] = False
    moves: ClassVar[bool] = True

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
    moves: ClassVar[bool] = True

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
    moves: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != len(self.pads):
            raise ValueError(f"{len(self.pads)} pads do not fit shape {shape}")
        return tuple(n + before + after for n, (before, after) in zip(shape, self.pads, strict=True))


@dataclass(frozen=True, eq=False)
class Crop(Op):
    """Leave values off at the ends: one (before, after) pair per axis of the input."""

    crops: tuple[tuple[int, int], ...]
    linear: ClassVar[bool] = True
    nir: ClassVar[bool] = False
    moves: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != len(self.crops):
            raise ValueError(f"{len(self.crops)} crops do not fit shape {shape}")
        cut = tuple(n - before - after for n, (before, after) in zip(shape, self.crops, strict=True))
        if min(cut, default=1) < 1 or min(min(pair) for pair in self.crops) < 0:
            raise ValueError(f"crops {self.crops} do not fit shape {shape}")
        return cut


@dataclass(frozen=True, eq=False)
class Stretch(Op):
    """Put ``factor - 1`` zeros between neighbours: one factor per axis of the input.

    In front of a convolution it makes a transposed convolution, or upsampling.
    """

    factors: tuple[int, ...]
    linear: ClassVar[bool] = True
    nir: ClassVar[bool] = False
    moves: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != len(self.factors):
            raise ValueError(f"{len(self.factors)} factors do not fit shape {shape}")
        return tuple((n - 1) * factor + 1 for n, factor in zip(shape, self.factors, strict=True))


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
    """``max(x, 0)``, cut at `max_value`; below zero ``negative_slope * x``.

    Parameters
    ----------
    max_value : float
        Infinite where activations are not bounded.
    negative_slope : ndarray of float64
        Broadcasts to the input; zero for the plain form.
    """

    max_value: float = math.inf
    negative_slope: Array = field(default_factory=lambda: np.zeros(()))
    nir: ClassVar[bool] = False

    def out_shape(self, shape: Shape) -> Shape:
        if np.broadcast_shapes(shape, self.negative_slope.shape) != shape:
            raise ValueError(f"slopes of shape {self.negative_slope.shape} do not fit input of shape {shape}")
        return shape

    @property
    def is_plain(self) -> bool:
        """Whether it is ``max(x, 0)`` and nothing else."""
        return math.isinf(self.max_value) and not self.negative_slope.any()


@dataclass(frozen=True, eq=False)
class MaxPool(Op):
    """Largest value of each window over the trailing axes, as many as `kernel_size` has.

    `pads` are (before, after) per window axis and never win: they count as minus infinity.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    pads: tuple[tuple[int, int], ...] = ()
    nir: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "pads", self.pads or ((0, 0),) * len(self.kernel_size))

    def out_shape(self, shape: Shape) -> Shape:
        count = len(self.kernel_size)
        if len(shape) != count + 1 or len(self.stride) != count or len(self.pads) != count:
            raise ValueError(f"takes channels and {count} axes, gets shape {shape}")
        if any(max(pads) >= k for pads, k in zip(self.pads, self.kernel_size, strict=True)):
            raise ValueError(f"padding {self.pads} does not fit windows of {self.kernel_size}")
        padded = (n + before + after for n, (before, after) in zip(shape[1:], self.pads, strict=True))
        sizes = (
            windows(n, k, s, 0, 1) for n, k, s in zip(padded, self.kernel_size, self.stride, strict=True)
        )
        return (shape[0], *sizes)


@dataclass(frozen=True, eq=False)
class Softmax(Op):
    """Softmax over the last axis, or its logarithm; only at the end, where the decision stays the same."""

    log: bool = False
    nir: ClassVar[bool] = False
