"""Where the values lie, and how windows move over them.

Keras keeps channels last by default, we keep them first. A `View` says which of the user's axes lies where,
so that a transposition appears only where the order matters (a flatten) and never between convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import LoadError
from neurodeploy.frontends.keras.source import Layer
from neurodeploy.frontends.steps import MAX_EXTENT, Floats, Pads, fitted, same_pads
from neurodeploy.ir.ops import Shape


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

    def moved(self, order: tuple[int, ...]) -> View:
        """Return the view of the same tensor after our axes were permuted."""
        return View(self.shape, tuple(self.axes[i] for i in order))

    def constant(self, value: npt.ArrayLike) -> Floats:
        """Bring a constant that broadcasts to the user's tensor into our layout."""
        return fitted(value, self.shape).transpose(self.axes)


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
    index = user_axis(axis, view)
    if index is None:
        raise LoadError(
            f"{layer.place}: axis {layer.config['axis']} is not an axis of its input {view.shape}"
        )
    return (index, *(a for a in range(len(view.shape)) if a != index))


def flat_order(layer: Layer, view: View) -> tuple[int, ...]:
    """Take the order in which Keras flattens: the user's, but channels last in any case."""
    rank = len(view.shape)
    if layer.config.get("data_format") == "channels_first" and rank > 1:
        return (*range(1, rank), 0)
    return tuple(range(rank))


def user_axis(axis: Any, view: View) -> int | None:
    """Return the user's axis that Keras counts from the batch axis in front; None if there is none."""
    index = int(axis) - 1 if axis > 0 else len(view.shape) + int(axis)
    return index if axis != 0 and index in range(len(view.shape)) else None


# --- windows ----------------------------------------------------------------------------------------------


def several(value: Any, count: int) -> tuple[int, ...]:
    """Return one positive whole number per spatial axis."""
    values = tuple(int(v) for v in value) if isinstance(value, list | tuple) else (int(value),) * count
    if len(values) != count or min(values) < 1:
        raise ValueError(f"{value} is not {count} positive numbers")
    return values


def pairs(value: Any, count: int) -> list[tuple[int, int]]:
    """Return (before, after) per spatial axis from one number, one per axis, or two per axis."""
    if count == 1 and not isinstance(value, int):
        value = [value]
    each = value if isinstance(value, list | tuple) else [value] * count
    found = [(int(p), int(p)) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in each]
    if len(found) != count or np.min(found) < 0:
        raise ValueError(f"{value} is not {count} pairs of numbers from 0 up")
    return found


def pads_of(padding: str, sizes: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Pads:
    """Return zeros (before, after) per spatial axis, as Keras places them."""
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if max(extents) > MAX_EXTENT:
        raise ValueError(f"a window spans {max(extents)} values; up to {MAX_EXTENT} are taken")
    if padding == "valid":
        return [(0, 0)] * len(sizes)
    if padding == "causal":
        return [(extent - 1, 0) for extent in extents]
    return same_pads(sizes, kernel, stride, dilation)
