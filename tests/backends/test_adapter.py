"""The import adapter: what it mends, what it keeps out, and what it leaves alone."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg

from neurodeploy.backends import adapter
from neurodeploy.errors import MissingExtra


def run_fresh(code):
    """Run code in a new Python and return the words it printed; imports must not depend on other tests."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def nengo():
    return adapter.nengo_module()


@pytest.fixture
def nengo_loihi():
    return adapter.nengo_loihi_module()


def test_emulator_runs_without_importing_tensorflow_and_without_a_warning():
    code = """
import sys
from neurodeploy.backends import adapter
nengo_loihi = adapter.nengo_loihi_module()
import nengo
with nengo.Network(seed=0) as net:
    probe = nengo.Probe(nengo.Ensemble(20, 1, label="a", neuron_type=nengo_loihi.LoihiLIF(
        initial_state={"voltage": nengo.dists.Choice([0])})))
with nengo_loihi.Simulator(net, seed=0, progress_bar=False) as sim:
    sim.run_steps(5)
print(sim.data[probe].shape, "tensorflow" in sys.modules, "nengo_dl" in sys.modules)
"""
    assert run_fresh(code) == ["(5,", "1)", "False", "False"]


def test_hidden_packages_are_importable_again_afterwards():
    adapter.nengo_loihi_module()
    assert "tensorflow" not in sys.modules or sys.modules["tensorflow"] is not None


def test_package_that_is_not_installed_is_named_with_the_command_that_adds_it():
    code = """
import sys
sys.modules["nengo_loihi"] = None
from neurodeploy.backends import adapter
try:
    adapter.nengo_loihi_module()
except ImportError as error:
    print(type(error).__name__, error)
"""
    words = run_fresh(code)
    assert words[:5] == ["MissingExtra", "nengo-loihi", "is", "not", "installed"]
    assert words[-3:] == ["pip", "install", "nengo-loihi==1.1.0"]
    assert issubclass(MissingExtra, ImportError)


@pytest.mark.parametrize("kind", ["array", "list", "integers"])
def test_one_dimensional_signal_is_filtered_like_a_column(nengo, kind):
    signal = {"array": np.linspace(0, 1, 7), "list": [0.0, 1.0, 2.0], "integers": np.arange(5)}[kind]
    synapse = nengo.Lowpass(0.01)
    column = synapse.filt(np.asarray(signal, dtype=float)[:, None], dt=0.001)
    np.testing.assert_array_equal(synapse.filt(signal, dt=0.001), column[:, 0])
    np.testing.assert_array_equal(synapse.filt(signal, dt=0.001, copy=False), column[:, 0])


def test_filtering_changes_the_signal_only_when_asked_to(nengo):
    signal = np.ones(4)
    nengo.Alpha(0.01).filt(signal)
    np.testing.assert_array_equal(signal, np.ones(4))
    filtered = nengo.Alpha(0.01).filt(signal, copy=False)
    assert filtered is signal


def test_filtering_runs_along_the_axis_that_is_named(nengo):
    signal = np.arange(12.0).reshape(3, 4)
    along_rows = nengo.Lowpass(0.01).filt(signal, axis=1)
    np.testing.assert_array_equal(along_rows, nengo.Lowpass(0.01).filt(signal.T).T)


def test_matrix_exponential_of_a_large_system_agrees_with_scipy(nengo):
    from nengo.utils.filter_design import expm

    matrix = np.random.default_rng(0).normal(size=(260, 260)) / 8  # above 200, norms come from operators
    np.testing.assert_allclose(expm(matrix), scipy.linalg.expm(matrix), rtol=1e-8, atol=1e-8)


def test_synapse_weights_given_as_lists_of_integers_become_floats(nengo_loihi):
    synapse = nengo_loihi.block.Synapse(n_axons=2)
    synapse.set_weights([[1, 2], [3, 4]])
    assert [w.dtype.name for w in synapse.weights] == ["float32", "float32"]


def test_event_file_is_read_as_bytes(nengo_loihi, tmp_path):
    path = tmp_path / "one.events"
    path.write_bytes(bytes([0b00001110, 0, 0b00000110, 0, 5, 0, 0, 0]))
    events = nengo_loihi.dvs.DVSEvents.from_file(str(path), rel_time=False).events
    assert [(int(e["y"]), int(e["x"]), bool(e["p"])) for e in events] == [(3, 3, True)]


def test_numpy_itself_is_left_alone(nengo_loihi):
    assert nengo_loihi.block.np is not np
    assert nengo_loihi.block.np.ndarray is np.ndarray
    if np.__version__ >= "2":
        with pytest.raises(ValueError, match="copy"):
            np.array([1], copy=False)


@pytest.mark.keras
def test_nengo_dl_runs_on_keras_2_and_leaves_the_keras_of_the_process_alone():
    """Emulator first, TensorFlow with Keras 3 second, nengo-dl last: the least favourable order."""
    code = """
import warnings
warnings.simplefilter("ignore")
from neurodeploy.backends import adapter
nengo_loihi = adapter.nengo_loihi_module()
import sys, nengo, tensorflow as tf
before = tf.keras.__version__, sys.modules["keras"]
nengo_dl = adapter.nengo_dl_module()
with nengo.Network(seed=0) as net:
    half = nengo.Node([0.5])
    loihi = nengo.Ensemble(20, 1, neuron_type=nengo_loihi.LoihiLIF(), seed=1)
    nengo.Connection(half, loihi, synapse=nengo.LinearFilter([1, 2], [1, 2]))
    gain = nengo.Node(size_in=1)
    nengo.Connection(half, gain, synapse=nengo.LinearFilter([3], [1], analog=False))
    decoded, scaled = nengo.Probe(loihi, synapse=0.01), nengo.Probe(gain)
with nengo_dl.Simulator(net, progress_bar=False) as sim:
    sim.run_steps(60)
print(float(sim.data[scaled][-1, 0]), abs(float(sim.data[decoded][-1, 0]) - 0.5) < 0.2)
print(before == (tf.keras.__version__, sys.modules["keras"]), hasattr(sys.modules["keras"], "engine"))
"""
    assert run_fresh(code) == ["1.5", "True", "True", "False"]
