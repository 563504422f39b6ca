"""A conversion is as good in any number of steps as the steps allow, in floats and on the chip."""

from pathlib import Path

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy import store
from neurodeploy.conversion import convert
from neurodeploy.demo_data import digits
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.simulate import simulate
from tests.conversion.graphs import chain
from tools import data_folder

MODEL = Path(__file__).parents[2] / "models" / "digits_cnn.keras"


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def spiking(data):
    return nd.convert(nd.load(MODEL), calibration=data.x_train, steps=64)


@pytest.fixture
def normalised(rng):
    """Batch normalisation behind the ReLU, which leaves large biases in the layer behind."""
    norm = ops.BatchNorm(*(rng.uniform(0.5, 1.5, 6) for _ in range(4)))
    return chain(
        ("in", ops.Input((1, 8, 8))), ("conv", ops.Conv2d(rng.normal(size=(6, 1, 3, 3)), rng.normal(size=6))),
        ("relu", ops.ReLU()), ("norm", norm), ("flat", ops.Flatten()),
        ("fc", ops.Affine(rng.normal(size=(20, 216)) / 8, rng.normal(size=20))), ("relu2", ops.ReLU()),
        ("last", ops.Affine(rng.normal(size=(4, 20)), np.zeros(4))), ("out", ops.Output((4,))),
    )  # fmt: skip


@pytest.mark.parametrize("steps", [32, 64, 128, 400])
def test_one_conversion_serves_runs_of_any_length(spiking, data, steps):
    source = nd.run(spiking.source, data.x_test, backend="rate").accuracy(data.y_test)
    program = nd.compile(spiking, "loihi1", steps=steps)
    assert nd.run(program, data.x_test, steps=steps).accuracy(data.y_test) >= source - 0.009


def test_rates_of_a_conversion_are_the_activations_of_its_source(normalised, rng):
    spiking = convert(normalised, rng.random((80, 1, 8, 8)))
    x = rng.random((30, 1, 8, 8))
    last = spiking[spiking.sources(spiking.output.name)[0]]
    np.testing.assert_allclose(evaluate(spiking, x) * last.unit, evaluate(normalised, x), atol=1e-9)


def test_longer_runs_approach_the_source(normalised, rng):
    x = rng.random((60, 1, 8, 8))
    spiking, want = convert(normalised, x, percentile=100.0), evaluate(normalised, x)
    errors = [np.abs(simulate(spiking, x, steps=t).outputs - want).mean() for t in (32, 128, 512)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_a_start_and_units_survive_a_file_and_nir_ignores_them(spiking, tmp_path):
    nir = pytest.importorskip("nir")
    path = store.save(spiking, tmp_path / "a.nd")
    again = store.load(path)
    assert again.digest() == spiking.digest()
    starts = [n.op.v_init for n in again.neurons if n.notes.get("role") != "encoder"]
    assert all(s.any() for s in starts)
    assert np.ndim(again.neurons[1].unit) == 3
    assert "v_init" not in vars(nir.read(path).nodes[again.neurons[1].name])


def test_mnist_keeps_its_accuracy_on_the_chip_in_32_steps():
    path = data_folder.find("mnist.npz")
    if path is None:
        pytest.skip(data_folder.MISSING.format(name="mnist.npz"))
    graph = nd.load(data_folder.ROOT / "models" / "mnist_cnn.keras")
    with np.load(path) as data:
        spiking = nd.convert(graph, calibration=data["x_train"], divide_by=255, samples=64)
        x, y = data["x_test"][:500], data["y_test"][:500]
    assert nd.run(spiking, x, steps=32).accuracy(y) >= 0.983
