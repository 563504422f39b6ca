"""Backend rate: evaluation in floats."""

import numpy as np
import pytest

from neurodeploy.backends.base import backend
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.simulate import simulate
from tests.backends.spiking import ADD, perceptron, recurrent


def test_rate_is_one_step_of_evaluation_in_the_units_of_the_model(rng):
    graph = perceptron(rng).with_node("fc2.sum", unit=3.0)
    x = rng.random((7, 6))
    recording = backend("rate").open(graph, steps=1)(x, 0)
    assert recording.steps == 1
    np.testing.assert_array_equal(recording.outputs, 3.0 * evaluate(graph, x))
    assert recording.decisions[:, 0].tolist() == recording.predictions.tolist()


def test_spikes_come_closer_to_rates_with_every_step(rng):
    high = ops.IF(ADD, np.full((), 8.0), reset="subtract")  # so that no rate is cut off at 1 spike per step
    graph = perceptron(rng, neuron=high)
    x = rng.random((5, 6))
    rate = backend("rate").open(graph, steps=1)(x, 0).outputs
    short, long = (np.abs(simulate(graph, x, steps=steps).outputs - rate).mean() for steps in (20, 2000))
    assert long < short / 20


def test_a_recurrent_graph_has_no_rate(rng):
    with pytest.raises(OptionError, match="recurrent"):
        backend("rate").open(recurrent(rng), steps=1)(rng.random((1, 6)), 0)
