"""Delays between populations: every backend that takes them gives the spikes of the float reference."""

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.conversion import convert, surgery
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node
from neurodeploy.ir.simulate import simulate
from tests.conversion.graphs import perceptron, residual

STEPS = 20


def delayed(graph, x, steps):
    """Convert a network, and let the spikes of its first hidden layer arrive late."""
    op = ops.Delay(np.asarray(steps) * 1e-3)
    return surgery.insert_after(convert(graph, x, steps=STEPS), "fc0.relu", Node("late", op))


@pytest.mark.parametrize("backend", ["nengo", "nengo-dl"])
@pytest.mark.parametrize("make", [residual, lambda rng: perceptron((6, 6, 4, 3), rng)])
def test_nengo_gives_the_spikes_of_the_reference(make, backend, rng):
    if backend == "nengo-dl":
        pytest.importorskip("nengo_dl")
    x = rng.random((3, 6))
    spiking = delayed(make(rng), x, np.arange(6) % 4)
    have = stages.run(spiking, x, backend=backend, steps=STEPS).outputs
    np.testing.assert_allclose(have, simulate(spiking, x, steps=STEPS).outputs, atol=1e-6)


def test_a_delay_in_the_reference_is_that_many_steps(rng):
    graph, x = perceptron((6, 6, 3), rng), rng.random((2, 6))
    trains = {}
    for steps in (0, 3):
        seen = trains[steps] = []

        def watch(t, name, drive, out, seen=seen):
            seen += [drive] if name == "fc1.sum" else []

        simulate(delayed(graph, x, steps), x, steps=STEPS, watch=watch)
    early, late = (np.stack(trains[steps]) for steps in (0, 3))
    np.testing.assert_allclose(late[3:], early[:-3])
    assert np.ptp(late[:4], axis=0).max() == 0


def test_the_chips_emulator_comes_close(rng):
    x = rng.random((3, 6))
    spiking = delayed(perceptron((6, 6, 4, 3), rng), x, 2)
    have, want = stages.run(spiking, x, steps=STEPS).outputs, simulate(spiking, x, steps=STEPS).outputs
    assert np.abs(have - want).max() < 0.2


def test_a_delay_of_samples_is_refused(rng):
    x = rng.random((3, 6))
    spiking = surgery.insert_after(
        convert(perceptron((6, 4, 3), rng), x), "in", Node("late", ops.Delay(np.asarray(1e-3)))
    )
    for backend in ("loihi-emulator", "nengo"):
        with pytest.raises(OptionError, match="'late' delays"):
            stages.run(spiking, x, steps=4, backend=backend)
    with pytest.raises(OptionError, match="'late' delays"):
        simulate(spiking, x, steps=4)
