"""From a model's layers to a graph: refuse what is not taken, all at once, then build call by call."""

from __future__ import annotations

import contextlib
import dataclasses
import graphlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.keras.config import network_of
from neurodeploy.frontends.keras.draft import Draft, Tensor
from neurodeploy.frontends.keras.geometry import as_written
from neurodeploy.frontends.keras.joins import CALLS, Arguments
from neurodeploy.frontends.keras.over_time import moved_axis, over_time
from neurodeploy.frontends.keras.recurrent import RECURRENT
from neurodeploy.frontends.keras.refusal import activation_of, refuse
from neurodeploy.frontends.keras.source import Call, Layer, Network, Ref, Source, breakage_named
from neurodeploy.frontends.keras.table import ACTIVATIONS, HANDLERS, JOINTS, Handler
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph


def build(source: Source, name: str) -> Graph:
    """Return the rate graph of a model.

    Raises
    ------
    UnsupportedLayer
        Naming every layer that is not taken, with its kind and the reason.
    LoadError
        If the model has several inputs or outputs, or weights do not fit.
    """
    network, draft = network_of(source), Draft()
    with breakage_named(source):
        refuse(source, network)
    with breakage_named(source), _place_named(source):
        entry = network.layers[network.inputs[0]]
        with _breakage_placed(entry):
            tensors = [_add_input(draft, entry)]
        (last,) = _draw(network, draft, tensors)
        end = Layer("Output", "output", {})
        last = draft.arrange(end, last, tuple(range(len(draft.views[last].shape))))
        meta = {"framework": source.framework, **({"source": source.file} if source.file else {})}
        return draft.builder.finish(draft.value(last), name=name, meta=meta)


@contextlib.contextmanager
def _place_named(source: Source) -> Iterator[None]:
    """Begin every message with the file."""
    try:
        yield
    except LoadError as error:
        raise type(error)(f"'{source.label}': {error}") from error


@contextlib.contextmanager
def _breakage_placed(layer: Layer) -> Iterator[None]:
    """Say at which layer a configuration does not fit."""
    try:
        yield
    except UnsupportedLayer as error:
        raise UnsupportedLayer(f"{layer.place} is not taken: {error}") from error
    except LoadError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        why = f"lacks {error}" if isinstance(error, KeyError) else f"does not fit: {error}"
        raise LoadError(f"{layer.place}: the configuration {why}") from error


def _draw(
    network: Network, draft: Draft, tensors: Sequence[Tensor], *, every_step: bool = False
) -> list[Tensor]:
    """Append all layers of a network behind its inputs and return its outputs.

    With `every_step` the network is applied to every step of sequences.
    """
    made = {Ref(name, 0): tensor for name, tensor in zip(network.inputs, tensors, strict=True)}
    for ref in _order(network):
        if ref not in made:
            layer = network.layers[ref.layer]
            made[ref] = _use(draft, layer, layer.calls[ref.call], made, every_step)
    return [made[ref] for ref in network.outputs]


def _order(network: Network) -> Iterator[Ref]:
    """Yield every call that the outputs need after those it depends on."""
    sorter: graphlib.TopologicalSorter[Ref] = graphlib.TopologicalSorter()
    stack, seen = list(network.outputs), set(network.outputs)
    while stack:
        ref = stack.pop()
        needs = network.layers[ref.layer].calls[ref.call].refs
        sorter.add(ref, *needs)
        fresh = [need for need in dict.fromkeys(needs) if need not in seen]
        seen.update(fresh)
        stack += fresh
    yield from sorter.static_order()


def _use(draft: Draft, layer: Layer, call: Call, made: dict[Ref, Tensor], every_step: bool) -> Tensor:
    """Append one use of a layer."""
    if layer.wrapped is not None:
        return _use(draft, layer.wrapped, call, made, True)
    tensors = [made[ref] for ref in call.refs]
    if layer.inner is not None:
        (result,) = _draw(layer.inner, draft, tensors, every_step=every_step)
        return result
    with _breakage_placed(layer):
        layer = moved_axis(layer) if every_step and layer.kind in JOINTS else layer
        if layer.kind in CALLS:
            if every_step:
                raise UnsupportedLayer("a function inside TimeDistributed")
            args, kwargs = _filled(call.args, made), _filled(call.kwargs, made)
            return CALLS[layer.kind](Arguments(draft, layer, tuple(args), kwargs, frozenset(tensors)))
        if layer.kind in JOINTS:
            result = JOINTS[layer.kind].join(draft, layer, tensors)
            if layer.kind in RECURRENT:  # its activation is inside
                return result
        elif layer.kind == "Activation":
            result = tensors[0]
        else:
            handler = HANDLERS[layer.kind]
            handler = over_time(layer, handler) if every_step else handler
            result = _apply(draft, layer, handler, tensors[0], "")
        activation = activation_of(layer)
        if activation.kind == "linear" and layer.kind != "Activation":
            return result
        known = ACTIVATIONS.get(activation.kind) or HANDLERS[activation.kind]
        acting = dataclasses.replace(activation, kind=layer.kind)
        suffix = "" if layer.kind == "Activation" else activation.kind.lower()
        return _apply(draft, acting, known, result, suffix)


def _apply(draft: Draft, layer: Layer, handler: Handler, tensor: Tensor, suffix: str) -> Tensor:
    tensor = draft.arrange(layer, tensor, handler.layout(layer, draft.views[tensor]))
    steps, view = handler.build(layer, draft.views[tensor])
    return draft.chain(layer, tensor, steps, view, suffix)


def _filled(value: Any, made: dict[Ref, Tensor]) -> Any:
    """Put tensors in place of their references."""
    if isinstance(value, Ref):
        return made[value]
    if isinstance(value, dict):
        return {key: _filled(part, made) for key, part in value.items()}
    return [_filled(part, made) for part in value] if isinstance(value, list | tuple) else value


def _add_input(draft: Draft, layer: Layer) -> Tensor:
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
    return draft.add(layer, ops.Input(view.shape), view)
