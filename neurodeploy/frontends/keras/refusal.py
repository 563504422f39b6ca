"""What is not taken, said all at once and before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.keras.joins import CALLS
from neurodeploy.frontends.keras.recurrent import RECURRENT
from neurodeploy.frontends.keras.source import Layer, Network, Source
from neurodeploy.frontends.keras.table import ACTIVATING, ACTIVATIONS, FINAL, HANDLERS, JOINTS, NORM, REFUSED


def refuse(source: Source, network: Network) -> None:
    """Raise one error over all layers that are not taken.

    Raises
    ------
    UnsupportedLayer
        Naming every layer that is not taken, with its kind and the reason.
    LoadError
        If there is more than one input or output, or a layer lies beside the way between them.
    """
    found = list(_all_objections(network, is_end=True))
    if found:
        count = len({layer.name for layer, _ in found})
        listed = "; ".join(f"'{layer.name}' ({layer.kind}): {why}" for layer, why in found)
        raise UnsupportedLayer(
            f"'{source.label}': {count} layer{'s are' if count > 1 else ' is'} not taken: {listed}. "
            "`neurodeploy layers` lists what is taken, with its limits"
        )
    outputs = [ref.layer for ref in network.outputs]
    for what, names in (("inputs", list(network.inputs)), ("outputs", outputs)):
        if len(names) != 1:
            listed = ", ".join(f"'{n}'" for n in names) or "none"
            raise LoadError(f"'{source.label}' has {len(names)} {what} ({listed}); models with one are taken")
    stray = [f"'{name}'" for name in network.layers if name not in reached(network)]
    if stray:
        raise LoadError(f"'{source.label}': {', '.join(stray)} lies beside the way from input to output")


def reached(network: Network) -> set[str]:
    """Return the names of the layers that the outputs depend on."""
    found = {ref.layer for ref in network.outputs}
    stack = list(found)
    while stack:
        calls = network.layers[stack.pop()].calls
        fresh = {ref.layer for call in calls for ref in call.refs} - found
        found |= fresh
        stack += fresh
    return found


def _all_objections(network: Network, *, is_end: bool) -> Iterator[tuple[Layer, str]]:
    ends = _ends(network) if is_end else set()
    for name, layer in network.layers.items():
        for why in _objections(layer, is_end=name in ends):
            yield layer, why
        for part in (layer, layer.wrapped):
            if part is not None and part.inner is not None and not layer.home:
                yield from _all_objections(part.inner, is_end=name in ends)


def _ends(network: Network) -> set[str]:
    """Return the layers behind which nothing more is done."""
    found: set[str] = set()
    stack = [ref.layer for ref in network.outputs]
    while stack:
        name = stack.pop()
        layer = network.layers[name]
        found.add(name)
        if _is_inert(layer):
            stack += [ref.layer for call in layer.calls for ref in call.refs if ref.layer not in found]
    return found


def _is_inert(layer: Layer) -> bool:
    if layer.kind == "Activation":
        return activation_of(layer).kind == "linear"
    return layer.kind in HANDLERS and HANDLERS[layer.kind].status == "dropped"


def _objections(layer: Layer, *, is_end: bool) -> Iterator[str]:
    if layer.home:
        yield f"a custom layer ({layer.home}); its code is not run"
    elif layer.wrapped is not None:
        inside = dataclasses.replace(layer.wrapped, calls=layer.calls)
        yield from (f"of {inside.kind}: {why}" for why in _objections(inside, is_end=is_end))
    elif layer.inner is not None:
        yield from _objections_to_model(layer, layer.inner)
    elif layer.kind in HANDLERS or layer.kind in JOINTS:
        yield from _objections_to_parameters(layer)
        yield from _objections_to_use(layer)
        yield from _objections_to_activation(layer)
    elif layer.kind not in CALLS and layer.kind != "InputLayer":
        yield REFUSED.get(layer.kind, "no such layer is known here")
    if not is_end and not layer.wrapped and "softmax" in f"{activation_of(layer).kind} {layer.kind}".lower():
        yield f"softmax is taken {FINAL}"


def _objections_to_activation(layer: Layer) -> Iterator[str]:
    activation = activation_of(layer)
    if activation.kind in ACTIVATING:
        yield from (f"activation {activation.kind}: {why}" for why in _objections_to_parameters(activation))
    elif activation.kind not in ACTIVATIONS:
        taken = " or ".join(map(repr, ACTIVATIONS))
        yield f"activation {activation.kind!r}, only {taken} is taken"


def _objections_to_model(layer: Layer, inner: Network) -> Iterator[str]:
    if len(inner.outputs) != 1:
        yield f"an inner model with {len(inner.outputs)} outputs; one is taken"
    if any(len(call.refs) != len(inner.inputs) for call in layer.calls):
        yield f"an inner model with {len(inner.inputs)} inputs is called with another number"


def _objections_to_parameters(layer: Layer) -> Iterator[str]:
    only = HANDLERS[layer.kind].only if layer.kind in HANDLERS else {}
    for key, allowed in only.items():
        value = _single(layer.config.get(key, allowed[0]))
        if value not in allowed:
            yield f"{key}={value!r}, only {' or '.join(map(repr, allowed))} is taken"


def _objections_to_use(layer: Layer) -> Iterator[str]:
    handler = HANDLERS.get(layer.kind)
    if handler is not None and any(len(call.refs) != 1 for call in layer.calls):
        yield f"it is called with {max(len(call.refs) for call in layer.calls)} tensors; one is taken"
    if layer.kind in RECURRENT:
        if any(len(call.refs) != 1 for call in layer.calls):
            yield "it is called with a state; it starts from zero here"
    elif layer.kind in JOINTS and any(len(call.refs) < 2 for call in layer.calls):
        yield "it joins one tensor; two or more are taken"
    dropped = handler is not None and (handler is NORM or handler.status == "dropped")
    if dropped and any(call.fixes_training for call in layer.calls):
        yield "it is called with training=True, so it stays random or unfolded at inference"
    axis = layer.config.get("axis")
    if handler is NORM and isinstance(axis, list | tuple) and len(axis) > 1:
        yield f"axis={list(axis)}, one axis is taken"
    policy = layer.config.get("dtype")
    policy = policy.get("config", {}).get("name") if isinstance(policy, Mapping) else policy
    if "_from_" in str(policy):
        yield f"its weights are quantised ({policy}); save the model before quantising it"


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def activation_of(layer: Layer) -> Layer:
    """Return a layer's activation as a layer of its own; of kind ``linear`` where it has none."""
    value = layer.config.get("activation")
    if value is None:
        return Layer("linear", layer.name, {})
    if not isinstance(value, Mapping):
        return Layer(str(value), layer.name, {})
    inner = value.get("config")
    if not isinstance(inner, Mapping):  # a function, by name
        return Layer(str(inner), layer.name, {})
    return Layer(str(value.get("class_name")), layer.name, inner)
