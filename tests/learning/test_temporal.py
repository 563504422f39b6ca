"""Rules in time, in floats: eligibility run forwards synapse by synapse, and the gradient by hand."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.learning import TEMPORAL, temporal
from neurodeploy.learning.eprop import EProp
from neurodeploy.learning.superspike import SuperSpike

SIZES = (6, 5, 4, 3)
STEPS, SAMPLES = 12, 2


@pytest.fixture
def batch(rng):
    return rng.uniform(0, 1, (STEPS, SAMPLES, 6)), rng.integers(0, 3, SAMPLES)


def drawn(rule, rng, **told):
    return temporal.network(SIZES, rule, rng=rng, gain=1.5, **told)


def neurons(net, layer, inputs, times, n):
    """A layer of one sample, neuron by neuron: spikes and distances, shape (T, n)."""
    w = net.weights[layer]
    own = net.recurrent[layer] if net.recurrent else np.zeros((n, n))
    beta = net.beta[layer] if net.beta else np.zeros(n)
    i, v, a, s = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    spikes, away = [], []
    for x in inputs:
        for j in range(n):
            i[j] = times.synapse * i[j] + sum(w[j] * x) + sum(own[j] * s)
            a[j] = net.adaptation * a[j] + s[j]
            v[j] = times.membrane * v[j] + i[j] - s[j]
        now = v - 1 - beta * a
        s = (now > 0).astype(float)
        spikes.append(s)
        away.append(now)
    return np.array(spikes), np.array(away)


@pytest.mark.parametrize("told", [{}, {"recurrent": True, "adapts": 0.6}])
@pytest.mark.parametrize("name", TEMPORAL)
def test_layers_are_their_equations(rng, batch, name, told):
    rule = TEMPORAL[name]
    net = drawn(rule, rng, **told)
    courses, _ = temporal.forward(rule, net, batch[0])
    for sample in range(SAMPLES):
        inputs = batch[0][:, sample]
        for layer, course in enumerate(courses[:2]):
            spikes, away = neurons(net, layer, inputs, rule.times, SIZES[layer + 1])
            assert (course.spikes[:, sample] == spikes).all()
            assert course.away[:, sample] == pytest.approx(away)
            inputs = spikes
    assert 0.02 < courses[0].spikes.mean() < 0.9


def forwards(rule, net, layer, pre, away, signal):
    """The sum over time of learning signal times filtered eligibility, as a rule on line takes it."""
    times, (n, i) = rule.times, (away.shape[1], pre.shape[1])
    beta = net.beta[layer] if net.beta else np.zeros(n)
    current, eps, eps_a, total = np.zeros(i), np.zeros(i), np.zeros((n, i)), np.zeros((n, i))
    filters = [np.zeros((n, i)) for _ in times.eligibility]
    for t in range(len(pre)):
        psi = rule.derivative(away[t])
        current = times.synapse * current + pre[t]
        eps = times.membrane * eps + current
        passed = psi[:, None] * (eps[None] - beta[:, None] * eps_a)
        eps_a = psi[:, None] * eps[None] + (net.adaptation - psi * beta)[:, None] * eps_a
        for k, keep in enumerate(times.eligibility):
            filters[k] = keep * filters[k] + passed
            passed = filters[k]
        total += signal[t][:, None] * passed
    return total


@pytest.mark.parametrize("told", [{}, {"recurrent": True, "adapts": 0.6}])
@pytest.mark.parametrize("name", TEMPORAL)
def test_changes_are_what_synapses_that_run_forwards_sum_up(rng, batch, name, told):
    rule = TEMPORAL[name]
    net = drawn(rule, rng, **told)
    courses, out = temporal.forward(rule, net, batch[0])
    error = temporal.errors(rule, out, batch[1])
    found = temporal.changes(rule, net, *batch)
    for layer in range(2):
        wanted, own = 0, 0
        for k in range(SAMPLES):
            signal = error[:, k] @ net.feedback[layer].T
            away, spikes = courses[layer].away[:, k], courses[layer].spikes[:, k]
            wanted = wanted + forwards(rule, net, layer, courses[layer].inputs[:, k], away, signal) / SAMPLES
            late = np.vstack([np.zeros_like(spikes[:1]), spikes[:-1]])
            own = own + forwards(rule, net, layer, late, away, signal) / SAMPLES
        assert found.weights[layer] == pytest.approx(wanted)
        if told:
            assert found.recurrent[layer] == pytest.approx(own * (1 - np.eye(len(own))))


def backwards(rule, net, x, label):
    """Back-propagation through time by hand: a recurrent layer that adapts, one sample, resets left out.

    Returns the gradient by weights from below and the layer's own, and the error of every spike on the way.
    """
    (w, v_out), own, beta, rho = net.weights, net.recurrent[0], net.beta[0], net.adaptation
    alpha, kappa = rule.times.membrane, rule.times.eligibility[0]
    course = temporal.forward(rule, net, x)[0][0]
    s, psi = course.spikes[:, 0], rule.derivative(course.away[:, 0])
    out = temporal.forward(rule, net, x)[1]
    e = temporal.errors(rule, out, [label])[:, 0]
    n = len(beta)
    dy, dv, da, ds_next = np.zeros(len(v_out)), np.zeros(n), np.zeros(n), np.zeros(n)
    below, across, worth = np.zeros_like(w), np.zeros_like(own), np.zeros_like(s)
    for t in reversed(range(len(s))):
        dy = kappa * dy + e[t]
        ds = v_out.T @ dy + ds_next
        worth[t] = ds
        ds = ds + da  # a spike raises the threshold of the next step
        dv = alpha * dv + psi[t] * ds
        da = rho * da - beta * psi[t] * ds
        below += np.outer(dv, x[t, 0])
        across += np.outer(dv, s[t - 1] if t else np.zeros(n))
        ds_next = own.T @ dv
    return below, across, worth


def test_with_the_true_error_of_every_spike_eprop_is_back_propagation_through_time(rng):
    """The factorisation of the paper's equation (1): exact for learning signals dE/dz, however obtained."""
    rule = dataclasses.replace(EProp(), readout=0.9)
    net = temporal.network((6, 8, 3), rule, rng=rng, gain=1.5, recurrent=True, adapts=0.5)
    x = rng.uniform(0, 1, (15, 1, 6))
    below, across, worth = backwards(rule, net, x, 1)
    course = temporal.forward(rule, net, x)[0][0]
    plain = dataclasses.replace(rule, readout=0.0)
    found, own = temporal.differences(plain, net, 0, course, worth[:, None])
    assert course.spikes.sum() > 10
    assert found == pytest.approx(below)
    assert own == pytest.approx(across * (1 - np.eye(8)))


