"""Rules of two phases in floats: their papers' equations, and the gradient where theory says so."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler.checks.plasticity import expressible
from neurodeploy.demo_data import digits
from neurodeploy.learning import DEEP, PHASED, rate
from neurodeploy.learning.contrastive import ContrastiveHebbian, RandomContrastiveHebbian
from neurodeploy.learning.dendrites import SegregatedDendrites
from neurodeploy.learning.emstdp import EMSTDP
from neurodeploy.learning.equilibrium import EquilibriumPropagation
from neurodeploy.learning.gated_backprop import GatedBackprop
from neurodeploy.learning.generec import GeneralizedRecirculation
from neurodeploy.learning.rate import PhasedRule
from neurodeploy.learning.settling import settle
from neurodeploy.targets import target

SIZES = (7, 6, 5, 4)
PLAIN = {"top": 1.0, "gain": 0.3}


def inside(rng, symmetric=True):
    """A network whose rates stay between 0 and 1, so that slopes are 1, and a batch."""
    net = rate.network(SIZES, DEEP["fa"], rng=rng, **PLAIN)
    feedback = (w.T if symmetric else rng.normal(0, w.std(), w.T.shape) for w in net.weights[1:])
    net = dataclasses.replace(
        net, biases=tuple(np.full(b.shape, 0.4) for b in net.biases), feedback=tuple(feedback)
    )
    return net, rng.uniform(0, 0.3, (9, 7)), np.eye(4)[rng.integers(0, 4, 9)]


def backward(net, x, wanted, feedback):
    """The squared error's way back through other weights: what weights' changes are, all slopes 1."""
    rates = settle(net, x, steps=60, gain=0.0)
    errors = [rates[-1] - wanted]
    for back in reversed(feedback):
        errors.insert(0, errors[0] @ back.T)
    return [e.T @ r / len(x) for e, r in zip(errors, rates, strict=False)]


@pytest.mark.parametrize("name", [*PHASED, "dendrites"])
def test_every_rule_says_what_it_does_and_each_engine_runs_its_form(name):
    rule = {**PHASED, **DEEP}[name]
    assert isinstance(rule, PhasedRule) == (name in PHASED)
    assert rule.name == name == rule.chip().name
    assert rule.equation.startswith("dw =")
    assert rule.reference
    assert expressible(rule.chip("r1"), target("loihi1")) == "yes"
    assert expressible(rule.chip("y3"), target("loihi2")) == "yes"


def test_settled_rates_are_a_fixed_point(rng):
    net, x, _ = inside(rng)
    a, b = settle(net, x, steps=100), settle(net, x, steps=101)
    for before, after in zip(a, b, strict=True):
        assert after == pytest.approx(before)
    drive = a[1] @ net.weights[1].T + net.biases[1] + a[3] @ net.feedback[1].T
    assert a[2] == pytest.approx(np.clip(drive, 0, 1))


def test_equilibrium_propagation_is_the_gradient_at_the_free_fixed_point(rng):
    net, x, wanted = inside(rng)
    rule = EquilibriumPropagation(beta=1e-3, free=100, nudged=100, lower=1.0)
    found = rule.compare(net, x, wanted)
    for layer in range(3):
        at = tuple(rng.integers(0, n) for n in net.weights[layer].shape)
        assert found.weights[layer][at] == pytest.approx(slope(net, layer, at, x, wanted), rel=0.01, abs=1e-6)


def slope(net, layer, at, x, wanted, h=1e-4):
    """Change of half the squared error per change of a weight that both directions share."""
    ends = []
    for sign in (1, -1):
        weights = [w.copy() for w in net.weights]
        weights[layer][at] += sign * h
        moved = dataclasses.replace(net, weights=tuple(weights), feedback=tuple(w.T for w in weights[1:]))
        out = settle(moved, x, steps=100)[-1]
        ends.append(0.5 * ((out - wanted) ** 2).sum() / len(x))
    return (ends[0] - ends[1]) / (2 * h)


@pytest.mark.parametrize("kind", [ContrastiveHebbian, RandomContrastiveHebbian, GeneralizedRecirculation])
def test_with_weak_feedback_clamped_outputs_teach_as_backpropagation_does(rng, kind):
    """Xie and Seung's theorem; with random feedback it is feedback alignment."""
    net, x, wanted = inside(rng, symmetric=kind is not RandomContrastiveHebbian)
    found = kind(gain=1e-3, steps=60).compare(net, x, wanted)
    for mine, true in zip(found.weights, backward(net, x, wanted, net.feedback), strict=True):
        assert rate.cosine(mine, true) > 0.99
        if kind is not GeneralizedRecirculation:
            assert np.linalg.norm(mine) == pytest.approx(np.linalg.norm(true), rel=0.1)


@pytest.mark.parametrize("name", ["generec", "chl", "equilibrium"])
def test_where_nothing_else_is_wanted_nothing_changes(rng, name):
    net, x, _ = inside(rng, symmetric=False)
    rule = PHASED[name]
    gain = getattr(rule, "gain", 1.0)
    wanted = settle(net, x, steps=200, gain=gain)[-1]
    steps = {"free": 200} if name == "equilibrium" else {"steps": 200}
    found = dataclasses.replace(rule, **steps).compare(net, x, wanted)
    assert max(abs(d).max() for d in (*found.weights, *found.biases, *found.feedback)) < 1e-9


