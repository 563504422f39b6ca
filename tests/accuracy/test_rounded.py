"""Rounded parameters in floats: exact ones are the simulator's, rounded ones the emulator's."""

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.accuracy.rounded import hard_spikes, moved_by_rounding, simulate_rounded
from neurodeploy.ir.simulate import simulate
from tests.conversion.graphs import perceptron


@pytest.mark.parametrize("neuron", ["if", "cuba", "if-soft"])
@pytest.mark.parametrize("coding", ["rate", "poisson", "bias"])
def test_with_nothing_rounded_it_is_the_simulator(neuron, coding, rng):
    graph = nd.convert(perceptron((6, 9, 4), rng), calibration=rng.random((50, 6)), neuron=neuron)
    program = nd.compile(graph, input_coding=coding)
    x = rng.random((20, 6))
    want = simulate(graph, x, steps=30, input_coding=coding)
    have = simulate_rounded(program, x, steps=30, rounded=())
    if neuron == "cuba":  # its bias is held by the current, on the chip by the membrane
        assert np.corrcoef(have.outputs.ravel(), want.outputs.ravel())[0, 1] > 0.99
    else:
        np.testing.assert_allclose(have.outputs, want.outputs, atol=1e-9)


def test_with_all_rounded_it_is_the_emulator_but_for_decays_that_truncate(rng):
    program = nd.compile(nd.convert(perceptron((6, 9, 4), rng), calibration=rng.random((50, 6))))
    x = rng.random((100, 6))
    have, want = simulate_rounded(program, x, steps=30), nd.run(program, x, steps=30)
    assert np.mean(have.predictions == want.predictions) > 0.97
    assert np.corrcoef(have.outputs.ravel(), want.outputs.ravel())[0, 1] > 0.999


@pytest.mark.parametrize(("rate", "period"), [(1.0, 2), (0.6, 2), (0.5, 3), (0.34, 3), (0.1, 11)])
def test_a_neuron_that_resets_to_zero_spikes_when_its_drive_exceeds_the_threshold(rate, period):
    train = hard_spikes(np.full((1, 1), rate), 40)[:, 0, 0]
    assert np.argwhere(train).ravel().tolist() == list(range(period - 1, 40, period))


def test_fewer_bits_move_weights_further(rng):
    graph = nd.convert(perceptron((6, 9, 4), rng), calibration=rng.random((50, 6)))
    moved = [
        moved_by_rounding(program, program.populations[1])[0]
        for program in (nd.compile(graph, weight_bits=bits) for bits in (8, 5, 3))
    ]
    assert moved == sorted(moved)
    assert moved[0] < 0.02
