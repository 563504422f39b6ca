"""What every op is: a frozen value that knows the shape it produces; and the two ends of a graph."""

from __future__ import annotations

# ruff: noqa: D102 - every `out_shape` keeps the contract of `Op.out_shape`
import dataclasses
from dataclasses import dataclass
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
    moves: ClassVar[bool] = False
    """Whether the op only says where values are, zeros between them included."""

    @property
    def may_lie_between_neurons(self) -> bool:
        """Whether a spiking graph may have the op: NIR's, and those that only move values."""
        return self.nir or self.moves

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


def windows(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Count the windows along one axis; ValueError if there are none."""
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if count < 1:
        raise ValueError(f"a window of {kernel} does not fit {size} values with padding {padding}")
    return count


def check_channels(shape: Shape, ndim: int, channels: int | None) -> None:
    """Raise ValueError unless a shape has that many axes and channels."""
    if len(shape) != ndim:
        raise ValueError(f"takes {ndim} axes, gets shape {shape}")
    if channels is not None and shape[0] != channels:
        raise ValueError(f"takes {channels} channels, gets shape {shape}")
