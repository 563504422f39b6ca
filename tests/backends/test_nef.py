"""Layers as NEF ensembles: what the decoders give, and what the rest of the network makes of it."""

from pathlib import Path

import nengo
import numpy as np
import pytest

from neurodeploy import demo_data, stages
from neurodeploy.backends.base import backend
from neurodeploy.backends.nef import decode_errors, fan_out, full_scale, with_nef
from neurodeploy.backends.nengo import to_nengo
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Node
from neurodeploy.ir.simulate import simulate
from tests.backends.spiking import ADD, DT, NEURONS, chain, convolutional, encoder, perceptron

MODELS = Path(__file__).resolve().parents[2] / "models"
MARGIN = 0.015
"""Root mean square error of decoded rates, in spikes per step, with 50 neurons for each unit."""


def one_layer(neuron, bias):
    """Build encoder, one population under the given biases, and a read-out of each unit."""
    n = len(bias)
    return chain(
        Node("input", ops.Input((n,))),
        encoder(),
        Node("w", ops.Affine(np.zeros((n, n)), bias)),
        Node("layer", neuron),
        Node("each", ops.Affine(np.eye(n), np.zeros(n))),
        Node("sum", ops.I(ADD)),
        Node("output", ops.Output((n,))),
        meta={"rate": 0.5},
    )


@pytest.mark.parametrize("kind", ["if-subtract", "lif"])
def test_decoded_rates_follow_the_neurons_mean_response(kind):
    bias = np.linspace(-0.2, 0.3, 21)
    graph = with_nef(one_layer(NEURONS[kind], bias), ["layer"])
    rates = backend("nengo").open(graph, steps=400)(np.zeros((1, 21)), 0).outputs[0]
    want = apply(NEURONS[kind], bias[None], dt=DT)[0]
    assert np.ptp(want) > 0.3
    assert np.sqrt(np.mean((rates - want) ** 2)) < MARGIN


def test_more_neurons_decode_better():
    graph = one_layer(NEURONS["if-subtract"], np.linspace(-0.2, 0.3, 11))
    errors = []
    for neurons in (10, 40, 160):
        network = to_nengo(graph, nef=["layer"], nef_neurons=neurons)
        with nengo.Simulator(network, model=nengo.builder.Model(dt=DT), progress_bar=False) as simulator:
            errors.append(decode_errors(network, simulator)["layer"])
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0


def test_a_network_with_a_nef_layer_computes_about_the_same(rng):
    neuron = ops.IF(ADD, np.full((), 4.0), reset="subtract")
    graph, x = perceptron(rng, (12, 16, 4), neuron=neuron), rng.random((20, 12))
    graph = graph.with_meta(rate=float(simulate(graph, x, steps=200).rates["fc1.relu"].max()))
    plain = simulate(graph, x, steps=200).outputs
    have = backend("nengo").open(with_nef(graph, ["fc1"]), steps=200)(x, 0).outputs
    assert np.sqrt(np.mean((have - plain) ** 2)) < 0.2 * plain.std()


def test_nef_results_depend_on_the_seed_and_not_on_chunks(rng):
    graph, x = with_nef(perceptron(rng), ["fc1"]), rng.random((3, 6))
    session = backend("nengo").open(graph, steps=30, seed=1)
    whole = session(x, 0)
    np.testing.assert_array_equal(session(x[2:], 2).outputs, whole.outputs[2:])
    other = backend("nengo").open(graph, steps=30, seed=2)(x, 0)
    assert np.abs(other.outputs - whole.outputs).max() > 0


def test_spikes_and_synapses_of_a_nef_layer_are_those_of_its_neurons(rng):
    graph, x = with_nef(perceptron(rng), ["fc1"], neurons=30), rng.random((2, 6))
    reach = fan_out(graph)
    assert reach["encoder", "fc1.relu"].tolist() == [8 * 30] * 6
    assert reach["fc1.relu", "fc2.sum"].tolist() == [4] * (8 * 30)
    recording = backend("nengo").open(graph, steps=30)(x, 0)
    assert recording.raster["fc1.relu"][:, 1].max() >= 8
    assert recording.synops["fc2.sum"][0] <= 4 * recording.spikes["fc1.relu"][0]


def test_a_nef_layer_is_an_ensemble_for_each_unit(rng):
    network = to_nengo(convolutional(rng), nef=["conv2"], nef_neurons=20)
    layer = network.populations["conv2.relu"]
    assert layer.label == "conv2"
    assert [e.n_neurons for e in layer.ensembles] == [20] * 4


def test_full_scale_is_the_input_at_which_the_rate_is_reached():
    op = NEURONS["lif"]
    peak = full_scale(op, (2, 3), DT, rate=0.4)
    assert peak.shape == (6,)
    np.testing.assert_allclose(apply(op, peak.reshape(1, 2, 3), dt=DT), 0.4, rtol=1e-9)


@pytest.mark.parametrize("layer", ["fc2", "encoder", "nothing"])
def test_only_hidden_layers_can_be_nef_ensembles(layer, rng):
    with pytest.raises(OptionError, match=f"'{layer}' cannot be a NEF ensemble; the hidden layers are: fc1"):
        with_nef(perceptron(rng), [layer])


def test_a_nef_layer_that_is_too_large_is_refused_with_its_size(rng):
    graph = perceptron(rng, (2, 1001, 2))
    with_nef(graph, ["fc1"], neurons=99)
    with pytest.raises(OptionError, match=r"takes 100100 neurons .* limit is 100000"):
        with_nef(graph, ["fc1"], neurons=100)


def test_the_digits_model_keeps_its_accuracy_with_a_nef_layer():
    digits = demo_data.digits()
    graph = stages.convert(stages.load(MODELS / "digits_mlp.keras"), calibration=digits.x_train)
    x, labels = graph.prepare(digits.x_test[:60]), digits.y_test[:60]
    plain = backend("nengo").open(graph, steps=64)(x, 0)
    have = backend("nengo").open(with_nef(graph, ["fc2"]), steps=64)(x, 0)
    assert plain.accuracy(labels) > 0.95
    assert have.accuracy(labels) > plain.accuracy(labels) - 0.03
    assert np.corrcoef(have.outputs.ravel(), plain.outputs.ravel())[0, 1] > 0.98
