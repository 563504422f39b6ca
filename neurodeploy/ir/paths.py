"""What lies between two populations: chains of linear ops, as one sparse matrix and one bias.

Simulators, counters and tests that think in synapses take them from here; the matrix of an op equals what
`ir.evaluate.apply` does with it.
"""

from __future__ import annotations

import functools
import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError, VerifyError
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import apply, channelwise
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Shape

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Sparse: TypeAlias = Any  # scipy.sparse.csr_array, which has no type information

Chains = tuple[tuple[str, ...], ...]
"""The linear nodes on each way from one population to another; an empty chain is a direct edge."""


def projections(graph: Graph, *, delays: bool = False) -> dict[tuple[str, str], Chains]:
    """Find every pair of populations with nothing but linear ops between them.

    Parameters
    ----------
    graph : Graph
    delays : bool
        Let chains lead through `Delay` nodes, which are in them then; else one is refused.

    Returns
    -------
    dict of (source, target) to Chains
        In execution order of the target. The `Input` node counts as a source.
    """
    return {
        (source, node.name): chains
        for node in graph.neurons
        for source, chains in _arriving(graph, node.name, delays=delays).items()
    }


def _arriving(graph: Graph, name: str, *, delays: bool = False) -> dict[str, Chains]:
    found: dict[str, Chains] = {}
    stack: list[tuple[str, tuple[str, ...]]] = [(s, ()) for s in reversed(graph.sources(name))]
    while stack:
        here, chain = stack.pop()
        op = graph[here].op
        if op.stateful or isinstance(op, ops.Input):
            found[here] = (*found.get(here, ()), chain)
        elif isinstance(op, ops.Delay) and not delays:
            raise _delayed(graph[here])
        elif not (op.linear or isinstance(op, ops.Delay)) or here in chain:
            raise VerifyError(f"node '{here}' ({op.kind}) before population '{name}' is not linear")
        else:
            stack += [(s, (here, *chain)) for s in reversed(graph.sources(here))]
    return found


def _delayed(node: Node) -> OptionError:
    return OptionError(
        f"'{node.origin}' delays what passes, which is taken between populations of a run only, on backends "
        "loihi-emulator, nengo and nengo-dl, and by nir-verify"
    )


def linear_order(graph: Graph, *, delays: bool = False) -> tuple[Node, ...]:
    """Order the nodes without a membrane by what they need within a step, wherever edges point.

    With `delays`, a delay stands where a constant would pass it.

    Raises
    ------
    VerifyError
        If such nodes feed each other in a circle.
    """
    done: dict[str, Node] = {}
    waiting = [node for node in graph.nodes if not node.op.stateful]
    if late := [node for node in waiting if isinstance(node.op, ops.Delay) and not delays]:
        raise _delayed(late[0])
    while waiting:
        ready = [n for n in waiting if all(graph[s].op.stateful or s in done for s in graph.sources(n.name))]
        if not ready:
            names = [node.name for node in waiting]
            raise VerifyError(f"nodes {names} feed each other without a population between")
        done[ready[0].name] = ready[0]
        waiting.remove(ready[0])
    return tuple(done.values())


def bias(graph: Graph, name: str, *, delays: bool = False) -> Floats:
    """Input of a population in every step while nothing spikes and the sample is zero, in its shape."""
    nothing = np.zeros((1, *graph.shapes[graph.input.name]))
    return np.asarray(drive(graph, name, nothing, delays=delays)[0])


def drive(graph: Graph, name: str, x: Floats, *, delays: bool = False) -> Floats:
    """Input of a population in every step while nothing spikes.

    Parameters
    ----------
    graph : Graph
    name : str
        Of the population.
    x : ndarray of float64, shape (B, *input shape)
    delays : bool
        Take what passes a delay as it is when all has arrived; else a delay before it is refused.

    Returns
    -------
    ndarray of float64, shape (B, *population shape)
    """
    arriving = _arriving(graph, name, delays=delays)
    between = {n for chains in arriving.values() for chain in chains for n in chain}
    values = {graph.input.name: x}
    for node in linear_order(graph, delays=True):
        if node.name in between:
            values[node.name] = apply(node.op, _sum_known(graph, node.name, values), dt=graph.dt)
    return _sum_known(graph, name, values)


def _sum_known(graph: Graph, name: str, values: dict[str, Floats]) -> Floats:
    known = [values[s] for s in graph.sources(name) if s in values]
    batch = len(values[graph.input.name])
    return functools.reduce(np.add, known, np.zeros((batch, *graph.shapes[graph.sources(name)[0]])))


def matrix(graph: Graph, source: str, target: str, chains: Chains) -> Sparse:
    """Multiply out the chains from one population to another.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (N_target, N_source)
        Without explicit zeros.
    """
    from scipy import sparse

    total = sparse.csr_array((graph.size(target), graph.size(source)))
    for chain in chains:
        product = identity(graph.size(source))
        shape = graph.shapes[source]
        for name in chain:
            product = op_matrix(graph[name].op, shape) @ product
            shape = graph.shapes[name]
        total = total + product
    total = sparse.csr_array(total)
    total.eliminate_zeros()
    total.sort_indices()
    return total


