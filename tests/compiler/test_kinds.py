"""Every kind of neuron the conversion knows, on the chip."""

from pathlib import Path

import pytest

import neurodeploy as nd
from neurodeploy.conversion.kinds import KINDS
from neurodeploy.demo_data import digits

MODEL = Path(__file__).parents[2] / "models" / "digits_cnn.keras"
SOFT = {"if-soft"}
"""Kinds that loihi1 has no compartment for."""


@pytest.fixture(scope="module")
def source():
    return nd.load(MODEL)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_neuron_runs_on_the_chip_or_is_refused_by_code(source, kind):
    split = digits()
    spiking = nd.convert(source, calibration=split.x_train, neuron=kind, steps=64)
    program = nd.compile(spiking, "loihi1")
    if kind in SOFT:
        assert {d.code for d in program.errors} == {"ND204"}
        return
    assert not program.errors
    recording = nd.run(program, split.x_test[:200], steps=64)
    assert recording.accuracy(split.y_test[:200]) > 0.95
