"""Features found without labels: who learns, how often neurons win, and what reads them, in integers."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler.checks.plasticity import expressible
from neurodeploy.errors import OptionError
from neurodeploy.kernels import online, online_reference, online_tables
from neurodeploy.learning import HEBBIAN, deep, features
from neurodeploy.learning.reward_stdp import RewardSTDP
from neurodeploy.learning.stdp import PairSTDP
from neurodeploy.targets import target

SETUP = deep.Setup(
    mechanism="neuron-trace", thresholds=(510, 128), input_rate=512, label_rate=512, impulse=16, teach=128,
    exponents=(-4,),
)  # fmt: skip
NUMBERS = features.Competition(threshold=1500, read_threshold=300, drive=0, offset=16, rise=4)


def blobs(samples, seed=1):
    """Classes that differ in which inputs are bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, samples)
    bright = np.kron(np.eye(3), np.ones(4))[labels]
    return deep.codes(np.clip(bright * 0.8 + rng.normal(0, 0.15, bright.shape), 0, 1), divide_by=1), labels


def stage(rule, neurons=8, **numbers):
    n = features.Competition(**{**vars(NUMBERS), **numbers})
    return features.finding(HEBBIAN[rule], (12, neurons), rng=np.random.default_rng(0), numbers=n)


def found_by(wired, samples=300):
    laid, state = online_tables.tables(wired)
    spikes = online.run(laid, state, *blobs(samples))
    names = [(j.source, j.target) for j in wired.projections]
    parts = [state.w[row[4] :][: row[2] * row[3]].reshape(row[2], row[3]).T for row in laid.projections]
    weight, drive = (parts[names.index(ends)].astype(int) for ends in (("data", "h1"), ("tonic", "h1")))
    return spikes, weight, drive


def share_right(laid, state):
    codes, labels = blobs(100, seed=2)
    found = online.run(laid, state, codes, labels, learn=False, phases=3)
    return (found.argmax(axis=1) == labels).mean()


@pytest.mark.parametrize("rule", ["stdp", "oja", "bcm", "voja"])
def test_both_engines_run_what_finds_features(rule):
    rules = {j.rule for j in stage(rule).plastic}
    assert {expressible(r, target(chip)) for r in rules for chip in ("loihi1", "loihi2")} == {"yes"}


@pytest.mark.parametrize("rule", ["stdp", "voja"])
def test_the_kernel_finds_what_the_oracle_finds(rule):
    wired = stage(rule, neurons=5)
    codes, labels = blobs(6)
    laid, state = online_tables.tables(wired, seed=3)
    fast = online.run(laid, state, codes, labels)
    slow, counted = online_reference.run(wired, online_reference.at_rest(wired), codes, labels, seed=3)
    assert (fast == counted).all()
    assert (np.concatenate([s.w.T.ravel() for s in slow.synapses]) == state.w).all()


def test_neurons_come_to_stand_for_classes_and_all_of_them_win():
    spikes, weight, _ = found_by(stage("voja", neurons=9))
    assert (spikes[-100:].sum(axis=0) > 0).all()
    parts = weight[:, :12].reshape(9, 3, 4).mean(axis=2)
    assert (np.sort(parts, axis=1)[:, 2] > 1.5 * np.sort(parts, axis=1)[:, 1]).all()


def test_a_rule_that_waits_for_a_reward_finds_no_features():
    with pytest.raises(OptionError, match="waits for a reward"):
        stage("r-stdp")


def test_an_output_that_reads_features_learns_while_these_stay():
    _, weight, drive = found_by(stage("voja"))
    wired = features.reading(
        (12, 8, 3), (weight, drive), rng=np.random.default_rng(0), setup=SETUP, numbers=NUMBERS
    )
    assert {(j.source, j.target) for j in wired.plastic} == {("h1", "out")}
    laid, state = online_tables.tables(wired)
    online.run(laid, state, *blobs(600))
    assert share_right(laid, state) > 0.9


def test_a_reward_alone_teaches_an_output():
    """The label reaches only what judges; every output gets the same number."""
    _, weight, drive = found_by(stage("voja"))
    wired = features.rewarded(
        RewardSTDP(PairSTDP(rise=1 / 4, fall=1 / 32)), (12, 8, 3), (weight, drive),
        rng=np.random.default_rng(0), setup=dataclasses.replace(SETUP, error_shift=10), numbers=NUMBERS,
    )  # fmt: skip
    into = {j.source: j.weight for j in wired.projections if j.target == "out" and j.apical}
    assert set(into) == {"right", "wrong"}
    assert all(len(np.unique(w)) == 1 for w in into.values())
    laid, state = online_tables.tables(wired)
    online.run(laid, state, *blobs(1200))
    assert share_right(laid, state) > 0.9
