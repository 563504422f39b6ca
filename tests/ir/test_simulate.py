from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.simulate import simulate
from tests.ir.graphs import sequence_graph, spiking_graph

DT = 1e-3
ONE = np.ones(())


def unit_if(threshold=1.0, **options):
    return ops.IF(ONE / DT, np.full((), threshold), **options)


def network(*steps, back=()):
    """Build a chain in spiking form, the first population as encoder."""
    nodes = [
        Node(name, op, unit=unit, notes={"role": "encoder"} if name == "encoder" else {})
        for name, op, unit in steps
    ]
    edges = tuple((a.name, b.name) for a, b in pairwise(nodes))
    return Graph(tuple(nodes), (*edges, *back), DT)


def relay(weight=1.0, bias=0.0, threshold=0.5, last=None):
    """One encoder, one hidden neuron, one output."""
    return network(
        ("in", ops.Input((1,)), 1.0),
        ("encoder", unit_if(reset="subtract"), 1.0),
        ("w", ops.Affine(np.array([[weight]]), np.array([bias])), 1.0),
        ("hidden", unit_if(threshold), 1.0),
        ("w2", ops.Affine(np.array([[1.0], [2.0]]), np.zeros(2)), 1.0),
        ("last", last or ops.I(ONE / DT), 3.0),
        ("out", ops.Output((2,)), 1.0),
    )


def seen(graph, x, steps):
    """Return the outputs of every population, step by step."""
    log = {}
    simulate(graph, x, steps=steps, watch=lambda t, name, i, out: log.setdefault(name, []).append(out.copy()))
    return {name: np.array(values) for name, values in log.items()}


def test_a_spike_takes_one_step_from_population_to_population():
    log = seen(relay(), np.ones((1, 1)), 5)
    assert log["encoder"][:, 0, 0].tolist() == [0, 1, 1, 1, 1]
    assert log["hidden"][:, 0, 0].tolist() == [0, 0, 1, 1, 1]
    assert log["last"][:, 0, 0].tolist() == [0, 0, 0, 1, 2]


def test_a_bias_acts_from_the_first_step():
    log = seen(relay(weight=0.0, bias=0.6), np.zeros((1, 1)), 3)
    assert log["hidden"][:, 0, 0].tolist() == [1, 1, 1]


def test_a_drive_on_the_threshold_is_no_spike():
    assert seen(relay(bias=0.5, weight=0.0), np.zeros((1, 1)), 1)["hidden"].sum() == 0


@given(st.floats(0.01, 1.5), st.floats(0.1, 2.0))
@settings(max_examples=50, deadline=None)
def test_a_hard_reset_spikes_once_in_the_steps_that_a_drive_takes_to_the_threshold(drive, threshold):
    graph = relay(weight=0.0, bias=drive, threshold=threshold)
    every, v = 1, drive
    while v <= threshold:
        every, v = every + 1, v + drive
    spikes = seen(graph, np.zeros((1, 1)), 60)["hidden"][:, 0, 0]
    assert spikes.tolist() == [float((t + 1) % every == 0) for t in range(60)]


def test_outputs_are_growth_per_step_times_the_unit():
    result = simulate(relay(), np.ones((1, 1)), steps=10)
    assert result.outputs.tolist() == [[7 / 10 * 3, 2 * 7 / 10 * 3]]
    assert result.decisions[0].tolist() == [0, 0, 0] + [1] * 7
    assert result.predictions.tolist() == [1]


def test_spiking_outputs_are_counted():
    result = simulate(relay(last=unit_if(1.5)), np.ones((1, 1)), steps=10)
    assert result.rates["last"][0].tolist() == [3 / 10, 7 / 10]
    assert result.outputs[0].tolist() == pytest.approx([3 * 3 / 10, 3 * 7 / 10])
    assert {k: v.tolist() for k, v in result.spikes.items()} == {"encoder": [9], "hidden": [8], "last": [10]}


def test_an_edge_back_arrives_one_step_later():
    graph = network(
        ("in", ops.Input((1,)), 1.0),
        ("encoder", unit_if(reset="subtract"), 1.0),
        ("w", ops.Affine(np.array([[1.0]]), np.array([0.0])), 1.0),
        ("hidden", unit_if(0.5), 1.0),
        ("out", ops.Output((1,)), 1.0),
        back=(("hidden", "w"),),
    )
    train = seen(graph, np.full((1, 1), 0.3), 12)["hidden"][:, 0, 0]
    assert train.tolist() == [0] * 4 + [1] * 8  # the first spike of the encoder comes in step 3


@pytest.mark.parametrize("make", [spiking_graph, sequence_graph])
def test_samples_do_not_see_each_other(make, rng):
    graph = make()
    x = rng.random((4, *graph.shapes[graph.input.name]))
    whole = simulate(graph, x, steps=12)
    parts = [simulate(graph, x[i : i + 1], steps=12, first=i) for i in range(4)]
    assert np.array_equal(whole.decisions, np.concatenate([p.decisions for p in parts]))
    np.testing.assert_allclose(whole.outputs, np.concatenate([p.outputs for p in parts]), atol=1e-12)


def test_poisson_spikes_depend_on_seed_and_index_only():
    graph, x = relay(), np.full((3, 1), 0.5)
    whole = simulate(graph, x, steps=200, input_coding="poisson", seed=4)
    last = simulate(graph, x[2:], steps=200, input_coding="poisson", seed=4, first=2)
    other = simulate(graph, x, steps=200, input_coding="poisson", seed=5)
    assert whole.spikes["encoder"][2] == last.spikes["encoder"][0]
    assert whole.spikes["encoder"].tolist() != other.spikes["encoder"].tolist()
    assert whole.rates["encoder"] == pytest.approx(0.5, abs=0.15)


def test_samples_beyond_one_spike_per_step_saturate():
    assert simulate(relay(), np.array([[5.0], [-5.0]]), steps=11).spikes["encoder"].tolist() == [10, 0]


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 5, "input_coding": "burst"}])
def test_calls_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionError):
        simulate(relay(), np.ones((1, 1)), **options)


def test_a_rate_graph_is_refused():
    graph = network(("in", ops.Input((1,)), 1.0), ("r", ops.ReLU(), 1.0), ("out", ops.Output((1,)), 1.0))
    with pytest.raises(OptionError, match="convert it first"):
        simulate(graph, np.ones((1, 1)), steps=5)
