"""Local threshold balancing: the threshold of least error, channel by channel, for the run at hand."""

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.cli import main
from neurodeploy.cli.demo import model_path
from neurodeploy.conversion import convert
from neurodeploy.conversion.local import FACTORS, FEW, best_threshold
from neurodeploy.conversion.thresholds import LOCAL, Options
from neurodeploy.demo_data import digits
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.graph import Node
from neurodeploy.ir.simulate import simulate
from tests.conversion.graphs import perceptron

OPTIONS = Options(99.9, 1.0, 8, LOCAL)


def population(shape, **notes):
    op = ops.IF(np.full(shape, 1e3), np.ones(shape), np.zeros(shape), reset="subtract")
    return Node("relu", op, notes=notes)


def stepped(z, steps=8):
    """Return what a membrane that starts at half a threshold makes of a constant drive."""
    return lambda at: np.clip(np.floor(z[FEW] * steps / at + 0.5), 0, steps) * at / steps


@pytest.mark.parametrize("shape", [(5,), (3, 4, 4)])
def test_every_channel_takes_the_threshold_of_least_error(rng, shape):
    z = rng.normal(size=(80, *shape)) * rng.uniform(0.1, 3, size=(shape[0], *(1,) * (len(shape) - 1)))
    start = np.abs(z).max(axis=tuple(a for a in range(z.ndim) if a != 1)).reshape(-1, *(1,) * (z.ndim - 2))
    best = best_threshold(population(shape), z, OPTIONS, start, stepped(z))
    assert best.shape == start.shape
    for channel in range(shape[0]):
        wanted = np.maximum(z[FEW, channel], 0)
        error = {f: np.mean((stepped(z)(start * f)[:, channel] - wanted) ** 2) for f in FACTORS}
        factor = float((best / start).ravel()[channel])
        assert factor == pytest.approx(min(error, key=error.get))


def test_a_cap_holds_and_parts_of_a_maximum_keep_what_they_share(rng):
    z, start = rng.random((80, 4)), np.full(4, 0.9)
    assert (best_threshold(population((4,), cap=0.5), z, OPTIONS, start, stepped(z)) <= 0.5).all()
    assert best_threshold(population((4,), pool="pool"), z, OPTIONS, start, stepped(z)) is start


def test_few_large_activations_are_cut_off_in_few_steps_and_kept_in_many(rng):
    z = np.where(rng.random((64, 200)) < 0.02, 1.0, 0.2 * rng.random((64, 200))).reshape(64, 1, 200)

    def found(steps):
        return best_threshold(population((1, 200)), z, OPTIONS, np.ones((1, 1)), stepped(z, steps)).item()

    assert found(2) < 1.0
    assert found(256) == 1.0


@pytest.mark.parametrize("steps", [6, 10, 16])
def test_no_population_is_further_from_the_source_than_with_percentiles(rng, steps):
    network, x = perceptron((12, 30, 4), rng), rng.random((64, 12))
    error = {
        b: convert(network, x, balancing=b, steps=steps)["fc0.relu"].notes for b in ("local", "percentile")
    }
    assert error["local"]["relative_error"] < error["percentile"]["relative_error"]


@pytest.mark.parametrize("neuron", ["if", "cuba", "lif"])
def test_other_neurons_are_balanced_locally_too(rng, neuron):
    network, x = perceptron((12, 20, 4), rng), rng.random((100, 12))
    spiking = convert(network, x, neuron=neuron, balancing="local", steps=64)
    assert spiking.meta["balancing"] == "local"
    have, want = simulate(spiking, x, steps=64).outputs, evaluate(network, x)
    assert np.sqrt(np.mean((have - want) ** 2) / np.mean(want**2)) < 0.3


def test_it_is_chosen_on_the_command_line_and_in_a_search(tmp_path, capsys):
    split, model, out = digits(), str(model_path("digits_mlp")), tmp_path / "a.nd"
    np.savez(tmp_path / "train.npz", x_train=split.x_train[:200], y_train=split.y_train[:200])
    convert = ("convert", model, "-o", str(out), "--calibration", str(tmp_path / "train.npz"))
    assert main([*convert, "--balancing", "local", "--steps", "8"]) == 0
    assert nd.load(out).meta["balancing"] == "local"
    assert main([*convert, "--max-drop", "1", "--percentile", "99.9", "--rate", "1"]) == 0
    assert {"percentile", "local"} <= set(capsys.readouterr().out.split())


def test_an_unknown_balancing_is_refused(rng):
    with pytest.raises(OptionError, match="choose from percentile, local"):
        convert(perceptron((4, 5, 3), rng), rng.random((20, 4)), balancing="globally")
