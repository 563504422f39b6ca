"""Operators that say where values are: shapes, axes, padding, parts and their joining."""

from __future__ import annotations

import math

import numpy as np

from neurodeploy.frontends.builder import Value
from neurodeploy.frontends.torch.calls import Call
from neurodeploy.ir import ops


def reshape(call: Call) -> Value:
    """Give the values another shape; the batch axis stays in front."""
    x, wanted = call.value(), [int(n) for n in call.get("size", "shape")]
    batch = call.draft.batch
    if -1 in wanted:
        rest = math.prod(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = batch * math.prod(x.shape) // max(rest, 1)
    if not wanted or wanted[0] != batch:
        call.refuse(f"gives a batch of {batch} the shape {wanted}, which mixes samples")
    return call.site.to_shape(x, tuple(wanted[1:]))


def flatten(call: Call) -> Value:
    """Merge axes; the batch axis stays apart."""
    x = call.value()
    start, end = (call.axis(int(call.get(n, default=d))) for n, d in (("start_dim", 0), ("end_dim", -1)))
    if start < 0:
        call.refuse("merges the batch axis; start at dimension 1")
    merged = math.prod(x.shape[start : end + 1])
    return call.site.to_shape(x, (*x.shape[:start], merged, *x.shape[end + 1 :]))


def unflatten(call: Call) -> Value:
    """Divide one axis into several."""
    x, axis = call.value(), call.axis(int(call.get("dim")))
    sizes = [int(n) for n in call.get("sizes")]
    if -1 in sizes:
        rest = math.prod(n for n in sizes if n != -1)
        sizes[sizes.index(-1)] = x.shape[axis] // max(rest, 1)
    if axis < 0:
        call.refuse("divides the batch axis")
    return call.site.to_shape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def squeeze(call: Call) -> Value:
    """Drop axes of length 1."""
    x, dims = call.value(), call.get("dim")
    if dims is None:
        call.refuse("without a dimension it may drop the batch axis; name the dimension")
    listed = [dims] if isinstance(dims, int) else dims
    drop = {axis for axis in (call.axis(int(d)) for d in listed) if axis >= 0 and x.shape[axis] == 1}
    if any(call.axis(int(d)) < 0 for d in listed) and call.draft.batch == 1:
        call.refuse("drops the batch axis")
    return call.site.to_shape(x, tuple(n for i, n in enumerate(x.shape) if i not in drop))


def unsqueeze(call: Call) -> Value:
    """Insert an axis of length 1."""
    x, axis = call.value(), call.axis(int(call.get("dim")), extra=1)
    if axis < 0:
        call.refuse("adds an axis before the batch")
    return call.site.to_shape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def permute(call: Call) -> Value:
    """Permute axes; the batch axis stays in front."""
    axes = [call.axis(int(d)) for d in call.get("dims")]
    if axes[0] != -1:
        call.refuse("moves the batch axis")
    return call.add(ops.Transpose(tuple(axes[1:])))


def transpose(call: Call) -> Value:
    """Exchange two axes."""
    first, second = call.axis(int(call.get("dim0"))), call.axis(int(call.get("dim1")))
    if min(first, second) < 0:
        call.refuse("moves the batch axis")
    axes = list(range(len(call.value().shape)))
    axes[first], axes[second] = axes[second], axes[first]
    return call.add(ops.Transpose(tuple(axes)))


def pad(call: Call) -> Value:
    """Put zeros around the last axes, or take values off where a number is negative."""
    if call.get("mode", default="constant") != "constant" or float(call.get("value", default=0)) != 0:
        call.refuse(f"pads by {call.get('mode', default='constant')}, other than with zeros")
    x, flat = call.value(), [int(p) for p in call.get("pad")]
    around = [(0, 0)] * (len(x.shape) + 1)
    for i in range(len(flat) // 2):
        around[-1 - i] = (flat[2 * i], flat[2 * i + 1])
    if any(around[0]):
        call.refuse("pads the batch axis")
    if min(flat, default=0) < 0:
        x = call.add(ops.Crop(tuple((max(-b, 0), max(-a, 0)) for b, a in around[1:])), x)
    return call.add(ops.Pad(tuple((max(b, 0), max(a, 0)) for b, a in around[1:])), x)


def cat(call: Call) -> Value:
    """Put values side by side."""
    values = call.get("tensors")
    if any(not isinstance(v, Value) for v in values):
        call.refuse("joins a constant to values")
    rank = len(values[0].shape) + 1
    axis = int(call.get("dim", default=0)) % rank - 1
    if axis < 0:
        call.refuse("joins samples of a batch")
    return call.site.concat(values, axis)


# --- parts ------------------------------------------------------------------------------------------------


def slices(call: Call) -> Value:
    """Take a range of one axis, without gaps."""
    x, axis = call.value(), call.axis(int(call.get("dim", default=0)))
    step, start, end = (int(call.get(n, default=d)) for n, d in (("step", 1), ("start", 0), ("end", 1 << 62)))
    size = call.draft.batch if axis < 0 else x.shape[axis]
    first, last, _ = slice(start, end).indices(size)
    if step != 1 or (axis < 0 and (first, last) != (0, size)):
        call.refuse(f"takes every {step}th value from {start} to {end} of dimension {axis + 1}")
    return call.same() if axis < 0 else call.site.part(x, axis, first, last)


def select(call: Call) -> Value:
    """Take one index of an axis, which is gone then."""
    axis = call.axis(int(call.get("dim")))
    if axis < 0:
        call.refuse("picks samples of the batch")
    return call.site.picked(call.value(), axis, int(call.get("index")))


def split(call: Call) -> list[Value]:
    """Divide one axis into parts of given sizes."""
    x, axis = call.value(), call.axis(int(call.get("dim", default=0)))
    if axis < 0:
        call.refuse("divides the batch")
    size, asked = x.shape[axis], call.get("split_size", "split_sizes")
    if call.kind == "chunk":
        asked = -(-size // int(call.get("chunks")))
    sizes = asked if isinstance(asked, list) else [min(asked, size - at) for at in range(0, size, asked)]
    ends = np.cumsum(sizes).tolist()
    return [call.site.part(x, axis, end - n, end) for n, end in zip(sizes, ends, strict=True)]
