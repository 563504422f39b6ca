"""Text form and digest of a graph, for golden files, caches and manifests."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import Any

import numpy as np

from neurodeploy.ir.graph import Graph
from neurodeploy.ir.ops import Neuron, Op


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        if value.size <= 4:
            return str(value.tolist())
        return f"<{'x'.join(map(str, value.shape))}:{array_digest(value)[:12]}>"
    if isinstance(value, tuple):
        inner = ", ".join(_value(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value.item() if isinstance(value, np.generic) else value)


def _name(name: str) -> str:
    """Write a name as it is, or quoted where it holds what the text form itself uses."""
    return name if re.fullmatch(r"[\w.\-/:]+", name) else repr(name)


def array_digest(array: np.ndarray[Any, Any]) -> str:
    """SHA-256 over type, shape and values of an array."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    head = f"{little.dtype.str}{little.shape}".encode()
    return hashlib.sha256(head + little.tobytes()).hexdigest()


def op_text(op: Op) -> str:
    """One op as text; large arrays by shape and digest."""
    values = {f.name: getattr(op, f.name) for f in dataclasses.fields(op)}
    if isinstance(op, Neuron) and not op.v_init.any():
        del values["v_init"]  # at rest, as in every graph before there was another start
    return f"{op.kind}({', '.join(f'{name}={_value(value)}' for name, value in values.items())})"


def to_text(graph: Graph) -> str:
    """Write the whole graph as text: one line per node, in execution order.

    Every value that the digest covers is in it, arrays of more than four values by their own digest.
    """
    head = f"graph {_name(graph.name)} dt={_value(graph.dt)}"
    lines = [head, *(f"  meta {_name(k)} = {_value(v)}" for k, v in sorted(graph.meta.items()))]
    for node in graph.nodes:
        feeds = ", ".join(map(_name, graph.sources(node.name)))
        shape = "x".join(map(str, graph.shapes[node.name]))
        notes = "".join(f" {_name(k)}={_value(v)}" for k, v in sorted(node.notes.items()))
        lines.append(
            f"  {_name(node.name)} [{shape}] <- ({feeds}) = {op_text(node.op)} "
            f"from {_name(node.layer or '-')} {node.origin!r} unit={_value(node.unit)}{notes}"
        )
    return "\n".join(lines) + "\n"


def digest(graph: Graph) -> str:
    """SHA-256 of the text form."""
    return hashlib.sha256(to_text(graph).encode()).hexdigest()
