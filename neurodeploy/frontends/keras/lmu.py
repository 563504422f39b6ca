"""Legendre Memory Units of keras-lmu, unrolled: the memory is linear, so it is matrices over the past.

What the memory holds at a step is a fixed sum over all inputs so far, and over the hidden states where they
are fed back. It is multiplied out, and only the hidden cell becomes neurons: no neuron has to hold the signed
state that is carried on. The package itself is not needed, and none of its code is run.

References
----------
.. [1] Voelker, Kajić and Eliasmith (2019), Legendre Memory Units: continuous-time representation in recurrent
   neural networks, NeurIPS 32, equations 1 to 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.errors import UnsupportedLayer
from neurodeploy.frontends.keras.draft import Draft, Tensor
from neurodeploy.frontends.keras.layers import take
from neurodeploy.frontends.keras.recurrent import (
    ACTIVATIONS,
    MAX_STEPS,
    MAX_WEIGHTS,
    sequence,
    vector,
)
from neurodeploy.frontends.keras.source import Layer
from neurodeploy.frontends.steps import Floats
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Shape

CELLS = ("SimpleRNNCell", "Dense")


@dataclass(frozen=True, eq=False)
class _Cell:
    """Matrices of ``m = F m + G (W x + V h + b)``, then ``h = f(K m + L x + U h + c)``.

    Shapes: F (M, M), G (M, D), W (D, features), V (D, units), b (D,), K (units, M), L (units, features),
    U (units, units), c (units,), for a memory of D dimensions and M values.
    """

    F: Floats
    G: Floats
    W: Floats
    V: Floats
    b: Floats
    K: Floats
    L: Floats
    U: Floats
    c: Floats

    @property
    def looks_back(self) -> bool:
        """Whether a state depends on the ones before it."""
        return bool(self.V.any() or self.U.any())


def lmu(draft: Draft, layer: Layer, tensors: list[Tensor]) -> Tensor:
    """Append the hidden states of every step that is needed of a sequence (T, F); all states are 0 before.

    Raises
    ------
    UnsupportedLayer
        If the layer has an option that is not taken, or the sequence is too long.
    """
    shape = draft.views[tensors[0]].shape
    if len(shape) != 2:
        raise UnsupportedLayer(f"it runs over shape {shape}; sequences (steps, features) are taken")
    steps, features = shape
    cell, activation = _cell(layer, features)
    units, all_steps = len(cell.c), bool(layer.config.get("return_sequences"))
    made = range(steps) if all_steps or cell.looks_back else range(steps - 1, steps)
    _check_size(steps, len(made) * units, steps * features + (len(made) * units if cell.V.any() else units))
    tensor = draft.arrange(layer, tensors[0], (0, 1))
    flat = draft.add(layer, ops.Flatten(), vector(steps * features), tensor, suffix="flat")
    into, const = np.zeros((len(cell.F), steps * features)), np.zeros(len(cell.F))
    back: list[Floats] = []  # what each state before has put into the memory
    states: list[Tensor] = []
    for t in range(steps):
        now = slice(t * features, (t + 1) * features)
        into, const = cell.F @ into, cell.F @ const + cell.G @ cell.b
        into[:, now] += cell.G @ cell.W
        back = [cell.F @ held for held in back] + ([cell.G @ cell.V] if states else [])
        if t not in made:
            continue
        weight = cell.K @ into
        weight[:, now] += cell.L
        op = ops.Affine(weight, cell.K @ const + cell.c)
        parts = [draft.add(layer, op, vector(units), flat, suffix=f"in{t}")]
        for before, (state, held) in enumerate(zip(states, back, strict=True)):
            seen = cell.K @ held + (cell.U if before == len(states) - 1 else 0.0)
            if seen.any():
                op = ops.Affine(seen, np.zeros(units))
                parts.append(draft.add(layer, op, vector(units), state, suffix=f"back{t}_{before}"))
        total = draft.join(layer, parts, f"sum{t}") if len(parts) > 1 else parts[0]
        states.append(draft.add(layer, ACTIVATIONS[activation](), vector(units), total, suffix=f"step{t}"))
    return sequence(draft, layer, states, units) if all_steps else states[-1]


def _check_size(steps: int, neurons: int, reads: int) -> None:
    if steps > MAX_STEPS or neurons * reads > MAX_WEIGHTS:
        raise UnsupportedLayer(
            f"{steps} steps make {neurons:,} neurons and up to {neurons * reads:,} weights; "
            f"up to {MAX_STEPS} steps and {MAX_WEIGHTS:,} weights are unrolled"
        )


def _cell(layer: Layer, features: int) -> tuple[_Cell, str]:
    """Read the matrices, and the hidden cell's activation."""
    told = layer.config
    if told.get("trainable_theta"):
        raise UnsupportedLayer("trainable_theta=True is not taken; fix theta before the model is saved")
    size, order = int(told["memory_d"]), int(told["order"])
    memory, hidden = size * order, _hidden(told.get("hidden_cell"))
    units = int(hidden["units"]) if hidden else memory
    fed = features + (units if told.get("hidden_to_memory") else 0)
    seen = memory + (features if told.get("input_to_hidden") else 0)
    w = take(layer, _wanted(told, hidden, size, memory, fed, seen))
    kernel = w.get("kernel", np.eye(fed, size))
    A, B = discrete(order, float(told["theta"]), str(told.get("discretizer", "zoh")))
    G = np.kron(np.eye(size), B[:, None])
    F = np.kron(np.eye(size), A)
    if "recurrent_kernel" in w:
        F = F + G @ w["recurrent_kernel"].T
    read = w["hidden kernel"].T if hidden else np.eye(memory)
    none = np.zeros((units, units))
    cell = _Cell(
        F, G, kernel[:features].T, kernel[features:].T if fed > features else np.zeros((size, units)),
        w.get("bias", np.zeros(size)).ravel(), read[:, :memory],
        read[:, memory:] if seen > memory else np.zeros((units, features)),
        w["hidden recurrent_kernel"].T if "hidden recurrent_kernel" in w else none,
        w.get("hidden bias", np.zeros(units)),
    )  # fmt: skip
    return cell, str(hidden.get("activation", "linear")) if hidden else "linear"


