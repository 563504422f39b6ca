"""Operators that say where values are: shapes, axes, padding, parts and their joining."""

from __future__ import annotations

import math

import numpy as np

from neurodeploy.frontends.builder import Value
from neurodeploy.frontends.onnx.calls import Call
from neurodeploy.ir import ops


def reshape(call: Call) -> Value:
    """Give the values another shape; the batch axis stays in front."""
    x, wanted = call.value(), [int(n) for n in call.constant(1)]
    if not call.flag("allowzero"):
        wanted = [(1, *x.shape)[i] if n == 0 and i <= len(x.shape) else n for i, n in enumerate(wanted)]
    if -1 in wanted:
        rest = math.prod(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = math.prod(x.shape) // max(rest, 1)
    if not wanted or wanted[0] != 1:
        call.refuse(f"reshapes to {wanted} for one sample, which mixes samples of a batch")
    return call.site.to_shape(x, tuple(wanted[1:]))


def flatten(call: Call) -> Value:
    """Merge all axes but the batch's."""
    if call.axis(int(call.attributes.get("axis", 1))) != 1:
        call.refuse(f"flattens from axis {call.attributes['axis']}; only 1 keeps samples apart")
    return call.add(ops.Flatten(), call.value())


def squeeze(call: Call) -> Value:
    """Drop axes of length 1."""
    x, axes = call.value(), call.axes()
    drop = {a - 1 for a in axes} if axes else {i for i, n in enumerate(x.shape) if n == 1}
    if -1 in drop or any(x.shape[i] != 1 for i in drop):
        call.refuse("squeezes the batch axis or an axis longer than 1")
    return call.site.to_shape(x, tuple(n for i, n in enumerate(x.shape) if i not in drop))


def unsqueeze(call: Call) -> Value:
    """Insert axes of length 1."""
    x = call.value()
    listed = [int(a) for a in np.atleast_1d(call.constant(1, np.array(call.attributes.get("axes", []))))]
    shape = list((1, *x.shape))
    for axis in sorted(call.axis(a, extra=len(listed)) for a in listed):
        if axis == 0:
            call.refuse("adds an axis before the batch")
        shape.insert(axis, 1)
    return call.site.to_shape(x, tuple(shape[1:]))


def transpose(call: Call) -> Value:
    """Permute axes; the batch axis stays in front."""
    perm = call.ints("perm", tuple(range(len(call.value().shape), -1, -1)))
    if perm[0] != 0:
        call.refuse("moves the batch axis")
    return call.add(ops.Transpose(tuple(p - 1 for p in perm[1:])), call.value())


def pad(call: Call) -> Value:
    """Put zeros around, or take values off where a number is negative."""
    mode = call.attributes.get("mode", "constant")
    flat = [int(p) for p in call.constant(1, np.array(call.attributes.get("pads", [])))]
    if mode != "constant" or call.number(2, "value", 0.0) != 0.0:
        call.refuse(f"pads by {mode}, other than with zeros")
    count, rank = len(flat) // 2, len(call.value().shape) + 1
    axes = [int(a) % rank for a in call.constant(3, np.arange(rank))]
    pairs = [(0, 0)] * rank
    for axis, before, after in zip(axes, flat[:count], flat[count:], strict=True):
        pairs[axis] = (before, after)
    if any(pairs[0]):
        call.refuse("pads the batch axis")
    value = call.value()
    if min(flat, default=0) < 0:
        value = call.add(ops.Crop(tuple((max(-b, 0), max(-a, 0)) for b, a in pairs[1:])), value)
    return call.add(ops.Pad(tuple((max(b, 0), max(a, 0)) for b, a in pairs[1:])), value)


def concat(call: Call) -> Value:
    """Put values side by side: each with zeros where the others are, and summed."""
    values, axis = call.values(), call.axis(int(call.attributes["axis"])) - 1
    if axis < 0:
        call.refuse("joins samples of a batch")
    return call.site.concat(values, axis)


# --- parts ------------------------------------------------------------------------------------------------


def slices(call: Call) -> Value:
    """Take ranges of values, without gaps."""
    value = call.value()
    starts, ends = call.constant(1).tolist(), call.constant(2).tolist()
    axes = call.constant(3, np.arange(len(starts))).tolist()
    steps = call.constant(4, np.ones(len(starts), np.int64)).tolist()
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = call.axis(int(axis)) - 1
        if step != 1 or (axis < 0 and (start, end >= 1) != (0, True)):
            call.refuse(f"takes every {step}th value from {start} to {end} of axis {axis + 1}")
        if axis >= 0:
            first, last, _ = slice(int(start), int(end)).indices(value.shape[axis])
            value = call.site.part(value, axis, first, last)
    return value


def split(call: Call) -> list[Value]:
    """Divide one axis into parts."""
    value, axis = call.value(), call.axis(int(call.attributes.get("axis", 0))) - 1
    if axis < 0:
        call.refuse("divides the batch")
    size, count = value.shape[axis], call.outputs
    each = -(-size // count)
    even = np.array([min(each, size - i * each) for i in range(count)])
    sizes = call.constant(1, np.array(call.attributes.get("split", even))).tolist()
    parts, at = [], 0
    for part in sizes:
        parts.append(call.site.part(value, axis, at, at + int(part)))
        at += int(part)
    return parts


def gather(call: Call) -> Value:
    """Take one index of an axis, which is gone then, or indices in a row."""
    value, axis = call.value(), call.axis(int(call.attributes.get("axis", 0))) - 1
    index = call.constant(1)
    if axis < 0 or not index.size:
        call.refuse("picks samples of the batch")
    places = [int(i) % value.shape[axis] for i in index.reshape(-1)]
    if places != list(range(places[0], places[0] + len(places))) or index.ndim > 1:
        call.refuse(f"picks values {places}, which are not in a row")
    if index.ndim == 0:
        return call.site.picked(value, axis, places[0])
    return call.site.part(value, axis, places[0], places[-1] + 1)
