"""A Legendre Memory Unit stepped one step after the other in NumPy, in the place of a live Keras model."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.signal import cont2discrete

STEPS, FEATURES, UNITS = 6, 3, 4
SIZE, ORDER = 2, 3
DEFAULTS: dict[str, Any] = {
    "memory_d": SIZE, "order": ORDER, "theta": 5.0, "trainable_theta": False, "hidden_to_memory": False,
    "memory_to_memory": False, "input_to_hidden": False, "discretizer": "zoh",
    "kernel_initializer": "glorot_uniform", "use_bias": False, "return_sequences": False,
}  # fmt: skip
REGISTERED = {"class_name": "LMU", "module": "keras_lmu.layers", "registered_name": "keras-lmu>LMU"}


def analog(order: int, theta: float, how: str) -> tuple[Any, Any]:
    """Return the discrete window as SciPy makes it of the equations of Voelker et al. (2019)."""
    A = [[(2 * i + 1) / theta * (-1 if i < j else (-1) ** (i - j + 1)) for j in range(order)]
         for i in range(order)]  # fmt: skip
    B = [[(2 * i + 1) / theta * (-1) ** i] for i in range(order)]
    system = (np.array(A), np.array(B), np.eye(order), np.zeros((order, 1)))
    A, B, *_ = cont2discrete(system, 1.0, how)
    return A, np.ravel(B)


class Sequential:
    """What `from_keras` asks of a live model: one LMU behind an input."""

    __module__ = "keras"
    name = "model"

    def __init__(self, cell: str | None, activation: str = "relu", named: Any = None, **told: Any) -> None:
        self.told, self.cell = {**DEFAULTS, **told}, cell
        hidden = {"units": UNITS, "activation": activation, "use_bias": True}
        self.told["hidden_cell"] = {"class_name": cell, "config": hidden} if cell else None
        self.named, rng = named or REGISTERED, np.random.default_rng(0)
        t, units = self.told, UNITS if cell else 0
        self.kernel = rng.normal(size=(FEATURES + units * t["hidden_to_memory"], SIZE))
        self.bias = [rng.normal(size=(1, SIZE))] if t["use_bias"] else []
        self.back = [0.3 * rng.normal(size=(SIZE * ORDER, SIZE))] if t["memory_to_memory"] else []
        self.seen = [rng.normal(size=(SIZE * ORDER + FEATURES * t["input_to_hidden"], UNITS))] if cell else []
        self.hidden = [0.5 * rng.normal(size=(UNITS, UNITS))] if cell == "SimpleRNNCell" else []
        self.hidden_bias = [rng.normal(size=UNITS)] if cell else []
        layer = type("LMU", (), {})()
        layer.name, layer.get_weights, layer.weights = "memory", self.get_weights, []
        self.layers = [layer]

    def get_weights(self) -> list[Any]:
        return [self.kernel, *self.bias, *self.back, *self.seen, *self.hidden, *self.hidden_bias]

    def get_config(self) -> dict[str, Any]:
        entry = {"name": "in", "batch_shape": [None, STEPS, FEATURES], "dtype": "float32"}
        own = {"name": "memory", "dtype": "float32", "trainable": True, **self.told}
        layers = [{"class_name": "InputLayer", "config": entry}, {**self.named, "config": own}]
        return {"name": self.name, "layers": layers}

    def __call__(self, x: Any, training: bool = False) -> Any:
        t, out = self.told, [np.zeros((len(x), UNITS))]
        A, B = analog(ORDER, t["theta"], t["discretizer"])
        memory = np.zeros((len(x), SIZE, ORDER))
        for step in range(STEPS):
            now, before = x[:, step], out[-1]
            u = (np.concatenate([now, before], 1) if t["hidden_to_memory"] else now) @ self.kernel
            u = u + sum(self.bias) + sum(memory.reshape(len(x), -1) @ back for back in self.back)
            memory = np.einsum("bdo,po->bdp", memory, A) + u[..., None] * B
            flat = memory.reshape(len(x), -1)
            if self.cell is None:
                out.append(flat)
                continue
            given = np.concatenate([flat, now], 1) if t["input_to_hidden"] else flat
            total = given @ self.seen[0] + sum(before @ w for w in self.hidden) + self.hidden_bias[0]
            out.append(np.maximum(total, 0))
        return np.stack(out[1:], 1) if t["return_sequences"] else out[-1]
