"""Nengo networks on our chip, against nengo_loihi.Simulator."""

import inspect
import threading
from importlib.metadata import entry_points
from itertools import pairwise

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.backends.adapter import nengo_loihi_module, nengo_module
from neurodeploy.errors import OptionError
from neurodeploy.kernels import arguments

nengo, loihi = nengo_module(), nengo_loihi_module()
pytestmark = pytest.mark.filterwarnings(
    "ignore:NengoLoihi does not support initial values",
    "ignore:Lost",
    "ignore:Model is precomputable",
    "ignore:PES learning rule",
    "ignore:.*PES error",
)


def network(*, learning=False, sample_every=None):
    """A node, two ensembles, probes of every kind; with learning, an error that comes back from the chip."""
    rest = {"voltage": nengo.dists.Choice([0]), "refractory_time": nengo.dists.Choice([0])}
    with nengo.Network(seed=1) as net:
        net.config[nengo.Ensemble].neuron_type = loihi.LoihiLIF(initial_state=rest)
        stimulus = nengo.Node(lambda t: [np.sin(40 * t), 0.5])
        a, b = nengo.Ensemble(60, 2), nengo.Ensemble(40, 2)
        nengo.Connection(stimulus, a)
        nengo.Connection(a, b)
        nengo.Probe(a, synapse=0.01, sample_every=sample_every)
        nengo.Probe(b.neurons, sample_every=sample_every)
        nengo.Probe(a.neurons, "voltage", synapse=0.005)
        if learning:
            post, error = nengo.Node(size_in=2), nengo.Node(size_in=2)
            rule = nengo.PES(3e-4)
            learned = nengo.Connection(a, post, function=lambda x: [0, 0], learning_rule_type=rule)
            nengo.Connection(error, learned.learning_rule)
            nengo.Connection(post, error)
            nengo.Connection(stimulus, error, transform=-1)
            nengo.Probe(post, synapse=0.02)
    return net


def data_of(simulator, net, runs=(0.1, 0.06), **options):
    with simulator(net, progress_bar=False, **options) as sim:
        for seconds in runs:
            sim.run(seconds)
    return {str(probe): np.array(sim.data[probe]) for probe in net.all_probes}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert values.dtype == theirs[name].dtype, name
        assert np.array_equal(values, theirs[name]), name


@pytest.mark.parametrize("options", [{}, {"precompute": False}, {"seed": 5, "dt": 0.002}])
@pytest.mark.parametrize("learning", [False, True])
def test_data_of_all_probes_equal_nengo_loihis(learning, options):
    net = network(learning=learning)
    ours = data_of(nd.LoihiSimulator, net, **options)
    same(ours, data_of(loihi.Simulator, net, target="sim", **options))
    assert all(values.any() for values in ours.values())


@pytest.mark.parametrize("learning", [False, True])
def test_a_run_after_reset_equals_the_first(learning):
    net = network(learning=learning)
    with nd.LoihiSimulator(net, progress_bar=False) as sim:
        sim.run(0.08)
        first = {str(p): np.array(sim.data[p]) for p in net.all_probes}
        sim.reset()
        assert (sim.n_steps, sim.time) == (0, 0)
        sim.run(0.08)
        same({str(p): np.array(sim.data[p]) for p in net.all_probes}, first)


def test_sample_every_keeps_the_steps_nengo_keeps():
    every, all_ = network(sample_every=0.004), network()
    kept, full = (data_of(nd.LoihiSimulator, net, runs=(0.05, 0.053)) for net in (every, all_))
    for (name, few), many in zip(kept.items(), full.values(), strict=True):
        assert np.array_equal(few, many if "voltage" in name else many[3::4])


def test_a_closed_simulator_neither_runs_nor_resets():
    with nd.LoihiSimulator(network(), progress_bar=False) as sim:
        pass
    for call in (sim.step, sim.reset):
        with pytest.raises(nengo.exceptions.SimulatorClosed):
            call()


