"""Legendre Memory Units: unrolled, they compute what the layer does step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurodeploy.conversion import convert
from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.keras import from_keras
from neurodeploy.frontends.keras.lmu import discrete
from neurodeploy.ir.simulate import simulate
from tests.frontends.keras_models import assert_same
from tests.frontends.lmu_layer import FEATURES, REGISTERED, STEPS, Sequential, analog

CASES: dict[str, tuple[str | None, dict[str, Any]]] = {
    "hidden state": ("SimpleRNNCell", {}),
    "dense": ("Dense", {"input_to_hidden": True}),
    "memory alone": (None, {"use_bias": True}),
    "all connections": (
        "SimpleRNNCell",
        {"hidden_to_memory": True, "memory_to_memory": True, "input_to_hidden": True, "use_bias": True},
    ),
    "sequences": ("SimpleRNNCell", {"return_sequences": True, "hidden_to_memory": True}),
    "euler": ("SimpleRNNCell", {"discretizer": "euler", "theta": 16.0}),
}
NAMES = (
    REGISTERED, {"class_name": "LMU"}, {"class_name": "keras-lmu>LMU"},
    {"class_name": "LMU", "module": "keras_lmu.layers", "registered_name": "LMU"},
)  # fmt: skip


@pytest.mark.parametrize("named", NAMES)
@pytest.mark.parametrize("case", CASES)
def test_it_computes_what_the_layer_does(case: str, named: Any) -> None:
    cell, told = CASES[case]
    model = Sequential(cell, named=named, **told)
    assert_same(model, from_keras(model), (STEPS, FEATURES))


def test_only_the_steps_that_are_needed_are_made() -> None:
    assert sum(n.op.kind == "ReLU" for n in from_keras(Sequential("Dense"))) == 1
    assert sum(n.op.kind == "ReLU" for n in from_keras(Sequential("SimpleRNNCell"))) == STEPS


def test_it_spikes() -> None:
    model = Sequential("SimpleRNNCell", hidden_to_memory=True)
    graph = from_keras(model)
    x = np.random.default_rng(0).random((100, STEPS, FEATURES))
    spiking = convert(graph, graph.prepare(x), steps=256)
    got, want = simulate(spiking, spiking.prepare(x), steps=256).outputs, model(x)
    assert np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2)) < 0.1


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (
            Sequential("SimpleRNNCell", "tanh"),
            "activation 'tanh' of its hidden_cell is not taken here; use relu",
        ),
        (Sequential("GRUCell"), "hidden_cell GRUCell is not taken"),
        (Sequential("Dense", trainable_theta=True), "trainable_theta=True is not taken"),
        (Sequential("Dense", discretizer="bilinear"), "discretizer='bilinear' is not taken"),
    ],
)
def test_what_it_does_not_take_is_refused(model: Any, why: str) -> None:
    with pytest.raises(UnsupportedLayer, match=rf"'memory' \(LMU\).*{why}"):
        from_keras(model)


def test_weights_that_do_not_fit_the_configuration_are_refused() -> None:
    model = Sequential("Dense")
    model.kernel = np.ones((FEATURES + 1, 2))
    with pytest.raises(LoadError, match="kernel has shape"):
        from_keras(model)


@pytest.mark.parametrize("how", ["zoh", "euler"])
def test_a_window_is_discrete_as_scipy_has_it(how: str) -> None:
    for ours, scipys in zip(discrete(4, 12.0, how), analog(4, 12.0, how), strict=True):
        np.testing.assert_allclose(ours, scipys, rtol=1e-9, atol=1e-12)
