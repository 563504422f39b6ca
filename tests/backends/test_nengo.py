"""Spiking graphs in Nengo: the same spikes as the float reference, in a network that can be extended."""

from pathlib import Path

import nengo
import numpy as np
import pytest

from neurodeploy import demo_data, stages
from neurodeploy.backends.base import backend
from neurodeploy.backends.nengo import to_nengo
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.simulate import simulate
from tests.backends.spiking import ADD, DT, NEURONS, chain, convolutional, encoder, perceptron, recurrent

MODELS = Path(__file__).resolve().parents[2] / "models"
STEPS = 40


def trains_of(graph, x, **options):
    """Outputs of every population as the reference has them, shape (B, T, N)."""
    seen = {}
    simulate(
        graph,
        x,
        **options,
        watch=lambda t, name, drive, out: seen.setdefault(name, []).append(out.reshape(len(x), -1)),
    )
    return {name: np.stack(steps, axis=1) for name, steps in seen.items()}


def run_network(network, steps=STEPS, dt=DT):
    """Output of every population of a network in Nengo's simulator, shape (T, N)."""
    with network:
        probes = {name: nengo.Probe(p.neurons) for name, p in network.populations.items()}
    with nengo.Simulator(network, model=nengo.builder.Model(dt=dt), progress_bar=False) as simulator:
        simulator.run_steps(steps)
        return {name: simulator.data[probe] for name, probe in probes.items()}


def assert_same_trains(graph, x):
    want = trains_of(graph, x[None], steps=STEPS)
    have = run_network(to_nengo(graph, input=x))
    assert set(have) == set(want)
    for name, train in have.items():
        assert np.any(train), name
        np.testing.assert_allclose(
            train, want[name][0], atol=0 if graph[name].op.spiking else 1e-12, err_msg=name
        )


@pytest.mark.parametrize("kind", NEURONS)
def test_every_kind_of_neuron_spikes_as_in_the_reference(kind, rng):
    assert_same_trains(perceptron(rng, (10, 12, 4), neuron=NEURONS[kind]), rng.random(10))


@pytest.mark.parametrize("size", [6, 7, 20])
def test_a_convolutional_network_spikes_as_in_the_reference(size, rng):
    assert_same_trains(convolutional(rng, size=size), rng.random((1, size, size)))


def test_feedback_and_shortcuts_spike_as_in_the_reference(rng):
    assert_same_trains(recurrent(rng), rng.random(6))


CONVOLUTIONS = [
    (ops.Conv2d, (2, 7, 6), {"padding": (1, 1)}),
    (ops.Conv2d, (2, 7, 6), {"padding": (1, 1), "stride": (2, 2)}),
    (ops.Conv2d, (2, 7, 7), {"padding": (1, 1), "stride": (2, 2)}),
    (ops.Conv2d, (2, 7, 7), {"padding": (2, 0), "dilation": (2, 1), "groups": 2}),
    (ops.Conv2d, (2, 6, 6), {"stride": (2, 1), "groups": 2}),
    (ops.Conv1d, (2, 9), {"padding": 1, "stride": 2}),
]


