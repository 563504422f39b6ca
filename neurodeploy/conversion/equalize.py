"""Cross-layer equalisation: channels of one layer get weights of one size, by factors that ReLU lets through.

``relu(s x) = s relu(x)`` for positive s, so what is taken from the weights in front of a channel can be given
to those behind it. A channel with tiny weights in front of it shares its layer's scale with large ones, and
would be rounded to nothing on a chip.

References
----------
.. [1] Nagel et al. (2019), Data-free quantization through weight equalization and bias correction, ICCV,
   section 4.1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurodeploy.conversion import surgery
from neurodeploy.conversion.fold import fold
from neurodeploy.conversion.linear import is_conv, is_weighted
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node

Floats = npt.NDArray[np.float64]


def equalize(graph: Graph) -> Graph:
    """Give the channels between two layers the same largest weight in front of and behind the activation.

    Parameters
    ----------
    graph : Graph
        Folded, in rate form.

    Returns
    -------
    Graph
        Equal to the source up to rounding. Activations that several layers read, or that follow a sum, stay
        as they are.
    """
    for name in [node.name for node in graph if isinstance(node.op, ops.ReLU) and node.op.is_plain]:
        sizes = _sizes(graph, graph[name])
        if sizes is None:
            continue
        before, behind = sizes
        used = (before > 0) & (behind > 0)
        factor = np.sqrt(np.where(used, before, 1.0) / np.where(used, behind, 1.0))
        shaped = factor.reshape(-1, *(1,) * (len(graph.shapes[name]) - 1))
        graph = surgery.insert_before(graph, name, _scale(graph, name, 1 / shaped))
        graph = fold(surgery.insert_after(graph, name, _scale(graph, name, shaped)))
    return graph


def _scale(graph: Graph, name: str, factor: Floats) -> Node:
    return Node(surgery.fresh(graph, f"{name}.even"), ops.Scale(factor), graph[name].origin)


def _sizes(graph: Graph, node: Node) -> tuple[Floats, Floats] | None:
    """Return the largest weight on both sides of every channel, or None where there are several ways."""
    host, here = surgery.leader(graph, node), node
    channels = graph.shapes[node.name][0]
    if host is None or not is_weighted(host.op):
        return None
    while (follower := surgery.follower(graph, here)) is not None:
        if is_weighted(follower.op):
            columns = _columns(follower.op, channels)
            return None if columns is None else (_largest(host.op.weight.reshape(channels, -1)), columns)
        if not isinstance(follower.op, ops.Flatten | ops.SumPool2d):
            return None
        here = follower
    return None


def _columns(op: ops.Op, channels: int) -> Floats | None:
    """Return the largest weight that reads each channel."""
    assert is_weighted(op)
    if isinstance(op, ops.Affine):  # behind Flatten: the values of a channel lie together
        return _largest(
            np.moveaxis(op.weight.reshape(len(op.weight), channels, -1), 1, 0).reshape(channels, -1)
        )
    if is_conv(op) and op.groups == 1:
        return _largest(np.moveaxis(op.weight, 1, 0).reshape(channels, -1))
    return _largest(op.weight.reshape(channels, -1)) if is_conv(op) and op.groups == channels else None


def _largest(rows: Floats) -> Floats:
    return np.asarray(np.abs(rows).max(axis=1))