def test_a_probe_of_what_the_chip_does_not_have_is_refused():
    net = network()
    with net:
        nengo.Probe(net.all_ensembles[0].neurons, "refractory_time")
    with pytest.raises(OptionError, match="asks for 'refractory_time', which the chip does not have"):
        nd.LoihiSimulator(net, progress_bar=False)


def test_boards_are_left_to_nengo_loihi():
    with pytest.raises(OptionError, match=r"use nengo_loihi.Simulator\(target='loihi'\)"):
        nd.LoihiSimulator(network(), target="loihi")


def test_nengo_finds_the_simulator_among_its_backends():
    found = {entry.name: entry for entry in entry_points(group="nengo.backends")}
    if "neurodeploy-loihi" not in found:
        pytest.skip("neurodeploy is not installed here, only on the path")
    assert found["neurodeploy-loihi"].load() is nd.LoihiSimulator


@pytest.mark.parametrize("options", [{}, {"precompute": False}])
@pytest.mark.parametrize("learning", [False, True])
def test_many_samples_at_once_equal_one_at_a_time(learning, options, rng):
    net = network(learning=learning)
    drive = rng.uniform(-1, 1, (3, 50, 2))
    node = net.all_nodes[0]
    with nd.LoihiSimulator(net, progress_bar=False, n_samples=3, seed=8, **options) as sim:
        for part in (slice(0, 20), slice(20, 50)):
            sim.run_steps(part.stop - part.start, data={node: drive[:, part]})
        together = {probe: sim.data[probe] for probe in net.all_probes}
    for i in range(3):
        node.output = lambda t, i=i: drive[i, round(t / 0.001) - 1]
        with loihi.Simulator(net, progress_bar=False, target="sim", seed=8 + i, **options) as sim:
            sim.run_steps(20)
            sim.run_steps(30)
            for probe, data in together.items():
                assert np.array_equal(data[i], sim.data[probe]), str(probe)


def test_samples_of_a_network_that_runs_by_products_equal_one_at_a_time(rng):
    """Only the last of the ensembles is watched in every step; the weights of the others are dense."""
    rest = {"voltage": nengo.dists.Choice([0]), "refractory_time": nengo.dists.Choice([0])}
    with nengo.Network(seed=1) as net:
        net.config[nengo.Ensemble].neuron_type = loihi.LoihiLIF(initial_state=rest)
        node, ensembles = nengo.Node([0, 0]), [nengo.Ensemble(n, 2) for n in (70, 50, 40)]
        for pair in pairwise([node, *ensembles]):
            nengo.Connection(*pair)
        probe = nengo.Probe(ensembles[-1].neurons)
    drive, parts = rng.uniform(-1, 1, (5, 90, 2)), (slice(0, 70), slice(70, 75), slice(75, 90))
    with nd.LoihiSimulator(net, progress_bar=False, n_samples=5, seed=8) as sim:
        for part in parts:  # the middle one is too short for products
            sim.run_steps(part.stop - part.start, data={node: drive[:, part]})
        assert (sim.sims["emulator"]._products is not None) == arguments.unit_available()
        together = sim.data[probe]
    assert together.any()
    for i in range(5):
        node.output = lambda t, i=i: drive[i, round(t / 0.001) - 1]
        with loihi.Simulator(net, progress_bar=False, target="sim", seed=8 + i) as sim:
            sim.run_steps(90)
            assert np.array_equal(together[i], sim.data[probe])


class Counter:
    """Keeps how often it was called; cannot be copied with a lock."""

    def __init__(self, lock=None):
        self.calls, self.lock = 0, lock

    def __call__(self, t):
        self.calls += 1
        return [self.calls * 0.01]

    def look(self, t):
        return [self.calls * 0.02]


