"""One NIR primitive at a time: its fields become an op."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.frontends import steps
from neurodeploy.frontends.nir.reading import Leak, Reading, leak
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op, Shape

Floats = npt.NDArray[np.float64]

MAX_DELAY = 10_000
"""Longest delay, in steps."""
WHOLE = 1e-3
"""How far from a whole step a delay may be, in steps."""


@dataclass(frozen=True)
class Primitive:
    """Fields of one node, the shape that enters it, and how the file is read."""

    fields: Mapping[str, Any]
    shape: Shape
    reading: Reading

    def floats(self, name: str, *, ndim: int | None = None, default: float | None = None) -> Floats:
        """Return an array of finite numbers; a missing one takes its default, where it has one."""
        if name not in self.fields and default is not None:
            return np.full((), default)
        value = self._number(name).astype(np.float64)
        if not np.isfinite(value).all():
            raise ValueError(f"'{name}' holds values that are not finite")
        if ndim is not None and value.ndim != ndim:
            raise ValueError(f"'{name}' has shape {value.shape}; {ndim} axes are taken")
        return value

    def integers(self, name: str, count: int) -> Shape:
        """Return that many whole numbers; one number stands for all."""
        value = self._number(name)
        values = np.atleast_1d(value).ravel()
        if len(values) not in (1, count) or not np.equal(values, np.floor(values)).all():
            raise ValueError(f"'{name}' is {np.array2string(value)}; {count} whole numbers are taken")
        whole = [int(v) for v in values.tolist()]
        if any(abs(v) > steps.MAX_EXTENT for v in whole):
            raise ValueError(f"'{name}' is {whole}; up to {steps.MAX_EXTENT} is taken")
        return tuple(whole * count if len(whole) == 1 else whole)

    def _number(self, name: str) -> npt.NDArray[Any]:
        if name not in self.fields:
            raise ValueError(f"'{name}' is missing")
        value = np.asarray(self.fields[name])
        if value.dtype.kind not in "biuf" or not value.size:
            raise ValueError(f"'{name}' holds no numbers")
        return value

    def like(self, name: str, default: float | None = None) -> Floats:
        """Return a parameter of a population, one number or one per neuron."""
        value = self.floats(name, default=default)
        if value.size == 1:
            return value.reshape(())
        if value.shape != self.shape:
            raise ValueError(f"'{name}' has shape {value.shape}, and what enters has {self.shape}")
        return value

    def rate(self) -> Floats:
        """Return what an integrator without a leak gains of its input, per second."""
        return self.like("r") / (self.reading.dt if self.reading.per_step else self.reading.time_unit)


# --- linear -----------------------------------------------------------------------------------------------


def affine(p: Primitive) -> Op:
    """Read a matrix and a bias."""
    return ops.Affine(p.floats("weight", ndim=2), p.floats("bias", ndim=1))


def linear(p: Primitive) -> Op:
    """Read a matrix without a bias."""
    weight = p.floats("weight", ndim=2)
    return ops.Affine(weight, np.zeros(len(weight)))


def scale(p: Primitive) -> Op:
    """Read factors."""
    return ops.Scale(p.like("scale"))


def conv1d(p: Primitive) -> Op:
    """Read a convolution over one axis."""
    return _conv(p, 1)


def conv2d(p: Primitive) -> Op:
    """Read a convolution over two axes."""
    return _conv(p, 2)


def _conv(p: Primitive, count: int) -> Op:
    weight, bias = p.floats("weight", ndim=count + 2), p.floats("bias", ndim=1)
    stride, dilation = p.integers("stride", count), p.integers("dilation", count)
    groups = p.integers("groups", 1)[0] if "groups" in p.fields else 1
    if min(*stride, *dilation, groups) < 1 or len(weight) % groups or len(bias) != len(weight):
        raise ValueError(f"stride {stride}, dilation {dilation} or {groups} groups do not fit {weight.shape}")
    if len(p.shape) != count + 1 or p.shape[0] != weight.shape[1] * groups:
        raise ValueError(f"weight of shape {weight.shape} does not fit what enters, {p.shape}")
    padding = p.fields.get("padding")
    if isinstance(padding, str):
        if padding not in ("same", "valid") or (padding == "same" and max(stride) > 1):
            raise ValueError(f"padding '{padding}' with stride {stride} is not taken")
        same = steps.same_pads(p.shape[1:], weight.shape[2:], stride, dilation)
        pads = same if padding == "same" else [(0, 0)] * count
    else:
        pads = [(n, n) for n in _from_zero(p, "padding", count)]
    return steps.conv(weight, bias, stride, pads, dilation, groups)


def _from_zero(p: Primitive, name: str, count: int) -> Shape:
    values = p.integers(name, count)
    if min(values) < 0:
        raise ValueError(f"'{name}' is {values}, below 0")
    return values


def sum_pool(p: Primitive) -> Op:
    """Read a sum over windows."""
    return ops.SumPool2d(*_pool(p))


def average_pool(p: Primitive) -> Op:
    """Read a mean over windows."""
    return ops.AvgPool2d(*_pool(p))


def _pool(p: Primitive) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    kernel, stride = p.integers("kernel_size", 2), p.integers("stride", 2)
    if min(*kernel, *stride) < 1:
        raise ValueError(f"windows of {kernel} in steps of {stride} are not taken")
    return ops.pair(kernel), ops.pair(stride), ops.pair(_from_zero(p, "padding", 2))


def flatten(p: Primitive) -> Op:
    """Read which axes are merged; they count without a batch axis."""
    count = len(p.shape)
    start, end = p.integers("start_dim", 1)[0], p.integers("end_dim", 1)[0]
    if not (-count <= start < count and -count <= end < count):
        raise ValueError(f"axes {start} to {end} are not among those of {p.shape}")
    start, end = start % count, end % count
    if start > end:
        raise ValueError(f"axes {start} to {end} are in the wrong order")
    merged = (*p.shape[:start], math.prod(p.shape[start : end + 1]), *p.shape[end + 1 :])
    return ops.Flatten() if len(merged) == 1 else ops.Reshape(merged)


# --- with a memory ----------------------------------------------------------------------------------------


def integrate_and_fire(p: Primitive) -> Op:
    """Read IF."""
    spike = _spike(p, np.ones(()))
    return ops.IF(p.rate(), **spike)


def lif(p: Primitive) -> Op:
    """Read LIF."""
    mem = leak(p.like("tau"), p.reading)
    return ops.LIF(mem.tau, p.like("r") * mem.gain, p.like("v_leak") * mem.drift, **_spike(p, mem.keep))


def cuba_lif(p: Primitive) -> Op:
    """Read CubaLIF."""
    syn, mem = leak(p.like("tau_syn"), p.reading), leak(p.like("tau_mem"), p.reading)
    return ops.CubaLIF(
        syn.tau, mem.tau, p.like("r") * mem.gain, p.like("v_leak") * mem.drift,
        w_in=_synapse(p, syn), **_spike(p, mem.keep),
    )  # fmt: skip


def cuba_li(p: Primitive) -> Op:
    """Read CubaLI."""
    syn, mem = leak(p.like("tau_syn"), p.reading), leak(p.like("tau_mem"), p.reading)
    r, v_leak = p.like("r") * mem.gain, p.like("v_leak") * mem.drift
    return ops.CubaLI(syn.tau, mem.tau, r, v_leak, _synapse(p, syn))


def _synapse(p: Primitive, syn: Leak) -> Floats:
    """Return the input's weight; Rockpool adds the input before the decay, in full."""
    factor = syn.keep / (1 - syn.keep) if p.reading.decay == "rockpool" else syn.gain
    return p.like("w_in", default=1.0) * factor