def fan_out(graph: Graph) -> dict[tuple[str, str], Longs]:
    """Count the synapses of every neuron.

    Returns
    -------
    dict of (source, target) to ndarray of int64, shape (N_source,)
        How many neurons of the target each neuron of the source reaches; from populations only, not from the
        input.
    """
    counts: dict[tuple[str, str], Longs] = {}
    for (source, target), chains in projections(graph, delays=True).items():
        if graph[source].op.stateful:
            reached = matrix(graph, source, target, chains).indices
            counts[source, target] = np.bincount(reached, minlength=graph.size(source)).astype(np.int64)
    return counts


@functools.singledispatch
def op_matrix(op: ops.Op, shape: Shape) -> Sparse:
    """Write a linear op, without its bias, as a sparse matrix over flattened values; a delay changes none."""
    raise VerifyError(f"{op.kind} is not linear")


@op_matrix.register(ops.Delay)
@op_matrix.register(ops.Output)
@op_matrix.register(ops.Identity)
@op_matrix.register(ops.Flatten)
@op_matrix.register(ops.Reshape)
def _same(op: ops.Op, shape: Shape) -> Sparse:
    return identity(math.prod(shape))


@op_matrix.register
def _affine(op: ops.Affine, shape: Shape) -> Sparse:
    from scipy import sparse

    return sparse.csr_array(sparse.kron(identity(math.prod(shape[:-1])), op.weight))


@op_matrix.register
def _conv2d(op: ops.Conv2d, shape: Shape) -> Sparse:
    return windows(shape, op.weight, op.stride, op.padding, op.dilation, op.groups)


@op_matrix.register
def _conv1d(op: ops.Conv1d, shape: Shape) -> Sparse:
    as_image = (shape[0], 1, shape[1])
    return windows(
        as_image, op.weight[:, :, None], (1, op.stride), (0, op.padding), (1, op.dilation), op.groups
    )


@op_matrix.register
def _sum_pool(op: ops.SumPool2d, shape: Shape) -> Sparse:
    return windows(shape, np.ones((shape[0], 1, *op.kernel_size)), op.stride, op.padding, (1, 1), shape[0])


@op_matrix.register
def _avg_pool(op: ops.AvgPool2d, shape: Shape) -> Sparse:
    return _sum_pool(op, shape) / math.prod(op.kernel_size)


@op_matrix.register
def _scale(op: ops.Scale, shape: Shape) -> Sparse:
    return diagonal(np.broadcast_to(op.scale, shape).ravel())


@op_matrix.register
def _batch_norm(op: ops.BatchNorm, shape: Shape) -> Sparse:
    scale = channelwise(op.scale_shift()[0], len(shape), op.axis)
    return diagonal(np.broadcast_to(scale, shape).ravel())


@op_matrix.register
def _transpose(op: ops.Transpose, shape: Shape) -> Sparse:
    return _gather(_index(shape).transpose(op.axes), math.prod(shape))


@op_matrix.register
def _pad(op: ops.Pad, shape: Shape) -> Sparse:
    return _gather(np.pad(_index(shape), op.pads, constant_values=-1), math.prod(shape))


@op_matrix.register
def _crop(op: ops.Crop, shape: Shape) -> Sparse:
    inside = (slice(before, n - after) for n, (before, after) in zip(shape, op.crops, strict=True))
    return _gather(_index(shape)[tuple(inside)], math.prod(shape))


@op_matrix.register
def _stretch(op: ops.Stretch, shape: Shape) -> Sparse:
    wide = np.full(op.out_shape(shape), -1)
    wide[tuple(slice(None, None, factor) for factor in op.factors)] = _index(shape)
    return _gather(wide, math.prod(shape))


def windows(
    shape: Shape,
    weight: Floats,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Sparse:
    """Write a convolution (O, I/groups, KH, KW) of an image (I, H, W) as a sparse matrix."""
    from scipy import sparse

    out, per_group, kh, kw = weight.shape
    index = np.pad(_index(shape), ((0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=-1)
    extent = (dilation[0] * (kh - 1) + 1, dilation[1] * (kw - 1) + 1)
    view: Any = np.lib.stride_tricks.sliding_window_view  # NumPy 1.26's stubs know one axis only
    seen = view(index, extent, axis=(1, 2))
    seen = seen[:, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    height, width = seen.shape[1:3]
    # (I, H', W', KH, KW) -> (O, H', W', I/groups, KH, KW): every output channel sees its group's inputs
    seen = seen.reshape(groups, per_group, height, width, kh, kw).transpose(0, 2, 3, 1, 4, 5)
    column = np.repeat(seen, out // groups, axis=0).reshape(out, height * width, -1)
    value = np.broadcast_to(weight.reshape(out, 1, -1), column.shape)
    row = np.broadcast_to(np.arange(out * height * width).reshape(out, -1, 1), column.shape)
    inside = column >= 0
    entries = (value[inside], (row[inside], column[inside]))
    return sparse.csr_array(entries, shape=(out * height * width, math.prod(shape)))


def identity(size: int) -> Sparse:
    """Make the matrix that changes nothing."""
    return diagonal(np.ones(size))


def diagonal(values: Floats) -> Sparse:
    """Make the matrix that scales each value."""
    from scipy import sparse

    return sparse.csr_array(sparse.diags(values))


def _index(shape: Shape) -> Longs:
    return np.arange(math.prod(shape)).reshape(shape)


def _gather(index: Longs, n_source: int) -> Sparse:
    """Make the matrix that picks sources by index; -1 picks none."""
    from scipy import sparse

    picked = index.ravel()
    rows = np.flatnonzero(picked >= 0)
    entries = (np.ones(len(rows)), (rows, picked[rows]))
    return sparse.csr_array(entries, shape=(len(picked), n_source))
