"""Models of nengo-loihi on our kernel, in lock step with nengo-loihi's own emulator."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.backends.adapter import nengo_loihi_module, nengo_module
from neurodeploy.backends.chip import Chip
from tests.backends import models
from tests.backends.models import learning_synapses, same_state

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
        same_state(chip, emulator)
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


@pytest.mark.parametrize("chunks", [[7], [1] * 7, [4, 3]])
def test_spikes_that_are_given_many_times_count_many_times(chunks):
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
        for step, idxs in ((1, [0, 0, 1]), (2, []), (4, [1] * 300 + [0] * 900), (5, [1] * 130)):
            spikes.add_spikes(step, idxs)
        for steps in chunks if target is chip else [7]:
            target.run_steps(steps)
    same_state(chip, emulator)


# --- random models ------------------------------------------------------------------------------------------


SEEDS = st.integers(0, 2**32 - 1)


def feed(target, made, spikes, errors, *, first=0):
    """Give a chip or an emulator its input, and step it, yielding after every step."""
    (source,) = made.inputs
    rules = learning_synapses(made)
    for k, (idxs, error) in enumerate(zip(spikes, errors, strict=True), start=first + 1):
        mine = [(rule, k, error[: rule.weights[0].shape[1] // 2]) for rule in rules]
        target.host2chip([(source, k, idxs)], mine)
        target.step()
        yield


def given_to(seed, made, steps):
    rng = np.random.default_rng(seed)
    return models.spikes(seed, made, steps), rng.uniform(-1.5, 1.5, (steps, 40))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_random_models_equal_nengo_loihis_in_every_state_of_every_step(seed):
    ours, theirs = models.model(seed), models.model(seed)
    chip, emulator = Chip(ours, seed=seed), loihi.emulator.EmulatorInterface(theirs, seed=seed)
    given_ = given_to(seed, ours, 13)
    for _ in zip(feed(chip, ours, *given_), feed(emulator, theirs, *given_), strict=True):
        same_state(chip, emulator)
        for mine, other in zip(learning_synapses(ours), learning_synapses(theirs), strict=True):
            assert np.array_equal(np.concatenate(mine.weights), np.concatenate(other.weights))


def test_the_random_models_reach_noise_learning_and_every_overflow():
    messages, kinds = set(), set()
    for seed in range(40):
        made = models.model(seed)
        chip = Chip(made, seed=seed)
        parts = [b.compartment for b in made.blocks]
        kinds |= {("noise", part.noise_at_membrane) for part in parts if part.enable_noise.any()}
        kinds |= {("learns", s.learning_wgt_exp >= 0) for s in learning_synapses(made)}
        kinds |= {("below", part.vmin < -(2**20)) for part in parts}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in feed(chip, made, *given_to(seed, made, 13)):
                pass
        messages |= {str(w.message) for w in caught}
    assert messages >= {"Overflow in q0", "Overflow in current", "Overflow in u2", "Clipping synapse trace",
                        "Clipping learning weights", "Synaptic trace spikes lost"}  # fmt: skip
    assert kinds >= {(k, v) for k in ("noise", "learns", "below") for v in (False, True)}


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(1, 12), st.integers(1, 4))
def test_samples_side_by_side_threads_chunks_and_saved_states_change_nothing(seed, cut, threads):
    """Three samples at once, in chunks, on some threads, saved in between: each equals one of its own."""
    steps, made = 13, models.model(seed)
    spikes = [models.spikes(seed + i, made, steps) for i in range(3)]
    errors = np.random.default_rng(seed).uniform(-1, 1, (3, 40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURODEPLOY_THREADS", str(threads))
        together, (source,) = Chip(made, seed=5, size=3), made.inputs
        for part in (range(cut), range(cut, steps)):
            for trial, mine, error in zip(together.trials, spikes, errors, strict=True):
                rules = [(s, 0, error[: s.weights[0].shape[1] // 2]) for s in learning_synapses(made)]
                trial.host2chip([(source, k + 1, mine[k]) for k in part], rules)
            together.run_steps(len(part))
            kept = together.state()
            together.run_steps(2)
            together.set_state(kept)
    for i in range(3):
        alone_model = models.model(seed)
        alone = Chip(alone_model, seed=5 + i)
        for _ in feed(alone, alone_model, spikes[i], np.tile(errors[i], (steps, 1))):
            pass
        for one, many in zip(alone.batch.arrays, together.batch.arrays, strict=True):
            assert np.array_equal(one[0], many[i])
