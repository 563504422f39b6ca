"""Assertions for authors of passes, rules and backends; our own tests use the same ones.

Each raises `AssertionError` with the first difference it finds, in the words of the value it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.base import Backend
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Program
from neurodeploy.recording import Recording, concatenate

__all__ = ["assert_backend_conforms", "assert_pass_is_pure", "assert_same_recording", "assert_same_spikes"]

Floats = npt.NDArray[np.float64]


class _Digested(Protocol):
    def digest(self) -> str: ...


Value = TypeVar("Value", bound=_Digested)


def assert_pass_is_pure(step: Callable[[Value], Value], value: Value) -> Value:
    """Check that a pass leaves its input alone and gives the same result twice.

    Parameters
    ----------
    step : callable
        From `Graph` to `Graph`, or from `Program` to `Program`.
    value : Graph or Program

    Returns
    -------
    Graph or Program
        What the pass made.
    """
    before = value.digest()
    first, second = step(value), step(value)
    assert value.digest() == before, f"{_name(step)} changed its input"
    assert first.digest() == second.digest(), f"{_name(step)} gives two results for one input"
    return first


def assert_same_spikes(one: Recording, other: Recording) -> None:
    """Check that two recordings hold the same spikes: counts, synaptic operations and rasters."""
    for group in ("spikes", "synops", "raster"):
        _assert_same_arrays(group, getattr(one, group), getattr(other, group))


def assert_same_recording(one: Recording, other: Recording) -> None:
    """Check that two recordings agree in all but their wall time, outputs to the last bit."""
    assert_same_spikes(one, other)
    for name in ("outputs", "decisions"):
        _assert_same_arrays("recording", {name: getattr(one, name)}, {name: getattr(other, name)})
    for name in ("backend", "target", "steps", "dt", "seed"):
        a, b = getattr(one, name), getattr(other, name)
        assert a == b, f"{name} is {a!r} and {b!r}"


def assert_backend_conforms(
    backend: Backend, model: Graph | Program, x: Floats, *, steps: int = 20, input_coding: str = "rate"
) -> Recording:
    """Check what every backend promises, on one model.

    A second opening gives the same to the last bit; other chunks give the same spikes and, up to the order of
    sums in floats, the same outputs; shapes are those that `Recording` documents; the last decision is the
    largest output; the raster is the first sample's spikes.

    Parameters
    ----------
    backend : Backend
    model : Graph or Program
        As `backend.takes` says.
    x : ndarray of float64, shape (B, *input shape)
        At least 3 samples, as `Graph.prepare` gives them.
    steps : int
    input_coding : {"rate", "poisson", "bias"}

    Returns
    -------
    Recording
        Of all samples in one call.
    """

    def opened(seed: int = 7) -> Callable[[Floats, int], Recording]:
        return backend.open(model, steps=steps, seed=seed, input_coding=input_coding, raster=True)

    graph = model.graph if isinstance(model, Program) else model
    whole = opened()(x, 0)
    _assert_shapes(whole, len(x), graph.size(graph.output.name), 1 if backend.name == "rate" else steps)
    session = opened()
    assert_same_recording(whole, opened()(x, 0))
    parts = concatenate([session(x[:1], 0), session(x[1:], 1)])
    assert_same_spikes(whole, parts)
    apart = np.abs(whole.outputs - parts.outputs).max() / (np.abs(whole.outputs).max() or 1.0)
    assert apart < 1e-9, f"outputs in chunks are {apart:.2g} apart from those in one call"
    return whole


def _assert_shapes(recording: Recording, samples: int, classes: int, steps: int) -> None:
    shape = recording.outputs.shape
    assert shape == (samples, classes), f"outputs are {shape}, not {(samples, classes)}"
    assert np.isfinite(recording.outputs).all(), "outputs are not all finite"
    shape = recording.decisions.shape
    assert shape == (samples, steps), f"decisions are {shape}, not {(samples, steps)}"
    last, predicted = recording.decisions[:, -1], recording.predictions
    assert np.array_equal(last, predicted), f"last decisions {last}, largest outputs {predicted}"
    for group in ("spikes", "synops"):
        for name, count in getattr(recording, group).items():
            assert count.shape == (samples,), f"{group} of {name} have shape {count.shape}, not ({samples},)"
            assert (count >= 0).all(), f"{group} of {name} are negative"
    for name, spikes in recording.raster.items():
        count = int(recording.spikes[name][0])
        assert len(spikes) == count, f"raster of {name} has {len(spikes)} spikes, the count is {count}"
        assert (np.diff(spikes[:, 0]) >= 0).all(), f"raster of {name} is not in order of time"


def _assert_same_arrays(group: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert sorted(one) == sorted(other), f"{group} are of {sorted(one)} and of {sorted(other)}"
    for name, a in one.items():
        b = other[name]
        assert a.shape == b.shape, f"{group} of {name}: shapes {a.shape} and {b.shape}"
        if not np.array_equal(a, b):
            at = tuple(int(i) for i in np.argwhere(a != b)[0])
            raise AssertionError(f"{group} of {name} differ first at {at}: {a[at]} and {b[at]}")


def _name(step: Callable[..., Any]) -> str:
    return getattr(step, "__name__", repr(step))
