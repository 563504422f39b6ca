"""Plastic cores: nengo-loihi's learning path, at our scale."""

from collections import Counter

import numpy as np
import pytest

from neurodeploy.backends import plastic
from neurodeploy.learning.pes import PES
from neurodeploy.targets import target

LOIHI = target("loihi1")
STEPS = 40


@pytest.fixture
def weight(rng):
    return rng.normal(size=(3, 12))


@pytest.fixture
def train(rng):
    return rng.random((STEPS, 12)) < rng.uniform(0, 0.4, 12)


def constant(error):
    return lambda drive: np.asarray(error, float)


def test_without_an_error_no_weight_changes(weight, train):
    readout = plastic.build(weight, PES(rate=5.0), LOIHI)
    before = readout.weights()
    readout.run(train, constant([0, 0, 0]), seed=0)
    assert (readout.weights() == before).all()
    readout.run(train, constant([0, 0.5, 0]), seed=0)
    assert (readout.weights()[1] != before[1]).any()
    assert (readout.weights()[[0, 2]] == before[[0, 2]]).all()


def test_silent_inputs_keep_their_weights(weight, train):
    train[:, 5] = False
    readout = plastic.build(weight, PES(rate=5.0), LOIHI)
    before = readout.weights()
    readout.run(train, constant([1, 1, 1]), seed=0)
    assert (readout.weights()[:, 5] == before[:, 5]).all()
    assert (readout.weights() < before).sum() > 20


def test_the_chip_changes_weights_by_what_the_rule_says(rng):
    rule, error = PES(rate=0.1, tau=8.0), np.array([0.5, -1.0, 0.25])
    train = (rng.random((400, 100)) < 0.2) & (np.arange(400) % 2 == 0)[:, None]
    readout = plastic.build(rng.normal(size=(3, 100)) * 5, rule, LOIHI)
    expected, trace = readout.weights(), np.zeros(100)
    for spikes in train[:-1]:
        trace = rule.trace(trace, spikes)
        expected = rule.update(expected, pre=trace, error=error)
    before = readout.weights()
    readout.run(train, constant(error), seed=1)
    change, wanted = (readout.weights() - before).mean(axis=1), (expected - before).mean(axis=1)
    assert change == pytest.approx(wanted, rel=0.08)


def test_the_read_out_is_what_the_weights_decode(rng, weight):
    seen = []
    train = np.zeros((120, 12), bool)
    train[:, :4] = True
    readout = plastic.build(weight, PES(rate=0.01), LOIHI)
    readout.run(train, lambda drive: seen.append(drive) or np.zeros(3), seed=0)
    assert seen[-1] == pytest.approx(readout.weights()[:, :4].sum(axis=1), rel=0.01, abs=0.05)
    assert readout.incidents == Counter({"Synaptic trace spikes lost": 4 * 59})


def test_weights_are_kept_to_half_a_code(weight):
    readout = plastic.build(weight, PES(), LOIHI)
    assert np.abs(readout.weights() - weight).max() <= readout.scales.weight / 2


@pytest.mark.filterwarnings("ignore:Clipping")
def test_all_weights_at_once_change_as_nengo_loihi_changes_them_row_by_row(rng, weight):
    from nengo_loihi.emulator import EmulatorInterface

    ours, theirs = (plastic.build(weight, PES(), LOIHI) for _ in range(2))
    row_by_row = EmulatorInterface(theirs.model, seed=0).synapses._weight_update
    streams = np.random.RandomState(3), np.random.RandomState(3)
    for _ in range(50):
        delta = np.outer(rng.integers(0, 128, 12), rng.integers(-127, 128, 6)).astype(np.int32)
        ours._update(ours.cores[0].synapse, delta, streams[0])
        row_by_row(theirs.cores[0].synapse, delta, rng=streams[1])
        assert (ours.cores[0].weights == theirs.cores[0].weights).all()
    assert (streams[0].get_state()[1] == streams[1].get_state()[1]).all()


def test_no_accumulator_can_wrap_whatever_the_weights(rng):
    weight = np.full((2, 300), 1.0)
    readout = plastic.build(weight, PES(rate=100.0), LOIHI)
    readout.run(np.ones((60, 300), bool), constant([-1, 1]), seed=0)
    assert not [message for message in readout.incidents if "Overflow" in message]


def test_a_layer_too_large_for_a_core_is_cut_and_reads_the_same(rng, weight):
    small = LOIHI.with_limits(core__in_axons=10, core__compartments=4)
    cut, whole = plastic.build(weight, PES(), small), plastic.build(weight, PES(), LOIHI)
    assert len(cut.cores) == 3 * 2
    assert (cut.weights() == whole.weights()).all()


@pytest.mark.parametrize(
    ("shape", "cores"), [((10, 2048), 1), ((10, 2049), 2), ((31, 2048), 1), ((32, 2048), 2)]
)
def test_a_plastic_core_holds_2048_inputs_and_what_its_memory_allows(shape, cores):
    assert len(plastic.tiles(shape, LOIHI)) == cores