def _hidden(cell: Any) -> Mapping[str, Any]:
    """Return the configuration of the hidden cell, with its kind; empty where there is none."""
    if cell is None:
        return {}
    kind, told = str(cell["class_name"]), dict(cell["config"])
    if kind not in CELLS:
        raise UnsupportedLayer(f"hidden_cell {kind} is not taken; {' or '.join(CELLS)} is")
    if told.get("activation", "linear") not in ACTIVATIONS:
        raise UnsupportedLayer(
            f"activation {told['activation']!r} of its hidden_cell is not taken here; use relu"
        )
    return {**told, "kind": kind}


def _wanted(
    told: Mapping[str, Any], hidden: Mapping[str, Any], size: int, memory: int, fed: int, seen: int
) -> dict[str, Shape]:
    """Return the weights in Keras' order: the memory's, then the hidden cell's."""
    want: dict[str, Shape] = {}
    if told.get("kernel_initializer", "glorot_uniform") is not None:
        want["kernel"] = (fed, size)
    elif fed != size:
        raise UnsupportedLayer(f"without a kernel, {fed} inputs do not make a memory of {size} dimensions")
    if told.get("use_bias"):
        want["bias"] = (1, size)
    if told.get("memory_to_memory"):
        want["recurrent_kernel"] = (memory, size)
    if hidden:
        units = int(hidden["units"])
        want["hidden kernel"] = (seen, units)
        want |= {"hidden recurrent_kernel": (units, units)} if hidden["kind"] == "SimpleRNNCell" else {}
        want |= {"hidden bias": (units,)} if hidden.get("use_bias", True) else {}
    return want


def discrete(order: int, theta: float, how: str) -> tuple[Floats, Floats]:
    """Return A (order, order) and B (order,) of a sliding window of `theta` steps, for one step."""
    from scipy.linalg import expm

    if how not in ("zoh", "euler"):
        raise UnsupportedLayer(f"discretizer={how!r} is not taken; 'zoh' or 'euler' is")
    row, column = np.mgrid[:order, :order]
    size = (2.0 * row + 1) / theta
    A = np.where(row < column, -1.0, (-1.0) ** (row - column + 1)) * size
    B = (-1.0) ** row[:, 0] * size[:, 0]
    if how == "euler":
        return np.eye(order) + A, B
    both = expm(np.block([[A, B[:, None]], [np.zeros((1, order + 1))]]))
    return both[:order, :order], both[:order, order]
