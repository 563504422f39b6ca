"""From Keras' configurations, of either generation, to layers and calls.

Both generations write a list of layers. Keras 2 writes a call as ``["layer", node, tensor, {arguments}]``,
Keras 3 as ``{"args": [...], "kwargs": {...}}`` with tensors as objects; here both become a `Call`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neurodeploy.errors import LoadError
from neurodeploy.frontends.keras.source import (
    CHAINS,
    NETWORKS,
    Call,
    Layer,
    Network,
    Ref,
    Source,
    Weights,
    breakage_named,
)

WRAPPERS = ("TimeDistributed",)
FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")
"""Layers of Keras 2 that stand for a function called on a tensor."""
CONSTANT = "_CONSTANT_VALUE"
"""What Keras 2 writes for a layer's name where the first argument is a number."""


def network_of(source: Source) -> Network:
    """Return the layers of a model and how they call each other.

    Raises
    ------
    LoadError
        If the model is of a class whose layers are not in its configuration, or the configuration is broken.
    """
    with breakage_named(source):
        network = _network(source.kind, source.config, source.weights, "", source.label)
    if network is None:
        raise LoadError(
            f"'{source.label}' is a {source.kind}, a model defined by its own Python code, which is not in "
            "the file and would not be run; rebuild it with keras.Sequential or keras.Model(inputs, outputs)"
        )
    return network


def _network(kind: str, config: Mapping[str, Any], weights: Weights, path: str, label: str) -> Network | None:
    if "layers" not in config:
        return None
    if kind in CHAINS:
        return _chain(config, weights, path, label)
    return _graph(config, weights, path, label) if kind in NETWORKS else None


# --- chains -----------------------------------------------------------------------------------------------


def _chain(config: Mapping[str, Any], weights: Weights, path: str, label: str) -> Network:
    entries = config["layers"]
    layers: dict[str, Layer] = {}
    before = ""
    for i, entry in enumerate(entries):
        if i == 0 and entry["class_name"] != "InputLayer":
            shape = _declared_shape(config, entry)
            if shape is None and not path:
                raise LoadError(
                    f"'{label}' does not say the shape of its input; start it with keras.Input(shape) or "
                    "call model.build(shape) and save again"
                )
            before = "input"
            layers[before] = Layer("InputLayer", f"{path}input", {"batch_shape": shape}, (Call(),))
        name = _name(entry)
        calls = (Call((Ref(before, 0),)),) if before else (Call(),)
        layers[name] = _layer(entry, name, calls, weights, path, label)
        before = name
    return Network(layers, tuple(layers)[:1], (Ref(before, 0),) if before else ())


def _declared_shape(config: Mapping[str, Any], entry: Mapping[str, Any]) -> Any:
    """Shape of the input, batch axis first, where there is no input layer to say it."""
    candidates = (
        entry["config"].get("batch_input_shape"),
        entry["config"].get("batch_shape"),
        config.get("build_input_shape"),
        (entry.get("build_config") or {}).get("input_shape"),
    )
    return next((c for c in candidates if c), None)


# --- graphs -----------------------------------------------------------------------------------------------


def _graph(config: Mapping[str, Any], weights: Weights, path: str, label: str) -> Network:
    layers: dict[str, Layer] = {}
    for entry in config["layers"]:
        name = _name(entry)
        nodes = entry.get("inbound_nodes") or []
        calls = tuple(_call(node) for node in nodes) or (Call(),)
        layers[name] = _layer(entry, name, calls, weights, path, label)
    outputs = tuple(dict.fromkeys(_references(config.get("output_layers"))))
    if not outputs:
        fed = {ref.layer for layer in layers.values() for call in layer.calls for ref in call.refs}
        outputs = tuple(Ref(name, 0) for name in layers if name not in fed)
    listed = tuple(dict.fromkeys(ref.layer for ref in _references(config.get("input_layers"))))
    inputs = listed or tuple(name for name, layer in layers.items() if layer.kind == "InputLayer")
    return _renumbered(Network(layers, inputs, outputs))


def _renumbered(network: Network) -> Network:
    """Count the calls of every layer from 0: Keras 2 counts those of an inner model from 1."""
    seen: dict[str, int] = {}
    for ref in (*network.outputs, *(r for x in network.layers.values() for c in x.calls for r in c.refs)):
        seen[ref.layer] = min(ref.call, seen.get(ref.layer, ref.call))
    if not any(seen.values()):
        return network

    def moved(value: Any) -> Any:
        if isinstance(value, Ref):
            return Ref(value.layer, value.call - seen[value.layer])
        if isinstance(value, Mapping):
            return {key: moved(part) for key, part in value.items()}
        return [moved(part) for part in value] if isinstance(value, list | tuple) else value

    layers = {
        name: dataclasses.replace(
            layer, calls=tuple(Call(tuple(moved(call.args)), moved(call.kwargs)) for call in layer.calls)
        )
        for name, layer in network.layers.items()
    }
    return Network(layers, network.inputs, tuple(moved(list(network.outputs))))


