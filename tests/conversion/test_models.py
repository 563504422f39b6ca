"""The models that ship, converted with the defaults: what is lost on held-out samples."""

from pathlib import Path

import numpy as np
import pytest

from neurodeploy.conversion import convert
from neurodeploy.demo_data import digits
from neurodeploy.frontends.keras import load_keras
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.simulate import simulate

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("model", ["digits_mlp", "digits_cnn"])
def test_the_digits_models_lose_at_most_half_a_point_in_64_steps(model):
    pytest.importorskip("sklearn")
    split = digits(seed=0)
    graph = load_keras(MODELS / f"{model}.keras")
    spiking = convert(graph, graph.prepare(split.x_train), steps=64)
    samples = graph.prepare(split.x_test)
    source = np.mean(evaluate(graph, samples, logits=True).argmax(1) == split.y_test)
    assert np.mean(simulate(spiking, samples, steps=64).predictions == split.y_test) >= source - 0.005