def counting(counter, *, chip):
    with nengo.Network(seed=1) as net:
        nodes = [nengo.Node(counter, size_out=1), nengo.Node(counter.look, size_out=1)]
        ensemble = nengo.Ensemble(20, 1)
        if chip:
            nengo.Connection(nodes[0], ensemble)
        for probed in (*nodes, ensemble):
            nengo.Probe(probed)
    return net


@pytest.mark.parametrize("chip", [False, True])
def test_samples_do_not_share_the_objects_nodes_call(chip):
    counter = Counter()
    net = counting(counter, chip=chip)
    with nd.LoihiSimulator(net, progress_bar=False, n_samples=3, seed=8) as sim:
        for begin in (lambda: None, sim.reset):
            begin()
            sim.run_steps(4)
            sim.run_steps(6)
            together = [sim.data[p] for p in net.all_probes]
            for i in range(3):
                alone = data_of(
                    loihi.Simulator, counting(Counter(), chip=chip), (0.004, 0.006), target="sim", seed=8 + i
                )
                for data, expected in zip(together, alone.values(), strict=True):
                    assert np.array_equal(data[i], expected)
    assert counter.calls == 0


def test_an_object_that_cannot_be_copied_is_shared_with_a_warning():
    net = counting(Counter(threading.Lock()), chip=False)
    with pytest.warns(UserWarning, match=r"what <Node.*> calls cannot be copied .*: all samples share it"):
        nd.LoihiSimulator(net, progress_bar=False, n_samples=2).close()


def test_data_of_samples_are_empty_before_a_run_after_reset_and_when_cleared():
    net = network()
    with nd.LoihiSimulator(net, n_samples=2, progress_bar=False) as sim:
        for empty in (lambda: None, sim.reset, sim.clear_probes):
            empty()
            assert [sim.data[p].shape[:2] for p in net.all_probes] == [(2, 0)] * len(net.all_probes)
            sim.run_steps(3)
            assert {sim.data[p].shape[:2] for p in net.all_probes} == {(2, 3)}


@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "3", True])
def test_a_number_of_samples_that_is_none_is_refused(n_samples):
    with pytest.raises(OptionError, match="whole number of at least 1"):
        nd.LoihiSimulator(network(), n_samples=n_samples, progress_bar=False)


@pytest.mark.parametrize("n_samples", [None, 2])
def test_steps_that_are_no_whole_number_are_refused(n_samples):
    with nd.LoihiSimulator(network(), n_samples=n_samples, progress_bar=False) as sim:
        with pytest.raises(OptionError, match=r"steps=2.5; give a whole number of steps"):
            sim.run_steps(2.5)
        assert sim.n_steps == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a"])
def test_data_that_are_no_finite_numbers_are_refused(value):
    net = network()
    node = net.all_nodes[0]
    data = {node: [[value] * node.size_out] * 2}
    with nd.LoihiSimulator(net, n_samples=2, progress_bar=False) as sim, pytest.raises(OptionError):
        sim.run_steps(2, data=data)


def test_data_of_a_wrong_shape_is_refused():
    net = network()
    wrong = {net.all_nodes[0]: np.zeros((2, 3))}
    for options, message in (
        ({"n_samples": 2}, r"has shape \(2, 3\); it takes \(2, 10, 2\) or \(2, 2\)"),
        ({}, r"needs LoihiSimulator\(network, n_samples=...\)"),
    ):
        simulator = nd.LoihiSimulator(net, progress_bar=False, **options)
        with simulator as sim, pytest.raises(OptionError, match=message):
            sim.run_steps(10, data=wrong)


class Counted:
    """An array that counts how often it is read."""

    def __init__(self, values):
        self.values, self.times = values, 0

    def __array__(self, dtype=None, copy=None):
        self.times += 1
        return np.array(self.values, dtype)


def test_data_are_read_once_for_all_samples():
    """Not once for each: that would take the square of their number."""
    net, drive = network(), Counted(np.zeros((3, 2)))
    with nd.LoihiSimulator(net, n_samples=3, progress_bar=False) as sim:
        sim.run_steps(2, data={net.all_nodes[0]: drive})
    assert drive.times == 1


