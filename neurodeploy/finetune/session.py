"""nengo-dl's simulator around the trainable layer: one epoch after the other, the same every time."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.adapter import nengo_dl_module, nengo_module
from neurodeploy.finetune.fit import fit_to_run
from neurodeploy.finetune.layer import make_layer
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.graph import Graph
from neurodeploy.runs import Progress

Floats = npt.NDArray[np.float64]
Parameters = list[npt.NDArray[np.float32]]

FEW = 64
"""Samples that say how rates follow from drives, and how many spikes are sent before training."""


@dataclass(frozen=True, eq=False)
class Session:
    """A network that is ready to be trained.

    Parameters
    ----------
    parameters : list of ndarray of float32
        As they were in the graph: weight and bias of every trained node.
    train : callable
        ``train(parameters, epoch, learning_rate=..., progress=...)`` returns the mean loss and the parameters
        after one more epoch.
    """

    parameters: Parameters
    train: Callable[..., tuple[float, Parameters]]


def open_session(
    graph: Graph,
    x: Floats,
    y: npt.NDArray[np.int64],
    *,
    bits: Mapping[str, int],
    batch: int,
    rate_penalty: float,
    seed: int,
) -> Session:
    """Build the network in nengo-dl.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    x : ndarray of float64, shape (B, *input shape)
    y : ndarray of int64, shape (B,)
    bits : mapping of str to int
        Of the weights of every trained node.
    batch : int
    rate_penalty : float
    seed : int

    Raises
    ------
    MissingExtra
        If TensorFlow or nengo-dl is not installed.
    """
    nengo_dl: Any = nengo_dl_module()
    nengo: Any = nengo_module()
    import tensorflow as tf
    import tf_keras as keras

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    size, classes = graph.size(graph.input.name), graph.size(graph.output.name)
    steps = int(graph.meta.get("steps", 64))
    before, fit = spikes_before(graph, x[:FEW], steps), fit_to_run(graph, x[:FEW], steps=steps)
    layer = make_layer(keras, tf, graph, bits=bits, steps=steps, spikes=before, fit=fit)
    with nengo.Network(seed=seed) as network:
        nengo_dl.configure_settings(stateful=False, use_loop=False)
        entry = nengo.Node(np.zeros(size + 1))
        rates = nengo_dl.TensorNode(layer, shape_in=(size + 1,), shape_out=(classes + 1,), pass_time=False)
        nengo.Connection(entry, rates, synapse=None)
        probe = nengo.Probe(rates)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        simulator = nengo_dl.Simulator(network, minibatch_size=batch, progress_bar=False, seed=seed)

    def loss(wanted: Any, got: Any) -> Any:
        wanted, got = tf.reshape(wanted, (-1,)), tf.reshape(got, (-1, classes + 1))
        error = keras.losses.sparse_categorical_crossentropy(wanted, got[:, :-1], from_logits=True)
        return error + rate_penalty * got[:, -1]

    flat = x.reshape(len(x), -1).astype(np.float32)
    whole = len(x) // batch * batch

    def train(
        parameters: Parameters, epoch: int, *, learning_rate: float, progress: Progress | None = None
    ) -> tuple[float, Parameters]:
        order = np.random.default_rng((seed, epoch)).permutation(len(x))[:whole]
        drawn = np.random.default_rng((seed, epoch, 1)).integers(2**23, size=whole // batch)
        noise = np.repeat(drawn, batch).astype(np.float32)
        given = np.concatenate([flat[order], noise[:, None]], axis=1)[:, None]
        told = lambda i, logs: None if progress is None else progress((i + 1) * batch, whole)  # noqa: E731
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            simulator.compile(optimizer=keras.optimizers.Adam(learning_rate), loss={probe: loss})
            layer.set_weights(parameters)
            seen = simulator.fit(
                {entry: given}, {probe: y[order].astype(np.float32)[:, None, None]}, epochs=1, shuffle=False,
                verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_batch_end=told)],
            )  # fmt: skip
        return float(seen.history["loss"][-1]), layer.get_weights()

    weakref.finalize(train, simulator.close)
    return Session(layer.get_weights(), train)


def spikes_before(graph: Graph, x: Floats, steps: int) -> float:
    """Return the spikes per sample that rates promise before training."""
    total = 0.0

    def watch(name: str, value: Floats) -> None:
        nonlocal total
        if graph[name].op.spiking:
            total += float(np.clip(value, 0, 1).reshape(len(value), -1).sum(axis=1).mean())

    evaluate(graph, x, watch=watch)
    return max(total * steps, 1e-6)
