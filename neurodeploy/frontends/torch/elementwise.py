"""Operators on single values: arithmetic with constants and between branches, activations."""

from __future__ import annotations

import math

from neurodeploy.frontends import steps as recipes
from neurodeploy.frontends.builder import Value
from neurodeploy.frontends.steps import Floats
from neurodeploy.frontends.torch.calls import Call
from neurodeploy.ir import ops


def _pair(call: Call) -> tuple[Value, Floats] | None:
    """Return the value and the constant of two arguments, in whichever order; None for two values."""
    first, second = call.get("self"), call.get("other")
    if isinstance(first, Value) and isinstance(second, Value):
        return None
    if isinstance(first, Value):
        return first, call.constant("other")
    return call.value("other"), call.constant("self")


def _checked(call: Call, value: Value, constant: Floats) -> Floats:
    if constant.ndim > len(value.shape) + 1:
        call.refuse(f"a constant of shape {constant.shape} gives the values more axes")
    return constant


def add(call: Call) -> Value:
    """Sum two values, or add a constant."""
    found, alpha = _pair(call), float(call.get("alpha", default=1))
    if found is None:
        first, second = call.value("self"), call.value("other")
        return call.site.total([first, call.chain(recipes.scaled(alpha, second.shape), second)])
    value, constant = found
    if isinstance(call.get("self"), Value):
        return call.chain(recipes.shifted(alpha * _checked(call, value, constant), value.shape), value)
    scaled = call.chain(recipes.scaled(alpha, value.shape), value)
    return call.chain(recipes.shifted(_checked(call, value, constant), value.shape), scaled)


def subtract(call: Call) -> Value:
    """Subtract a value or a constant, or subtract from a constant."""
    found, alpha = _pair(call), float(call.get("alpha", default=1))
    if found is None:
        first, second = call.value("self"), call.value("other")
        return call.site.difference(first, call.chain(recipes.scaled(alpha, second.shape), second))
    value, constant = found
    if isinstance(call.get("self"), Value):
        return call.chain(recipes.shifted(-alpha * _checked(call, value, constant), value.shape), value)
    scaled = call.chain(recipes.scaled(-alpha, value.shape), value)
    return call.chain(recipes.shifted(_checked(call, value, constant), value.shape), scaled)


def subtract_from(call: Call) -> Value:
    """Return ``other - alpha * self`` for a constant."""
    scaled = call.chain(recipes.scaled(-float(call.get("alpha", default=1)), call.value().shape))
    return call.chain(recipes.shifted(call.constant("other"), scaled.shape), scaled)


def multiply(call: Call) -> Value:
    """Multiply by a constant."""
    found = _pair(call)
    if found is None:
        call.refuse("it multiplies two values; rates add, they do not multiply")
    return call.chain(recipes.scaled(_checked(call, *found), found[0].shape), found[0])


def divide(call: Call) -> Value:
    """Divide by a constant."""
    if call.get("rounding_mode") is not None:
        call.refuse(f"rounding_mode is {call.get('rounding_mode')!r}")
    divisor = _checked(call, call.value("self"), call.constant("other"))
    if not divisor.all():
        call.refuse("it divides by zero")
    return call.chain(recipes.scaled(1 / divisor, call.value().shape))


def negate(call: Call) -> Value:
    """Return ``-x``."""
    return call.site.minus(call.value())


def absolute(call: Call) -> Value:
    """Return ``|x|``, which is x above zero and -x below."""
    return call.chain(recipes.leaky(-1.0, call.value().shape))


def maximum(call: Call) -> Value:
    """Return the larger of two values."""
    return call.site.largest([call.value("self"), call.value("other")])


def minimum(call: Call) -> Value:
    """Return the smaller of two values."""
    return call.site.smallest([call.value("self"), call.value("other")])


# --- activations ------------------------------------------------------------------------------------------


def relu(call: Call) -> Value:
    """Return ``max(x, 0)``."""
    return call.add(ops.ReLU())


def relu6(call: Call) -> Value:
    """Return ``min(max(x, 0), 6)``."""
    return call.add(ops.ReLU(6.0))


def leaky_relu(call: Call) -> Value:
    """Return ``max(x, slope x)``."""
    return call.chain(recipes.leaky(float(call.get("negative_slope", default=0.01)), call.value().shape))


def prelu(call: Call) -> Value:
    """Return x above zero, a slope per channel times x below."""
    slope, shape = call.constant("weight"), call.value().shape
    if slope.size == 1:
        return call.chain(recipes.leaky(float(slope.reshape(-1)[0]), shape))
    return call.chain(recipes.leaky(slope.reshape(-1, *(1,) * (len(shape) - 1)), shape))


def clamp(call: Call) -> Value:
    """Bound the values; a bound may be missing."""
    low, high = call.constant("min", -math.inf), call.constant("max", math.inf)
    if low.size != 1 or high.size != 1:
        call.refuse("its bounds differ between values")
    return call.chain(recipes.clipped(float(low), float(high), call.value().shape))


def hardtanh(call: Call) -> Value:
    """Bound the values, to -1 and 1 by default."""
    low, high = float(call.get("min_val", default=-1)), float(call.get("max_val", default=1))
    return call.chain(recipes.clipped(low, high, call.value().shape))


def hardsigmoid(call: Call) -> Value:
    """Return ``min(max(x + 3, 0), 6) / 6``."""
    return call.chain(recipes.hard_sigmoid(1 / 6, 0.5, call.value().shape))


def threshold(call: Call) -> Value:
    """Return ``max(x, 0)`` where that is what it says."""
    if float(call.get("threshold")) != 0 or float(call.get("value")) != 0:
        call.refuse(f"threshold {call.get('threshold')} with value {call.get('value')}; 0 and 0 are taken")
    return relu(call)


def softmax(call: Call) -> Value:
    """Softmax, or its logarithm, over the last axis."""
    if call.axis(int(call.get("dim"))) != len(call.value().shape) - 1:
        call.refuse(f"over dimension {call.get('dim')}; the last is taken")
    return call.add(ops.Softmax("log" in call.kind))


def dropout(call: Call) -> Value:
    """Pass values on, unless it is told to drop some at inference."""
    if call.get("train", "training", default=False):
        call.refuse("it stays random at inference; export the model in eval mode")
    return call.same()


def cast(call: Call) -> Value:
    """Pass values on if they stay numbers with a fraction."""
    dtype = call.get("dtype", default=7)
    if dtype not in (6, 7, 8, 13):
        call.refuse("it rounds values to whole numbers")
    return call.same()


def same(call: Call) -> Value:
    """Pass values on."""
    return call.same()
