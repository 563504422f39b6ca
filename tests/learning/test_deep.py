"""Deep rules as spiking circuits: what is wired where, no drift without error, and learning that helps."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler.checks.plasticity import expressible
from neurodeploy.errors import OptionError
from neurodeploy.kernels import online, online_tables
from neurodeploy.learning import DEEP, deep
from neurodeploy.learning.circuit import Circuit, Population, Projection
from neurodeploy.targets import target


def made(rule="dfa", sizes=(12, 10, 8, 3), **setup):
    return deep.circuit(
        DEEP[rule], sizes, rng=np.random.default_rng(0), setup=deep.Setup(thresholds=(255, 255, 128), **setup)
    )


def blobs(rng, samples, classes=3, inputs=12):
    """Classes that differ in which inputs are bright."""
    labels = rng.integers(0, classes, samples)
    bright = np.kron(np.eye(classes), np.ones(inputs // classes))[labels]
    return np.clip(bright * 0.8 + rng.normal(0, 0.15, bright.shape), 0, 1), labels


def test_feedback_never_reads_a_forward_weight():
    wired = made()
    plastic = {(j.source, j.target) for j in wired.plastic}
    assert plastic == {("data", "h1"), ("h1", "h2"), ("h2", "out")}
    for name in ("h1", "h2"):
        below, above = wired.projection("below", name).weight, wired.projection("above", name).weight
        assert (below == -above).all()
        assert abs(below.mean(axis=1)).max() <= 2


@pytest.mark.parametrize(
    ("rule", "back"),
    [("delta", set()), ("dfa", {"below", "above"}), ("drtp", {"label"})],
)
def test_the_way_back_is_that_of_the_rule(rule, back):
    wired = made(rule)
    assert {j.source for j in wired.projections if j.target == "h1"} - {"data", "reset", "lift"} == back


def test_a_rule_without_a_circuit_is_refused():
    with pytest.raises(OptionError, match="no circuit"):
        made("backprop")


@pytest.mark.parametrize("odd", [{"gap": 1}, {"forward": 50}])
def test_phases_that_do_not_fit_the_engine_are_refused(odd):
    with pytest.raises(OptionError, match=r"gaps|powers of two"):
        deep.Setup(**odd)


def test_without_errors_no_weight_ever_changes():
    """Both phases begin alike, so equal input gives equal counts: the tag is exactly 0."""
    wired = made()
    deaf = tuple(j for j in wired.projections if j.source not in ("below", "above"))
    laid, state = online_tables.tables(dataclasses.replace(wired, projections=deaf))
    before = state.w.copy()
    x, labels = blobs(np.random.default_rng(1), 30)
    online.run(laid, state, deep.codes(x, divide_by=1), labels)
    assert (state.w == before).all()
    assert state.counters[0] > 1000


@pytest.mark.parametrize("mechanism", ["two-phase", "neuron-trace"])
@pytest.mark.parametrize("rule", ["delta", "dfa", "drtp"])
def test_learning_helps(rule, mechanism):
    exponents = (-4, -4, 0) if mechanism == "two-phase" else (-6, -6, -3)
    wired = made(rule, exponents=exponents, feedback=60, mechanism=mechanism)
    laid, state = online_tables.tables(wired)
    x, labels = blobs(np.random.default_rng(1), 600)
    codes = deep.codes(x, divide_by=1)
    first = online.run(laid, state.copy(), codes, labels, learn=False, phases=3)
    online.run(laid, state, codes, labels)
    last = online.run(laid, state, codes, labels, learn=False, phases=3)
    assert (first.argmax(axis=1) == labels).mean() < 0.7
    assert (last.argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize(("mechanism", "chips"), [("two-phase", ["loihi1"]), ("neuron-trace", ["loihi2"])])
@pytest.mark.parametrize("rule", ["delta", "dfa", "drtp"])
def test_the_chip_can_express_what_is_run(rule, mechanism, chips):
    wired = made(rule, mechanism=mechanism)
    for chip in chips:
        assert {expressible(j.rule, target(chip)) for j in wired.plastic} == {"yes"}


def test_silent_neurons_learn_nothing_where_neurons_collect_errors():
    """The slope is the neuron's own: no spike in the first phase, no change, whatever the error."""
    wired = made(mechanism="neuron-trace")
    dumb = tuple(
        dataclasses.replace(j, weight=np.full_like(j.weight, -254)) if j.target == "h1" and j.rule else j
        for j in wired.projections
    )
    laid, state = online_tables.tables(dataclasses.replace(wired, projections=dumb))
    x, labels = blobs(np.random.default_rng(1), 30)
    online.run(laid, state, deep.codes(x, divide_by=1), labels)
    assert (state.w[: 13 * 10] == -254).all()


def test_odd_circuits_are_refused():
    one, two = Population("a", 2, role="constant", rates=(9,)), Population("b", 3)
    phases = made().phases[:1]
    with pytest.raises(OptionError, match="not even codes"):
        Circuit((one, two), (Projection("a", "b", np.full((3, 2), 7)),), phases, "b")
    with pytest.raises(OptionError, match=r"not \(3, 2\)"):
        Circuit((one, two), (Projection("a", "b", np.zeros((2, 3), int)),), phases, "b")
    with pytest.raises(OptionError, match="no population"):
        Circuit((one, two), (), phases, "b")["c"]
    with pytest.raises(OptionError, match="rates for"):
        Circuit((one, two), (), made().phases, "b")
