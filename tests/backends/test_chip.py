"""Models of nengo-loihi on our kernel, in lock step with nengo-loihi's own emulator."""

import numpy as np
import pytest

from neurodeploy.backends.adapter import nengo_loihi_module, nengo_module
from neurodeploy.backends.chip import Chip

nengo, loihi = nengo_module(), nengo_loihi_module()
STEPS = 60
pytestmark = pytest.mark.filterwarnings(
    "ignore:Lost", "ignore:.*PES error", "ignore:Overflow", "ignore:Clipping", "ignore:Synaptic trace"
)


def at_rest(kind):
    state = {"voltage": nengo.dists.Choice([0])}
    if "refractory_time" in kind.state:
        state["refractory_time"] = nengo.dists.Choice([0])
    return kind(initial_state=state)


def decoded():
    """Two ensembles, one fed back, with decoded probes."""
    with nengo.Network(seed=1) as net:
        net.config[nengo.Ensemble].neuron_type = at_rest(loihi.LoihiLIF)
        a, b = nengo.Ensemble(50, 2, label="a"), nengo.Ensemble(40, 2, label="b")
        nengo.Connection(a, b)
        nengo.Connection(b, b, synapse=0.1)
        nengo.Probe(b, synapse=0.01)
        nengo.Probe(a.neurons[::3], "voltage")
        nengo.Probe(b.neurons)
    return net


def convolutional(pop_type):
    """Two convolutions between neurons, the first population cut into blocks."""
    with nengo.Network(seed=2) as net:
        loihi.add_params(net)
        rng = np.random.default_rng(0)
        relu = at_rest(loihi.LoihiSpikingRectifiedLinear)
        first = nengo.Convolution(4, (10, 10, 1), init=nengo.dists.Uniform(-1, 1))
        second = nengo.Convolution(8, first.output_shape, strides=(2, 2), init=nengo.dists.Uniform(-1, 1))
        layers = []
        for size in (100, first.output_shape.size, second.output_shape.size):
            bias = rng.uniform(0, 200, size)
            gain = nengo.dists.Choice([1])
            layers.append(nengo.Ensemble(size, 1, neuron_type=relu, gain=gain, bias=bias, label=str(size)))
        for pre, post, transform in zip(layers, layers[1:], (first, second), strict=False):
            connection = nengo.Connection(pre.neurons, post.neurons, transform=transform, synapse=0.002)
            net.config[connection].pop_type = pop_type
        net.config[layers[1]].block_shape = loihi.BlockShape((4, 4, 4), first)
        nengo.Probe(layers[2].neurons)
    return net


def sparse():
    """A recurrent pool with sparse weights over two blocks."""
    from scipy.sparse import random as random_sparse

    rng = np.random.default_rng(3)
    weights = random_sparse(1100, 1100, 0.01, random_state=rng, data_rvs=lambda k: rng.normal(size=k) * 0.02)
    with nengo.Network(seed=3) as net:
        kind = at_rest(loihi.LoihiLIF)
        pool = nengo.Ensemble(1100, 1, neuron_type=kind, gain=np.ones(1100), bias=rng.uniform(0.9, 2, 1100))
        nengo.Connection(
            pool.neurons, pool.neurons, transform=nengo.Sparse((1100, 1100), init=weights.tocoo())
        )
    return net


def learned():
    """PES from two ensembles, with errors of opposite sign."""
    with nengo.Network(seed=4) as net:
        net.config[nengo.Ensemble].neuron_type = at_rest(loihi.LoihiLIF)
        error = nengo.Node(lambda t, x: x, size_in=2)
        for seed in (1, 2):
            pre, post = nengo.Ensemble(60, 2, seed=seed), nengo.Node(lambda t, x: x, size_in=2)
            rule = nengo.PES(2e-3)
            connection = nengo.Connection(pre, post, function=lambda x: [0, 0], learning_rule_type=rule)
            nengo.Connection(error, connection.learning_rule)
            nengo.Connection(post, error)
    return net


