"""Every kind of neuron the conversion knows, on the chip."""

from pathlib import Path

import pytest

import neurodeploy as nd
from neurodeploy.conversion.kinds import KINDS
from neurodeploy.demo_data import digits

MODEL = Path(__file__).parents[2] / "models" / "digits_cnn.keras"


@pytest.fixture(scope="module")
def source():
    return nd.load(MODEL)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_neuron_runs_on_the_chip(source, kind):
    split = digits()
    spiking = nd.convert(source, calibration=split.x_train, neuron=kind, steps=64)
    program = nd.compile(spiking, "loihi1")
    assert not program.errors
    recording = nd.run(program, split.x_test[:200], steps=64)
    assert recording.accuracy(split.y_test[:200]) > 0.95
