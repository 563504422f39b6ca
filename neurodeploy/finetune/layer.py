"""A spiking graph as one trainable layer of rates: what `ir.evaluate` computes, as noisy as on a chip.

In training, weights are rounded to the bits the compiler stores them in, and a rate of T steps is a whole
number of spikes over T: ``floor(T r + u) / T`` with u uniform in [0, 1), and never above one spike per step.
Gradients pass both as if they were not there (straight through). Without training nothing is rounded and
nothing is noisy, so the layer is the graph.

References
----------
.. [1] Bengio, Léonard, Courville (2013), Estimating or propagating gradients through stochastic neurons,
   arXiv:1308.3432, section 2 (straight through).
.. [2] Hunsberger, Eliasmith (2016), Training spiking deep networks for neuromorphic hardware,
   arXiv:1611.05141, section 2.3 (noise in the forward pass).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.finetune.fit import Fit
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Graph, Node

Floats = npt.NDArray[np.float64]
Tensor = Any
Weighted = ops.Affine | ops.Conv1d | ops.Conv2d


def trained_nodes(graph: Graph) -> list[str]:
    """Return the nodes whose weights are trained: all with weights behind a population that spikes."""
    found, behind = [], dict[str, bool]()
    for node in graph.nodes:
        before = [behind.get(s, False) for s in graph.sources(node.name)]
        behind[node.name] = node.op.spiking or any(before)
        given = node.name.startswith("encoder")  # the signs of samples, which nobody trained
        if isinstance(node.op, Weighted) and any(before) and not given:
            found.append(node.name)
    return found


def check_tunable(graph: Graph) -> None:
    """Raise `OptionError` for what has no form here, naming the user's layer."""
    for node in graph.nodes:
        if type(node.op) not in FORMS:
            raise OptionError(
                f"layer '{node.origin}' becomes {node.op.kind}, which is not tuned; convert with --neuron if"
            )
    if any(graph.is_back_edge(edge) for edge in graph.edges):
        raise OptionError(f"'{graph.name}' feeds back; only networks without loops are tuned")