def test_without_recurrence_symmetric_feedback_makes_eprop_the_gradient(rng):
    rule = EProp()
    net = temporal.network((6, 8, 3), rule, rng=rng, gain=1.5, recurrent=True, adapts=0.5)
    still = dataclasses.replace(net, recurrent=(np.zeros((8, 8)),), feedback=(net.weights[1].T,))
    x = rng.uniform(0, 1, (15, 1, 6))
    below, _, _ = backwards(rule, still, x, 1)
    assert temporal.changes(rule, still, x, [1]).weights[0] == pytest.approx(below)


def test_superspike_filters_errors_as_it_filters_eligibility(rng, batch):
    rule = SuperSpike(rise=0.5, decay=0.8)
    courses, out = temporal.forward(rule, drawn(rule, rng), batch[0])
    kernel = np.convolve(0.5 * 0.5 ** np.arange(STEPS), 0.2 * 0.8 ** np.arange(STEPS))[:STEPS]
    sent = temporal.wanted_output(batch[1], 3, STEPS, temporal.EVERY)
    assert sent.sum(axis=(0, 2)).tolist() == [STEPS // temporal.EVERY] * SAMPLES
    gap = courses[-1].spikes - sent
    found = temporal.errors(rule, out, batch[1])
    for at in np.ndindex(SAMPLES, 3):
        assert found[(slice(None), *at)] == pytest.approx(
            np.convolve(gap[(slice(None), *at)], kernel)[:STEPS]
        )


def test_errors_before_the_first_that_counts_change_nothing(rng, batch):
    rule = EProp()
    net = drawn(rule, rng)
    assert not any(d.any() for d in temporal.changes(rule, net, *batch, since=STEPS).weights)


@pytest.mark.parametrize("name", TEMPORAL)
def test_a_pattern_in_time_is_learned_that_no_single_step_shows(rng, name):
    """Two inputs spike in one order or the other."""
    rule = TEMPORAL[name]
    labels = rng.integers(0, 2, 64)
    first, second = np.zeros((2, 20)), np.zeros((2, 20))
    first[0, 2:6], first[1, 12:16] = 1, 1
    second[0, 12:16], second[1, 2:6] = 1, 1
    x = np.array([(first, second)[k].T for k in labels]).transpose(1, 0, 2)
    net = temporal.network((2, 20, 2), rule, rng=rng, gain=1.0 if name == "e-prop" else 0.3, recurrent=True)
    for _ in range(150):
        net = temporal.learn(rule, net, x, labels, rate=0.02 if name == "e-prop" else 3e-4)
    assert (temporal.answer(rule, net, x).argmax(axis=1) == labels).mean() > 0.95
