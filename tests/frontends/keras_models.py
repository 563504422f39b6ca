"""Models of both generations of Keras with random weights, and the comparison with what we read of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.verify import verify


def model_of(keras: Any, shape: tuple[int, ...], layers: list[Any], seed: int = 0) -> Any:
    model = keras.Sequential([keras.Input(shape), *layers])
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        norm = type(layer).__name__ == "BatchNormalization"
        layer.set_weights(
            [rng.uniform(0.3, 2, w.shape) if norm else rng.normal(size=w.shape) for w in layer.get_weights()]
        )
    return model


def assert_same(model: Any, graph: Any, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    want = np.asarray(model(x, training=False))
    have = evaluate(verify(graph, form="rate"), graph.prepare(x))
    assert_close(have, want)


def assert_close(have: Any, want: Any) -> None:
    assert have.shape == want.shape
    np.testing.assert_allclose(have, want, rtol=0, atol=1e-5 * np.abs(want).max())