def model_of(net, noise=None):
    model = loihi.builder.Model(dt=0.001)
    model.build(net)
    for k, block in enumerate(model.blocks if noise is not None else ()):
        block.compartment.enable_noise[::2] = True
        block.compartment.noise_exp = 9 + k % 4
        block.compartment.noise_offset = k - 1
        block.compartment.noise_at_membrane = (k + noise) % 2
    return model


def learning_synapses(model):
    return [s for block in model.blocks for s in block.synapses if s.learning]


def same_state(chip, emulator, model):
    layout, state = chip.layout, chip.batch
    at, n = layout.position[layout.outside :], layout.size
    theirs = emulator.compartment
    for part, name in enumerate(("current", "voltage", "ref_count")):
        assert np.array_equal(state.cells[0, part * n + at], getattr(theirs, name)), name
    assert np.array_equal(state.fired[0, -1, at] != 0, theirs.spiked)
    if layout.random:
        _, words, position, *_ = emulator.rng.get_state()
        assert np.array_equal(state.random[0], [*words, position])
    for line, trace in zip(layout.learning, emulator.synapses.traces.values(), strict=True):
        assert np.array_equal(state.traces[0, line[4] : line[4] + line[1]], trace)


@pytest.mark.parametrize("noise", [None, 0, 1])
@pytest.mark.parametrize(
    "make", [decoded, lambda: convolutional(16), lambda: convolutional(32), sparse, learned]
)
def test_every_state_of_every_step_equals_nengo_loihis(make, noise, rng):
    ours, theirs = (model_of(make(), noise) for _ in range(2))
    chip, emulator = Chip(ours, seed=7), loihi.emulator.EmulatorInterface(theirs, seed=7)
    weights = [list(learning_synapses(model)) for model in (ours, theirs)]
    for _ in range(STEPS):
        error = rng.uniform(-1, 1, 2)
        for target, synapses in zip((chip, emulator), weights, strict=True):
            target.host2chip([], [(s, 0, error) for s in synapses])
            target.step()
        same_state(chip, emulator, theirs)
    for mine, other in zip(*weights, strict=True):
        assert np.array_equal(np.concatenate(mine.weights), np.concatenate(other.weights))
    for mine, other in zip(ours.probes, theirs.probes, strict=True):
        data, expected = chip.collect_probe_output(mine), emulator.collect_probe_output(other)
        assert data.dtype == expected.dtype
        assert np.array_equal(data, expected)
    if noise is None:
        assert emulator.compartment.spike_count.sum() > STEPS / 2


def test_a_run_in_chunks_equals_one_step_at_a_time():
    one, other = Chip(model_of(decoded(), 0), seed=3), Chip(model_of(decoded(), 0), seed=3)
    one.run_steps(100)
    for steps in (1, 2, 64, 33):
        other.run_steps(steps)
    assert all(np.array_equal(a, b) for a, b in zip(one.batch.arrays, other.batch.arrays, strict=True))


def test_spikes_that_are_given_twice_count_twice():
    block = loihi.block.LoihiBlock(3)
    block.compartment.configure_relu()
    synapse = loihi.block.Synapse(2)
    synapse.set_weights(np.array([[1.0, 2, 0], [0, -1, 3]]))
    block.add_synapse(synapse)
    model = loihi.builder.Model()
    model.add_block(block)
    spikes = loihi.inputs.SpikeInput(2)
    axon = loihi.block.Axon(2)
    axon.target = synapse
    spikes.add_axon(axon)
    model.add_input(spikes)
    loihi.builder.discretize.discretize_model(model)
    chip, emulator = Chip(model, seed=0), loihi.emulator.EmulatorInterface(model, seed=0)
    for target in (chip, emulator):
        spikes.spikes.clear()
        for step, idxs in ((1, [0, 0, 1]), (2, []), (4, [1] * 300)):
            spikes.add_spikes(step, idxs)
        target.run_steps(7)
    same_state(chip, emulator, model)