@pytest.mark.parametrize(("op", "shape", "options"), CONVOLUTIONS)
def test_every_geometry_of_convolution_is_the_graphs_own(op, shape, options, rng):
    kernel = (4, 2 // options.get("groups", 1), *(3,) * (len(shape) - 1))
    layer = op(rng.normal(size=kernel), 0.1 * rng.normal(size=4), **options)
    graph = chain(
        Node("input", ops.Input(shape)), encoder(), Node("conv", layer), Node("sum", ops.I(ADD)),
        Node("output", ops.Output(layer.out_shape(shape))),
    )  # fmt: skip
    assert_same_trains(graph, rng.random(shape))


def test_signed_samples_pass_a_linear_layer_before_the_encoder(rng):
    both = ops.Affine(np.concatenate([np.eye(6), -np.eye(6)]), np.zeros(12))
    base = perceptron(rng, (12, 8, 4))
    graph = chain(Node("input", ops.Input((6,))), Node("on_off", both), *base.nodes[1:])
    assert_same_trains(graph, rng.uniform(-1, 1, 6))


def test_samples_may_drive_a_population_without_an_encoder(rng):
    base = perceptron(rng)
    graph = chain(base.nodes[0], *base.nodes[2:])
    x = rng.random((3, 6))
    assert_same_trains(graph, x[0])
    recording = backend("nengo").open(graph, steps=STEPS)(x, 0)
    np.testing.assert_allclose(recording.outputs, simulate(graph, x, steps=STEPS).outputs, atol=1e-12)


@pytest.mark.parametrize("coding", ["rate", "bias", "poisson"])
def test_the_backend_gives_what_the_reference_gives(coding, rng):
    graph, x = convolutional(rng), rng.random((4, 1, 6, 6))
    want = simulate(graph, x, steps=STEPS, input_coding=coding, seed=3, first=5)
    have = backend("nengo").open(graph, steps=STEPS, input_coding=coding, seed=3)(x, 5)
    np.testing.assert_allclose(have.outputs, want.outputs, atol=1e-12)
    np.testing.assert_array_equal(have.decisions, want.decisions)
    assert {k: v.tolist() for k, v in have.spikes.items()} == {k: v.tolist() for k, v in want.spikes.items()}


def test_results_do_not_depend_on_chunks_or_order(rng):
    graph, x = perceptron(rng), rng.random((5, 6))
    session = backend("nengo").open(graph, steps=STEPS, input_coding="poisson", seed=1)
    whole = session(x, 0)
    last, first = session(x[3:], 3), session(x[:3], 0)
    np.testing.assert_array_equal(np.concatenate([first.outputs, last.outputs]), whole.outputs)
    assert whole.raster["fc1.relu"].shape == (whole.spikes["fc1.relu"][0], 2)
    assert not last.raster


def test_output_spikes_are_counted(rng):
    graph = perceptron(rng, output=ops.IF(ADD, np.full((), 0.5), reset="subtract")).with_node(
        "fc2.sum", unit=2.0
    )
    x = rng.random((3, 6))
    recording = backend("nengo").open(graph, steps=STEPS)(x, 0)
    np.testing.assert_allclose(recording.outputs.sum(axis=1) * STEPS / 2, recording.spikes["fc2.sum"])
    np.testing.assert_allclose(recording.outputs, simulate(graph, x, steps=STEPS).outputs)


def test_the_digits_network_gives_the_outputs_of_the_reference():
    digits = demo_data.digits()
    graph = stages.convert(stages.load(MODELS / "digits_cnn.keras"), calibration=digits.x_train[:64])
    x = graph.prepare(digits.x_test[:10])
    want = simulate(graph, x, steps=64)
    have = backend("nengo").open(graph, steps=64)(x, 0)
    np.testing.assert_allclose(have.outputs, want.outputs, rtol=1e-9)
    assert {k: v.tolist() for k, v in have.spikes.items()} == {k: v.tolist() for k, v in want.spikes.items()}


# --- the network as the user sees it ---


def test_ensembles_bear_the_users_layer_names_and_convolutions_stay_convolutions(rng):
    network = to_nengo(convolutional(rng, size=20))
    assert [e.label for e in network.all_ensembles] == ["encoder", "conv1", "conv2", "fc"]
    by_label = {c.label: type(c.transform).__name__ for c in network.all_connections if c.label}
    assert by_label["encoder -> conv1"] == "Convolution"
    assert by_label["conv1 -> conv2"] == "Convolution"
    assert "pool" in [node.label for node in network.all_nodes]


def test_biases_are_the_ensembles_own(rng):
    graph = perceptron(rng)
    network = to_nengo(graph)
    np.testing.assert_array_equal(network.populations["fc1.relu"].bias, graph["fc1"].op.bias)


def test_a_network_can_be_extended_with_ordinary_nengo(rng):
    graph, x = perceptron(rng), rng.random(6)
    network = to_nengo(graph, input=x)
    with network:
        ensemble = nengo.Ensemble(200, 1, seed=0)
        nengo.Connection(
            network.populations["fc1.relu"].neurons, ensemble, transform=np.full((1, 8), 1 / 8), synapse=0.05
        )
        probe = nengo.Probe(ensemble, synapse=0.05)
    with nengo.Simulator(network, model=nengo.builder.Model(dt=DT), progress_bar=False) as simulator:
        simulator.run(0.5)
    mean_rate = simulate(graph, x[None], steps=500).rates["fc1.relu"].mean()
    assert simulator.data[probe][-100:].mean() == pytest.approx(mean_rate, abs=0.05)


def test_the_input_can_be_replaced_by_a_function_of_time(rng):
    graph, x = perceptron(rng), rng.random(6)
    network = to_nengo(graph)
    network.input.output = lambda t: x
    spikes = run_network(network)["fc1.relu"]
    np.testing.assert_array_equal(spikes, trains_of(graph, x[None], steps=STEPS)["fc1.relu"][0])


def test_nengo_decodes_from_our_neurons_through_their_rates(rng):
    # one population driven directly: a decoder solved by Nengo must reproduce the mean response
    op = ops.IF(ADD, np.ones(()), reset="subtract")
    graph = chain(Node("input", ops.Input((3,))), Node("pop", op), Node("output", ops.Output((3,))))
    neurons = to_nengo(graph).populations["pop"].neuron_type
    rates = neurons.rates(np.array([[0.25], [-1.0]]) * np.ones(3), np.ones(3), np.zeros(3))
    np.testing.assert_allclose(rates, [[0.25] * 3, [0.0] * 3])


def test_another_step_length_is_refused(rng):
    network = to_nengo(perceptron(rng))
    with pytest.raises(OptionError, match=r"dt=0\.001"):
        run_network(network, dt=2e-3)


def test_a_rate_graph_is_refused_with_the_next_step(rng):
    graph = chain(Node("input", ops.Input((2,))), Node("act", ops.ReLU()), Node("output", ops.Output((2,))))
    with pytest.raises(OptionError, match="convert it first"):
        to_nengo(graph)


def test_two_populations_with_equal_parameters_stay_two(rng):
    op = ops.IF(ADD, np.full((6,), 0.7), reset="subtract")
    base = perceptron(rng, (6, 6, 6), neuron=op, output=op)
    assert_same_trains(Graph(base.nodes, base.edges, dt=DT), rng.random(6))
