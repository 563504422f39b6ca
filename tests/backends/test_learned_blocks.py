"""Learning connections that do not fit one core."""

import pickle

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.backends import learned_blocks
from neurodeploy.backends.adapter import nengo_loihi_module, nengo_module
from neurodeploy.backends.chip import Chip

nengo, loihi = nengo_module(), nengo_loihi_module()
pytestmark = pytest.mark.filterwarnings(
    "ignore:Lost", "ignore:.*PES error", "ignore:PES learning rule", "ignore:'Node.size_out'"
)
TARGET = np.array([0.6, -0.4, 0.2])


def error_of(t, x):
    return x - np.resize(TARGET, len(x))


def zero(x):
    return [0, 0, 0]


def zeros(x):
    return np.zeros(520)


def same(t, x):
    return x


def network(d=3, function=zero):
    """Learn constants."""
    with nengo.Network(seed=1) as net:
        rest = {"voltage": nengo.dists.Choice([0]), "refractory_time": nengo.dists.Choice([0])}
        kind = loihi.LoihiLIF(initial_state=rest)
        pre = nengo.Ensemble(60, 2, neuron_type=kind)
        post, error = nengo.Node(same, size_in=d), nengo.Node(error_of, size_in=d)
        rule = nengo.PES(4e-3)
        learned = nengo.Connection(pre, post, function=function, learning_rule_type=rule)
        nengo.Connection(post, error)
        nengo.Connection(error, learned.learning_rule)
        nengo.Probe(post, synapse=0.02)
    return net


SMALL = {
    "axons": {"MAX_IN_AXONS": 50},
    "pairs": {"MAX_COMPARTMENTS": 4},
    "both": {"MAX_IN_AXONS": 40, "MAX_COMPARTMENTS": 2},
}


@pytest.fixture(params=SMALL.values(), ids=SMALL)
def small_cores(request, monkeypatch):
    for name, value in request.param.items():
        monkeypatch.setattr(learned_blocks.blocks, name, value)
    return request.param


def learn(net, seconds=0.4):
    with nd.LoihiSimulator(net, progress_bar=False) as sim:
        sim.run(seconds)
        return sim, np.array(sim.data[net.all_probes[0]])


def test_parts_learn_what_the_whole_learns(small_cores):
    sim, data = learn(network())
    learning = [s for block in sim.model.blocks for s in block.synapses if s.learning]
    assert len(learning) == len(next(iter(sim.model.learned_parts.values()))) > 1
    assert data[-100:].mean(axis=0) == pytest.approx(TARGET, abs=0.1)


def test_parts_equal_nengo_loihis_emulator_in_every_step(small_cores, rng):
    models = []
    for _ in range(2):
        model = learned_blocks.new_model(0.001, "")
        with learned_blocks.installed():
            model.build(network())
        models.append(model)
    chip, emulator = Chip(models[0], seed=3), loihi.emulator.EmulatorInterface(models[1], seed=3)
    (whole,), (other,) = ([*model.learned_parts] for model in models)
    for _ in range(40):
        error = rng.uniform(-1, 1, 3)
        chip.host2chip([], [(whole, 0, error)])
        parts = learned_blocks.parts_of(models[1], other)
        emulator.host2chip([], [(part, 0, error[cut]) for part, cut in parts])
        chip.step()
        emulator.step()
        assert np.array_equal(
            chip.batch.cells[0, chip.layout.size + chip.layout.position], emulator.compartment.voltage
        )
    mine, theirs = ([s for b in m.blocks for s in b.synapses if s.learning] for m in models)
    for one, two in zip(mine, theirs, strict=True):
        assert np.array_equal(np.concatenate(one.weights), np.concatenate(two.weights))
        assert np.concatenate(one.weights).any()


def test_parts_can_be_pickled_and_reset(small_cores):
    net = network()
    with nd.LoihiSimulator(net, progress_bar=False) as sim:
        sim.run_steps(30)
        copy = pickle.loads(pickle.dumps(sim))
        results = []
        for one in (sim, copy):
            one.run_steps(30)
            results.append(np.array(one.data[one.network.all_probes[0]]))
        sim.reset()
        sim.run_steps(60)
        results.append(np.array(sim.data[net.all_probes[0]]))
        copy.close()
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_what_nengo_loihi_cannot_run_learns():
    net = network(520, zeros)
    sim, data = learn(net, 0.2)
    assert len(next(iter(sim.model.learned_parts.values()))) == 2
    assert np.sign(data[-50:].mean(axis=0)) == pytest.approx(np.sign(np.resize(TARGET, 520)))
    with loihi.Simulator(net, target="sim", progress_bar=False) as sim, pytest.raises(KeyError):
        sim.step()


def test_what_fits_is_left_alone():
    sim, _ = learn(network(), 0.01)
    assert sim.model.learned_parts == {}
