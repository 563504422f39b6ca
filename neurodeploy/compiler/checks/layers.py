"""ND2xx for parts that run whole layers: which kinds, with which kernels, strides, pools and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neurodeploy.compiler.checks.finding import at_limit
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node
from neurodeploy.program import Program
from neurodeploy.rules import expressibility as rules
from neurodeploy.targets import Limit

NAME_OF: dict[type[ops.Op], str] = {
    ops.Affine: "affine",
    ops.Conv1d: "conv1d",
    ops.Conv2d: "conv2d",
    ops.AvgPool2d: "avg-pool2d",
    ops.SumPool2d: "sum-pool2d",
    ops.Scale: "scale",
    ops.Flatten: "flatten",
}
"""Names of our linear ops in hardware files."""


def supported_layers(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that there is an engine for every kind of layer."""
    known = known_kinds(program)
    for node in on_part(program) if known else ():
        name = path_of(program, node).partition(".")[2]
        if name not in known:
            known_by = next(f for p, f in program.target.facts.items() if p.startswith("layers."))
            yield at_limit(
                rules.UNSUPPORTED_LAYER, place_of(node), known_by, program,
                used=name, op=name, ops=", ".join(sorted(known)),
            )  # fmt: skip


def layer_parameters(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check kernel, stride, padding, dilation, groups, channels and pool sizes."""
    for node in on_part(program):
        path = path_of(program, node)
        for parameter, key, value in parameters(program, node):
            limit = program.target.limit(f"{path}.{key}")
            if limit.known and not _allowed(limit, value):
                yield (
                    at_limit(
                        rules.LAYER_PARAMETER,
                        place_of(node),
                        limit,
                        program,
                        used=_shown(value),
                        parameter=parameter,
                    )
                    if isinstance(limit.value, tuple)
                    else above(program, node, limit, parameter, value)
                )
        for parameter, key, value in _windows(node):
            if program.target.is_true(f"{path}.{key}") and len(set(value)) > 1:
                limit = program.target.limit(f"{path}.{key}")
                yield at_limit(
                    rules.NOT_SQUARE, place_of(node), limit, program, used=_shown(value), parameter=parameter
                )


def map_sizes(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that rows and columns of every map can be addressed."""
    graph = program.graph
    for node in on_part(program):
        path = path_of(program, node)
        for which, key, shape in (
            ("an input map", "input_shape_max", graph.shapes[graph.sources(node.name)[0]]),
            ("an output map", "output_shape_max", graph.shapes[node.name]),
        ):
            limit = program.target.limit(f"{path}.{key}")
            if (
                limit.known
                and len(shape) == 3
                and any(n > m for n, m in zip(shape[1:], limit.value, strict=True))
            ):
                found = at_limit(
                    rules.MAP_TOO_LARGE, place_of(node), limit, program, used=_shown(shape[1:]), which=which
                )
                yield rules.MAP_TOO_LARGE.at(found.place, **{**found.facts, "limit": _shown(limit.value)})


def known_kinds(program: Program) -> set[str]:
    """Return the kinds of layers that the target's file describes."""
    paths = (path.split(".") for path in program.target.facts)
    return {parts[1] for parts in paths if parts[0] == "layers"}


def on_part(program: Program) -> Iterator[Node]:
    """Yield the linear layers; what lies before the encoder runs on the host."""
    graph = program.graph
    hosted = {
        n for node in graph.nodes if node.notes.get("role") == "encoder" for n in graph.sources(node.name)
    }
    for node in graph.nodes:
        if type(node.op) in NAME_OF and node.name not in hosted:
            yield node


def path_of(program: Program, node: Node) -> str:
    """Return where the limits of a layer stand; a first layer may have an engine of its own."""
    name, special = NAME_OF[type(node.op)], f"input-{NAME_OF[type(node.op)]}"
    before = [program.graph[source] for source in program.graph.sources(node.name)]
    first = any(source.notes.get("role") == "encoder" for source in before)
    return f"layers.{special if first and special in known_kinds(program) else name}"


def place_of(node: Node) -> Place:
    """Point at a layer."""
    return Place(layer=node.origin, node=node.name)


def parameters(program: Program, node: Node) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield what a layer asks for: in words, the key of its limit, the values."""
    op = node.op
    if isinstance(op, ops.Conv2d):
        yield "kernel", "kernel_max", op.weight.shape[2:]
        yield "kernel", "kernel_sizes", op.weight.shape[2:]
        yield "stride", "strides", op.stride
        if max(op.stride) > 1:
            yield "kernel with a stride", "strided_kernels", op.weight.shape[2:]
        yield "input channels", "channels", (op.weight.shape[1] * op.groups,)
        yield "padding", "padding_max", op.padding
        yield "dilation", "dilations", op.dilation
        yield "groups", "groups", (op.groups,)
        yield "channels", "channels_max", (op.weight.shape[0], op.weight.shape[1] * op.groups)
    elif isinstance(op, ops.SumPool2d):
        yield "pool size", "sizes", op.kernel_size
        yield "pool stride", "sizes", op.stride
    elif isinstance(op, ops.Affine):
        yield "inputs", "inputs_max", (op.weight.shape[1],)
        yield "outputs", "channels_max", (op.weight.shape[0],)


def _windows(node: Node) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    if isinstance(node.op, ops.Conv2d):
        yield "kernel", "kernel_square", node.op.weight.shape[2:]
    elif isinstance(node.op, ops.SumPool2d):
        yield "pool size", "square", node.op.kernel_size


def _allowed(limit: Limit, value: tuple[int, ...]) -> bool:
    if isinstance(limit.value, tuple):
        return all(v in limit.value for v in value)
    return bool(max(value) <= limit.value)


def above(program: Program, node: Node, limit: Limit, parameter: str, value: tuple[int, ...]) -> Diagnostic:
    """Make the finding that a number exceeds one limit."""
    found = at_limit(
        rules.LAYER_PARAMETER, place_of(node), limit, program, used=max(value), parameter=parameter
    )
    return rules.LAYER_PARAMETER.at(found.place, **{**found.facts, "limit": f"up to {limit.value}"})


def _shown(value: Any) -> str:
    return " x ".join(str(int(v)) for v in np.atleast_1d(value))


CHECKS = (supported_layers, layer_parameters, map_sizes)
