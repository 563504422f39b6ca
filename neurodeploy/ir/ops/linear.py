"""Linear ops of NIR."""

from __future__ import annotations

# ruff: noqa: D102 - every `out_shape` keeps the contract of `Op.out_shape`
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurodeploy.ir.ops.base import Array, Op, Shape, check_channels, windows


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
        check_channels(shape, 2, self.weight.shape[1] * self.groups)
        return (
            self.weight.shape[0],
            windows(shape[1], self.weight.shape[2], self.stride, self.padding, self.dilation),
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
        check_channels(shape, 3, self.weight.shape[1] * self.groups)
        kernel = self.weight.shape[2:]
        sizes = (
            windows(shape[1 + i], kernel[i], self.stride[i], self.padding[i], self.dilation[i])
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
        check_channels(shape, 3, None)
        sizes = (
            windows(shape[1 + i], self.kernel_size[i], self.stride[i], self.padding[i], 1) for i in (0, 1)
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
