"""Layers that join branches, and Keras' and TensorFlow's own functions called on tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from neurodeploy.errors import UnsupportedLayer
from neurodeploy.frontends import steps as recipes
from neurodeploy.frontends.keras import layers
from neurodeploy.frontends.keras.draft import Draft, Tensor
from neurodeploy.frontends.keras.geometry import View, as_written, user_axis
from neurodeploy.frontends.keras.source import Layer
from neurodeploy.frontends.steps import Steps
from neurodeploy.ir import ops

Join = Callable[[Draft, Layer, list[Tensor]], Tensor]
Use = Callable[["Arguments"], Tensor]


# --- layers with several inputs ---------------------------------------------------------------------------


def aligned(draft: Draft, layer: Layer, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Bring tensors of one rank into the order of the first."""
    ranks = {len(draft.views[tensor].shape) for tensor in tensors}
    if len(ranks) != 1:
        raise UnsupportedLayer(f"it joins tensors of {' and '.join(map(str, sorted(ranks)))} axes")
    draft.arrange(layer, tensors[0], draft.views[tensors[0]].axes)
    return [draft.arrange(layer, tensor, draft.views[tensors[0]].axes) for tensor in tensors]


def alike(draft: Draft, layer: Layer, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Bring tensors of one shape into one order."""
    shapes = list(dict.fromkeys(draft.views[tensor].shape for tensor in tensors))
    if len(shapes) != 1:
        raise UnsupportedLayer(f"it joins shapes {' and '.join(map(str, shapes))}; equal ones are taken")
    return aligned(draft, layer, tensors)


def add(draft: Draft, layer: Layer, tensors: list[Tensor]) -> Tensor:
    """Sum."""
    return draft.join(layer, alike(draft, layer, tensors))


def subtract(draft: Draft, layer: Layer, tensors: list[Tensor]) -> Tensor:
    """Return the first less the second."""
    first, second = alike(draft, layer, tensors)
    return draft.join(layer, [first, _times(draft, layer, second, -1.0, "minus")])


def average(draft: Draft, layer: Layer, tensors: list[Tensor]) -> Tensor:
    """Mean of the branches."""
    total = draft.join(layer, alike(draft, layer, tensors))
    return _times(draft, layer, total, 1 / len(tensors), "share")


def maximum(draft: Draft, layer: Layer, tensors: list[Tensor]) -> Tensor:
    """Return ``a + max(b - a, 0)``, branch by branch."""
    largest, *rest = alike(draft, layer, tensors)
    for other in rest:
        excess = draft.join(layer, [other, _times(draft, layer, largest, -1.0, "minus")], "difference")
        excess = draft.add(layer, ops.ReLU(), draft.views[excess], excess, suffix="excess")
        largest = draft.join(layer, [largest, excess])
    return largest


def minimum(draft: Draft, layer: Layer, tensors: list[Tensor]) -> Tensor:
    """Return ``-max(-a, -b)``."""
    turned = [_times(draft, layer, t, -1.0, "minus") for t in alike(draft, layer, tensors)]
    return _times(draft, layer, maximum(draft, layer, turned), -1.0, "turned")


def concatenate(draft: Draft, layer: Layer, tensors: list[Tensor]) -> Tensor:
    """Put the branches side by side along the layer's axis."""
    return side_by_side(draft, layer, tensors, layer.config.get("axis", -1))


def side_by_side(draft: Draft, layer: Layer, tensors: Sequence[Tensor], axis: Any) -> Tensor:
    """Put tensors side by side: each with zeros where the others are, and summed."""
    tensors = aligned(draft, layer, tensors)
    views = [draft.views[tensor] for tensor in tensors]
    index = user_axis(axis, views[0])
    if index is None:
        raise UnsupportedLayer(f"axis {axis} is not an axis of its input {views[0].shape}")
    others = {tuple(n for i, n in enumerate(view.shape) if i != index) for view in views}
    if len(others) != 1:
        raise UnsupportedLayer(
            f"it joins shapes {' and '.join(str(view.shape) for view in views)} along axis {axis}"
        )
    at, total = views[0].axes.index(index), sum(view.shape[index] for view in views)
    shape = tuple(total if i == index else n for i, n in enumerate(views[0].shape))
    result, before, parts = View(shape, views[0].axes), 0, []
    for tensor, view in zip(tensors, views, strict=True):
        size = view.shape[index]
        pads = ((before, total - before - size) if i == at else (0, 0) for i in range(len(shape)))
        parts.append(draft.add(layer, ops.Pad(tuple(pads)), result, tensor, suffix="part"))
        before += size
    return draft.join(layer, parts)


def _times(draft: Draft, layer: Layer, tensor: Tensor, factor: float, suffix: str) -> Tensor:
    view = draft.views[tensor]
    return draft.add(layer, ops.Scale(np.full((1,) * len(view.shape), factor)), view, tensor, suffix=suffix)


# --- functions --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arguments:
    """A function's call: tensors by name of their node, constants as they are.

    Keras 3 keeps some arguments with the function, TensorFlow all of them with the call: both are looked at.
    """

    draft: Draft
    layer: Layer
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: frozenset[Tensor]

    def get(self, place: int | None, *names: str, default: Any = None) -> Any:
        """Return an argument by place or name; names in the order of preference."""
        if place is not None and place < len(self.args):
            return self.args[place]
        for known in (self.kwargs, self.layer.config):
            found = [known[name] for name in names if known.get(name) is not None]
            if found:
                return found[0]
        return default

    def is_tensor(self, value: Any) -> bool:
        """Whether a value is one of the user's tensors."""
        return isinstance(value, str) and value in self.tensors

    def tensor(self) -> Tensor:
        """Return the first argument, where only that one is a tensor."""
        first = self.get(0, "x", "input", "inputs", "features", "tensor")
        if not self.is_tensor(first):
            self.refuse("its first argument is no tensor")
        return str(first)

    @property
    def view(self) -> View:
        """View of the first argument."""
        return self.draft.views[self.tensor()]

    def chain(self, steps: Steps, result: View | None = None) -> Tensor:
        """Append ops behind the first argument."""
        return self.draft.chain(self.layer, self.tensor(), steps, result or self.view)

    def refuse(self, why: str) -> NoReturn:
        """Give up, with a reason."""
        raise UnsupportedLayer(why)


def _two(call: Arguments, join: Join, constant: Callable[[Any, View], Steps]) -> Tensor:
    """Two tensors, or a tensor and a constant behind it."""
    first, second = call.get(0, "x", "x1"), call.get(1, "y", "x2")
    if call.is_tensor(first) and call.is_tensor(second):
        return join(call.draft, call.layer, [first, second])
    tensor, other = (first, second) if call.is_tensor(first) else (second, first)
    view = call.draft.views[tensor]
    return call.draft.chain(call.layer, tensor, constant(other, view), view)


def _sum(call: Arguments) -> Tensor:
    return _two(call, add, lambda c, view: recipes.shifted(view.constant(c), view.ours))


def _difference(call: Arguments) -> Tensor:
    turned = not call.is_tensor(call.get(0, "x", "x1"))

    def constant(value: Any, view: View) -> Steps:
        if turned:
            minus = recipes.scaled(-1.0, view.ours)
            return [*minus, *recipes.shifted(view.constant(value), view.ours)]
        return recipes.shifted(-view.constant(value), view.ours)

    return _two(call, subtract, constant)


def _product(call: Arguments) -> Tensor:
    return _two(call, _refused_product, lambda c, view: recipes.scaled(view.constant(c), view.ours))


def _refused_product(draft: Draft, layer: Layer, tensors: list[Tensor]) -> NoReturn:
    raise UnsupportedLayer("it multiplies two tensors; rates add, they do not multiply")


def _quotient(call: Arguments) -> Tensor:
    divisor = call.get(1, "y", "x2")
    if call.is_tensor(divisor):
        call.refuse("it divides by a tensor")
    if not np.all(np.asarray(divisor, np.float64)):
        call.refuse("it divides by zero")
    return call.chain(recipes.scaled(1 / call.view.constant(divisor), call.view.ours))


def _negative(call: Arguments) -> Tensor:
    return call.chain(recipes.scaled(-1.0, call.view.ours))


def _relu(call: Arguments) -> Tensor:
    cap = call.get(None, "max_value")
    slope = call.get(None, "negative_slope", "alpha", default=0.0)
    if call.get(None, "threshold", default=0.0) != 0:
        call.refuse("threshold is not 0")
    return call.chain([("", ops.ReLU(math.inf if cap is None else float(cap), np.array(float(slope))))])


def _relu6(call: Arguments) -> Tensor:
    return call.chain([("", ops.ReLU(6.0))])


def _leaky(call: Arguments) -> Tensor:
    slope = call.get(1, "negative_slope", "alpha", default=0.2)
    return call.chain(recipes.leaky(float(slope), call.view.ours))


def _clip(call: Arguments) -> Tensor:
    low = call.get(1, "x_min", "clip_value_min", default=-math.inf)
    high = call.get(2, "x_max", "clip_value_max", default=math.inf)
    return call.chain(recipes.clipped(float(low), float(high), call.view.ours))


def _concat(call: Arguments) -> Tensor:
    listed = call.get(0, "xs", "values")
    return side_by_side(call.draft, call.layer, listed, call.get(1, "axis", default=-1))


def _mean(call: Arguments) -> Tensor:
    """Mean over all axes but the channels'."""
    view, axes = call.view, call.get(1, "axis")
    rank, keep = len(view.shape), bool(call.get(2, "keepdims", default=False))
    chosen = sorted((int(a) - 1) % (rank + 1) if a > 0 else rank + int(a) for a in np.atleast_1d(axes or 0))
    rest = [a for a in range(rank) if a not in chosen]
    if not chosen or chosen[0] < 0 or len(rest) != 1 or len(chosen) > 2:
        call.refuse(f"mean over axes {axes}; all but one axis of a map are taken")
    tensor = call.draft.arrange(call.layer, call.tensor(), (rest[0], *chosen))
    view = call.draft.views[tensor]
    steps = recipes.whole_average(view.ours, keep=keep)
    kept = View(tuple(1 if a in chosen else n for a, n in enumerate(view.shape)), view.axes)
    return call.draft.chain(call.layer, tensor, steps, kept if keep else as_written(view.ours[:1]))


def _reshape(call: Arguments) -> Tensor:
    shape = [int(n) for n in call.get(1, "newshape", "shape")]
    if len(shape) < 2 or shape[0] not in (-1, 1) or shape.count(-1) > 2 - (shape[0] != -1):
        call.refuse(f"reshapes to {shape}, which mixes samples")
    tensor = call.draft.arrange(call.layer, call.tensor(), tuple(range(len(call.view.shape))))
    steps, view = layers.reshaped(call.draft.views[tensor], shape[1:])
    return call.draft.chain(call.layer, tensor, steps, view)


def _transpose(call: Arguments) -> Tensor:
    order = [int(a) for a in call.get(1, "axes", "perm", default=())]
    if not order or order[0] != 0:
        call.refuse(f"moves axes to {order}, the batch axis among them")
    return call.chain(*layers.permuted(call.view, tuple(a - 1 for a in order[1:])))


def _softmax(call: Arguments) -> Tensor:
    rank = len(call.view.shape)
    if call.get(1, "axis", default=-1) not in (-1, rank):
        call.refuse("softmax over another axis than the last")
    tensor = call.draft.arrange(call.layer, call.tensor(), tuple(range(rank)))
    log = "log" in call.layer.kind.lower()
    return call.draft.chain(call.layer, tensor, [("", ops.Softmax(log))], call.draft.views[tensor])


def _same(call: Arguments) -> Tensor:
    return call.chain([])


def _maximum(call: Arguments) -> Tensor:
    return _two(call, maximum, lambda c, view: recipes.clipped(float(c), math.inf, view.ours))


def _minimum(call: Arguments) -> Tensor:
    return _two(call, minimum, lambda c, view: recipes.clipped(-math.inf, float(c), view.ours))


FUNCTIONS: dict[str, tuple[Use, str, str, tuple[str, ...]]] = {
    "x + y": (_sum, "a sum, or BatchNorm", "tensors of one shape, or a constant",
              ("ops.Add", "tf.__operators__.add", "tf.math.add")),
    "x - y": (_difference, "a sum and Scale, or BatchNorm", "tensors of one shape, or a constant",
              ("ops.Subtract", "tf.math.subtract")),
    "x * c": (_product, "Scale", "a constant on one side", ("ops.Multiply", "tf.math.multiply")),
    "x / c": (_quotient, "Scale", "a constant divisor",
              ("ops.TrueDivide", "ops.Divide", "tf.math.truediv", "tf.math.divide")),
    "-x": (_negative, "Scale", "", ("ops.Negative", "tf.math.negative")),
    "relu(x)": (_relu, "ReLU", "capped or leaky as the layer", ("ops.Relu", "ops.ReLU", "tf.nn.relu")),
    "relu6(x)": (_relu6, "ReLU", "capped at 6", ("ops.Relu6", "tf.nn.relu6")),
    "leaky_relu(x)": (_leaky, "ReLU", "", ("ops.LeakyRelu", "tf.nn.leaky_relu")),
    "clip(x)": (_clip, "ReLU between two shifts", "", ("ops.Clip", "tf.clip_by_value")),
    "maximum(x, y)": (_maximum, "ReLU of the difference, and a sum", "", ("ops.Maximum", "tf.math.maximum")),
    "minimum(x, y)": (_minimum, "ReLU of the difference, and a sum", "", ("ops.Minimum", "tf.math.minimum")),
    "concatenate": (_concat, "Pad, summed", "", ("ops.Concatenate", "tf.concat")),
    "mean": (_mean, "AvgPool2d", "over a whole map", ("ops.Mean", "tf.math.reduce_mean")),
    "reshape": (_reshape, "Reshape", "", ("ops.Reshape", "tf.reshape")),
    "transpose": (_transpose, "the order of axes", "",
                  ("ops.Transpose", "tf.transpose", "tf.compat.v1.transpose")),
    "softmax": (_softmax, "Softmax", "as the last operation only",
                ("ops.Softmax", "ops.LogSoftmax", "tf.nn.softmax", "tf.nn.log_softmax")),
    "identity": (_same, "nothing", "", ("ops.Identity", "tf.identity", "tf.stop_gradient")),
}  # fmt: skip
"""Functions taken: what does it, what it becomes, its limits, and its names in Keras 3 and TensorFlow."""
CALLS: dict[str, Use] = {name: row[0] for row in FUNCTIONS.values() for name in row[3]}
