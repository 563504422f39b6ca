"""Deep rules in floats: their papers' equations, the gradient, and both families of engines."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.demo_data import digits
from neurodeploy.learning import DEEP, engine, rate
from neurodeploy.learning.alignment import FeedbackAlignment
from neurodeploy.learning.backprop import Backprop
from neurodeploy.learning.error_triggered import EventDrivenRandomBackprop
from neurodeploy.learning.kolen_pollack import KolenPollack
from neurodeploy.learning.rate import RateRule
from neurodeploy.learning.sign_direct import SignDirectFeedbackAlignment

SIZES = (7, 6, 5, 4)


@pytest.fixture
def batch(rng):
    return rng.normal(size=(9, 7)), rng.integers(0, 4, 9)


def drawn(rule, rng, sizes=SIZES):
    net = rate.network(sizes, rule, rng=rng)
    return dataclasses.replace(net, biases=tuple(rng.normal(0, 0.1, b.shape) for b in net.biases))


def parts(rule, net, x, labels):
    """What equations of papers are made of: error, input, rates, slopes."""
    activity = rate.forward(net, x)
    error = rate.softmax(activity.rates[-1]) - np.eye(4)[labels]
    return error, activity.rates, activity.slopes


@pytest.mark.parametrize("name", DEEP)
def test_every_rule_says_what_it_does_and_what_a_chip_runs(name):
    rule = DEEP[name]
    assert isinstance(rule, RateRule)
    assert rule.name == name == rule.chip().name
    assert rule.equation.startswith("dw =")
    assert rule.reference
    counts, collects = "u7*t" in rule.chip("y3").text, "(y2-64)" in rule.chip("y3").text
    assert counts != collects


def test_backprop_is_the_gradient(rng, batch):
    net = drawn(Backprop(), rng)
    weights, biases = rate.changes(Backprop(), net, *batch)
    for layer in range(3):
        for arrays, found in (("weights", weights), ("biases", biases)):
            at = tuple(rng.integers(0, n) for n in found[layer].shape)
            assert found[layer][at] == pytest.approx(slope(net, arrays, layer, at, batch), abs=1e-6)


def slope(net, arrays, layer, at, batch, h=1e-5):
    """Change of the loss per change of one number, measured."""
    ends = []
    for sign in (1, -1):
        moved = [a.copy() for a in getattr(net, arrays)]
        moved[layer][at] += sign * h
        ends.append(rate.loss(dataclasses.replace(net, **{arrays: tuple(moved)}), *batch))
    return (ends[0] - ends[1]) / (2 * h)


@pytest.mark.parametrize("name", [n for n in DEEP if n != "hunsberger"])  # whose error neurons round
def test_the_last_layer_of_every_rule_follows_the_gradient(rng, batch, name):
    net = drawn(DEEP[name], rng)
    true, _ = rate.changes(Backprop(), net, *batch)
    found, _ = rate.changes(DEEP[name], net, *batch)
    assert found[-1] == pytest.approx(true[-1])


def test_feedback_alignment_is_its_papers_equation(rng, batch):
    net = drawn(DEEP["fa"], rng)
    e, (x, h1, _, _), (s1, s2, _) = parts(DEEP["fa"], net, *batch)
    b1, b2 = net.feedback
    d2 = (e @ b2.T) * s2
    d1 = (d2 @ b1.T) * s1
    weights, _ = rate.changes(DEEP["fa"], net, *batch)
    assert weights[1] == pytest.approx(d2.T @ h1 / 9)
    assert weights[0] == pytest.approx(d1.T @ x / 9)
    local, _ = rate.changes(FeedbackAlignment(slopes=False), net, *batch)
    assert local[0] == pytest.approx((((e @ b2.T) @ b1.T) * s1).T @ x / 9)


def test_direct_feedback_alignment_is_its_papers_equation(rng, batch):
    net = drawn(DEEP["dfa"], rng)
    e, (x, *_), (s1, *_) = parts(DEEP["dfa"], net, *batch)
    weights, _ = rate.changes(DEEP["dfa"], net, *batch)
    assert weights[0] == pytest.approx(((e @ net.feedback[0].T) * s1).T @ x / 9)


def test_by_signs_hidden_layers_do_not_know_how_large_an_error_is(rng, batch):
    net = drawn(DEEP["sign-dfa"], rng)
    e, (x, *_), (s1, *_) = parts(DEEP["sign-dfa"], net, *batch)
    signs, _ = rate.changes(DEEP["sign-dfa"], net, *batch)
    assert signs[0] == pytest.approx(((np.sign(e) @ net.feedback[0].T) * s1).T @ x / 9)
    some, _ = rate.changes(SignDirectFeedbackAlignment(dead=0.2), net, *batch)
    sent = np.where(abs(e) > 0.2, np.sign(e), 0)
    assert some[0] == pytest.approx(((sent @ net.feedback[0].T) * s1).T @ x / 9)


def test_errors_that_are_too_small_trigger_nothing(rng, batch):
    rule = EventDrivenRandomBackprop(trigger=0.2)
    net = drawn(rule, rng)
    e, (x, *_), (s1, *_) = parts(rule, net, *batch)
    weights, _ = rate.changes(rule, net, *batch)
    assert weights[0] == pytest.approx(((np.where(abs(e) > 0.2, e, 0) @ net.feedback[0].T) * s1).T @ x / 9)


def test_target_projection_needs_no_error(rng, batch):
    net = drawn(DEEP["drtp"], rng)
    x, labels = batch
    _, _, (s1, *_) = parts(DEEP["drtp"], net, *batch)
    weights, _ = rate.changes(DEEP["drtp"], net, *batch)
    assert weights[0] == pytest.approx(-((np.eye(4)[labels] @ net.feedback[0].T) * s1).T @ x / 9)


def test_the_delta_rule_leaves_hidden_layers_alone(rng, batch):
    net = drawn(DEEP["delta"], rng)
    after = rate.learn(DEEP["delta"], net, *batch, rate=0.1)
    assert [(a == b).all() for a, b in zip(net.weights, after.weights, strict=True)] == [True, True, False]


def test_kolen_pollack_feedback_comes_to_be_the_weights_transposed(rng, batch):
    rule = KolenPollack()
    net = drawn(rule, rng)
    gaps = [[w.T - b for w, b in zip(net.weights[1:], net.feedback, strict=True)]]
    for _ in range(20):
        net = rate.learn(rule, net, *batch, rate=0.05, decay=0.1)
        gaps.append([w.T - b for w, b in zip(net.weights[1:], net.feedback, strict=True)])
    for first, last in zip(gaps[0], gaps[-1], strict=True):
        assert last == pytest.approx(0.9**20 * first)


def test_on_the_chip_forward_and_feedback_synapses_of_a_pair_change_alike(rng):
    rule, starts = KolenPollack(), 2 * rng.integers(-60, 60, (2, 3, 4))
    error_phase = np.arange(512)[:, None] % 128 >= 64
    below = rng.random((512, 4)) < [0.02, 0.05, 0.1, 0.3]
    above = rng.random((512, 3)) < np.where(error_phase, [0.1, 0.3, 0.6], [0.6, 0.3, 0.1])
    ends = []
    for form, start, pre, post in (
        (rule.chip(), starts[0], below, above),
        (rule.chip_feedback(), starts[1].T, above, below),
    ):
        s = engine.at_rest(start)
        for k in range(512):
            s = engine.step(form, s, pre=pre[k], post=post[k], rng=rng, rewards=(0, k % 128 // 64))
        ends.append(s.w)
    moved = ends[0] - starts[0], ends[1].T - starts[1]
    assert rate.cosine(moved[0] * 1.0, moved[1] * 1.0) > 0.9


def test_with_feedback_equal_to_the_weights_the_chain_is_the_gradient(rng, batch):
    net = drawn(DEEP["fa"], rng)
    net = dataclasses.replace(net, feedback=tuple(w.T for w in net.weights[1:]))
    true, _ = rate.changes(Backprop(), net, *batch)
    found, _ = rate.changes(DEEP["fa"], net, *batch)
    for a, b in zip(true, found, strict=True):
        assert rate.cosine(a, b) == pytest.approx(1)


def test_cosine_is_minus_one_for_the_opposite_and_0_for_nothing(rng):
    a = rng.normal(size=(3, 4))
    assert rate.cosine(a, -2 * a) == pytest.approx(-1)
    assert rate.cosine(a, 0 * a) == 0


@pytest.mark.parametrize("name", ["delta", "fa", "dfa", "drtp", "kolen-pollack"])
def test_two_phases_with_a_weak_drive_are_the_three_factors(rng, batch, name):
    rule, beta = DEEP[name], 1e-7
    net = drawn(rule, rng)
    activity, signals = rate._signals(rule, net, *batch)
    plus = rate.driven(net, batch[0], signals, beta=beta)
    expected, _ = rate.three_factor(activity, signals)
    found, _ = rate.two_phase(activity, plus, beta=beta)
    for a, b in zip(expected, found, strict=True):
        assert b == pytest.approx(a, abs=1e-6)


def test_two_phases_read_the_input_of_the_phase_that_is_asked_for(rng, batch):
    rule = DEEP["dfa"]
    net = drawn(rule, rng)
    minus, signals = rate._signals(rule, net, *batch)
    plus = rate.driven(net, batch[0], signals, beta=0.5, spread=True)
    kinds = {pre: rate.two_phase(minus, plus, beta=0.5, pre=pre)[0][1] for pre in ("minus", "mean", "plus")}
    assert kinds["mean"] == pytest.approx((kinds["minus"] + kinds["plus"]) / 2)
    assert not np.allclose(kinds["minus"], kinds["plus"])


def test_without_an_error_two_phases_change_nothing(rng, batch):
    net = drawn(DEEP["dfa"], rng)
    free = rate.forward(net, batch[0])
    silent = tuple(np.zeros_like(r) for r in free.rates[1:])
    found, _ = rate.two_phase(free, rate.driven(net, batch[0], silent, beta=0.5, spread=True), beta=0.5)
    assert all((d == 0).all() for d in found)


def test_rates_stop_at_the_top_and_slopes_with_them(rng):
    net = drawn(DEEP["dfa"], rng)
    activity = rate.forward(dataclasses.replace(net, top=0.5), 100 * rng.normal(size=(9, 7)))
    assert activity.rates[1].max() == 0.5
    inside = (activity.rates[1] > 0) & (activity.rates[1] < 0.5)
    assert (activity.slopes[0] == inside).all()
    assert np.abs(activity.rates[-1]).max() > 0.5


def on_digits(rule, rng):
    """Learn the 8x8 digits with two hidden layers of rates up to one spike per step; return the network."""
    split = digits()
    x, x_test = (a.reshape(len(a), 64) for a in (split.x_train, split.x_test))
    net = rate.network((64, 40, 40, 10), rule, rng=rng, top=1.0)
    for _ in range(20):
        for ids in np.array_split(rng.permutation(len(x)), len(x) // 32):
            net = rate.learn(rule, net, x[ids], split.y_train[ids], rate=0.2, decay=1e-4)
    out = rate.forward(net, x_test).rates[-1]
    return net, (out.argmax(axis=1) == split.y_test).mean(), (x[:200], split.y_train[:200])


@pytest.mark.parametrize("name", ["fa", "dfa", "drtp", "kolen-pollack"])
def test_a_deep_rule_learns_the_digits_and_its_first_layer_comes_to_follow_the_gradient(rng, name):
    net, accuracy, batch = on_digits(DEEP[name], rng)
    assert accuracy > 0.9
    true, _ = rate.changes(Backprop(), net, *batch)
    found, _ = rate.changes(DEEP[name], net, *batch)
    assert rate.cosine(true[0], found[0]) > 0.1


def test_with_frozen_hidden_layers_the_digits_are_not_learned_as_well(rng):
    assert on_digits(DEEP["delta"], rng)[1] < 0.88


def test_local_derivative_alignment_leaves_slopes_out_of_the_chain(rng, batch):
    net = drawn(DEEP["local-fa"], rng)
    e, (x, h1, *_), (s1, s2, _) = parts(DEEP["local-fa"], net, *batch)
    b1, b2 = net.feedback
    weights, _ = rate.changes(DEEP["local-fa"], net, *batch)
    assert weights[1] == pytest.approx(((e @ b2.T) * s2).T @ h1 / 9)
    assert weights[0] == pytest.approx(((e @ b2.T @ b1.T) * s1).T @ x / 9)


def test_sign_symmetric_feedback_keeps_the_weights_signs_and_its_own_sizes(rng, batch):
    rule = DEEP["sign-symmetry"]
    before = drawn(rule, rng)
    net = before
    for _ in range(20):
        net = rate.learn(rule, net, *batch, rate=0.2)
    flipped = [(np.sign(a) != np.sign(b)).any() for a, b in zip(before.weights, net.weights, strict=True)]
    assert any(flipped[1:])
    for w, b, old in zip(net.weights[1:], net.feedback, before.feedback, strict=True):
        assert (np.sign(b) == np.sign(w.T)).all()
        assert np.abs(b) == pytest.approx(np.abs(old))
