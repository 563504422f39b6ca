"""What rules of two factors have in common: weights change by what both ends of a synapse do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.description import Rule

Floats = npt.NDArray[np.float64]


@runtime_checkable
class Hebbian(Protocol):
    """A rule of pre, post and weight, in floats and as a chip's engine runs it.

    Attributes
    ----------
    name, equation, reference : str
    """

    name: ClassVar[str]
    equation: ClassVar[str]
    reference: ClassVar[str]

    @property
    def change(self) -> Callable[..., Floats]:
        """What is added to weights, shape (O, I), for what the rule's equation names."""

    def chip(self, reward: Any = "r1") -> Rule:
        """Return what a learning engine runs."""
