"""Backend ``nengo-dl``: the network of backend ``nengo``, many samples at once, in TensorFlow.

In float32, TensorFlow's own, a membrane that ends within rounding of its threshold may spike in one backend
and not in the other: a few spikes in ten million. In float64, at twice the time, the spikes are ``nengo``'s.
"""

from __future__ import annotations

import contextlib
import functools
import time
import warnings
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.adapter import nengo_dl_module
from neurodeploy.backends.base import Floats, Session, record
from neurodeploy.backends.nef import fan_out
from neurodeploy.backends.nengo import add_probes, build, input_rows, train_of
from neurodeploy.backends.nengo_neurons import Integrating, Spiking
from neurodeploy.ir.graph import Graph
from neurodeploy.recording import Recording

MINIBATCH = 32
"""Samples simulated at once, always: the order in which TensorFlow adds may depend on it."""


@functools.cache
def nengo_dl_with_our_neurons() -> ModuleType:
    """Import nengo-dl and teach it `Spiking` and `Integrating`.

    Returns
    -------
    module
        ``nengo_dl``; its simulator takes networks made by `nengo.to_nengo`, and the user's additions to them.

    Raises
    ------
    MissingExtra
        If TensorFlow or nengo-dl is not installed.
    """
    nengo_dl = nengo_dl_module()
    table = nengo_dl.neuron_builders.SimNeuronsBuilder.TF_NEURON_IMPL
    table[Spiking], table[Integrating] = _builders(nengo_dl)
    return nengo_dl


def open_session(
    graph: Graph,
    *,
    steps: int,
    seed: int = 0,
    input_coding: str = "rate",
    raster: bool = True,
    dtype: str = "float32",
) -> Session:
    """Open a session in nengo-dl's simulator, `MINIBATCH` samples at a time; the last batch is filled up."""
    nengo_dl: Any = nengo_dl_with_our_neurons()
    network = build(graph, seed=seed, trains=True)
    probes = add_probes(graph, network)
    with network:
        nengo_dl.configure_settings(dtype=dtype, stateful=False, inference_only=True)
    with _quiet():
        simulator = nengo_dl.Simulator(network, dt=graph.dt, minibatch_size=MINIBATCH, progress_bar=False)
    reach = fan_out(graph)

    def run_batch(x: Floats, first: int) -> dict[str, npt.NDArray[Any]]:
        rows = input_rows(graph, x, steps=steps, input_coding=input_coding, seed=seed, first=first)
        data = {network.populations[name]: _padded(train) for name, train in rows.items()}
        data[network.input] = _padded(np.repeat(x.reshape(len(x), 1, -1), steps, axis=1))
        with _quiet():
            got = simulator.predict(data, verbose=0)
        return rows | {
            name: train_of(graph, name, [got[part][: len(x)] for part in parts])
            for name, parts in probes.items()
        }

    def run(x: Floats, first: int) -> Recording:
        start = time.perf_counter()
        batches = [run_batch(x[i : i + MINIBATCH], first + i) for i in range(0, len(x), MINIBATCH)]
        trains = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        return record(
            graph, trains, fan_out=reach, backend="nengo-dl", seed=seed,
            seconds=time.perf_counter() - start, raster=raster and first == 0,
        )  # fmt: skip

    weakref.finalize(run, simulator.close)  # nengo-dl warns of simulators that are left open
    return run


def _padded(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    missing = MINIBATCH - len(rows)
    return np.pad(rows, ((0, missing), (0, 0), (0, 0)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep nengo-dl's advice (no GPU found, convolutions transposed) off the user's terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _builders(nengo_dl: Any) -> tuple[type, type]:
    """Say `numerics.neurons.step` in TensorFlow, for several populations at once."""
    tf = nengo_dl.neuron_builders.tf
    Base: Any = nengo_dl.neuron_builders.TFNeuronBuilder

    class SpikingBuilder(Base):  # type: ignore[misc]
        spiking = True

        def build_pre(self, signals: Any, config: Any) -> None:
            super().build_pre(signals, config)
            names = ("threshold", "v_reset", "subtract", "refractory")
            self.parameters = _parameters(tf, self.ops, signals.dtype, (*_DRIVE, *names))

        def step(self, J: Any, dt: Any, current: Any, voltage: Any, wait: Any) -> tuple[Any, ...]:
            p = self.parameters
            current, voltage = _drive(p, J, current, voltage)
            voltage = tf.where(wait > 0, p["v_reset"], voltage)
            spiked = voltage > p["threshold"]
            drop = p["threshold"] - p["v_reset"]
            after = tf.where(p["subtract"] > 0, voltage - drop, p["v_reset"])
            wait = tf.where(spiked, p["refractory"], tf.maximum(wait - 1, 0))
            return tf.cast(spiked, J.dtype), current, tf.where(spiked, after, voltage), wait

        def training_step(self, J: Any, dt: Any, **state: Any) -> Any:
            # a slope for gradients: the ramp of an integrator, whatever the neuron
            p = self.parameters
            return tf.nn.relu(p["gain_v"] * p["gain_u"] * J + p["drift"]) / p["threshold"]

    class IntegratingBuilder(Base):  # type: ignore[misc]
        def build_pre(self, signals: Any, config: Any) -> None:
            super().build_pre(signals, config)
            self.parameters = _parameters(tf, self.ops, signals.dtype, _DRIVE)

        def step(self, J: Any, dt: Any, current: Any, voltage: Any) -> tuple[Any, ...]:
            current, voltage = _drive(self.parameters, J, current, voltage)
            return voltage, current, voltage

    return SpikingBuilder, IntegratingBuilder


_DRIVE = ("keep_u", "gain_u", "keep_v", "gain_v", "drift")


def _drive(p: Any, J: Any, current: Any, voltage: Any) -> tuple[Any, Any]:
    current = p["keep_u"] * current + p["gain_u"] * J
    return current, p["keep_v"] * voltage + p["gain_v"] * current + p["drift"]


def _parameters(tf: Any, sim_ops: Any, dtype: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Parameters of the membranes of several populations, one after the other, shape (1, N)."""
    return {
        name: tf.constant(
            np.concatenate(
                [
                    np.broadcast_to(getattr(op.neurons.membrane, name), op.J.shape).astype(np.float64)
                    for op in sim_ops
                ]
            )[None],
            dtype=dtype,
        )
        for name in names
    }
