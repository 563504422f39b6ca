"""Circuits that settle with feedback, in the chip's integers: what is wired, and what cancels."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler.checks.plasticity import expressible
from neurodeploy.errors import OptionError
from neurodeploy.kernels import online, online_tables
from neurodeploy.learning import NETWORKS, deep, engine, forms
from neurodeploy.learning.description import Feedback
from neurodeploy.targets import target

SIZES = (12, 10, 8, 3)


def made(rule, **setup):
    numbers = deep.Setup(thresholds=(255, 255, 128), **setup)
    return deep.circuit(NETWORKS[rule], SIZES, rng=np.random.default_rng(0), setup=numbers)


def blobs(samples):
    """Classes that differ in which inputs are bright."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, samples)
    bright = np.kron(np.eye(3), np.ones(4))[labels]
    return deep.codes(np.clip(bright * 0.8 + rng.normal(0, 0.15, bright.shape), 0, 1), divide_by=1), labels


@pytest.mark.parametrize(
    ("rule", "learns"), [("generec", True), ("chl", True), ("equilibrium", True), ("random-chl", False)]
)
def test_every_layer_sends_up_and_down_and_loihi1_runs_it(rule, learns):
    wired = made(rule)
    plastic = {(j.source, j.target) for j in wired.plastic}
    up, down = {("data", "h1"), ("h1", "h2"), ("h2", "out")}, {("out", "h2"), ("h2", "h1")}
    assert plastic == (up | down if learns else up)
    assert all(wired.projection(*ends).weight.any() for ends in down)
    assert {expressible(j.rule, target("loihi1")) for j in wired.plastic} == {"yes"}


def test_a_nudged_output_is_pulled_and_a_clamped_one_is_told():
    def shown(**setup):
        wired = made("equilibrium", **setup)
        late = (dataclasses.replace(p, rates=p.rates[3:]) for p in wired.populations)
        last = dataclasses.replace(wired, phases=wired.phases[3:], populations=tuple(late))
        laid, state = online_tables.tables(last)
        return online.run(laid, state, *blobs(30), learn=False)

    _, labels = blobs(30)
    clamped, nudged = shown(), shown(nudge=20)
    assert ((clamped > 0).sum(axis=1) == 1).all()
    assert (clamped.argmax(axis=1) == labels).all()
    assert (nudged.argmax(axis=1) == labels).mean() > 0.9
    assert nudged.sum() > clamped.sum()


def test_generalized_recirculation_learns_in_spikes():
    wired = made("generec", exponents=(-4, -4, -1), feedback=60, back_exponent=-7)
    laid, state = online_tables.tables(wired)
    codes, labels = blobs(600)
    online.run(laid, state, codes, labels)
    found = online.run(laid, state, codes, labels, learn=False, phases=3)
    assert (found.argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize("reward", ["r1", "y3"])
def test_hebbs_product_that_is_the_same_in_both_phases_leaves_weights_alone(rng, reward):
    """What differs changes weights with the sign of the second phase, on either engine."""
    form = forms.phase_sign("hebb", Feedback("settling", "fixed", "phase-sign"), reward=reward)
    rule = deep.scaled(form, 1, deep.Setup(tau=16.0, impulse=8.0))
    moved = {}
    for name, rates in (("same", (0.4, 0.4)), ("more", (0.1, 0.6)), ("less", (0.6, 0.1))):
        s = engine.at_rest(np.zeros((4, 4), np.int64))
        for k in range(128 * 12):
            late = k % 128 // 64
            pre = np.arange(4) * 0 + (k % 3 == 0)
            post = (rng.random(4) < rates[late]) if name != "same" else pre
            s = engine.step(
                rule, s, pre=pre, post=post, rng=rng, rewards=(0, late), imposed={"y3": np.array([late])}
            )
        moved[name] = s.w.mean()
    assert abs(moved["same"]) < 0.1 * moved["more"]
    assert moved["less"] < -0.5 * moved["more"] < 0


def test_a_chain_of_gates_has_no_circuit():
    with pytest.raises(OptionError, match="no circuit"):
        made("nbp")
