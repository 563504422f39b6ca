"""Which values a graph may hold: names that can be printed, numbers that mean something, sizes that fit.

Stages of ours keep to this by themselves; a file that somebody else wrote may hold anything.
"""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neurodeploy.errors import VerifyError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node

MOST = 1 << 31
"""Largest whole number in an op, and most values of a node; far above any model that fits a board."""
UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what a terminal obeys, what turns text round, and what no encoding takes."""
LEAST = {
    "shape": 1, "sample_shape": 1, "axes": 0, "kernel_size": 1, "stride": 1, "dilation": 1, "groups": 1,
    "factors": 1, "padding": 0, "pads": 0, "crops": 0, "refractory": 0,
}  # fmt: skip
"""Smallest value of the whole numbers in ops' fields."""
TIMES = ("tau", "tau_syn", "tau_mem")
WHOLE = ("steps", "nef", "latency", "dead_units", "saturated_units")
NUMBERS = (
    "divide_by", "rate", "gain", "peak_drive", "peak_membrane", "rate_mean", "calibration_min",
    "calibration_max", "relative_error", "threshold_min", "threshold_max", "calibration_samples",
)  # fmt: skip
ABOVE_ZERO = ("steps", "nef", "divide_by", "rate")
"""Entries of `Graph.meta` and `Node.notes` that stages compute with."""


def check_values(graph: Graph) -> None:
    """Raise `VerifyError` at the first value that is not legal, naming its node."""
    _text("the name of the model", graph.name)
    _number("dt", graph.dt, above_zero=True)
    _entries("meta", graph.meta)
    for node in graph.nodes:
        _text("the name of a node", node.name)
        where = f"node '{node.name}'"
        _text(f"{where}: origin", node.origin)
        _text(f"{where}: layer", node.layer)
        for unit in np.ravel(node.unit).tolist():
            _number(f"{where}: unit", unit)
        if np.ndim(node.unit):
            _fits(graph, f"{where}: unit", node)
        _entries(f"{where}: notes", node.notes)
        _fields(where, node)


def _fits(graph: Graph, what: str, node: Node) -> None:
    """See that units, one per channel, fit the node's shape."""
    shape, unit = graph.shapes[node.name], np.shape(node.unit)
    try:
        fits = np.broadcast_shapes(shape, unit) == shape
    except ValueError:
        fits = False
    if not fits:
        raise VerifyError(f"{what} of shape {unit} does not fit shape {shape}")


def check_sizes(graph: Graph) -> None:
    """Raise `VerifyError` at the first node that puts out more values than there can be."""
    for name, shape in graph.shapes.items():
        if math.prod(shape) > MOST:
            raise VerifyError(f"node '{name}' has shape {shape}, more values than fit any machine")


def printable(text: str, *, instead: str = "?") -> str:
    """Return a text with what cannot be printed replaced."""
    return "".join(instead if unicodedata.category(c) in UNPRINTABLE else c for c in text)


def _text(what: str, value: object) -> None:
    if not isinstance(value, str) or printable(value) != value:
        raise VerifyError(f"{what} is {_shown(value)}, not a text that can be printed")


def _number(what: str, value: object, *, above_zero: bool = False, whole: bool = False) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or (whole and value != int(value)) or (above_zero and value <= 0):  # type: ignore[operator, call-overload]
        kind = "whole" if whole else "finite"
        raise VerifyError(f"{what} is {_shown(value)}, not a {kind} number{' above 0' * above_zero}")


def _entries(what: str, entries: Mapping[str, Any]) -> None:
    for name, value in entries.items():
        _text(f"an entry of {what}", name)
        if name in WHOLE or name in NUMBERS:
            _number(f"{what}, {name}", value, above_zero=name in ABOVE_ZERO, whole=name in WHOLE)
        elif isinstance(value, str):
            _text(f"{what}, {name}", value)
        else:
            _number(f"{what}, {name}", value)


def _fields(where: str, node: Node) -> None:
    for spec in dataclasses.fields(node.op):
        value, what = getattr(node.op, spec.name), f"{where}: {spec.name}"
        if isinstance(value, np.ndarray):
            _array(what, value, times=spec.name in TIMES, finite=node.op.stateful)
        elif spec.name in LEAST:
            for whole in _leaves(value):
                if not LEAST[spec.name] <= whole <= MOST:
                    raise VerifyError(f"{what} holds {whole}; {LEAST[spec.name]} to {MOST} are taken")
        elif spec.name == "reset" and value not in ("zero", "subtract"):
            raise VerifyError(f"{what} is {_shown(value)}, neither 'zero' nor 'subtract'")
        elif isinstance(value, float) and math.isnan(value):
            raise VerifyError(f"{what} is NaN")
    if isinstance(node.op, ops.Input):
        _sample(where, node.op)


def _sample(where: str, op: ops.Input) -> None:
    """See that a sample, its axes put in our order, fills our shape."""
    if sorted(op.axes) != list(range(len(op.sample_shape))):
        raise VerifyError(f"{where}: axes {op.axes} are no order of the axes of {op.sample_shape}")
    if math.prod(op.sample_shape) != math.prod(op.shape):
        raise VerifyError(f"{where}: samples of shape {op.sample_shape} do not fill shape {op.shape}")


def _array(what: str, values: np.ndarray[Any, Any], *, times: bool, finite: bool) -> None:
    if np.isnan(values).any():
        raise VerifyError(f"{what} holds NaN")
    if finite and not np.isfinite(values).all():
        raise VerifyError(f"{what} is not finite")
    if times and not (values >= 0).all():
        raise VerifyError(f"{what} is a time of {values.min():g} s")


def _leaves(value: Any) -> Iterator[int]:
    if isinstance(value, tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