@pytest.mark.parametrize("kind", [ContrastiveHebbian, EquilibriumPropagation])
def test_both_synapses_of_a_pair_change_alike_so_decay_makes_them_equal(rng, kind):
    net, x, wanted = inside(rng, symmetric=False)
    labels = wanted.argmax(axis=1)
    gaps = [w.T - b for w, b in zip(net.weights[1:], net.feedback, strict=True)]
    for _ in range(20):
        net = rate.learn(kind(), net, x, labels, rate=0.05, decay=0.1)
    for first, w, b in zip(gaps, net.weights[1:], net.feedback, strict=True):
        assert w.T - b == pytest.approx(0.9**20 * first)


def test_feedback_of_recirculation_learns_from_its_own_two_ends(rng):
    net, x, wanted = inside(rng)
    rule = GeneralizedRecirculation(gain=0.5, steps=100)
    minus = settle(net, x, steps=200, gain=0.5)
    plus = settle(net, x, steps=300, gain=0.5, clamp=wanted)
    found = rule.compare(net, x, wanted)
    assert found.weights[1] == pytest.approx((minus[2] - plus[2]).T @ minus[1] / 9, abs=1e-9)
    assert found.feedback[0] == pytest.approx((minus[1] - plus[1]).T @ minus[2] / 9, abs=1e-9)


def test_weakly_driven_emstdp_is_three_factors_with_the_clipped_error(rng):
    rule = EMSTDP(beta=1e-6)
    net = rate.network(SIZES, rule, rng=rng)
    x, wanted = rng.normal(size=(9, 7)), np.eye(4)[rng.integers(0, 4, 9)]
    run = rate.forward(net, x)
    error = np.clip(run.rates[-1], 0, 1) - wanted
    found = rule.compare(net, x, wanted)
    first = ((error @ net.feedback[0].T) * run.slopes[0]).T @ x / 9
    assert found.weights[0] == pytest.approx(first, abs=1e-5)
    assert found.weights[2] == pytest.approx(error.T @ run.rates[2] / 9, abs=1e-5)


def test_dendrites_learn_from_the_difference_of_plateaus(rng):
    rule = SegregatedDendrites()
    net = rate.network(SIZES, rule, rng=rng)
    x, labels = rng.normal(size=(9, 7)), rng.integers(0, 4, 9)
    run = rate.forward(net, x)

    def plateau(out):
        return 1 / (1 + np.exp(-out @ net.feedback[0].T))

    gap = plateau(rate.softmax(run.rates[-1])) - plateau(np.eye(4)[labels])
    found, _ = rate.changes(rule, net, x, labels)
    assert found[0] == pytest.approx((gap * run.slopes[0]).T @ x / 9)


def test_gated_backprop_sends_binary_errors_through_the_box(rng):
    rule = GatedBackprop(threshold=0.2)
    net = rate.network(SIZES, rule, rng=rng)
    x, wanted = rng.uniform(size=(9, 7)), np.eye(4)[rng.integers(0, 4, 9)]
    spikes = (x > 0.5) * 1.0
    u1 = spikes @ net.weights[0].T
    u2 = (u1 > 0.5) @ net.weights[1].T
    u3 = (u2 > 0.5) @ net.weights[2].T
    d3 = (u3 > 0.5) - wanted
    d2 = np.sign(d3 @ net.feedback[1].T) * (abs(d3 @ net.feedback[1].T) > 0.2) * (u2 > 0) * (u2 < 1)
    found = rule.compare(net, x, wanted)
    assert found.weights[2] == pytest.approx(d3.T @ (u2 > 0.5) / 9)
    assert found.weights[1] == pytest.approx(d2.T @ (u1 > 0.5) / 9)
    assert (found.feedback[1] == found.weights[2].T).all()
    assert (rule.answer(net, x) == u3).all()


@pytest.mark.parametrize(
    ("name", "speed", "plain"),
    [("emstdp", 0.2, {"top": 1.0}), ("chl", 0.2, {"top": 1.0, "gain": 0.5}), ("nbp", 0.1, {}),
     ("generec", 0.2, {"top": 1.0, "gain": 0.5}), ("equilibrium", 0.1, {"top": 1.0, "gain": 0.5})],
)  # fmt: skip
def test_a_rule_of_two_phases_learns_the_digits(rng, name, speed, plain):
    split = digits()
    x, x_test = (a.reshape(len(a), 64) for a in (split.x_train, split.x_test))
    net = rate.network((64, 40, 40, 10), PHASED[name], rng=rng, **plain)
    for _ in range(12):
        for ids in np.array_split(rng.permutation(len(x)), len(x) // 32):
            net = rate.learn(PHASED[name], net, x[ids], split.y_train[ids], rate=speed, decay=1e-4)
    out = rate.answer(PHASED[name], net, x_test)
    assert (out.argmax(axis=1) == split.y_test).mean() > 0.8
