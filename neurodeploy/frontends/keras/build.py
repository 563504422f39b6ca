"""From a model's layers to a graph: refuse what is not taken, all at once, then build layer by layer."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.keras.geometry import View, any_order, as_written, user_order
from neurodeploy.frontends.keras.layers import ACTIVATIONS, FINAL, HANDLERS, NORM, REFUSED, Build
from neurodeploy.frontends.keras.source import Layer, Source, breakage_named, layers_of, path_of
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Op

MAX_VALUES = 1 << 26
"""Largest map, so that a faulty file cannot ask for all memory; far above any chip."""
STILL_INPUT = (ops.Input, ops.Identity, ops.ReLU)
"""Ops that do not care how the axes lie: while there are only these, the input itself takes another order."""


def build(source: Source, name: str) -> Graph:
    """Return the rate graph of a model.

    Raises
    ------
    UnsupportedLayer
        Naming every layer that is not taken, with its kind and the reason.
    LoadError
        If the layers do not form one chain, or weights do not fit.
    """
    layers = layers_of(source)
    with breakage_named(source):
        refuse(source, layers)
        path = path_of(source, layers)
    nodes: list[Node] = []
    view = as_written(())
    for layer in path:
        try:
            view = _add(nodes, layer, view)
        except LoadError as error:
            raise LoadError(f"'{source.label}': {error}") from error
        except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
            why = f"lacks {error}" if isinstance(error, KeyError) else f"does not fit: {error}"
            raise LoadError(f"'{source.label}': {layer.place}: the configuration {why}") from error
    view = _arrange(nodes, path[-1], view, tuple(range(len(view.shape))))
    nodes.append(Node(_unique(nodes, "output"), ops.Output(view.ours), layer="Output"))
    names = [node.name for node in nodes]
    edges = tuple(itertools.pairwise(names))
    meta = {"framework": source.framework, **({"source": source.file} if source.file else {})}
    return Graph(tuple(nodes), edges, name=name, meta=meta)


# --- refusal ----------------------------------------------------------------------------------------------


def refuse(source: Source, layers: Sequence[Layer]) -> None:
    """Raise one error over all layers that are not taken."""
    last = max((i for i, layer in enumerate(layers) if not _is_inert(layer)), default=0)
    found = [(layer, why) for i, layer in enumerate(layers) for why in _objections(layer, i >= last)]
    if not found:
        return
    count = len({layer.name for layer, _ in found})
    listed = "; ".join(f"'{layer.name}' ({layer.kind}): {why}" for layer, why in found)
    raise UnsupportedLayer(
        f"'{source.label}': {count} layer{'s are' if count > 1 else ' is'} not taken: {listed}. "
        "`neurodeploy layers` lists what is taken, with its limits"
    )


def _is_inert(layer: Layer) -> bool:
    if layer.kind == "Activation":
        return activation_of(layer.config) == "linear"
    return layer.kind in HANDLERS and HANDLERS[layer.kind].status == "dropped"


def _objections(layer: Layer, is_last: bool) -> Iterator[str]:
    if layer.home:
        yield f"a custom layer ({layer.home}); its code is not run"
        return
    if layer.kind == "InputLayer":
        return
    handler = HANDLERS.get(layer.kind)
    if handler is None:
        yield REFUSED.get(layer.kind, "no such layer is known here")
        return
    for key, allowed in handler.only.items():
        value = _single(layer.config.get(key, allowed[0]))
        if value not in allowed:
            yield f"{key}={value!r}, only {' or '.join(map(repr, allowed))} is taken"
    yield from _objections_to_use(layer)
    activation = activation_of(layer.config)
    if activation not in ACTIVATIONS:
        yield f"activation {activation!r}, only {' or '.join(map(repr, ACTIVATIONS))} is taken"
    if "softmax" in (activation, layer.kind.lower()) and not is_last:
        yield f"softmax is taken {FINAL}"


def _objections_to_use(layer: Layer) -> Iterator[str]:
    if layer.uses > 1:
        yield f"it is used {layer.uses} times (shared weights)"
    if len(layer.inputs) > 1:
        yield f"it joins {len(layer.inputs)} branches"
    if layer.training and (HANDLERS[layer.kind] is NORM or HANDLERS[layer.kind].status == "dropped"):
        yield "it is called with training=True, so it stays random or unfolded at inference"
    axis = layer.config.get("axis")
    if HANDLERS[layer.kind] is NORM and isinstance(axis, list | tuple) and len(axis) > 1:
        yield f"axis={list(axis)}, one axis is taken"
    policy = layer.config.get("dtype")
    policy = policy.get("config", {}).get("name") if isinstance(policy, Mapping) else policy
    if "_from_" in str(policy):
        yield f"its weights are quantised ({policy}); save the model before quantising it"


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def activation_of(config: Mapping[str, Any]) -> str:
    """Name of a layer's activation; ``linear`` where it has none."""
    value = config.get("activation")
    if value is None:
        return "linear"
    if not isinstance(value, Mapping):
        return str(value)
    kind, inner = str(value.get("class_name")), value.get("config")
    if not isinstance(inner, Mapping):  # a function, by name
        return str(inner)
    taken = kind in ("ReLU", "Softmax") and not any(_objections(Layer(kind, "", inner), is_last=True))
    return kind.lower() if taken else f"{kind} with {dict(inner)}"


