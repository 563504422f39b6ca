"""Local rules in Nengo: their equation, their own spikes as slope, and a deep network that learns."""

import numpy as np
import pytest

from neurodeploy.backends.nengo_learning import Delta, DirectFeedback, draw_feedback, nengo
from neurodeploy.errors import OptionError

DT = 0.001


def pair(rule, *, error, rates=(80.0, 200.0), steps=40):
    """Two populations of steady neurons; return weights, filtered spikes before, and the simulator's data."""
    with nengo.Network(seed=0) as net:
        kind = nengo.RectifiedLinear()
        a = nengo.Ensemble(2, 1, neuron_type=kind, gain=np.ones(2), bias=np.array(rates))
        b = nengo.Ensemble(3, 1, neuron_type=kind, gain=np.ones(3), bias=np.array([50.0, 0.0, 90.0]))
        c = nengo.Connection(a.neurons, b.neurons, transform=np.zeros((3, 2)), learning_rule_type=rule)
        nengo.Connection(nengo.Node(error), c.learning_rule, synapse=None)
        weights = nengo.Probe(c, "weights")
        pre = nengo.Probe(c.learning_rule, "activities")
    with nengo.Simulator(net, dt=DT, progress_bar=False) as sim:
        sim.run_steps(steps)
    return sim.data[weights], sim.data[pre]


def test_the_delta_rule_is_its_equation():
    error = np.array([1.0, -2.0, 0.5])
    weights, pre = pair(Delta(1e-3), error=error)
    wanted = -1e-3 * DT * error[:, None] * pre[:-2].sum(axis=0)
    assert weights[-1] == pytest.approx(wanted, rel=0.15)
    assert weights[-1] - weights[-2] == pytest.approx(-1e-3 * DT * np.outer(error, pre[-2]), rel=0.05)


def test_direct_feedback_is_its_equation_and_silent_neurons_do_not_learn():
    rng = np.random.default_rng(0)
    feedback, error = draw_feedback(3, 4, rng=rng), np.array([0.5, -1.0, 0.0, 2.0])
    weights, pre = pair(DirectFeedback(feedback, 1e-4, pre_synapse=nengo.Lowpass(0.005)), error=error)
    step = weights[-1] - weights[-2]
    wanted = -1e-4 * DT * np.outer(feedback @ error, pre[-2])
    assert step[[0, 2]] == pytest.approx(wanted[[0, 2]], rel=0.05)
    assert (weights[:, 1] == 0).all()
    assert feedback.sum(axis=1) == pytest.approx(0)


def test_feedback_that_is_no_matrix_is_refused():
    with pytest.raises(OptionError, match="matrix"):
        DirectFeedback(np.zeros(3))


def network(rng, lesson, *, hidden=60):
    """Spiking hidden layer by direct feedback, read-out by the delta rule, the error in spiking neurons."""
    classes = 3
    with nengo.Network(seed=1) as net:
        stimulus = nengo.Node(lambda t: lesson(t)[0], size_out=6)
        x = nengo.Ensemble(6, 1, neuron_type=nengo.LIF(), gain=np.full(6, 3.0), bias=np.zeros(6))
        nengo.Connection(stimulus, x.neurons, synapse=None)
        wanted = nengo.Node(lambda t: lesson(t)[1], size_out=classes)
        h = nengo.Ensemble(hidden, 1, neuron_type=nengo.LIF(), gain=np.ones(hidden), bias=np.ones(hidden))
        out = nengo.Node(size_in=classes)
        error = nengo.networks.EnsembleArray(20, classes)
        first = nengo.Connection(
            x.neurons, h.neurons, transform=rng.normal(0, 0.01, (hidden, 6)), synapse=0.005,
            learning_rule_type=DirectFeedback(draw_feedback(hidden, classes, rng=rng), 1e-5,
                                              pre_synapse=nengo.Lowpass(0.005)),
        )  # fmt: skip
        last = nengo.Connection(h.neurons, out, transform=np.zeros((classes, hidden)),
                                synapse=0.01, learning_rule_type=Delta(2e-4))  # fmt: skip
        nengo.Connection(out, error.input)
        nengo.Connection(wanted, error.input, transform=-1)
        nengo.Connection(error.output, first.learning_rule)
        nengo.Connection(error.output, last.learning_rule)
        return net, nengo.Probe(out, synapse=0.02), nengo.Probe(first, "weights", sample_every=1.0)


def test_a_spiking_network_learns_with_a_spiking_error():
    rng = np.random.default_rng(3)
    shown = rng.integers(0, 3, 60)
    patterns = np.kron(np.eye(3), np.ones(2))

    def lesson(t):
        k = shown[min(int(t / 0.05), len(shown) - 1)]
        return patterns[k], np.eye(3)[k]

    net, probe, weights = network(rng, lesson)
    with nengo.Simulator(net, dt=DT, progress_bar=False) as sim:
        sim.run_steps(50 * len(shown))
    answers = sim.data[probe].reshape(len(shown), 50, 3)[:, -1].argmax(axis=1)
    assert (answers[-30:] == shown[-30:]).mean() > 0.9
    assert np.abs(sim.data[weights][-1] - sim.data[weights][0]).max() > 1e-4
