"""Layers applied to every step of a sequence: the steps become channels, each with its own copy of the layer.

A convolution over T steps is one with T times the groups; nothing is computed twice and nothing is mixed.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from neurodeploy.errors import UnsupportedLayer
from neurodeploy.frontends.keras.geometry import View
from neurodeploy.frontends.keras.source import Layer
from neurodeploy.frontends.keras.table import Handler
from neurodeploy.frontends.steps import Step
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op, Shape

ALIKE = ("Dense", "ReLU", "LeakyReLU", "Softmax", "Activation")
"""Layers that act on the last axis or on single values, and so do the same with one more axis in front."""


def over_time(layer: Layer, handler: Handler) -> Handler:
    """Return what takes a layer for every step of a sequence (T, ...)."""
    if layer.kind in ALIKE or handler.status == "dropped":
        return handler

    def layout(layer: Layer, view: View) -> tuple[int, ...]:
        step = View(view.shape[1:], tuple(range(len(view.shape) - 1)))
        return (0, *(a + 1 for a in handler.layout(layer, step)))

    def build(layer: Layer, view: View) -> tuple[list[Step], View]:
        count, step = view.shape[0], View(view.shape[1:], tuple(a - 1 for a in view.axes[1:]))
        inner, after = handler.build(layer, step)
        shape = step.ours
        steps: list[Step] = [("merge", ops.Reshape((count * shape[0], *shape[1:])))]
        for suffix, op in inner:
            steps.append((suffix, _copies(op, count, shape)))
            shape = op.out_shape(shape)
        result = View((count, *after.shape), (0, *(a + 1 for a in after.axes)))
        return [*steps, ("split", ops.Reshape(result.ours))], result

    return dataclasses.replace(handler, build=build, layout=layout)


def moved_axis(layer: Layer) -> Layer:
    """Return a layer whose `axis` counts one more axis in front."""
    axis = layer.config.get("axis")
    if isinstance(axis, int) and axis > 0:
        return dataclasses.replace(layer, config={**layer.config, "axis": axis + 1})
    return layer


@functools.singledispatch
def _copies(op: Op, count: int, shape: Shape) -> Op:
    """Return the op that does for `count` blocks of channels what an op does for one of the given shape."""
    raise UnsupportedLayer(f"{op.kind} cannot be applied to every step of a sequence here")


@_copies.register(ops.Identity)
@_copies.register(ops.Flatten)
@_copies.register(ops.SumPool2d)
@_copies.register(ops.MaxPool)
@_copies.register(ops.Pad)  # no layer with a handler pads, crops or stretches its channels
@_copies.register(ops.Crop)
@_copies.register(ops.Stretch)
def _same(op: Op, count: int, shape: Shape) -> Op:
    return op


@_copies.register(ops.Conv1d)
@_copies.register(ops.Conv2d)
def _conv(op: ops.Conv1d | ops.Conv2d, count: int, shape: Shape) -> Op:
    weight = np.tile(op.weight, (count, *(1,) * (op.weight.ndim - 1)))
    return dataclasses.replace(op, weight=weight, bias=np.tile(op.bias, count), groups=op.groups * count)


@_copies.register
def _batch_norm(op: ops.BatchNorm, count: int, shape: Shape) -> Op:
    if op.axis != 0:
        return op
    gamma, beta, mean, variance = (np.tile(v, count) for v in (op.gamma, op.beta, op.mean, op.variance))
    return ops.BatchNorm(gamma, beta, mean, variance, op.epsilon)


@_copies.register
def _scale(op: ops.Scale, count: int, shape: Shape) -> Op:
    full = np.broadcast_to(op.scale, shape)
    return ops.Scale(np.tile(full, (count, *(1,) * (len(shape) - 1))))


@_copies.register
def _relu(op: ops.ReLU, count: int, shape: Shape) -> Op:
    if op.negative_slope.ndim == 0:
        return op
    full = np.broadcast_to(op.negative_slope, shape)
    return ops.ReLU(op.max_value, np.tile(full, (count, *(1,) * (len(shape) - 1))))


@_copies.register
def _reshape(op: ops.Reshape, count: int, shape: Shape) -> Op:
    return ops.Reshape((count * op.shape[0], *op.shape[1:]))
