"""The graph while a Keras model is read: nodes, and for each how the user's tensor lies in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from neurodeploy.frontends.builder import Builder, Value
from neurodeploy.frontends.keras.geometry import View
from neurodeploy.frontends.keras.source import Layer
from neurodeploy.frontends.steps import Steps
from neurodeploy.ir import ops
from neurodeploy.ir.ops import Op

Tensor = str
"""A tensor of the user's, by the name of the node that puts it out."""


@dataclass
class Draft:
    """Nodes so far and the view of each node's output."""

    builder: Builder = field(default_factory=Builder)
    views: dict[Tensor, View] = field(default_factory=dict)

    def value(self, tensor: Tensor) -> Value:
        """Return a node's output as the builder knows it."""
        return Value(tensor, self.views[tensor].ours)

    def add(self, layer: Layer, op: Op, view: View, *sources: Tensor, suffix: str = "") -> Tensor:
        """Append one node for a layer."""
        name = layer.name + (f".{suffix}" if suffix else "")
        feeding = [self.value(source) for source in sources]
        made = self.builder.add(op, *feeding, origin=layer.name, layer=layer.kind, name=name)
        if made.shape != view.ours:
            raise ValueError(f"it gives {made.shape}, not {view.ours}")
        self.views[made.node] = view
        return made.node

    def chain(self, layer: Layer, tensor: Tensor, steps: Steps, result: View, suffix: str = "") -> Tensor:
        """Append a chain of ops behind a tensor; `result` is the view of the last."""
        steps = steps or [("", ops.Identity())]
        shape = self.views[tensor].ours
        for i, (extra, op) in enumerate(steps):
            shape = op.out_shape(shape)
            last = i == len(steps) - 1
            view = result if last else View(shape, tuple(range(len(shape))))
            tensor = self.add(layer, op, view, tensor, suffix=suffix or extra)
        return tensor

    def join(self, layer: Layer, tensors: Sequence[Tensor], suffix: str = "") -> Tensor:
        """Append the sum of tensors that lie alike."""
        return self.add(layer, ops.Identity(), self.views[tensors[0]], *tensors, suffix=suffix)

    def arrange(self, layer: Layer, tensor: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Bring the axes of a tensor into another order, with as little as that needs."""
        view = self.views[tensor]
        if axes == view.axes:
            return tensor
        order = tuple(view.axes.index(a) for a in axes)
        if all(_is_still(node.op) for node in self.builder.nodes):
            self._turn_input(order)
            return tensor
        wanted = view.moved(order)
        long = [a for a in order if view.ours[a] > 1]
        keeps_order = long == sorted(long)  # only axes of length 1 move
        op: Op = ops.Reshape(wanted.ours) if keeps_order else ops.Transpose(order)
        return self.add(layer, op, wanted, tensor, suffix="reorder")

    def _turn_input(self, order: tuple[int, ...]) -> None:
        """Let the samples themselves enter in another order; nothing so far has asked for one."""
        entry = self.builder.nodes[0]
        assert isinstance(entry.op, ops.Input)
        shape, axes = (tuple(of[i] for i in order) for of in (entry.op.shape, entry.op.axes))
        self.builder.replace(entry.name, ops.Input(shape, entry.op.sample_shape, axes))
        self.views = {name: view.moved(order) for name, view in self.views.items()}


def _is_still(op: Op) -> bool:
    """Whether an op does the same however the axes lie."""
    return isinstance(op, ops.Input | ops.Identity) or (
        isinstance(op, ops.ReLU) and not op.negative_slope.ndim
    )
