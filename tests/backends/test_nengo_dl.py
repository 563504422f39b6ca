"""Backend nengo-dl against backend nengo: the same network in TensorFlow."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurodeploy.backends.base import backend
from neurodeploy.backends.nef import with_nef
from neurodeploy.ir.simulate import simulate
from tests.backends.spiking import NEURONS, convolutional, perceptron, recurrent

STEPS = 24
ROOT = Path(__file__).resolve().parents[2]


def open_dl(graph, **options):
    from neurodeploy.backends.nengo_dl import open_session

    return open_session(graph, steps=STEPS, **options)


@pytest.mark.keras
@pytest.mark.parametrize("kind", NEURONS)
def test_every_kind_of_neuron_spikes_in_float64_as_in_the_reference(kind, rng):
    graph, x = perceptron(rng, neuron=NEURONS[kind]), rng.random((5, 6))
    want = simulate(graph, x, steps=STEPS)
    have = open_dl(graph, dtype="float64")(x, 0)
    np.testing.assert_allclose(have.outputs, want.outputs, atol=1e-10)
    assert {k: v.tolist() for k, v in have.spikes.items()} == {k: v.tolist() for k, v in want.spikes.items()}


@pytest.mark.keras
def test_float32_gives_the_figures_of_backend_nengo_but_for_ties(rng):
    graph, x = convolutional(rng, size=8), rng.random((20, 1, 8, 8))
    want = backend("nengo").open(graph, steps=STEPS)(x, 0)
    have = backend("nengo-dl").open(graph, steps=STEPS)(x, 0)
    for name, count in want.spikes.items():
        assert np.abs(have.spikes[name] - count).sum() <= 1e-4 * count.sum(), name
        assert (
            np.abs(have.synops.get(name, 0) - want.synops.get(name, 0)).sum()
            <= 1e-4 * want.synops.get(name, np.ones(1)).sum()
        )
    np.testing.assert_allclose(have.outputs, want.outputs, atol=1e-3)
    assert np.mean(have.decisions == want.decisions) > 0.999


@pytest.mark.keras
def test_batches_and_chunks_do_not_matter(rng):
    graph, x = recurrent(rng), rng.random((40, 6))
    session = open_dl(graph, input_coding="poisson", seed=2)
    whole = session(x, 0)
    parts = [session(x[:1], 0), session(x[1:33], 1), session(x[33:], 33)]
    np.testing.assert_array_equal(np.concatenate([part.outputs for part in parts]), whole.outputs)
    want = simulate(graph, x, steps=STEPS, input_coding="poisson", seed=2)
    np.testing.assert_allclose(whole.outputs, want.outputs, atol=1e-4)


@pytest.mark.keras
def test_a_nef_layer_is_the_same_in_both_backends(rng):
    graph, x = with_nef(perceptron(rng), ["fc1"]), rng.random((4, 6))
    want = backend("nengo").open(graph, steps=STEPS, seed=3)(x, 0)
    have = open_dl(graph, seed=3, dtype="float64")(x, 0)
    np.testing.assert_allclose(have.outputs, want.outputs, atol=1e-6)


@pytest.mark.keras
def test_the_terminal_stays_quiet(rng, capfd):
    open_dl(convolutional(rng))(rng.random((2, 1, 6, 6)), 0)
    assert capfd.readouterr() == ("", "")


def test_where_tensorflow_is_missing_one_sentence_says_how_to_add_it():
    program = """
import sys
import numpy as np
sys.modules["tensorflow"] = None  # as if it were not installed
from neurodeploy.backends.base import backend
from neurodeploy.errors import MissingExtra
from tests.backends.spiking import perceptron
try:
    backend("nengo-dl").open(perceptron(np.random.default_rng(0)), steps=1)
except MissingExtra as error:
    print(error)
"""
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stderr == ""
    assert re.fullmatch(r"tensorflow is not installed .*neurodeploy\[dl\].*\n", said.stdout)
