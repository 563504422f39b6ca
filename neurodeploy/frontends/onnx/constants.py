"""Operators on constants alone, computed while reading: shapes that were traced, reshaped weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from neurodeploy.frontends.onnx.model import TYPES, Array

MAX_FOLDED = 1 << 28
"""Most values one folded tensor may hold; a file that asks for more is refused, not computed."""

Inputs = Sequence[Array | None]
Attributes = Mapping[str, Any]
Fold = Callable[[Inputs, Attributes], Array]


def fold(kind: str, inputs: Inputs, attributes: Attributes) -> Array:
    """Compute one operator.

    Raises
    ------
    KeyError
        If the operator is not in the table.
    ValueError
        If the inputs do not fit it, or the result would be too large.
    """
    compute = FOLDED[kind]
    try:
        with np.errstate(all="ignore"):
            return np.asarray(compute(inputs, attributes))
    except (ArithmeticError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"its constant inputs do not fit: {error}") from error


def given(inputs: Inputs, place: int) -> Array | None:
    """Return an input that may be left out."""
    return inputs[place] if place < len(inputs) else None


def axes_of(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
    """Return axes, which are an attribute in older operators and an input in newer ones."""
    listed = given(inputs, 1)
    if listed is not None:
        return tuple(int(a) for a in np.atleast_1d(listed))
    return tuple(int(a) for a in attributes["axes"]) if "axes" in attributes else None


def _two(compute: Callable[[Any, Any], Any]) -> Fold:
    def both(inputs: Inputs, attributes: Attributes) -> Array:
        left, right = _known(inputs, 0), _known(inputs, 1)
        _bounded(np.broadcast_shapes(left.shape, right.shape))
        return np.asarray(compute(left, right))

    return both


def _one(compute: Callable[[Any], Any]) -> Fold:
    return lambda inputs, attributes: np.asarray(compute(_known(inputs, 0)))


def _known(inputs: Inputs, place: int) -> Array:
    found = given(inputs, place)
    if found is None:
        raise ValueError(f"input {place} is left out")
    return found


def _bounded(shape: Sequence[int]) -> tuple[int, ...]:
    if any(n < 0 for n in shape) or math.prod(int(n) for n in shape) > MAX_FOLDED:
        raise ValueError(f"it asks for shape {tuple(shape)}, more than {MAX_FOLDED} values")
    return tuple(int(n) for n in shape)


def _divide(a: Array, b: Array) -> Array:
    """Divide as ONNX does: whole numbers towards zero."""
    if a.dtype.kind in "iu":
        if not np.all(b):
            raise ValueError("a division by zero")
        return np.asarray(np.trunc(a / b)).astype(a.dtype)
    return np.asarray(a / b)


def _matmul(inputs: Inputs, attributes: Attributes) -> Array:
    left, right = _known(inputs, 0), _known(inputs, 1)
    _bounded([left.size // max(left.shape[-1], 1), right.size // max(right.shape[0], 1)])
    return np.asarray(np.matmul(left, right))


def _cast(inputs: Inputs, attributes: Attributes) -> Array:
    return _known(inputs, 0).astype(TYPES[int(attributes["to"])])


def _constant(inputs: Inputs, attributes: Attributes) -> Array:
    types = {
        "value_float": np.float32,
        "value_floats": np.float32,
        "value_int": np.int64,
        "value_ints": np.int64,
    }
    for name, dtype in types.items():
        if name in attributes:
            return np.array(attributes[name], dtype)
    return np.asarray(attributes["value"])


def _constant_of_shape(inputs: Inputs, attributes: Attributes) -> Array:
    value = np.asarray(attributes.get("value", np.zeros(1, np.float32)))
    return np.full(_bounded(_known(inputs, 0).tolist()), value.reshape(-1)[0], value.dtype)


def _expand(inputs: Inputs, attributes: Attributes) -> Array:
    array = _known(inputs, 0)
    return np.broadcast_to(
        array, _bounded(np.broadcast_shapes(array.shape, tuple(_known(inputs, 1).tolist())))
    )


def _range(inputs: Inputs, attributes: Attributes) -> Array:
    start, limit, delta = (_known(inputs, i).reshape(-1)[0] for i in range(3))
    _bounded([max(math.ceil((float(limit) - float(start)) / float(delta)), 0)])
    return np.arange(start, limit, delta, dtype=_known(inputs, 0).dtype)


def _reshape(inputs: Inputs, attributes: Attributes) -> Array:
    array, wanted = _known(inputs, 0), [int(n) for n in _known(inputs, 1)]
    if not attributes.get("allowzero", 0):
        wanted = [array.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return array.reshape(wanted)


def _slice(inputs: Inputs, attributes: Attributes) -> Array:
    array, starts, ends = (_known(inputs, i) for i in range(3))
    axes, steps = given(inputs, 3), given(inputs, 4)
    places: list[slice] = [slice(None)] * array.ndim
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = i if axes is None else int(axes[i])
        step = 1 if steps is None else int(steps[i])
        places[axis] = slice(start, None if step < 0 and end < -array.shape[axis] else end, step)
    return array[tuple(places)]


def _unsqueeze(inputs: Inputs, attributes: Attributes) -> Array:
    return np.expand_dims(_known(inputs, 0), axes_of(inputs, attributes) or ())


def _reduce(compute: Callable[..., Any]) -> Fold:
    def reduced(inputs: Inputs, attributes: Attributes) -> Array:
        axes, keep = axes_of(inputs, attributes), bool(attributes.get("keepdims", 1))
        return np.asarray(compute(_known(inputs, 0), axis=axes, keepdims=keep))

    return reduced


FOLDED: dict[str, Fold] = {
    "Abs": _one(np.abs),
    "Add": _two(np.add),
    "And": _two(np.logical_and),
    "Cast": _cast,
    "Ceil": _one(np.ceil),
    "Concat": lambda inputs, a: np.concatenate([i for i in inputs if i is not None], axis=int(a["axis"])),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Div": _two(_divide),
    "Equal": _two(np.equal),
    "Expand": _expand,
    "Floor": _one(np.floor),
    "Gather": lambda inputs, a: np.take(
        _known(inputs, 0), _known(inputs, 1).astype(np.int64), axis=int(a.get("axis", 0))
    ),
    "Greater": _two(np.greater),
    "Identity": _one(lambda x: x),
    "Less": _two(np.less),
    "MatMul": _matmul,
    "Max": _two(np.maximum),
    "Min": _two(np.minimum),
    "Mod": _two(np.mod),
    "Mul": _two(np.multiply),
    "Neg": _one(np.negative),
    "Not": _one(np.logical_not),
    "Or": _two(np.logical_or),
    "Pow": _two(np.power),
    "Range": _range,
    "Reciprocal": _one(np.reciprocal),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "Reshape": _reshape,
    "Shape": lambda inputs, a: np.array(_known(inputs, 0).shape, np.int64)[a.get("start", 0) : a.get("end")],
    "Size": _one(np.size),
    "Slice": _slice,
    "Sqrt": _one(np.sqrt),
    "Squeeze": lambda inputs, a: np.squeeze(_known(inputs, 0), axis=axes_of(inputs, a)),
    "Sub": _two(np.subtract),
    "Transpose": lambda inputs, a: np.transpose(_known(inputs, 0), a.get("perm")),
    "Unsqueeze": _unsqueeze,
    "Where": lambda inputs, a: np.where(_known(inputs, 0), _known(inputs, 1), _known(inputs, 2)),
}
"""Operators computed at load time where all their inputs are constants."""