SCRIPT = """
import nengo, nengo_loihi, numpy as np

with nengo.Network(seed=0) as model:
    nengo_loihi.add_params(model)
    stim = nengo.Node(nengo.processes.WhiteSignal(1.0, high=5, seed=0), size_out=2)
    pre = nengo.Ensemble(120, dimensions=2)
    post = nengo.Node(lambda t, x: x, size_in=2)
    error = nengo.Node(lambda t, x: x, size_in=2)
    nengo.Connection(stim, pre)
    conn = nengo.Connection(
        pre, post, function=lambda x: [0, 0], learning_rule_type=nengo.PES(learning_rate=1e-3), synapse=0.01
    )
    nengo.Connection(post, error)
    nengo.Connection(stim, error, transform=-1)
    nengo.Connection(error, conn.learning_rule)
    stim_p = nengo.Probe(stim, synapse=0.01)
    post_p = nengo.Probe(post, synapse=0.02)
    error_p = nengo.Probe(error, synapse=0.03)

with Simulator(model) as sim:
    sim.run(0.4)
data = {"t": sim.trange(), "stim": sim.data[stim_p], "post": sim.data[post_p], "error": sim.data[error_p]}
"""


@pytest.mark.filterwarnings("ignore:NengoLoihi does not support initial values")
def test_a_script_that_learns_gives_equal_data_when_only_the_simulator_changes():
    found = []
    for Simulator in (nd.LoihiSimulator, loihi.Simulator):
        space = {"Simulator": Simulator}
        exec(SCRIPT, space)
        found.append(space["data"])
    same(*found)
    assert np.abs(found[0]["post"][300:]).max() > 0.1  # it learned something


WRONG = {
    "dt": [0, -0.001, float("nan"), float("inf"), "a", None],
    "seed": [-1, 2**32, 1.5, "a", True],
    "precompute": ["no", 2],
}


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, values in WRONG.items() for v in values])
def test_arguments_that_make_no_sense_are_refused_by_name(name, value):
    with pytest.raises(OptionError, match=f"^{name}="):
        nd.LoihiSimulator(network(), progress_bar=False, **{name: value})


def test_seeds_of_all_samples_and_the_dt_of_a_model_are_checked():
    with pytest.raises(OptionError, match=r"for 2 samples; give a whole number from 0 to 4294967294"):
        nd.LoihiSimulator(network(), seed=2**32 - 1, n_samples=2)
    with pytest.raises(OptionError, match=r"dt=0\.002 s with a model that was made for dt=0\.001 s"):
        nd.LoihiSimulator(network(), dt=0.002, model=loihi.builder.Model(dt=0.001))


def test_arguments_stand_in_the_order_of_nengo_loihis():
    theirs = list(inspect.signature(loihi.Simulator).parameters)
    assert list(inspect.signature(nd.LoihiSimulator).parameters)[: len(theirs)] == theirs


@pytest.mark.parametrize("n_samples", [None, 2])
def test_time_that_makes_no_sense_is_refused_and_nothing_moves(n_samples):
    with nd.LoihiSimulator(network(), progress_bar=False, n_samples=n_samples) as sim:
        for steps in (-1, np.int64(-3)):
            with pytest.raises(OptionError, match="at least 0"):
                sim.run_steps(steps)
        for seconds in (float("nan"), float("inf"), "a", None):
            with pytest.raises(OptionError, match="time_in_seconds="):
                sim.run(seconds)
        with pytest.raises(nengo.exceptions.ValidationError, match="Must be positive"):
            sim.run(-0.1)
        sim.run_steps(0)
        assert sim.n_steps == 0
        sim.run_steps(True)
        sim.run_steps(np.int64(2))
        assert sim.n_steps == 3
        assert all(sim.data[probe].shape[-2] == 3 for probe in sim.network.all_probes)
