"""What a graph computes in floats, with rates in place of spikes: the reference for every later stage."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph
from neurodeploy.numerics import layers

Floats = npt.NDArray[np.float64]


def evaluate(
    graph: Graph, x: Floats, *, logits: bool = False, watch: Callable[[str, Floats], None] | None = None
) -> Floats:
    """Run a graph on a batch in floats.

    A neuron is replaced by its mean response without time: `IF` by the ramp ``max(r dt I / v_threshold, 0)``
    (spikes per step), an integrator by its growth per step; both times the ``gain`` in the node's notes,
    which conversion measures, since spikes in steps lose some of it, and at most the ``cap`` there, in the
    source's units.

    Parameters
    ----------
    graph : Graph
        In rate or spiking form, without back edges.
    x : ndarray of float64, shape (B, *input shape)
        As `Graph.prepare` returns it.
    logits : bool
        Leave a final softmax out.
    watch : callable of (str, ndarray), optional
        Called with the name and the output of every node.

    Returns
    -------
    ndarray of float64, shape (B, *output shape)

    Raises
    ------
    OptionError
        If the graph is recurrent.
    """
    back = [edge for edge in graph.edges if graph.is_back_edge(edge)]
    if back:
        loop = f"{back[0][0]} -> {back[0][1]}"
        raise OptionError(f"a recurrent graph ({loop}) has no value without time; use backend nengo")
    values: dict[str, Floats] = {}
    waiting = {node.name: len(graph.targets(node.name)) for node in graph.nodes}
    result = x
    for node in graph.nodes:
        sources = graph.sources(node.name)
        inputs = [values[s] for s in sources]
        total = functools.reduce(np.add, inputs) if inputs else x
        skip = logits and isinstance(node.op, ops.Softmax) and graph.output.name in graph.targets(node.name)
        value = total if skip else apply(node.op, total, dt=graph.dt)
        if node.op.stateful:
            value = value * float(node.notes.get("gain", 1.0))
            value = np.minimum(value, float(node.notes.get("cap", np.inf)) / node.unit)
        values[node.name] = value
        if watch is not None:
            watch(node.name, value)
        if isinstance(node.op, ops.Output):
            result = value
        for s in sources:  # keep memory to what is still needed
            waiting[s] -= 1
            if waiting[s] == 0:
                del values[s]
    return result


def channelwise(vector: Floats, ndim: int, axis: int) -> Floats:
    """Shape a vector to broadcast along one axis of a sample with `ndim` axes."""
    shape = [1] * ndim
    shape[axis] = len(vector)
    return vector.reshape(shape)


@functools.singledispatch
def apply(op: ops.Op, x: Floats, *, dt: float) -> Floats:
    """Apply one op to a batch (B, ...)."""
    raise NotImplementedError(op.kind)


@apply.register(ops.Input)
@apply.register(ops.Output)
@apply.register(ops.Identity)
def _same(op: ops.Op, x: Floats, *, dt: float) -> Floats:
    return x


@apply.register
def _affine(op: ops.Affine, x: Floats, *, dt: float) -> Floats:
    return np.asarray(x @ op.weight.T + op.bias)


@apply.register
def _conv1d(op: ops.Conv1d, x: Floats, *, dt: float) -> Floats:
    y = layers.conv1d(
        x, op.weight, stride=op.stride, padding=op.padding, dilation=op.dilation, groups=op.groups
    )
    return y + op.bias[:, None]


@apply.register
def _conv2d(op: ops.Conv2d, x: Floats, *, dt: float) -> Floats:
    y = layers.conv2d(
        x, op.weight, stride=op.stride, padding=op.padding, dilation=op.dilation, groups=op.groups
    )
    return y + op.bias[:, None, None]


@apply.register
def _sum_pool(op: ops.SumPool2d, x: Floats, *, dt: float) -> Floats:
    return layers.sum_pool2d(x, kernel_size=op.kernel_size, stride=op.stride, padding=op.padding)


@apply.register
def _avg_pool(op: ops.AvgPool2d, x: Floats, *, dt: float) -> Floats:
    return layers.sum_pool2d(x, kernel_size=op.kernel_size, stride=op.stride, padding=op.padding) / np.prod(
        op.kernel_size
    )


@apply.register
def _scale(op: ops.Scale, x: Floats, *, dt: float) -> Floats:
    return x * op.scale


@apply.register
def _flatten(op: ops.Flatten, x: Floats, *, dt: float) -> Floats:
    return x.reshape(len(x), -1)


@apply.register
def _reshape(op: ops.Reshape, x: Floats, *, dt: float) -> Floats:
    return x.reshape(len(x), *op.shape)


@apply.register
def _transpose(op: ops.Transpose, x: Floats, *, dt: float) -> Floats:
    return np.ascontiguousarray(x.transpose((0, *(a + 1 for a in op.axes))))


@apply.register
def _pad(op: ops.Pad, x: Floats, *, dt: float) -> Floats:
    return np.pad(x, ((0, 0), *op.pads))


@apply.register
def _crop(op: ops.Crop, x: Floats, *, dt: float) -> Floats:
    inside = (slice(before, n - after) for n, (before, after) in zip(x.shape[1:], op.crops, strict=True))
    return np.ascontiguousarray(x[(slice(None), *inside)])


@apply.register
def _stretch(op: ops.Stretch, x: Floats, *, dt: float) -> Floats:
    wide = np.zeros((len(x), *op.out_shape(x.shape[1:])))
    wide[(slice(None), *(slice(None, None, factor) for factor in op.factors))] = x
    return wide


@apply.register
def _batch_norm(op: ops.BatchNorm, x: Floats, *, dt: float) -> Floats:
    scale, shift = op.scale_shift()
    return x * channelwise(scale, x.ndim - 1, op.axis) + channelwise(shift, x.ndim - 1, op.axis)


@apply.register
def _relu(op: ops.ReLU, x: Floats, *, dt: float) -> Floats:
    above = np.clip(x, 0.0, op.max_value)
    return above if op.is_plain else above + op.negative_slope * np.minimum(x, 0.0)


@apply.register
def _max_pool(op: ops.MaxPool, x: Floats, *, dt: float) -> Floats:
    return layers.max_pool(x, kernel_size=op.kernel_size, stride=op.stride, pads=op.pads)


@apply.register
def _softmax(op: ops.Softmax, x: Floats, *, dt: float) -> Floats:
    below = x - x.max(axis=-1, keepdims=True)
    total = np.exp(below).sum(axis=-1, keepdims=True)
    return np.asarray(below - np.log(total) if op.log else np.exp(below) / total)


@apply.register
def _if(op: ops.IF, x: Floats, *, dt: float) -> Floats:
    return np.maximum(op.r * dt * x / op.v_threshold, 0.0)


@apply.register
def _integrator(op: ops.I, x: Floats, *, dt: float) -> Floats:
    return op.r * dt * x


@apply.register
def _leaky_integrator(op: ops.LI, x: Floats, *, dt: float) -> Floats:
    return np.asarray(op.v_leak + op.r * x)


@apply.register
def _cuba_leaky_integrator(op: ops.CubaLI, x: Floats, *, dt: float) -> Floats:
    return np.asarray(op.v_leak + op.r * op.w_in * x)


@apply.register(ops.Delay)
def _delay(op: ops.Delay, x: Floats, *, dt: float) -> Floats:
    return x  # a rate that lasts is the same later


@apply.register
def _lif(op: ops.LIF, x: Floats, *, dt: float) -> Floats:
    return lif_rate(op.v_leak + op.r * x, tau=op.tau, op=op, dt=dt)


@apply.register
def _cuba(op: ops.CubaLIF, x: Floats, *, dt: float) -> Floats:
    return lif_rate(op.v_leak + op.r * op.w_in * x, tau=op.tau_mem, op=op, dt=dt)


def lif_rate(v_inf: Floats, *, tau: Floats, op: ops.LIF | ops.CubaLIF, dt: float) -> Floats:
    """Spikes per step of a LIF under constant drive towards `v_inf` (Dayan & Abbott 2001, eq. 5.11)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        period = tau * np.log((v_inf - op.v_reset) / (v_inf - op.v_threshold))
        rate = dt / (period + dt * op.refractory)
    return np.where(v_inf > op.v_threshold, rate, 0.0)
