"""Hunsberger's method: error ensembles carry what they represent, and nothing on the way is not a neuron."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler.checks.plasticity import expressible
from neurodeploy.kernels import online, online_tables
from neurodeploy.learning import DEEP, deep, ensembles, rate
from neurodeploy.learning.circuit import Circuit, Population, Projection
from neurodeploy.learning.description import Phase
from neurodeploy.learning.hunsberger import CHANNEL, TAU_RC, TAU_REF
from neurodeploy.learning.setup import ERROR_UNIT, Setup
from neurodeploy.targets import target

RULE = DEEP["hunsberger"]


def made(**told):
    numbers = {
        "thresholds": (255, 255, 128),
        "feedback": 60,
        "mechanism": "neuron-trace",
        "exponents": (-6, -6, -3),
    }
    setup = deep.Setup(**(numbers | told))
    return deep.circuit(RULE, (12, 10, 8, 3), rng=np.random.default_rng(0), setup=setup)


def blobs(rng, samples, classes=3, inputs=12):
    """Classes that differ in which inputs are bright."""
    labels = rng.integers(0, classes, samples)
    bright = np.kron(np.eye(classes), np.ones(inputs // classes))[labels]
    return np.clip(bright * 0.8 + rng.normal(0, 0.15, bright.shape), 0, 1), labels


def test_error_neurons_are_those_of_the_thesis():
    """Encoders of both signs, intercepts up to 0.8, 100 to 120 spikes per second at the end."""
    low, high = CHANNEL.rates(np.array(-1.0)), CHANNEL.rates(np.array(1.0))
    for rates, others in ((low, high), (high, low)):
        on = rates > 0
        assert on.sum() == 10
        assert ((rates[on] >= 100 - 1e-9) & (rates[on] <= 120 + 1e-9)).all()
        assert not others[on].any()
    assert not CHANNEL.rates(np.array(0.0)).any()
    values = np.linspace(0, 1, 401)
    starts = [values[(r > 0).argmax()] for r in CHANNEL.rates(values).T if r.any()]
    assert max(starts) <= 0.81


def test_their_rates_are_those_of_simulated_leaky_neurons(rng):
    signs, gain, bias = CHANNEL.tuning
    drive = 0.9 * signs * gain + bias
    v, wait, spikes, dt = np.zeros(20), np.zeros(20), np.zeros(20), 1e-5
    for _ in range(100000):
        ready = wait <= 0
        v = np.where(ready, drive + (v - drive) * np.exp(-dt / TAU_RC), 0.0)
        fired = ready & (v > 1)
        spikes += fired
        wait = np.where(fired, TAU_REF, wait - dt)
        v = np.where(fired, 0.0, np.maximum(v, 0))
    assert spikes == pytest.approx(CHANNEL.rates(np.array(0.9)), abs=1.5)


def test_a_chain_of_three_ensembles_still_carries_the_error():
    error = np.linspace(-1, 1, 41)
    carried = CHANNEL.carry(CHANNEL.carry(CHANNEL.carry(error)))
    assert np.sqrt(np.mean((carried - error) ** 2)) < 0.08
    assert CHANNEL.carry(np.zeros(3)) == pytest.approx(0)


def test_the_lowest_layer_gets_what_went_through_most_ensembles(rng):
    net = rate.network((7, 6, 5, 4), RULE, rng=rng)
    x, error = rng.normal(size=(9, 7)), rng.uniform(-1, 1, (9, 4))
    found = RULE.signals(net, rate.forward(net, x), error, np.zeros((9, 4)))
    out = CHANNEL.carry(error)
    upper, lower = CHANNEL.carry(out), CHANNEL.carry(CHANNEL.carry(out))
    b1, b2 = net.feedback
    for a, b in zip(found, (lower @ b1.T, upper @ b2.T, out), strict=True):
        assert a == pytest.approx(b)


@pytest.mark.parametrize("neurons", [1, 3, 4])
def test_an_ensemble_spikes_as_often_as_its_input_and_its_neurons_in_turn(neurons):
    source = Population("e", 2, role="constant", rates=(300,), offsets=np.array([0, 90000]))
    first = ensembles.ensemble("a", 2, neurons)
    second = ensembles.ensemble("b", 2, neurons)
    start = Population("lift", 1, role="constant", rates=(0,))
    joins = (
        Projection("e", "a", ensembles._spread(True, 2, neurons)),
        Projection("a", "b", ensembles._spread(False, 2, neurons)),
    )
    wired = Circuit((Population("data", 1, role="data", rates=(0,)), source, start, first, second), joins,
                    (Phase("p", 128),), "b")  # fmt: skip
    laid, state = online_tables.tables(wired)
    for name in ("a", "b"):
        row = laid.populations[[p.name for p in wired.populations].index(name)]
        state.v[row[0] : row[0] + row[1]] = ensembles._starts(2, neurons)[:, 0] << 6
    found = online.run(laid, state, np.zeros((1, 1), np.uint8), [0], learn=False)[0].reshape(2, neurons)
    assert found.sum(axis=1) == pytest.approx([37, 37], abs=1)
    assert (found.max(axis=1) - found.min(axis=1) <= 1).all()


def test_every_hop_is_neurons_and_no_layer_is_told_by_the_output():
    wired = made()
    for name, ends in (("h2", {"below-h2", "above-h2"}), ("h1", {"below-h1", "above-h1"})):
        assert {j.source for j in wired.projections if j.target == name and j.apical} == ends
    assert {j.source for j in wired.projections if j.target == "below-h1"} == {"below-h2", "reset", "lift"}
    assert {wired[e].role for e in ("below", "above", "below-h2", "above-h1")} == {"neurons"}
    plastic = {(j.source, j.target) for j in wired.plastic}
    assert plastic == {("data", "h1"), ("h1", "h2"), ("h2", "out")}
    for name in ("h1", "h2"):
        below, above = (wired.projection(f"{s}-{name}", name).weight for s in ensembles.SIGNS)
        assert (below == -above).all()


def test_without_errors_no_weight_ever_changes():
    wired = made()
    deaf = tuple(j for j in wired.projections if j.source not in ("below", "above"))
    laid, state = online_tables.tables(dataclasses.replace(wired, projections=deaf))
    before = state.w.copy()
    x, labels = blobs(np.random.default_rng(1), 30)
    online.run(laid, state, deep.codes(x, divide_by=1), labels)
    assert (state.w == before).all()


@pytest.mark.parametrize(("mechanism", "chip"), [("neuron-trace", "loihi2"), ("two-phase", "loihi1")])
def test_on_the_circuit_learning_helps_and_the_chip_can_express_it(mechanism, chip):
    wired = made(mechanism=mechanism, **({} if chip == "loihi2" else {"exponents": (-4, -4, 0)}))
    assert {expressible(j.rule, target(chip)) for j in wired.plastic} == {"yes"}
    laid, state = online_tables.tables(wired)
    x, labels = blobs(np.random.default_rng(1), 600)
    codes = deep.codes(x, divide_by=1)
    online.run(laid, state, codes, labels)
    found = online.run(laid, state, codes, labels, learn=False, phases=3)
    assert (found.argmax(axis=1) == labels).mean() > 0.9


def test_the_largest_ensemble_starts_within_a_weight():
    assert Setup().ensemble <= 4
    assert ensembles._starts(1, 4).max() == 3 * ERROR_UNIT + ERROR_UNIT // 2 <= 254
