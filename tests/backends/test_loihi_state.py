"""Runs of LoihiSimulator that are saved, pickled and resumed, against uninterrupted ones."""

import pickle
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neurodeploy as nd
from neurodeploy.backends.adapter import nengo_loihi_module, nengo_module
from neurodeploy.errors import LoadError, OptionError, OutputError

nengo, loihi = nengo_module(), nengo_loihi_module()
pytestmark = pytest.mark.filterwarnings(
    "ignore:Lost",
    "ignore:Model is precomputable",
    "ignore:PES learning rule",
    "ignore:.*PES error",
    "ignore:'Node.size_out' is being overwritten",  # Nengo, unpickling a node without output
)
STEPS, CUT = 60, 23


def sine(t):
    return [np.sin(40 * t), 0.5]


def zero(x):
    return [0, 0]


def same(t, x):
    return x


def network(*, learning=False, seed=1):
    """Everything that keeps state: processes without a seed, random neurons, queues both ways, filters."""
    with nengo.Network(seed=seed) as net:
        loihi.add_params(net)
        rest = {"voltage": nengo.dists.Choice([0]), "refractory_time": nengo.dists.Choice([0])}
        net.config[nengo.Ensemble].neuron_type = loihi.LoihiLIF(initial_state=rest)
        stimulus = nengo.Node(sine)
        noise = nengo.Node(nengo.processes.WhiteNoise(nengo.dists.Gaussian(0, 0.1)), size_out=2)
        signal = nengo.Node(nengo.processes.WhiteSignal(1.0, 20), size_out=2)
        a, b = nengo.Ensemble(40, 2), nengo.Ensemble(30, 2)
        host = nengo.Ensemble(30, 2, neuron_type=nengo.PoissonSpiking(nengo.LIFRate()))
        net.config[host].on_chip = False
        for pre, post in ((stimulus, a), (noise, host), (signal, a), (host, b), (a, b)):
            nengo.Connection(pre, post)
        for probed in (a, b.neurons, host):
            nengo.Probe(probed, synapse=0.01)
        nengo.Probe(a.neurons, "voltage", synapse=0.005)
        if learning:
            post, error = nengo.Node(same, size_in=2), nengo.Node(same, size_in=2)
            rule = nengo.PES(2e-3)
            learned = nengo.Connection(a, post, function=zero, learning_rule_type=rule)
            nengo.Connection(error, learned.learning_rule)
            nengo.Connection(post, error)
            nengo.Connection(stimulus, error, transform=-1)
            nengo.Probe(post, synapse=0.02)
    return net


def simulator(net, *, noise=False, **options):
    if noise:
        options["model"] = loihi.builder.Model(dt=0.001)
        options["model"].decode_neurons = loihi.decode_neurons.NoisyDecodeNeurons(10, dt=0.001)
    return nd.LoihiSimulator(net, progress_bar=False, **options)


def data_of(sim):
    return [np.array(sim.data[probe]) for probe in sim.network.all_probes]


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


KINDS = [{}, {"learning": True}, {"noise": True}, {"n_samples": 2, "learning": True}, {"precompute": False}]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_resumed_run_equals_an_uninterrupted_one(kind):
    options = dict(kind)
    net = network(learning=options.pop("learning", False))
    with simulator(net, **options) as sim:
        sim.run_steps(CUT)
        state, pickled = pickle.dumps(sim.get_state()), pickle.dumps(sim)
        sim.run_steps(STEPS - CUT)
        whole = data_of(sim)
        assert all(values.any() for values in whole)
        sim.set_state(pickle.loads(state))
        assert sim.n_steps == CUT
        sim.run_steps(STEPS - CUT)
        assert_same(data_of(sim), whole)
    with pickle.loads(pickled) as copy:
        copy.run_steps(STEPS - CUT)
        assert_same(data_of(copy), whole)
        copy.reset()
        copy.run_steps(STEPS)
        assert_same(data_of(copy), whole)


