"""What a learning rule is: a frozen description with one pure update; kernels and backends translate it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@runtime_checkable
class LearningRule(Protocol):
    """How weights change from what both ends of a synapse know.

    Attributes
    ----------
    name : str
        What the command line calls it.
    modifies : str
        What it changes, in words.
    equation : str
        The update, in one line.
    needs : tuple of str
        What has to be brought to the synapse from elsewhere, as an error.
    """

    name: ClassVar[str]
    modifies: ClassVar[str]
    equation: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]

    @property
    def update(self) -> Callable[..., Floats]:
        """The weights, shape (O, I), after one step, from those before, ``pre``, and what the rule needs."""