def _call(node: Any) -> Call:
    if isinstance(node, Mapping):  # Keras 3
        return Call(tuple(_argument(a) for a in node.get("args", ())), _arguments(node.get("kwargs")))
    if isinstance(node[0], str):  # a function of Keras 2
        first = node[2] if node[0] == CONSTANT else Ref(node[0], int(node[1]))
        return Call((first,), _arguments(node[3] if len(node) > 3 else {}))
    entries = [Ref(str(entry[0]), int(entry[1])) for entry in node]
    extras = node[0][3] if len(node[0]) > 3 else {}
    return Call((entries[0],) if len(entries) == 1 else (entries,), _arguments(extras))


def _arguments(value: Any) -> dict[str, Any]:
    return {str(key): _argument(part) for key, part in (value or {}).items()}


def _argument(value: Any) -> Any:
    """Put a `Ref` in place of every tensor."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            name, node, _ = value["config"]["keras_history"]
            return Ref(str(name), int(node))
        plain = _plain_object(value)
        return {key: _argument(part) for key, part in value.items()} if plain is None else _argument(plain)
    if isinstance(value, list | tuple):
        if _is_reference(value):
            return Ref(str(value[0]), int(value[1]))
        return [_argument(part) for part in value]
    return value


def _references(value: Any) -> Iterator[Ref]:
    """Find the tensors that a model lists as its inputs or outputs, one or several, however nested."""
    found = _argument(value)
    stack = [found]
    while stack:
        here = stack.pop(0)
        if isinstance(here, Ref):
            yield here
        elif isinstance(here, Mapping | list):
            stack = [*(here.values() if isinstance(here, Mapping) else here), *stack]


def _is_reference(value: Sequence[Any]) -> bool:
    return len(value) >= 3 and isinstance(value[0], str) and all(type(v) is int for v in value[1:3])


# --- layers -----------------------------------------------------------------------------------------------


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("name") or entry["config"]["name"])


def _layer(
    entry: Mapping[str, Any], name: str, calls: tuple[Call, ...], weights: Weights, path: str, label: str
) -> Layer:
    config = _plain(entry["config"])
    if not isinstance(config, Mapping):
        raise TypeError(f"a layer is configured by {config!r}")
    kind, whole = str(entry["class_name"]), path + name
    home = _home(entry)
    if home in READ or kind in READ:  # read here by what it is documented to do
        kind, home = kind.rpartition(">")[2], ""
    if home == FUNCTION:
        kind, home = _function_name(kind, config), ""
    wrapped = None
    if kind in WRAPPERS and isinstance(config.get("layer"), Mapping):
        wrapped = _layer(entry["config"]["layer"], name, (), weights, path, label)
    inner = None if home else _network(kind, entry["config"], weights, f"{whole}/", label)
    return Layer(kind, whole, config, calls, home, weights.get(whole, ()), inner, wrapped)


def _function_name(kind: str, config: Mapping[str, Any]) -> str:
    """Name a function as its author wrote it: ``tf.math.multiply``, ``ops.Multiply``."""
    if kind in FUNCTIONS:
        return f"tf.{config.get('function', 'getitem')}"
    return f"ops.{kind}"


def _plain(value: Any) -> Any:
    """Unwrap the tuples, arrays and tensors that some versions of Keras write as objects."""
    if isinstance(value, Mapping):
        plain = _plain_object(value)
        return {key: _plain(part) for key, part in value.items()} if plain is None else _plain(plain)
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _plain_object(value: Mapping[str, Any]) -> Any:
    if value.get("class_name") in ("__tuple__", "__numpy__", "__tensor__"):
        return value["config"]["value"] if "config" in value else value["items"]
    return None


def _looks_like_function(entry: Mapping[str, Any]) -> bool:
    """Whether an entry without a module, as in h5 files, lacks what every layer has."""
    layers_have = ("trainable", "dtype", "layers", "batch_shape", "batch_input_shape")
    return "module" not in entry and not any(key in entry["config"] for key in layers_have)


READ = ("keras-lmu>LMU", "keras_lmu.layers.LMU")
"""Classes of another package that are taken; in h5 files the first may stand as the class's name."""
FUNCTION = "a function"
"""In place of a class's home: it is Keras' or TensorFlow's own function, called on tensors."""


def _home(entry: Mapping[str, Any]) -> str:
    """Where a custom class lives; empty for Keras' own."""
    registered = str(entry.get("registered_name") or "")
    module = str(entry.get("module") or "keras")
    kind = str(entry.get("class_name"))
    own = module.split(".")[0] in ("keras", "tf_keras", "tensorflow") and ">" not in registered
    if own:
        is_function = ".ops." in module or ".activations." in module or kind in FUNCTIONS
        return FUNCTION if is_function or _looks_like_function(entry) else ""
    return registered if ">" in registered else f"{module}.{kind}"