def make_layer(
    keras: Any,
    tf: Any,
    graph: Graph,
    *,
    bits: Mapping[str, int],
    steps: int,
    spikes: float,
    fit: Mapping[str, Fit] | None = None,
) -> Any:
    """Make the layer.

    Parameters
    ----------
    keras, tf : module
        tf_keras and TensorFlow.
    graph : Graph
        In spiking form, of IF neurons and integrators.
    bits : mapping of str to int
        Of the weights of every trained node.
    steps : int
        Of a run: how finely a rate is known.
    spikes : float
        Per sample on average, to which the activity that the layer puts out is relative.
    fit : mapping of str to Fit, optional
        How rates follow from drives, as `fit.fit_to_run` measures it; as in `ir.evaluate` by default.

    Returns
    -------
    tf_keras.layers.Layer
        From (B, N + 1), a flat sample and a seed that is the same for the whole batch, to (B, classes + 1),
        the outputs in the source's units and the spikes per sample over `spikes`.
    """
    names = trained_nodes(graph)

    class RateNetwork(keras.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            def weight(name: str, value: Floats) -> Any:
                start = keras.initializers.Constant(value)
                return self.add_weight(name=name, shape=value.shape, initializer=start, trainable=True)

            self.pairs = {}
            for i, name in enumerate(names):
                op = graph[name].op
                assert isinstance(op, Weighted)
                self.pairs[name] = (weight(f"weight{i}", op.weight), weight(f"bias{i}", op.bias))
            super().build(shape)

        def call(self, inputs: Tensor, training: bool = False) -> Tensor:
            chip = _Chip(tf, graph, bits, steps, fit or {}, inputs[0, -1] if training else None)
            outputs, activity = chip.run(inputs[:, :-1], self.pairs)
            return tf.concat([outputs, activity[:, None] / spikes], axis=1)

    return RateNetwork()


class _Chip:
    """Evaluates a graph in TensorFlow; with a seed, as the chip would: rounded weights, whole spikes."""

    def __init__(
        self,
        tf: Any,
        graph: Graph,
        bits: Mapping[str, int],
        steps: int,
        fit: Mapping[str, Fit],
        seed: Tensor | None,
    ) -> None:
        self.tf, self.graph, self.bits, self.steps, self.fit = tf, graph, bits, steps, fit
        self.seed = None if seed is None else tf.cast(seed, tf.int32)
        self.draws = 0
        self.activity: list[Tensor] = []

    def run(self, flat: Tensor, pairs: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return outputs (B, classes) in the source's units and spikes per sample (B,)."""
        values: dict[str, Tensor] = {}
        for node in self.graph.nodes:
            sources = [values[s] for s in self.graph.sources(node.name)]
            x = functools.reduce(lambda a, b: a + b, sources) if sources else flat
            if node.name in pairs:
                weight, bias = pairs[node.name]
                x = weighted(self.tf, node.op, x, self.rounded(weight, self.bits[node.name]), bias)
            else:
                x = FORMS[type(node.op)](self, node, x)
            values[node.name] = x
        last = self.graph[self.graph.sources(self.graph.output.name)[0]]
        outputs = values[last.name] * self.constant(last.unit)
        outputs = self.tf.reshape(outputs, (-1, self.graph.size(last.name)))
        return outputs, self.tf.add_n(self.activity)

    def constant(self, values: npt.ArrayLike) -> Tensor:
        """Return a constant of the layer's type."""
        return self.tf.constant(np.asarray(values), dtype=self.tf.float32)

    def driven(self, node: Node, x: Tensor) -> Tensor:
        """Return the rate, or growth, of a membrane without its threshold at zero."""
        op: Any = node.op
        slope = op.r * self.graph.dt / getattr(op, "v_threshold", np.ones(()))
        if node.name not in self.fit:
            return x * self.constant(slope * float(node.notes.get("gain", 1.0)))
        fit = self.fit[node.name]
        return (x + self.constant(fit.offset)) * self.constant(slope * fit.gain)

    def rounded(self, weight: Tensor, bits: int) -> Tensor:
        """Round weights to signed codes of so many bits; the largest is half a code above the top one."""
        if self.seed is None:
            return weight
        size = self.tf.reduce_max(self.tf.abs(weight)) / (2 ** (bits - 1) - 0.5)
        codes = self.tf.clip_by_value(self.tf.round(weight / size), 1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)
        return weight + self.tf.stop_gradient(codes * size - weight)

    def spikes(self, rate: Tensor) -> Tensor:
        """Turn rates into whole spikes over the steps of a run."""
        if self.seed is not None:
            self.draws += 1
            shape = self.tf.shape(rate)
            u = self.tf.random.stateless_uniform(shape, self.tf.stack([self.seed, self.draws]))
            rate = self.tf.clip_by_value(rate, 0.0, 1.0)
            rate = rate + self.tf.stop_gradient(self.tf.floor(rate * self.steps + u) / self.steps - rate)
        axes = list(range(1, len(rate.shape)))
        self.activity.append(self.steps * self.tf.reduce_sum(rate, axis=axes))
        return rate


def weighted(tf: Any, op: ops.Op, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply an affine op or a convolution, channels first, with other weights."""
    if isinstance(op, ops.Affine):
        return tf.matmul(x, weight, transpose_b=True) + bias
    if isinstance(op, ops.Conv1d):
        wide = (op.stride, op.padding, op.dilation)
        stride, padding, dilation = ((one, value) for one, value in zip((1, 0, 1), wide, strict=True))
        y = _conv(tf, x[:, :, None], weight[:, :, None], stride, padding, dilation, op.groups)
        return y[:, :, 0] + bias[:, None]
    assert isinstance(op, ops.Conv2d)
    return _conv(tf, x, weight, op.stride, op.padding, op.dilation, op.groups) + bias[:, None, None]


Pair = tuple[int, int]


def _conv(tf: Any, x: Tensor, w: Tensor, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Tensor:
    around = [[0, 0], [padding[0]] * 2, [padding[1]] * 2, [0, 0]]
    x, w = tf.transpose(x, (0, 2, 3, 1)), tf.transpose(w, (2, 3, 1, 0))
    parts = zip(tf.split(x, groups, axis=3), tf.split(w, groups, axis=3), strict=True)
    made = [tf.nn.conv2d(a, b, stride, around, dilations=dilation) for a, b in parts]
    return tf.transpose(tf.concat(made, axis=3), (0, 3, 1, 2))


# --- one form for each op -----------------------------------------------------------------------------------


def _input(chip: _Chip, node: Node, x: Tensor) -> Tensor:
    return chip.tf.reshape(x, (-1, *chip.graph.shapes[node.name]))


def _same(chip: _Chip, node: Node, x: Tensor) -> Tensor:
    return x


def _constant(chip: _Chip, node: Node, x: Tensor) -> Tensor:
    op: Any = node.op
    return weighted(chip.tf, op, x, chip.constant(op.weight), chip.constant(op.bias))


def _scale(chip: _Chip, node: Node, x: Tensor) -> Tensor:
    op: Any = node.op
    return x * chip.constant(op.scale)


def _flatten(chip: _Chip, node: Node, x: Tensor) -> Tensor:
    return chip.tf.reshape(x, (-1, chip.graph.size(node.name)))


def _move(chip: _Chip, node: Node, x: Tensor) -> Tensor:
    """Look up where every value comes from; place 0 holds the zero of what comes from nowhere."""
    (source, *_), tf = chip.graph.sources(node.name), chip.tf
    places = np.arange(1.0, chip.graph.size(source) + 1).reshape(1, *chip.graph.shapes[source])
    places = apply(node.op, places, dt=chip.graph.dt).astype(np.int32)
    flat = tf.pad(tf.reshape(x, (-1, chip.graph.size(source))), [[0, 0], [1, 0]])
    return tf.reshape(tf.gather(flat, places.ravel(), axis=1), (-1, *chip.graph.shapes[node.name]))


def _pool(chip: _Chip, node: Node, x: Tensor) -> Tensor:
    op, tf = node.op, chip.tf
    assert isinstance(op, ops.SumPool2d)
    (top, left), area = op.padding, math.prod(op.kernel_size)
    x = tf.pad(tf.transpose(x, (0, 2, 3, 1)), [[0, 0], [top, top], [left, left], [0, 0]])
    mean = tf.transpose(tf.nn.avg_pool2d(x, op.kernel_size, op.stride, "VALID"), (0, 3, 1, 2))
    return mean if isinstance(op, ops.AvgPool2d) else mean * area


def _if(chip: _Chip, node: Node, x: Tensor) -> Tensor:
    return chip.spikes(chip.tf.nn.relu(chip.driven(node, x)))


def _integrator(chip: _Chip, node: Node, x: Tensor) -> Tensor:
    return chip.driven(node, x)


FORMS: dict[type, Callable[[_Chip, Node, Tensor], Tensor]] = {
    ops.Input: _input, ops.Output: _same, ops.Affine: _constant, ops.Conv1d: _constant, ops.Conv2d: _constant,
    ops.Scale: _scale, ops.Flatten: _flatten, ops.SumPool2d: _pool, ops.AvgPool2d: _pool, ops.IF: _if,
    ops.I: _integrator, ops.Reshape: _move, ops.Transpose: _move, ops.Pad: _move, ops.Crop: _move,
    ops.Stretch: _move,
}  # fmt: skip
"""What each op computes on rates."""
