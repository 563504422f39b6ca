"""Where the values lie, and how windows move over them.

Keras keeps channels last by default, we keep them first. A `View` says which of the user's axes lies where,
so that a transposition appears only where the order matters (a flatten) and never between convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import LoadError
from neurodeploy.frontends.keras.source import Layer
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op, Shape
from neurodeploy.numerics.layers import conv2d

Floats = npt.NDArray[np.float64]
MAX_EXTENT = 4096
"""Longest window, so that a faulty file cannot ask for all memory."""
Pads = Sequence[tuple[int, int]]
"""Zeros (before, after) per spatial axis."""


@dataclass(frozen=True)
class View:
    """How the user's tensor lies in ours.

    Parameters
    ----------
    shape : tuple of int
        The user's shape, without the batch axis.
    axes : tuple of int
        Our axes in terms of the user's: ``ours = theirs.transpose(axes)``.
    """

    shape: Shape
    axes: tuple[int, ...]

    @property
    def ours(self) -> Shape:
        """Our shape."""
        return tuple(self.shape[a] for a in self.axes)

    def after(self, ours: Shape) -> View:
        """Return the view of a result that lies the same way."""
        shape = dict(zip(self.axes, ours, strict=True))
        return View(tuple(shape[i] for i in range(len(ours))), self.axes)


def as_written(shape: Shape) -> View:
    """View in which both orders agree."""
    return View(shape, tuple(range(len(shape))))


# --- layouts: which order a handler wants on entry --------------------------------------------------------


def any_order(layer: Layer, view: View) -> tuple[int, ...]:
    """Take the values as they lie."""
    return view.axes


def user_order(layer: Layer, view: View) -> tuple[int, ...]:
    """Take the values in the user's order."""
    return tuple(range(len(view.shape)))


def last_first(layer: Layer, view: View) -> tuple[int, ...]:
    """Take the user's last axis first."""
    rank = len(view.shape)
    return (rank - 1, *range(rank - 1))


def channels(layer: Layer, view: View) -> tuple[int, ...]:
    """Take the channel axis first, wherever `data_format` says it is."""
    order = layer.config.get("data_format") or "channels_last"
    if order not in ("channels_last", "channels_first"):
        raise LoadError(f"{layer.place}: data_format is {order!r}, neither channels_last nor channels_first")
    return user_order(layer, view) if order == "channels_first" else last_first(layer, view)


def normalised(layer: Layer, view: View) -> tuple[int, ...]:
    """Take the axis that is normalised first."""
    axis = layer.config["axis"]
    (axis,) = axis if isinstance(axis, list | tuple) else (axis,)
    axis = int(axis) - 1 if axis > 0 else len(view.shape) + int(axis)
    if axis not in range(len(view.shape)):
        raise LoadError(
            f"{layer.place}: axis {layer.config['axis']} is not an axis of its input {view.shape}"
        )
    return (axis, *(a for a in range(len(view.shape)) if a != axis))


def flat_order(layer: Layer, view: View) -> tuple[int, ...]:
    """Take the order in which Keras flattens: the user's, but channels last in any case."""
    rank = len(view.shape)
    if layer.config.get("data_format") == "channels_first" and rank > 1:
        return (*range(1, rank), 0)
    return tuple(range(rank))


# --- windows ----------------------------------------------------------------------------------------------


def several(value: Any, count: int) -> tuple[int, ...]:
    """Return one positive whole number per spatial axis."""
    values = tuple(int(v) for v in value) if isinstance(value, list | tuple) else (int(value),) * count
    if len(values) != count or min(values) < 1:
        raise ValueError(f"{value} is not {count} positive numbers")
    return values


def pads_of(padding: str, sizes: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Pads:
    """Return zeros (before, after) per spatial axis, as Keras places them."""
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if max(extents) > MAX_EXTENT:
        raise ValueError(f"a window spans {max(extents)} values; up to {MAX_EXTENT} are taken")
    if padding == "valid":
        return [(0, 0)] * len(sizes)
    if padding == "causal":
        return [(extent - 1, 0) for extent in extents]
    totals = [max((-(-n // s) - 1) * s + e - n, 0) for n, s, e in zip(sizes, stride, extents, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def even_pads(weight: Floats, pads: Pads, dilation: Shape) -> tuple[Floats, Shape, Shape]:
    """Grow a kernel with zeros so that equal padding on both sides gives the same result.

    Returns
    -------
    weight : ndarray, shape (O, I/groups, *kernel)
    padding, dilation : tuple of int
    """
    padding, steps = [], []
    for axis, ((before, after), step) in enumerate(zip(pads, dilation, strict=True), start=2):
        grow = abs(after - before)
        if grow % step:  # write the gaps out as zeros, so that any number of taps can be added
            wide = np.zeros(
                (*weight.shape[:axis], step * (weight.shape[axis] - 1) + 1, *weight.shape[axis + 1 :])
            )
            wide[(slice(None),) * axis + (slice(None, None, step),)] = weight
            weight, step = wide, 1
        taps = (grow // step, 0) if before < after else (0, grow // step)
        weight = np.pad(weight, [taps if a == axis else (0, 0) for a in range(weight.ndim)])
        padding.append(max(before, after))
        steps.append(step)
    return weight, tuple(padding), tuple(steps)


def conv(weight: Floats, bias: Floats, stride: Shape, pads: Pads, dilation: Shape, groups: int) -> Op:
    """Return a convolution over one or two axes; weight (O, I/groups, *kernel)."""
    weight, padding, dilation = even_pads(weight, pads, dilation)
    if len(stride) == 1:
        return ops.Conv1d(weight, bias, stride[0], padding[0], dilation[0], groups)
    return ops.Conv2d(weight, bias, ops.pair(stride), ops.pair(padding), ops.pair(dilation), groups)


def inside(sizes: Shape, pool: Shape, stride: Shape, pads: Pads) -> Floats:
    """Count the values inside each window, padding left out."""
    lift = (1,) * (2 - len(sizes))
    image = np.pad(np.ones(sizes), pads).reshape(
        1, 1, *lift, *(n + b + a for n, (b, a) in zip(sizes, pads, strict=True))
    )
    counts = conv2d(image, np.ones((1, 1, *lift, *pool)), stride=ops.pair((*lift, *stride)))[0, 0]
    return np.asarray(counts if not lift else counts[0])