@pytest.mark.parametrize("learning", [False, True])
def test_another_simulator_of_the_same_network_goes_on(learning):
    with simulator(network(learning=learning)) as first, simulator(network(learning=learning)) as second:
        first.run_steps(CUT)
        second.run_steps(7)
        second.set_state(first.get_state())
        for sim in (first, second):
            sim.run_steps(STEPS - CUT)
        assert_same(data_of(second), data_of(first))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_file_goes_on_in_another_simulator(kind, tmp_path):
    options = dict(kind)
    learning = options.pop("learning", False)
    first, second = (simulator(network(learning=learning), **options) for _ in range(2))
    with first, second:
        first.run_steps(CUT)
        first.save_state(tmp_path / "state.h5")
        second.load_state(tmp_path / "state.h5")
        for sim in (first, second):
            sim.run_steps(STEPS - CUT)
        assert_same(data_of(second), data_of(first))


ELSEWHERE = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_loihi_state import CUT, STEPS, data_of, network, simulator
with simulator(network(learning=True), n_samples=2) as sim:
    sim.load_state(sys.argv[2])
    sim.run_steps(STEPS - CUT)
    np.savez(sys.argv[3], *data_of(sim))
"""


def test_a_file_goes_on_in_another_process(tmp_path):
    with simulator(network(learning=True), n_samples=2) as sim:
        sim.run_steps(CUT)
        sim.save_state(tmp_path / "state.h5")
        sim.run_steps(STEPS - CUT)
        whole = data_of(sim)
    here = Path(__file__).parent
    arguments = [str(here), str(tmp_path / "state.h5"), str(tmp_path / "data.npz")]
    command = [sys.executable, "-W", "ignore", "-c", ELSEWHERE, *arguments]
    subprocess.run(command, cwd=here.parents[1], check=True)
    with np.load(tmp_path / "data.npz") as data:
        assert_same([data[name] for name in data.files], whole)


DAMAGED = {
    "another format": (lambda file: file.attrs.modify("format", "x"), "holds no state"),
    "no tree": (lambda file: file.pop("tree"), "holds no state"),
    "no JSON": (lambda file: file["tree"].write_direct(np.zeros_like(file["tree"])), "damaged state"),
    "no values": (lambda file: file.pop("i4"), "damaged state"),
    "few values": (lambda file: cut(file, "f8"), "ends behind 'f8'"),
    "other values": (lambda file: retype(file, "f8"), "'f8' holds float32"),
    "random numbers": (lambda file: file["u4"].write_direct(np.full_like(file["u4"], 2**31)), "behind their"),
}


def cut(file, name):
    values = file.pop(name)[:-1]
    file[name] = values


def retype(file, name):
    values = file.pop(name)[:].astype(np.float32)
    file[name] = values


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_refused_and_changes_nothing(pair, damage, tmp_path):
    sim, _, now, expected = pair[2]
    sim.set_state(now)
    sim.save_state(tmp_path / "state.h5")
    do, message = DAMAGED[damage]
    with h5py.File(tmp_path / "state.h5", "a") as file:
        do(file)
    with pytest.raises(LoadError, match=message):
        sim.load_state(tmp_path / "state.h5")
    sim.run_steps(5)
    assert_same(data_of(sim), expected)


def test_a_file_of_another_network_and_what_is_no_file_are_refused(tmp_path):
    with simulator(network()) as one:
        one.save_state(tmp_path / "state.h5")
    (tmp_path / "text.h5").write_text("no state")
    with simulator(network(seed=2)) as other:
        with pytest.raises(LoadError, match=r"state\.h5': this state belongs to another network"):
            other.load_state(tmp_path / "state.h5")
        with pytest.raises(LoadError, match="not a readable HDF5 file"):
            other.load_state(tmp_path / "text.h5")
        with pytest.raises(OutputError, match="cannot write"):
            other.save_state(tmp_path / "nowhere" / "state.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.h5", "text.h5"]


@pytest.fixture(scope="module")
def started():
    with simulator(network(learning=True)) as sim:
        sim.run_steps(STEPS)
        yield sim, data_of(sim)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_wherever_a_run_is_cut_it_gives_the_same(started, parts):
    sim, whole = started
    sim.reset()
    left = STEPS
    for part in parts:
        sim.run_steps(min(part, left - 1))
        left = STEPS - sim.n_steps
        kept = sim.get_state()
        sim.run_steps(3)
        sim.set_state(kept)
        if left < 2:
            break
    sim.run_steps(left)
    assert_same(data_of(sim), whole)


def test_a_pickled_closed_simulator_keeps_its_data():
    with simulator(network()) as sim:
        sim.run_steps(5)
    copy = pickle.loads(pickle.dumps(sim))
    assert copy.closed
    assert_same(data_of(copy), data_of(sim))
    with pytest.raises(nengo.exceptions.SimulatorClosed):
        copy.get_state()


def test_the_state_of_another_network_is_refused():
    with simulator(network()) as one:
        state = one.get_state()
    with simulator(network(seed=2)) as other, pytest.raises(OptionError, match="belongs to another network"):
        other.set_state(state)


def without(name):
    return lambda state: {k: v for k, v in state.items() if k != name}


def with_spikes(change):
    """Change the spikes on their way on the chip."""

    def broken(state):
        arrays = [*state["chip"]["batch"]]
        arrays[1] = change(arrays[1])
        return {**state, "chip": {**state["chip"], "batch": arrays}}

    return broken


BROKEN = {
    "negative spikes": with_spikes(lambda fired: fired - 1),
    "many spikes inside": with_spikes(lambda fired: np.full_like(fired, 2)),
    "empty": lambda state: {},
    "no dict": lambda state: None,
    "no hosts": without("hosts"),
    "no chip": without("chip"),
    "no data": without("data"),
    "n_steps": lambda state: {**state, "n_steps": "a"},
    "chip": lambda state: {**state, "chip": {**state["chip"], "errors": np.zeros(77)}},
    "host": lambda state: {**state, "hosts": [{}]},
    "few samples": lambda state: {**state, "samples": [], "data": [[]] * 9},
}


@pytest.mark.parametrize("n_samples", [None, 2])
@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_state_is_refused_and_changes_nothing(pair, broken, n_samples):
    sim, earlier, now, expected = pair[n_samples]
    sim.set_state(now)
    with pytest.raises(OptionError, match="this is no state of a LoihiSimulator"):
        sim.set_state(BROKEN[broken](earlier))
    assert sim.n_steps == 12
    sim.run_steps(5)
    assert_same(data_of(sim), expected)


def test_a_state_that_counts_spikes_in_bytes_goes_on(pair):
    """As they were kept before counts could be larger."""
    sim, _, now, expected = pair[None]
    sim.set_state(with_spikes(lambda fired: fired.astype(np.uint8))(now))
    sim.run_steps(5)
    assert_same(data_of(sim), expected)


@pytest.fixture(scope="module")
def pair():
    """Simulators with and without samples, a state after 7 steps, one after 12, and data after 17."""
    found = {}
    for n_samples in (None, 2):
        sim = simulator(network(learning=True), n_samples=n_samples)
        sim.run_steps(7)
        earlier = sim.get_state()
        sim.run_steps(5)
        now = sim.get_state()
        sim.run_steps(5)
        found[n_samples] = (sim, earlier, now, data_of(sim))
    yield found
    for sim, *_ in found.values():
        sim.close()


class Locked(nengo.Process):
    """Keeps what cannot be copied."""

    def __init__(self):
        super().__init__(default_size_out=1)

    def make_step(self, shape_in, shape_out, dt, rng, state):
        lock = threading.Lock()

        def step(t):
            with lock:
                return [0.0]

        return step


def test_a_process_that_keeps_what_cannot_be_copied_is_named():
    net = network()
    with net:
        nengo.Connection(nengo.Node(Locked()), net.all_ensembles[0], transform=[[1], [1]])
    with simulator(net) as sim, pytest.raises(OptionError, match=r"Locked.* keeps an object of type 'lock'"):
        sim.get_state()
