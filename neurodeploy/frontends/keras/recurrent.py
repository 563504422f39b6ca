"""Recurrent layers, unrolled: every step of the sequence gets a copy of the cell, so nothing goes in circles.

The result is exact, and each copy can be given its own population; the price is the number of neurons times
the number of steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neurodeploy.errors import UnsupportedLayer
from neurodeploy.frontends.keras.draft import Draft, Tensor
from neurodeploy.frontends.keras.geometry import View
from neurodeploy.frontends.keras.layers import take
from neurodeploy.frontends.keras.source import Layer
from neurodeploy.frontends.steps import Floats
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op

RECURRENT = ("SimpleRNN", "LMU")
ACTIVATIONS: dict[str, Callable[[], Op]] = {"relu": ops.ReLU, "linear": ops.Identity}
MAX_STEPS = 256
MAX_WEIGHTS = 1 << 24
"""Weights of all copies together."""
OFF = ("go_backwards", "stateful", "return_state")
"""Options that are taken switched off only."""


def simple_rnn(draft: Draft, layer: Layer, tensors: list[Tensor]) -> Tensor:
    """Append ``h_t = f(W x_t + U h_(t-1) + b)`` for every step of a sequence (T, F), with h = 0 before.

    Raises
    ------
    UnsupportedLayer
        If the layer has an option that is not taken, or the sequence is too long.
    """
    steps, features, units = _sizes(draft, layer, tensors[0])
    biased = bool(layer.config.get("use_bias", True))
    want = {"kernel": (features, units), "recurrent_kernel": (units, units)}
    w = take(layer, {**want, **({"bias": (units,)} if biased else {})})
    bias = w.get("bias", np.zeros(units))
    # one matrix over the whole sequence for each step: a part of a map alone has no form in a spiking network
    tensor = draft.arrange(layer, tensors[0], (0, 1))
    flat = draft.add(layer, ops.Flatten(), vector(steps * features), tensor, suffix="flat")
    states: list[Tensor] = []
    for t in range(steps):
        parts = [_input(draft, layer, flat, w["kernel"].T, bias, t, steps)]
        if states:
            op = ops.Affine(w["recurrent_kernel"].T, np.zeros(units))
            parts.append(draft.add(layer, op, vector(units), states[-1], suffix=f"back{t}"))
        total = draft.join(layer, parts, f"sum{t}") if states else parts[0]
        act = ACTIVATIONS[_activation(layer)]()
        states.append(draft.add(layer, act, vector(units), total, suffix=f"step{t}"))
    return sequence(draft, layer, states, units) if layer.config.get("return_sequences") else states[-1]


def _sizes(draft: Draft, layer: Layer, tensor: Tensor) -> tuple[int, int, int]:
    shape, units = draft.views[tensor].shape, int(layer.config["units"])
    if len(shape) != 2:
        raise UnsupportedLayer(f"it runs over shape {shape}; sequences (steps, features) are taken")
    if on := [option for option in OFF if layer.config.get(option)]:
        raise UnsupportedLayer(f"{on[0]}=True is not taken")
    if _activation(layer) not in ACTIVATIONS:
        raise UnsupportedLayer(f"activation '{_activation(layer)}' is not taken here; use relu")
    steps, features = shape
    if steps > MAX_STEPS or steps * units * (steps * features + units) > MAX_WEIGHTS:
        raise UnsupportedLayer(
            f"{steps} steps of {units} units make {steps * units:,} neurons; up to {MAX_STEPS} steps and "
            f"{MAX_WEIGHTS:,} weights are unrolled"
        )
    return steps, features, units


def _activation(layer: Layer) -> str:
    value = layer.config.get("activation", "linear")
    return value if isinstance(value, str) else "of its own"


def vector(size: int) -> View:
    """Return the view of a vector."""
    return View((size,), (0,))


def _input(
    draft: Draft, layer: Layer, flat: Tensor, kernel: Floats, bias: Floats, t: int, steps: int
) -> Tensor:
    units, features = kernel.shape
    weight = np.zeros((units, steps * features))
    weight[:, t * features : (t + 1) * features] = kernel
    return draft.add(layer, ops.Affine(weight, bias), vector(units), flat, suffix=f"in{t}")


def sequence(draft: Draft, layer: Layer, states: list[Tensor], units: int) -> Tensor:
    """Put the states of all steps under each other, (T, units)."""
    steps, parts = len(states), []
    for t, state in enumerate(states):
        pads = ((t * units, (steps - 1 - t) * units),)
        parts.append(draft.add(layer, ops.Pad(pads), vector(steps * units), state, suffix=f"part{t}"))
    total = draft.join(layer, parts, "sequence")
    view = View((steps, units), (0, 1))
    return draft.add(layer, ops.Reshape((steps, units)), view, total, suffix="")
