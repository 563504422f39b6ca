"""Small spiking graphs for the compiler's tests."""

from __future__ import annotations

import itertools

import numpy as np

from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.targets import target

DT = 1e-3


def spiking(threshold=1.0, *, reset="zero", refractory=0):
    return ops.IF(
        r=np.array(1 / DT), v_threshold=np.array(threshold, float), reset=reset, refractory=refractory
    )


def chain(shape, layers, *, name="net", meta=None):
    """A spiking graph: encoder, then the given (name, op) in a line, then the output."""
    encoder = Node("encoder", spiking(reset="subtract"), "input", notes={"role": "encoder"})
    nodes = [Node("input", ops.Input(shape)), encoder]
    nodes += [layer if isinstance(layer, Node) else Node(layer[0], layer[1]) for layer in layers]
    names = [n.name for n in nodes]
    edges = tuple(itertools.pairwise(names))
    draft = Graph((*nodes, Node("output", ops.Output(()))), (*edges, (names[-1], "output")), DT, name)
    out = ops.Output(draft.shapes[names[-1]])
    return Graph((*nodes, Node("output", out)), draft.edges, DT, name, meta or {"steps": 50})


def dense(rng, inputs, outputs, *, scale=None, bias=0.0):
    weight = rng.normal(size=(outputs, inputs)) * (scale or inputs**-0.5)
    return ops.Affine(weight, rng.normal(size=outputs) * bias)


def conv(rng, inputs, outputs, kernel=3, *, stride=1, padding=0, dilation=1, groups=1):
    weight = rng.normal(size=(outputs, inputs // groups, kernel, kernel)) / kernel
    return ops.Conv2d(
        weight, np.zeros(outputs), (stride, stride), (padding, padding), (dilation, dilation), groups
    )


def readout(peak=4.0):
    return Node("readout", ops.I(r=np.array(1 / DT)), notes={"peak_drive": peak})


def pruned(rng, inputs, outputs, *, keep=0.2):
    weight = rng.normal(size=(outputs, inputs)) * (rng.random((outputs, inputs)) < keep)
    return ops.Affine(weight, np.zeros(outputs))


def small(**limits):
    """Loihi with other limits, as ``small(core__compartments=10)``."""
    return target("loihi1").with_limits(**limits)
