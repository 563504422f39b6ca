"""e-prop and SuperSpike in Nengo: their sums, step by step, from the simulator's own membranes and spikes."""

import numpy as np
import pytest

from neurodeploy.backends.nengo_eligibility import Eligibility
from neurodeploy.backends.nengo_learning import Delta, draw_feedback, nengo
from neurodeploy.learning import TEMPORAL

DT = 0.001
TAUS = {"e-prop": (0.02,), "superspike": (0.005, 0.02)}


@pytest.mark.parametrize("name", TEMPORAL)
def test_weights_change_by_the_rules_sum(name):
    rule, rng = TEMPORAL[name], np.random.default_rng(0)
    feedback, error = draw_feedback(3, 4, rng=rng), np.array([0.5, -1.0, 0.0, 2.0])
    told = Eligibility(rule, feedback, 1e-3, taus=TAUS[name])
    with nengo.Network(seed=0) as net:
        a = nengo.Ensemble(2, 1, gain=np.ones(2), bias=np.array([2.0, 5.0]))
        b = nengo.Ensemble(3, 1, gain=np.ones(3), bias=np.array([1.5, 0.7, 3.0]))
        c = nengo.Connection(a.neurons, b.neurons, transform=np.zeros((3, 2)), learning_rule_type=told)
        nengo.Connection(nengo.Node(error), c.learning_rule, synapse=None)
        seen = [nengo.Probe(c, "weights"), nengo.Probe(c.learning_rule, "activities"),
                nengo.Probe(b.neurons, "voltage"), nengo.Probe(b.neurons)]  # fmt: skip
    with nengo.Simulator(net, dt=DT, progress_bar=False) as sim:
        sim.run_steps(60)
    weights, pre, voltage, spikes = (sim.data[p] for p in seen)
    tags, found = [np.zeros((3, 2)) for _ in TAUS[name]], [np.zeros((3, 2))]
    for t in range(59):
        away = np.where(spikes[t] > 0, 0.0, voltage[t] - 1)
        passed = np.outer(rule.derivative(away), pre[t])
        for k, tau in enumerate(TAUS[name]):
            tags[k] = np.exp(-DT / tau) * tags[k] + (1 - np.exp(-DT / tau)) * passed
            passed = tags[k]
        found.append(found[-1] - 1e-3 * DT * (feedback @ error)[:, None] * passed)
    assert spikes.sum() > 0
    best = min(np.abs(weights[lag:] - np.array(found)[: 60 - lag]).max() for lag in (0, 1, 2))
    assert best < 0.05 * np.abs(weights).max()
    assert np.abs(weights[-1]).max() > 0


@pytest.mark.parametrize("name", TEMPORAL)
def test_a_spiking_network_learns_with_errors_in_spiking_neurons(name):
    rng = np.random.default_rng(3)
    shown, patterns = rng.integers(0, 3, 40), np.kron(np.eye(3), np.ones(2))
    at = lambda t: shown[min(int((t - 1e-9) / 0.05), len(shown) - 1)]  # noqa: E731
    with nengo.Network(seed=1) as net:
        x = nengo.Ensemble(6, 1, gain=np.full(6, 3.0), bias=np.zeros(6))
        nengo.Connection(nengo.Node(lambda t: patterns[at(t)]), x.neurons, synapse=None)
        h = nengo.Ensemble(40, 1, gain=np.ones(40), bias=np.ones(40))
        out = nengo.Node(size_in=3)
        error = nengo.networks.EnsembleArray(20, 3)
        told = Eligibility(TEMPORAL[name], draw_feedback(40, 3, rng=rng), 3e-5, taus=TAUS[name])
        first = nengo.Connection(x.neurons, h.neurons, transform=rng.normal(0, 0.01, (40, 6)),
                                 synapse=0.005, learning_rule_type=told)  # fmt: skip
        last = nengo.Connection(h.neurons, out, transform=np.zeros((3, 40)), synapse=0.01,
                                learning_rule_type=Delta(3e-4))  # fmt: skip
        nengo.Connection(out, error.input)
        nengo.Connection(nengo.Node(lambda t: np.eye(3)[at(t)]), error.input, transform=-1)
        nengo.Connection(error.output, first.learning_rule)
        nengo.Connection(error.output, last.learning_rule)
        seen = nengo.Probe(out, synapse=0.02), nengo.Probe(first, "weights", sample_every=1.0)
    with nengo.Simulator(net, dt=DT, progress_bar=False) as sim:
        sim.run_steps(50 * len(shown))
    answers = sim.data[seen[0]].reshape(len(shown), 50, 3)[:, -1].argmax(axis=1)
    assert (answers[-20:] == shown[-20:]).mean() > 0.85
    assert np.abs(sim.data[seen[1]][-1] - sim.data[seen[1]][0]).max() > 1e-5
