"""Run a learning circuit sample after sample, as on the chip: the compiled kernel behind a NumPy face."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import DataError
from neurodeploy.kernels.build import ONLINE_SOURCES, cached, once
from neurodeploy.kernels.online_tables import State, Tables

Longs = npt.NDArray[np.int64]


@once
def _kernel() -> Callable[..., None]:
    from neurodeploy.kernels.online_loops import run_samples

    return cached(run_samples, ONLINE_SOURCES)


def run(
    laid: Tables,
    state: State,
    x: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    order: npt.ArrayLike | None = None,
    learn: bool = True,
    phases: int | None = None,
) -> Longs:
    """Show samples one after the other, changing `state`.

    Parameters
    ----------
    laid : Tables
    state : State
    x : array_like of uint8, shape (B, I)
        Codes, of which 255 spikes at the source's whole rate.
    labels : array_like of int, shape (B,)
    order : array_like of int, optional
        Which samples, in which order; all as they come by default.
    learn : bool
        Whether learning engines run.
    phases : int, optional
        Of every sample; all by default.

    Returns
    -------
    ndarray of int64, shape (len(order), classes)
        Spikes of the read-out in the first phase.

    Raises
    ------
    DataError
        If samples do not fit the circuit.
    """
    codes, classes = np.ascontiguousarray(x, np.uint8), np.asarray(labels, np.int64)
    wanted = [int(p[1]) for p in laid.populations if p[4] == 1]
    if codes.ndim != 2 or [codes.shape[1]] != wanted[:1] or len(classes) != len(codes):
        raise DataError(
            f"samples are {codes.shape}, labels {classes.shape}; this circuit takes {wanted} inputs"
        )
    shown = np.arange(len(codes)) if order is None else np.asarray(order, np.int64)
    size = int(laid.populations[laid.readout, 1])
    most, products = int(laid.populations[:, 1].max()), max(int(laid.updates[:, 2].max(initial=1)), 1)
    found = np.zeros((len(shown), size), np.int32)
    _kernel()(
        *(getattr(laid, k) for k in Tables.__dataclass_fields__),
        *(getattr(state, k) for k in State.__dataclass_fields__),
        codes, classes, shown, len(laid.phases) if phases is None else phases, learn, found,
        np.zeros(len(state.v), np.int64), np.zeros(len(laid.populations), np.int64),
        np.zeros(products, np.int64), np.zeros((products, most), np.int64),
        np.zeros((products + 1, most), np.int64), np.zeros(most, np.int64), np.zeros(most, np.int64),
        np.zeros((2, len(state.v)), np.int64), np.zeros(len(state.traces), np.int32),
        np.zeros(len(laid.traces), np.int64), np.zeros(most, np.int16),
    )  # fmt: skip
    return found.astype(np.int64)
