"""One operator of the user's network at work: what it appends, and the joins and parts that readers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurodeploy.frontends import steps as recipes
from neurodeploy.frontends.builder import Builder, Value
from neurodeploy.frontends.steps import Steps
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op, Shape


class RefusedError(Exception):
    """Why one operator is not taken; collected, so that all are named at once."""


@dataclass(frozen=True)
class Site:
    """Where an operator's nodes go, and under which name.

    Parameters
    ----------
    builder : Builder
    origin, layer : str
        The operator's name and kind in the user's model.
    """

    builder: Builder
    origin: str
    layer: str

    def add(self, op: Op, *sources: Value) -> Value:
        """Append a node that sums its sources."""
        try:
            return self.builder.add(op, *sources, origin=self.origin, layer=self.layer)
        except ValueError as error:
            raise RefusedError(str(error)) from error

    def chain(self, steps: Steps, value: Value) -> Value:
        """Append a chain of ops behind a value."""
        for _, op in steps or [("", ops.Identity())]:
            value = self.add(op, value)
        return value

    def to_shape(self, value: Value, shape: Shape) -> Value:
        """Give a value another shape."""
        if shape == value.shape:
            return self.add(ops.Identity(), value)
        return self.add(ops.Flatten() if len(shape) == 1 else ops.Reshape(shape), value)

    def minus(self, value: Value) -> Value:
        """Return ``-x``."""
        return self.chain(recipes.scaled(-1.0, value.shape), value)

    def total(self, values: Sequence[Value]) -> Value:
        """Sum values of one shape."""
        return self.add(ops.Identity(), *alike(values))

    def difference(self, first: Value, second: Value) -> Value:
        """Return the first less the second."""
        alike([first, second])
        return self.add(ops.Identity(), first, self.minus(second))

    def largest(self, values: Sequence[Value]) -> Value:
        """Return ``a + max(b - a, 0)``, value by value."""
        largest, *rest = alike(values)
        for other in rest:
            excess = self.add(ops.ReLU(), self.difference(other, largest))
            largest = self.add(ops.Identity(), largest, excess)
        return largest

    def smallest(self, values: Sequence[Value]) -> Value:
        """Return ``-max(-a, -b)``, value by value."""
        return self.minus(self.largest([self.minus(value) for value in values]))

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Put values side by side along an axis of the sample: zeros where the others are, and summed."""
        if len({v.shape[:axis] + v.shape[axis + 1 :] for v in values}) != 1:
            raise RefusedError(f"joins shapes {' and '.join(str(v.shape) for v in values)}")
        total, before, parts = sum(v.shape[axis] for v in values), 0, []
        for value in values:
            size = value.shape[axis]
            pads = ((before, total - before - size) if i == axis else (0, 0) for i in range(len(value.shape)))
            parts.append(self.add(ops.Pad(tuple(pads)), value))
            before += size
        return self.add(ops.Identity(), *parts)

    def part(self, value: Value, axis: int, start: int, end: int) -> Value:
        """Take a range of one axis of the sample."""
        cut = (start, value.shape[axis] - end)
        crops = tuple(cut if i == axis else (0, 0) for i in range(len(value.shape)))
        return self.add(ops.Crop(crops) if np.any(cut) else ops.Identity(), value)

    def picked(self, value: Value, axis: int, index: int) -> Value:
        """Take one index of an axis of the sample, which is gone then."""
        size = value.shape[axis]
        if not -size <= index < size:
            raise RefusedError(f"picks value {index} of {size}")
        part = self.part(value, axis, index % size, index % size + 1)
        return self.to_shape(part, value.shape[:axis] + value.shape[axis + 1 :])


def alike(values: Sequence[Value]) -> list[Value]:
    """Return values of one shape; refuse others."""
    shapes = list(dict.fromkeys(value.shape for value in values))
    if len(shapes) != 1:
        raise RefusedError(f"it joins shapes {' and '.join(map(str, shapes))}; equal ones are taken")
    return list(values)