def integrator(p: Primitive) -> Op:
    """Read I."""
    return ops.I(p.rate())


def leaky_integrator(p: Primitive) -> Op:
    """Read LI."""
    mem = leak(p.like("tau"), p.reading)
    return ops.LI(mem.tau, p.like("r") * mem.gain, p.like("v_leak") * mem.drift)


def threshold(p: Primitive) -> Op:
    """Read a threshold: a neuron that keeps nothing from one step to the next."""
    one, nothing = np.ones(()), np.zeros(())
    return ops.LIF(nothing, one, nothing, p.like("threshold"))


def delay(p: Primitive) -> Op:
    """Read a delay; it lasts a whole number of steps."""
    seconds = p.like("delay") * p.reading.time_unit
    count = seconds / p.reading.dt
    if count.min() < 0 or count.max() > MAX_DELAY:
        raise ValueError(f"a delay of {count.min():g} to {count.max():g} steps; 0 to {MAX_DELAY} are taken")
    off = float(np.abs(count - np.rint(count)).max())
    if off > WHOLE:
        raise ValueError(f"a delay is {off:g} steps off a whole number of steps of {p.reading.dt:g} s")
    return ops.Delay(seconds)


def _spike(p: Primitive, keep: Floats) -> dict[str, Any]:
    """Return threshold and reset."""
    v_threshold, v_reset = p.like("v_threshold"), p.like("v_reset", default=0.0)
    reset = p.reading.reset
    if reset == "subtract-late":
        # k v - (t - r) = k (v - (t - r) / k): taken off a step later, after the leak, or now, before it
        if keep.min() <= 0:
            raise ValueError("a membrane that keeps nothing cannot reset a step later; give another --reset")
        v_reset, reset = v_threshold - (v_threshold - v_reset) / keep, "subtract"
    if reset == "zero-late":
        return {"v_threshold": v_threshold, "v_reset": v_reset, "refractory": 1}
    return {"v_threshold": v_threshold, "v_reset": v_reset, "reset": reset}
