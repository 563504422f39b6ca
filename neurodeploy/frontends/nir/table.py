"""Every primitive of NIR: which function takes it, what it becomes, and within which limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neurodeploy.frontends.nir import primitives
from neurodeploy.frontends.nir.primitives import Primitive
from neurodeploy.ir.ops import Op


@dataclass(frozen=True)
class Handler:
    """How a primitive is taken.

    Parameters
    ----------
    status : {"native", "rewritten"}
    how : str
        Which op it becomes.
    fields : tuple of str
        What NIR 1.0 gives it; a node with any other field is refused.
    build : callable
        Makes the op.
    note : str
        What else a user should know.
    """

    status: str
    how: str
    fields: tuple[str, ...]
    build: Callable[[Primitive], Op]
    note: str = ""


_SPIKE = ("v_threshold", "v_reset")
_CONV = ("input_shape", "weight", "stride", "padding", "dilation", "groups", "bias")
_POOL = ("kernel_size", "stride", "padding")
_CUBA = ("tau_syn", "tau_mem", "r", "v_leak", "w_in")
_RESET = "reset and discretisation as told"
HANDLERS: dict[str, Handler] = {
    "Affine": Handler("native", "Affine", ("weight", "bias"), primitives.affine, "weight of two axes"),
    "Linear": Handler("rewritten", "Affine", ("weight",), primitives.linear, "weight of two axes"),
    "Scale": Handler("native", "Scale", ("scale",), primitives.scale),
    "Conv1d": Handler("native", "Conv1d", _CONV, primitives.conv1d, "padding in numbers, same or valid"),
    "Conv2d": Handler("native", "Conv2d", _CONV, primitives.conv2d, "padding in numbers, same or valid"),
    "SumPool2d": Handler("native", "SumPool2d", _POOL, primitives.sum_pool),
    "AvgPool2d": Handler("native", "AvgPool2d", _POOL, primitives.average_pool),
    "Flatten": Handler(
        "native", "Flatten, Reshape", ("input_type", "start_dim", "end_dim"), primitives.flatten,
        "axes without the batch",
    ),
    "I": Handler("native", "I", ("r",), primitives.integrator),
    "IF": Handler("native", "IF", ("r", *_SPIKE), primitives.integrate_and_fire, _RESET),
    "LI": Handler("native", "LI", ("tau", "r", "v_leak"), primitives.leaky_integrator),
    "LIF": Handler("native", "LIF", ("tau", "r", "v_leak", *_SPIKE), primitives.lif, _RESET),
    "CubaLI": Handler("native", "CubaLI", _CUBA, primitives.cuba_li),
    "CubaLIF": Handler("native", "CubaLIF", (*_CUBA, *_SPIKE), primitives.cuba_lif, _RESET),
    "Threshold": Handler(
        "rewritten", "LIF of no memory", ("threshold",), primitives.threshold, "strictly above"
    ),
    "Delay": Handler(
        "native", "Delay", ("delay",), primitives.delay, "whole steps; between populations"
    ),
}  # fmt: skip
"""Primitives with one input; `Input`, `Output` and `NIRGraph` are read with the file."""
RESETTING = ("IF", "LIF", "CubaLIF")

STRUCTURE: dict[str, tuple[str, str, str]] = {
    "Input": ("native", "Input", "one of them"),
    "Output": ("native", "Output", "one of them"),
    "NIRGraph": ("rewritten", "its nodes", "one Input and one Output each; loops take a step"),
}
"""Status, op and note of what makes the graph."""