# --- building ---------------------------------------------------------------------------------------------


def _add(nodes: list[Node], layer: Layer, view: View) -> View:
    """Append one layer's nodes and return the view of its result."""
    if layer.kind == "InputLayer":
        return _add_input(nodes, layer)
    handler = HANDLERS[layer.kind]
    activation = activation_of(layer.config)
    if layer.kind != "Activation":
        view = _arrange(nodes, layer, view, handler.layout(layer, view))
        view = _append(nodes, layer, view, handler.build, "")
    if layer.kind == "Activation" or activation != "linear":
        layout = user_order if activation == "softmax" else any_order
        view = _arrange(nodes, layer, view, layout(layer, view))
        suffix = "" if layer.kind == "Activation" else activation
        view = _append(nodes, layer, view, ACTIVATIONS[activation], suffix)
    return view


def _append(nodes: list[Node], layer: Layer, view: View, make: Build, suffix: str) -> View:
    steps, result = make(layer, view)
    shape = view.ours
    for extra, op in steps:
        shape = op.out_shape(shape)
        nodes.append(_node(nodes, layer, op, suffix or extra))
    if shape != result.ours:
        raise ValueError(f"it gives {shape}, not {result.ours}")
    return _within_reason(result)


def _within_reason(view: View) -> View:
    if math.prod(view.shape) > MAX_VALUES:
        raise ValueError(f"a map of shape {view.shape} is larger than the {MAX_VALUES} values taken")
    return view


def _add_input(nodes: list[Node], layer: Layer) -> View:
    shape = layer.config.get("batch_shape") or layer.config["batch_input_shape"]
    sample = tuple(shape[1:])
    if any(layer.config.get(key) for key in ("sparse", "ragged")):
        raise LoadError(f"{layer.place}: sparse and ragged inputs are not taken; use a dense one")
    if not sample or any(n is None for n in sample):
        raise LoadError(
            f"{layer.place}: the input has shape {sample}; build the model with fixed lengths, "
            "as keras.Input((28, 28, 1))"
        )
    view = as_written(tuple(int(n) for n in sample))
    if np.min(view.shape) < 1:
        raise LoadError(f"{layer.place}: the input has shape {sample}, which holds nothing")
    nodes.append(_node(nodes, layer, ops.Input(view.shape), ""))
    return _within_reason(view)


def _arrange(nodes: list[Node], layer: Layer, view: View, axes: tuple[int, ...]) -> View:
    """Bring the axes into another order, with as little as that needs."""
    if axes == view.axes:
        return view
    wanted = View(view.shape, axes)
    if all(isinstance(node.op, STILL_INPUT) for node in nodes):
        nodes[0] = dataclasses.replace(nodes[0], op=ops.Input(wanted.ours, view.shape, axes))
        return wanted
    moved = tuple(view.axes.index(a) for a in axes)
    long = [a for a in moved if view.ours[a] > 1]
    keeps_order = long == sorted(long)  # only axes of length 1 move
    op: Op = ops.Reshape(wanted.ours) if keeps_order else ops.Transpose(moved)
    nodes.append(_node(nodes, layer, op, "reorder"))
    return wanted


def _node(nodes: list[Node], layer: Layer, op: Op, suffix: str) -> Node:
    name = layer.name.replace("/", "_") + (f".{suffix}" if suffix else "")
    return Node(_unique(nodes, name), op, origin=layer.name, layer=layer.kind)


def _unique(nodes: Sequence[Node], name: str) -> str:
    taken = {node.name for node in nodes}
    if name not in taken:
        return name
    return next(n for i in range(1, len(nodes) + 2) if (n := f"{name}.{i}") not in taken)
