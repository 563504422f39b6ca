"""What a learning rule is: a frozen description with one pure update; kernels and backends translate it."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class LearningRule(Protocol):
    """How weights change from what both ends of a synapse know.

    Attributes
    ----------
    name : str
        What the command line calls it.
    modifies : str
        What it changes: ``"weights of the last layer"``.
    equation : str
        The update, in one line.
    needs : tuple of str
        What has to be brought to the synapse from elsewhere, as an error.
    """

    name: ClassVar[str]
    modifies: ClassVar[str]
    equation: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]

    def update(self, weight: Floats, *, pre: Floats, **modulators: Any) -> Floats:
        """Return the weights, shape (O, I), after one step."""
