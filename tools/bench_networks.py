"""The networks of `tools/bench_emulator.py`, ready for our emulator, nengo-loihi's, and float simulators."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import data_folder
import numpy as np

import neurodeploy as nd
from neurodeploy.backends import run_on_host
from neurodeploy.backends.adapter import nengo_loihi_module, nengo_module
from neurodeploy.backends.board import image_of, model_of
from neurodeploy.backends.chip import Chip
from neurodeploy.backends.feed import encoder_rates
from neurodeploy.backends.loihi_model import translate
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.kernels.circuit import circuit_of
from neurodeploy.kernels.layout import Layout, lay_out
from neurodeploy.numerics.coding import rate_spikes

STEPS = 100
DT = 1e-3


@dataclass(frozen=True)
class Case:
    """A network, in all forms.

    Parameters
    ----------
    name : str
    layout : Layout
        What our kernel runs.
    batch : int
        Samples that are timed at once.
    given : callable
        Of a slice of samples; returns the arguments of `kernels.compiled.advance`.
    theirs : callable
        Of a sample's number; returns nengo-loihi's emulator with that sample's input.
    build : dict of dict of callable
        What each needs before its first step, from compiled blocks or from a Nengo network, by emulator.
    source : str
        Of the input.
    rival : dict
        What float simulators take: ``spiking`` and ``x``, or ``weights`` of a recurrent or learning network.
    """

    name: str
    layout: Layout
    batch: int
    given: Callable[[slice], dict[str, Any]]
    theirs: Callable[[int], Any]
    build: dict[str, dict[str, Callable[[], Any]]]
    source: str = "constant"
    rival: dict[str, Any] = field(default_factory=dict)

    @property
    def compiled(self) -> bool:
        """Whether it is a program, whose samples start at rest and of which no state is kept."""
        return bool(self.layout.outside)


# --- feedforward --------------------------------------------------------------------------------------------


def sequential(shape, layers, *, name, seed=0):
    """Make a rate network with random weights, scaled as He et al. (2015) do."""
    rng = np.random.default_rng(seed)
    nodes, here = [Node("input", ops.Input(shape))], shape
    for i, layer in enumerate(layers):
        if layer[0] == "conv":
            _, channels, size, stride = layer
            weight = rng.normal(size=(channels, here[0], size, size)) * np.sqrt(2 / (here[0] * size * size))
            op = ops.Conv2d(weight, np.zeros(channels), stride=(stride, stride))
        else:
            if len(here) > 1:
                nodes.append(Node(f"flat{i}", ops.Flatten()))
                here = (int(np.prod(here)),)
            op = ops.Affine(rng.normal(size=(layer[1], here[0])) * np.sqrt(2 / here[0]), np.zeros(layer[1]))
        nodes.append(Node(f"layer{i}", op))
        here = op.out_shape(here)
        if i < len(layers) - 1:
            nodes.append(Node(f"layer{i}.relu", ops.ReLU(), origin=f"layer{i}"))
    nodes.append(Node("output", ops.Output(here)))
    return Graph(tuple(nodes), tuple(pairwise(n.name for n in nodes)), name=name)


def digits(count, rng):
    """Return 28x28 digits: MNIST's where there are any, otherwise scikit-learn's, enlarged."""
    file = data_folder.find("mnist.npz")
    if file is not None:
        x = np.load(file)["x_test"] / 255
        return x[rng.integers(0, len(x), count)][:, None], "MNIST test images"
    from sklearn.datasets import load_digits

    x = np.kron(load_digits().images / 16, np.ones((1, 3, 3)))
    return np.pad(x, ((0, 0), (2, 2), (2, 2)))[rng.integers(0, len(x), count)][:, None], "scikit-learn digits"


def smooth(count, rng):
    """Return 3x32x32 images of smooth noise, 0 to 1."""
    coarse = rng.random((count, 3, 8, 8))
    x = np.kron(coarse, np.ones((1, 1, 4, 4)))
    return (x + np.roll(x, 2, axis=2) + np.roll(x, 2, axis=3)) / 3, "smooth noise"


def feedforward(name, shape, layers, images, batch):
    """Convert and compile a network; its input is drawn once."""
    rng = np.random.default_rng(1)
    graph = sequential(shape, layers, name="bench")
    calibration, _ = images(128, rng)
    spiking = nd.convert(graph, calibration=calibration, steps=STEPS)
    program = nd.compile(spiking).raise_for_errors()
    model = model_of(image_of(program))
    x, source = images(batch, rng)
    rates = np.clip(encoder_rates(program, spiking.prepare(x)), 0, 1)

    def theirs(k):
        run_on_host.load_train(model, rate_spikes(rates[k : k + 1], steps=STEPS)[:, 0])
        return run_on_host.open_emulator(model)

    loihi = nengo_loihi_module()
    build = {
        "blocks": {
            "ours": lambda: lay_out(circuit_of(program)),
            "nengo-loihi": lambda: run_on_host.open_emulator(model_of(image_of(program))),
        },
        "network": {
            "ours": lambda: nd.LoihiSimulator(nengo_form(shape, layers), progress_bar=False),
            "nengo-loihi": lambda: loihi.Simulator(
                nengo_form(shape, layers), target="sim", progress_bar=False
            ),
        },
    }
    rival = {"spiking": spiking, "x": x, "rates": rates}
    layout = lay_out(circuit_of(program))
    return Case(name, layout, batch, lambda part: {"rates": rates[part]}, theirs, build, source, rival)


def nengo_form(shape, layers):
    """Make the same layers, with other weights, as a Nengo network cut so that nengo-loihi can build it."""
    nengo, loihi = nengo_module(), nengo_loihi_module()
    kind = loihi.LoihiSpikingRectifiedLinear(initial_state={"voltage": nengo.dists.Choice([0])})
    init, one = nengo.dists.Uniform(-0.01, 0.01), nengo.dists.Choice([1])
    channels, *image = shape
    here = (*image, channels)
    with nengo.Network(seed=0) as net:
        loihi.add_params(net)
        layer = nengo.Ensemble(int(np.prod(here)), 1, neuron_type=kind, gain=one, bias=one)
        for kind_of, filters, *form in layers:
            if kind_of == "conv":
                size, stride = form
                transform = nengo.Convolution(
                    filters, here, kernel_size=(size, size), strides=(stride, stride), init=init
                )
                here = transform.output_shape.shape
            else:
                transform, here = nengo.Dense((filters, int(np.prod(here))), init=init), (filters,)
            after = nengo.Ensemble(int(np.prod(here)), 1, neuron_type=kind, gain=one, bias=one)
            joined = nengo.Connection(layer.neurons, after.neurons, transform=transform)
            if kind_of == "conv":
                tile = (min(here[0], 6), min(here[1], 6), min(here[2], 16))
                net.config[after].block_shape = loihi.BlockShape(tile, transform)
                net.config[joined].pop_type = 32
            layer = after
        nengo.Probe(layer.neurons)
    return net


DENSE = [("dense", 256), ("dense", 128), ("dense", 10)]
CONV = [("conv", 16, 3, 2), ("conv", 32, 3, 2), ("conv", 64, 3, 1), ("dense", 10)]
DEEP = [("conv", 16, 3, 2), ("conv", 32, 3, 2), ("conv", 64, 3, 1), ("conv", 64, 3, 2), ("dense", 10)]


# --- networks of nengo-loihi --------------------------------------------------------------------------------


def at_rest(nengo, neurons):
    """Let neurons start at rest, as on the chip."""
    state = {"voltage": nengo.dists.Choice([0]), "refractory_time": nengo.dists.Choice([0])}
    return neurons(initial_state=state)


def recurrent_network(neurons, *, relay=None, n=4096, density=0.02, seed=0):
    """Make neurons that drive each other at random; also return the weights. It needs no relays."""
    from scipy.sparse import random as random_sparse

    nengo = nengo_module()
    rng = np.random.default_rng(seed)
    weights = random_sparse(n, n, density, random_state=rng, data_rvs=lambda k: rng.normal(size=k) * 4e-3)
    bias = rng.uniform(0.9, 2.0, n)
    with nengo.Network(seed=seed) as net:
        pool = nengo.Ensemble(n, 1, neuron_type=at_rest(nengo, neurons), gain=np.ones(n), bias=bias)
        transform = nengo.Sparse((n, n), init=weights.tocoo())
        nengo.Connection(pool.neurons, pool.neurons, transform=transform, synapse=0.01)
    return net, {"weights": weights.tocsr(), "bias": bias}


def pes_network(neurons, *, relay=None, n=900, dimensions=3, seed=0):
    """Make a learned connection whose error is its own output; `relay` is what its nodes compute."""
    nengo = nengo_module()
    with nengo.Network(seed=seed) as net:
        pre = nengo.Ensemble(n, dimensions, neuron_type=at_rest(nengo, neurons))
        post, error = (nengo.Node(relay, size_in=dimensions) for _ in range(2))
        learned = nengo.Connection(
            pre, post, function=lambda x: np.zeros(dimensions), learning_rule_type=nengo.PES(1e-4)
        )
        nengo.Connection(post, error)
        nengo.Connection(error, learned.learning_rule)
    return net, {"size": n, "dimensions": dimensions}


def of_network(name, make, batch):
    """Build a Nengo network for the chip; errors of what learns are constant."""
    nengo, loihi = nengo_module(), nengo_loihi_module()

    def build():
        model = loihi.builder.Model(dt=DT)
        model.build(on_chip())
        return model

    def on_chip():
        return make(loihi.LoihiLIF, relay=lambda t, x: x)[0]  # nodes that compute stay on the host

    def errors_of(model):
        learning = [s for block in model.blocks for s in block.synapses if s.learning]
        return [(s, 1, np.linspace(-0.5, 0.5, s.weights[0].shape[1] // 2)) for s in learning]

    def theirs(k):
        model = build()
        emulator = loihi.emulator.EmulatorInterface(model, seed=k)
        emulator.host2chip([], errors_of(model))
        return emulator

    chip = Chip(build(), seed=0)
    chip.host2chip([], errors_of(chip.model))
    network, rival = make(nengo.LIF)
    return Case(
        name, lay_out(translate(build()).circuit), batch,
        lambda part: {"errors": np.repeat(chip.errors, part.stop - part.start, axis=0)}, theirs,
        {"network": {
            "ours": lambda: nd.LoihiSimulator(on_chip(), progress_bar=False),
            "nengo-loihi": lambda: loihi.Simulator(on_chip(), target="sim", progress_bar=False),
        }},
        rival=rival | {"network": network},
    )  # fmt: skip


CASES = {
    "dense 784-256-128-10": lambda name, scale: feedforward(
        name, (1, 28, 28), DENSE, digits, int(10_000 * scale)
    ),
    "conv 28x28x1": lambda name, scale: feedforward(name, (1, 28, 28), CONV, digits, int(2000 * scale)),
    "deep conv 32x32x3": lambda name, scale: feedforward(name, (3, 32, 32), DEEP, smooth, int(800 * scale)),
    "recurrent 4096 at 2 %": lambda name, scale: of_network(name, recurrent_network, int(800 * scale)),
    "PES 900 x 3": lambda name, scale: of_network(name, pes_network, int(1600 * scale)),
}
"""Makers, by name; batches are such that each takes about half a second on two quiet cores."""
