"""What the samples of a LoihiSimulator take from nodes, and the data they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.host import Host
from neurodeploy.errors import OptionError


def of_samples(node: Any, x: npt.ArrayLike, size: int, steps: int) -> npt.NDArray[Any]:
    """Return what a node puts out in every sample, shape (n_samples, steps, size).

    Raises
    ------
    OptionError
        If the array is of another shape, or holds what is no finite number.
    """
    try:
        values = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"data of {node} are not numbers: {error}") from error
    if not np.isfinite(values).all():
        raise OptionError(f"data of {node} hold NaN or infinity; give finite numbers")
    if values.ndim == 2:
        values = np.broadcast_to(values[:, None], (len(values), steps, values.shape[1]))
    if values.shape != (size, steps, node.size_out):
        raise OptionError(
            f"data of {node} has shape {np.shape(x)}; it takes ({size}, {steps}, {node.size_out}) "
            f"or ({size}, {node.size_out})"
        )
    return values


class SampleData(Mapping[Any, npt.NDArray[Any]]):
    """Data of all samples, by probe: shape (n_samples, T, size); of other objects what was built for them."""

    def __init__(self, hosts: list[Host], built: Mapping[Any, Any]) -> None:
        self._hosts, self._built = hosts, built

    def __getitem__(self, key: Any) -> Any:
        if key not in self._probes:
            return self._built[key]
        return np.stack([host.data_of(key) for host in self._hosts])

    def reset(self) -> None:
        """Do nothing: no arrays are kept here."""

    @property
    def _probes(self) -> list[Any]:
        return [*self._hosts[0].outputs, *self._hosts[0].probes]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._probes)

    def __len__(self) -> int:
        return len(self._probes)
