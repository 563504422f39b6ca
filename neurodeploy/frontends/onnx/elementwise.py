"""Operators on single values: arithmetic with constants and between branches, activations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from neurodeploy.frontends import steps as recipes
from neurodeploy.frontends.builder import Value
from neurodeploy.frontends.onnx.calls import Call
from neurodeploy.frontends.steps import Floats, Steps
from neurodeploy.ir import ops


def _split(call: Call) -> tuple[Value, Floats] | None:
    """Return the value and the constant of two inputs, in whichever order; None for two values."""
    if call.is_value(0) and call.is_value(1):
        return None
    at = 0 if call.is_value(0) else 1
    return call.value(at), call.floats(1 - at)


def add(call: Call) -> Value:
    """Sum two values, or add a constant."""
    found = _split(call)
    if found is None:
        return call.site.total(call.values())
    return call.chain(_fit(call, recipes.shifted, *found), found[0])


def _fit(call: Call, recipe: Callable[..., Steps], value: Value, constant: Floats) -> Steps:
    """Make steps of a constant that broadcasts against (batch, *shape)."""
    if constant.ndim > len(value.shape) + 1:
        call.refuse(f"a constant of shape {constant.shape} gives the values more axes")
    return recipe(constant, value.shape)


def subtract(call: Call) -> Value:
    """Subtract a value or a constant, or subtract from a constant."""
    found = _split(call)
    if found is None:
        return call.site.difference(*call.values())
    value, constant = found
    if call.is_value(0):
        return call.chain(_fit(call, recipes.shifted, value, -constant), value)
    return call.chain(_fit(call, recipes.shifted, value, constant), call.site.minus(value))


def multiply(call: Call) -> Value:
    """Multiply by a constant."""
    found = _split(call)
    if found is None:
        call.refuse("it multiplies two values; rates add, they do not multiply")
    return call.chain(_fit(call, recipes.scaled, *found), found[0])


def divide(call: Call) -> Value:
    """Divide by a constant."""
    found = _split(call)
    if found is None or not call.is_value(0):
        call.refuse("it divides by a value; only constants are taken")
    if not found[1].all():
        call.refuse("it divides by zero")
    return call.chain(_fit(call, recipes.scaled, found[0], 1 / found[1]), found[0])


def negate(call: Call) -> Value:
    """Return ``-x``."""
    return call.site.minus(call.value())


def total(call: Call) -> Value:
    """Sum of any number of values."""
    return call.site.total(call.values())


def mean(call: Call) -> Value:
    """Mean of any number of values."""
    value = total(call)
    return call.chain(recipes.scaled(1 / len(call.inputs), value.shape), value)


def maximum(call: Call) -> Value:
    """Return ``a + max(b - a, 0)``, or the value and a bound."""
    if len(call.inputs) == 2 and (found := _split(call)) is not None:
        return call.chain(recipes.clipped(_bound(call, found[1]), math.inf, found[0].shape), found[0])
    return call.site.largest(call.values())


def minimum(call: Call) -> Value:
    """Return ``-max(-a, -b)``, or the value and a bound."""
    if len(call.inputs) == 2 and (found := _split(call)) is not None:
        return call.chain(recipes.clipped(-math.inf, _bound(call, found[1]), found[0].shape), found[0])
    return call.site.smallest(call.values())


def _bound(call: Call, constant: Floats) -> float:
    if constant.size != 1:
        call.refuse(f"its bound has shape {constant.shape}; one number is taken")
    return float(constant.reshape(-1)[0])


# --- activations ------------------------------------------------------------------------------------------


def relu(call: Call) -> Value:
    """Return ``max(x, 0)``."""
    return call.add(ops.ReLU(), call.value())


def leaky_relu(call: Call) -> Value:
    """Return ``max(x, alpha x)``."""
    return call.chain(recipes.leaky(float(call.attributes.get("alpha", 0.01)), call.value().shape))


def prelu(call: Call) -> Value:
    """Return x above zero, a slope times x below; the slope broadcasts as a constant does."""
    slope, shape = call.floats(1), call.value().shape
    return call.chain(recipes.leaky(recipes.fitted(slope, shape), shape))


def clip(call: Call) -> Value:
    """Bound the values; an infinite bound is none."""
    low, high = call.number(1, "min", -math.inf), call.number(2, "max", math.inf)
    low, high = (math.copysign(math.inf, v) if abs(v) > 1e30 else v for v in (low, high))
    return call.chain(recipes.clipped(low, high, call.value().shape))


def hard_sigmoid(call: Call) -> Value:
    """Return ``min(max(alpha x + beta, 0), 1)``."""
    alpha, beta = float(call.attributes.get("alpha", 0.2)), float(call.attributes.get("beta", 0.5))
    return call.chain(recipes.hard_sigmoid(alpha, beta, call.value().shape))


def softmax(call: Call) -> Value:
    """Softmax, or its logarithm, over the last axis."""
    axis = call.axis(int(call.attributes.get("axis", -1 if call.draft.opset >= 13 else 1)))
    rank = len(call.value().shape)
    merges = call.draft.opset < 13 and axis != rank  # before, all axes from this one on were one
    if axis != rank or merges:
        call.refuse(f"over axis {axis} of {rank + 1}; the last is taken")
    return call.add(ops.Softmax(call.kind == "LogSoftmax"), call.value())


def same(call: Call) -> Value:
    """Pass values on: what the operator does, it does in training only, or to their type."""
    return call.add(ops.Identity(), call.value())


def cast(call: Call) -> Value:
    """Pass values on if they stay numbers with a fraction."""
    if int(call.attributes.get("to", 1)) not in (1, 10, 11, 16):
        call.refuse("it rounds values to whole numbers")
    return same(call)


def dropout(call: Call) -> Value:
    """Pass values on, unless it is told to drop some at inference."""
    if call.constant(2, np.array(False)).any():
        call.refuse("training_mode is true: it stays random at inference")
    return same(call)
