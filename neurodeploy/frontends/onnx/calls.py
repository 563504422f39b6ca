"""One operator as its handler sees it, and the graph as far as it has been read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from neurodeploy.frontends.builder import Builder, Value
from neurodeploy.frontends.onnx.constants import axes_of
from neurodeploy.frontends.onnx.model import Array
from neurodeploy.frontends.site import RefusedError, Site
from neurodeploy.frontends.steps import Floats, Steps
from neurodeploy.ir.ops import Op


@dataclass
class Draft:
    """The graph so far: what depends on the samples, and what does not."""

    opset: int
    builder: Builder = field(default_factory=Builder)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One operator of the file, with what its inputs are known to be.

    `inputs` holds a `Value`, a constant array, or None for an input that is left out. Shapes of values lack
    the batch axis, which ONNX counts as axis 0.
    """

    draft: Draft
    kind: str
    site: Site
    inputs: Sequence[Value | Array | None]
    attributes: Mapping[str, Any]
    outputs: int = 1

    def value(self, i: int = 0) -> Value:
        """Return an input that depends on the samples."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if not isinstance(found, Value):
            self.refuse(f"input {i} is a constant where samples are expected")
        return found

    def values(self) -> list[Value]:
        """Return all inputs, where each depends on the samples."""
        return [self.value(i) for i in range(len(self.inputs))]

    def is_value(self, i: int) -> bool:
        """Whether an input depends on the samples."""
        return i < len(self.inputs) and isinstance(self.inputs[i], Value)

    def constant(self, i: int, default: Array | None = None) -> Array:
        """Return an input that has to be a constant."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if found is None and default is not None:
            return default
        if not isinstance(found, np.ndarray):
            self.refuse(f"input {i} is not a constant of the file")
        return found

    def floats(self, i: int, default: Array | None = None) -> Floats:
        """Return a constant input as numbers to compute with."""
        return self.constant(i, default).astype(np.float64)

    def number(self, i: int, name: str, default: float) -> float:
        """Return one number, which is an attribute in older operators and an input in newer ones."""
        if name in self.attributes:
            return float(self.attributes[name])
        return float(self.constant(i, np.array(default)).reshape(-1)[0])

    def ints(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """Return an attribute that is a list of whole numbers."""
        return tuple(int(v) for v in self.attributes.get(name, default))

    def flag(self, name: str, default: int = 0) -> bool:
        """Return an attribute that is 0 or 1."""
        return bool(self.attributes.get(name, default))

    def axes(self) -> tuple[int, ...] | None:
        """Return the axes an operator works on, counted with the batch axis; None where it says none."""
        listed = axes_of([i if isinstance(i, np.ndarray) else None for i in self.inputs], self.attributes)
        if listed is None:
            return None
        return tuple(self.axis(a) for a in listed)

    def axis(self, axis: int, *, extra: int = 0) -> int:
        """Return one axis, counted from 0 with the batch axis."""
        rank = len(self.value().shape) + 1 + extra
        if not -rank <= axis < rank:
            self.refuse(f"axis {axis} is not one of {rank}")
        return axis % rank

    def refuse(self, why: str) -> NoReturn:
        """Give up on this operator, with a reason."""
        raise RefusedError(why)

    def add(self, op: Op, *sources: Value) -> Value:
        """Append a node for this operator."""
        return self.site.add(op, *sources)

    def chain(self, steps: Steps, source: Value | None = None) -> Value:
        """Append a chain of ops behind a value, the first input by default."""
        return self.site.chain(steps, source or self.value())
