"""ND2xx for parts that run whole layers: limits that depend on each other, and those that sources dispute."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from neurodeploy.compiler import maps
from neurodeploy.compiler.checks.finding import at_limit
from neurodeploy.compiler.checks.layers import above, on_part, parameters, path_of, place_of
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.ir import ops, paths
from neurodeploy.program import ConvMap, Program
from neurodeploy.rules import expressibility as rules
from neurodeploy.rules.hardware import SOURCES_DISAGREE


def filters(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check the filters of a convolution where their number depends on kernel and input channels."""
    for node in on_part(program):
        if not isinstance(node.op, ops.Conv2d):
            continue
        used, channels, kernel, _ = node.op.weight.shape
        key = "filters_by_kernel" if channels == 1 else "filters_by_kernel_colour"
        limit = program.target.limit(f"{path_of(program, node)}.{key}")
        most = dict(limit.value).get(kernel) if limit.known else None
        if most is not None and used > most:
            bound = dataclasses.replace(limit, value=most)
            yield above(program, node, bound, f"filters of a {kernel} x {kernel} kernel", (used,))


def input_sizes(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check rows and columns of a layer's input against the least and the most its engine takes."""
    for node in on_part(program):
        shape = program.graph.shapes[program.graph.sources(node.name)[0]]
        if len(shape) != 3:
            continue
        for key, size in (("height_min", shape[1]), ("width_min", shape[2]), ("width_max", shape[2])):
            limit = program.target.limit(f"{path_of(program, node)}.{key}")
            least = key.endswith("_min")
            if limit.known and (size < limit.value if least else size > limit.value):
                parameter = f"an input {key.partition('_')[0]} of"
                found = at_limit(
                    rules.LAYER_PARAMETER, place_of(node), limit, program, used=size, parameter=parameter
                )
                offer = f"{'at least' if least else 'up to'} {limit.value}"
                yield rules.LAYER_PARAMETER.at(found.place, **{**found.facts, "limit": offer})


def disputed_parameters(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that a parameter that fits by the source in force also fits by every other source."""
    for node in on_part(program):
        for parameter, key, value in parameters(program, node):
            limit = program.target.limit(f"{path_of(program, node)}.{key}")
            rivals = [r for r in limit.conflict if isinstance(r.value, int) and max(value) > r.value]
            if rivals and limit.known and max(value) <= limit.value:
                rival = min(rivals, key=lambda r: int(r.value))
                yield at_limit(
                    SOURCES_DISAGREE, place_of(node), limit, program,
                    used=max(value), what=parameter, rival=rival.value, rival_source=rival.src,
                )  # fmt: skip


def written_out(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that convolutions still share their kernels where the part shares kernels."""
    if not program.target.is_true("synapse.weight_sharing"):
        return
    graph, neurons = program.graph, {p.name for p in program.populations}
    ways = [
        (chain, target)
        for (source, target), chains in paths.projections(graph, delays=True).items()
        if source in neurons
        for chain in chains
    ]
    asked = [p for p in program.projections if not p.widest]  # the others are the compiler's own
    if len(ways) != len(asked):  # sources of unlike delays, each a projection of its own
        return
    for (chain, target), projection in zip(ways, asked, strict=True):
        convs = [graph[name] for name in chain if isinstance(graph[name].op, ops.Conv1d | ops.Conv2d)]
        pixels = math.prod(program.population(target).shape[1:])
        if len(convs) != 1 or isinstance(projection.map, ConvMap) or pixels == 1:
            continue
        if math.prod(graph.shapes[convs[0].name][1:]) > 1:
            used, shared = maps.synapse_count(projection.map), np.size(vars(convs[0].op)["weight"])
            place = Place(layer=convs[0].origin, node=target)
            yield rules.KERNEL_WRITTEN_OUT.at(place, used=used, limit=shared, unit="weights")


CHECKS = (filters, input_sizes, disputed_parameters, written_out)
