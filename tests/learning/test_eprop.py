"""e-prop and SuperSpike: their papers' equations, in floats and in the chip's integers."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler.checks.plasticity import expressible
from neurodeploy.errors import OptionError
from neurodeploy.kernels import online, online_tables
from neurodeploy.learning import TEMPORAL, deep, engine
from neurodeploy.learning.eprop import EProp
from neurodeploy.learning.superspike import SuperSpike
from neurodeploy.targets import target

NUMBERS = {
    "e-prop": {"exponents": (-4, -4, -3), "eligible": -1},
    "superspike": {"exponents": (-2, -2, -3), "eligible": 0, "error_leak": 5},
}


def made(name, sizes=(12, 10, 8, 3), **told):
    numbers = {"thresholds": (255, 255, 128), "feedback": 60, "mechanism": "neuron-trace"} | NUMBERS[name]
    setup = deep.Setup(**(numbers | told))
    return deep.circuit(TEMPORAL[name], sizes, rng=np.random.default_rng(0), setup=setup)


def blobs(rng, samples, classes=3, inputs=12):
    """Classes that differ in which inputs are bright."""
    labels = rng.integers(0, classes, samples)
    bright = np.kron(np.eye(classes), np.ones(inputs // classes))[labels]
    return np.clip(bright * 0.8 + rng.normal(0, 0.15, bright.shape), 0, 1), labels


@pytest.mark.parametrize("name", TEMPORAL)
def test_each_engine_runs_its_form(name):
    rule = TEMPORAL[name]
    assert rule.name == name == rule.chip().name
    assert rule.equation.startswith("dw =")
    assert expressible(rule.chip("r1"), target("loihi1")) == "yes"
    assert expressible(rule.chip("y3"), target("loihi1")) == "no"
    assert {expressible(f, target("loihi2")) for f in (rule.chip("y3"), rule.chip_output())} == {"yes"}


def test_pseudo_derivatives_are_those_of_the_papers():
    away = np.array([-1.5, -1.0, -0.25, 0.0, 0.5, 2.0])
    assert EProp().derivative(away) == pytest.approx([0, 0, 0.225, 0.3, 0.15, 0])
    assert SuperSpike(steepness=4).derivative(away) == pytest.approx(
        [1 / 49, 1 / 25, 1 / 4, 1, 1 / 9, 1 / 81]
    )


@pytest.mark.parametrize("name", TEMPORAL)
def test_neurons_write_their_pseudo_derivative_in_16_steps(name):
    wired = made(name)
    hidden = wired["h1"]
    away = np.arange(len(hidden.slopes)) * 2.0**hidden.slope_shift / hidden.threshold
    ideal = TEMPORAL[name].derivative(away) / TEMPORAL[name].derivative(np.zeros(1))
    assert np.array(hidden.slopes) / 64 == pytest.approx(ideal, abs=1 / 128)
    assert hidden.linear
    assert not wired["out"].slopes


def tagged(name, steps=32, seed=0):
    """A synapse's tag after some steps of random spikes and slopes, and the paper's sum of them."""
    rng = np.random.default_rng(seed)
    rule = deep.scaled(TEMPORAL[name].chip("y3"), -4, deep.Setup(eligible=-3))
    pre, slopes = rng.random((steps, 5)) < 0.4, rng.integers(0, 65, (steps, 4))
    s = engine.at_rest(np.zeros((4, 5), int))
    trace, wanted = np.zeros(5), np.zeros((4, 5))
    for k in range(steps):
        trace = trace * np.exp(-1 / 32) + 16 * pre[k]
        if (k + 1) % 16 == 0:
            wanted = (
                wanted * (0.5 if name == "superspike" else 1)
                + np.outer(slopes[k], np.minimum(trace, 127)) / 64
            )
        imposed = {"y1": slopes[k], "y2": np.full(4, 64), "y3": np.array([0])}
        s = engine.step(rule, s, pre=pre[k], post=np.zeros(4), rng=rng, imposed=imposed)
    return s, wanted, rule


@pytest.mark.parametrize("name", TEMPORAL)
def test_the_tag_is_the_papers_eligibility(name):
    s, wanted, _ = tagged(name)
    assert s.t.max() > 40
    assert s.t == pytest.approx(np.minimum(wanted, 255), abs=8)


def test_the_tag_times_the_error_is_the_change_and_the_flag_empties_it():
    s, _, rule = tagged("e-prop", steps=31)
    s = engine.step(rule, s, pre=np.zeros(5), post=np.zeros(4), rng=np.random.default_rng(1),
                    imposed={"y1": np.zeros(4, int), "y2": np.array([64, 84, 44, 127]),
                             "y3": np.array([1])})  # fmt: skip
    assert (s.t == 0).all()
    kept = tagged("e-prop", steps=31)[0].t
    change = kept * np.array([0, 20, -20, 63])[:, None] / 2**11
    assert s.w == pytest.approx(np.clip(change, -254, 254), abs=2)


@pytest.mark.parametrize("name", TEMPORAL)
def test_on_the_circuit_learning_helps(name):
    wired = made(name)
    assert {expressible(j.rule, target("loihi2")) for j in wired.plastic} == {"yes"}
    laid, state = online_tables.tables(wired)
    x, labels = blobs(np.random.default_rng(1), 600)
    codes = deep.codes(x, divide_by=1)
    first = online.run(laid, state.copy(), codes, labels, learn=False, phases=3)
    online.run(laid, state, codes, labels)
    last = online.run(laid, state, codes, labels, learn=False, phases=3)
    assert (first.argmax(axis=1) == labels).mean() < 0.7
    assert (last.argmax(axis=1) == labels).mean() > 0.9


def test_without_errors_no_weight_changes_though_tags_do():
    wired = made("e-prop")
    deaf = tuple(j for j in wired.projections if j.source not in ("below", "above"))
    laid, state = online_tables.tables(dataclasses.replace(wired, projections=deaf))
    before = state.w.copy()
    x, labels = blobs(np.random.default_rng(1), 30)
    online.run(laid, state, deep.codes(x, divide_by=1), labels)
    assert (state.w == before).all()


def test_neurons_that_cannot_write_traces_are_refused():
    with pytest.raises(OptionError, match="mechanism is neuron-trace"):
        made("e-prop", mechanism="two-phase")
