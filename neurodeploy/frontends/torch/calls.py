"""One call of an exported program as its handler sees it, and the graph as far as it has been read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from neurodeploy.frontends.builder import Builder, Value
from neurodeploy.frontends.site import RefusedError, Site
from neurodeploy.frontends.steps import Floats, Steps
from neurodeploy.frontends.torch.archive import Array
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op

VIEWS = frozenset(
    [
        "alias", "chunk", "contiguous", "detach", "dropout", "expand", "flatten", "lift_fresh_copy", "narrow",
        "permute", "reshape", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "to",
        "transpose", "unflatten", "unsqueeze", "view", "view_as", "identity", "_unsafe_view",
    ]
)  # fmt: skip
"""Operators whose result may share its memory with their input."""


@dataclass
class Draft:
    """The graph so far.

    PyTorch has operators that change a tensor in place, so a name can come to stand for another value.
    `roots` says which tensor's memory a name looks at; names whose memory was changed under them are `stale`.
    """

    batch: int
    builder: Builder = field(default_factory=Builder)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)

    def name(self, name: str, value: Value, *, views: str = "") -> None:
        """Let a name stand for a value, which may look at another tensor's memory."""
        self.values[name] = value
        self.roots[name] = self.roots.get(views, name)

    def overwrite(self, name: str, value: Value) -> None:
        """Let everything that is this tensor be the new value from here on."""
        root, old = self.roots.get(name, name), self.values[name]
        for other in [n for n, r in self.roots.items() if r == root]:
            if self.values[other] == old:
                self.values[other] = value
            else:
                self.stale.add(other)


@dataclass(frozen=True)
class Call:
    """One operator with its arguments by name: values, constant arrays, numbers, lists.

    Dimensions count the batch axis as 0; shapes of values lack it.
    """

    draft: Draft
    kind: str
    site: Site
    arguments: Mapping[str, Any]

    def get(self, *names: str, default: Any = None) -> Any:
        """Return an argument by the first of its names that is given and not None."""
        return next((self.arguments[n] for n in names if self.arguments.get(n) is not None), default)

    def value(self, *names: str) -> Value:
        """Return an argument that depends on the samples, `self` or `input` by default."""
        found = self.get(*(names or ("self", "input")))
        if not isinstance(found, Value):
            self.refuse("a constant stands where samples are expected")
        return found

    def constant(self, name: str, default: Any = None) -> Floats:
        """Return an argument that has to be a constant tensor or number."""
        found = self.get(name, default=default)
        if isinstance(found, Value):
            self.refuse(f"'{name}' depends on the samples; a constant is taken")
        if found is None:
            self.refuse(f"lacks '{name}'")
        return np.asarray(found, np.float64)

    def ints(self, name: str, count: int, default: Sequence[int] | int | None = None) -> tuple[int, ...]:
        """Return whole numbers, one per spatial axis."""
        found = self.get(name)
        found = default if found is None or (isinstance(found, list) and not found) else found
        listed = [found] if isinstance(found, int) else list(found or ())
        if len(listed) == 1:
            listed = listed * count
        if len(listed) != count or any(not isinstance(v, int) for v in listed):
            self.refuse(f"{name} is {found}, not {count} numbers")
        return tuple(listed)

    def axis(self, dim: int, *, extra: int = 0) -> int:
        """Return a dimension as an axis of the sample; the batch is -1."""
        rank = len(self.value().shape) + 1 + extra
        if not -rank <= dim < rank:
            self.refuse(f"dimension {dim} is not one of {rank}")
        return dim % rank - 1

    def refuse(self, why: str) -> NoReturn:
        """Give up on this operator, with a reason."""
        raise RefusedError(why)

    def add(self, op: Op, *sources: Value) -> Value:
        """Append a node, behind the first argument by default."""
        return self.site.add(op, *(sources or (self.value(),)))

    def chain(self, steps: Steps, source: Value | None = None) -> Value:
        """Append a chain of ops, behind the first argument by default."""
        return self.site.chain(steps, source or self.value())

    def same(self) -> Value:
        """Pass the first argument on."""
        return self.add(ops.Identity())
